//! What every request passes, from the outside in: request id and log line, panic guard, CORS, security headers and
//! conditional reads, authentication with the origin check, rate limit, idempotency. One file each.

pub mod access_log;
pub mod conditional;
pub mod cors;
pub mod idempotency;
pub mod identity;
pub mod rate_limit;
