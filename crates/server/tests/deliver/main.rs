//! What is pushed, and what is deployed of it: the registry's door and the deploy manager, in one service with real
//! clients, real processes and real containers.

mod deploy;
mod registry;
mod support;
