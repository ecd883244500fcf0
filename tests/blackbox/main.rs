//! The service as its users meet it: the real binary, the API, the real `git`, on SQLite and on PostgreSQL.

mod accounts;
mod authorization;
mod code;
mod creation;
mod git;
mod http_rules;
mod pipelines;
mod projects;
