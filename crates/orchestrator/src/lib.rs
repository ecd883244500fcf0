//! The flows: what follows from which event (`flows`), and the workers that carry it out (`workers`).
//!
//! Read `flows` first: it is the design's arrows on one page.

mod creation;
pub mod flows;
mod removal;
mod workers;

pub use workers::{Orchestrator, jobs};
