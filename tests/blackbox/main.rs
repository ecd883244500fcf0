//! The service as its users meet it: the real binary, the API, the real `git`, on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod accounts;
mod actions;
mod artifacts;
mod asking;
mod authorization;
mod code;
mod compiler;
mod creation;
mod environments;
mod git;
mod here;
mod http_rules;
mod images;
mod journey;
mod pipelines;
mod projects;
mod queue;
mod removal;
mod results;
mod schedules;
mod telemetry;
mod testing;
mod values;
