//! Waiting for what happens by itself, with an end.

use std::time::{Duration, Instant};

/// Asks every 50 ms until `ask` answers; panics with `what` after `at_most`.
pub fn until<T>(what: &str, at_most: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + at_most;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {at_most:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As [`until`], for a condition, with 60 seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, Duration::from_secs(60), || holds().then_some(()));
}
