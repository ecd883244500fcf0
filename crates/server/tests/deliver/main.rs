//! What is pushed, and what is deployed of it: the registry's door and the deploy manager, in one service with real
//! clients, real processes and real containers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod deploy;
mod registry;
mod support;
