//! Rate limits as leaky buckets kept in one number: the moment at which the bucket will be empty again (GCRA).
//!
//! A bucket of `limit` that empties in `window` lets a burst of `limit` pass at once, and `limit` per `window` in the
//! long run; there is no moment at which twice the limit passes, as there is with counted windows.

use std::time::Duration;

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub limit: u32,
    /// In how long.
    pub window: Duration,
}

/// The answer, with what the `RateLimit` headers need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// May it pass?
    pub allowed: bool,
    /// The rate's own limit.
    pub limit: u32,
    /// How many more may pass now.
    pub remaining: u32,
    /// Until all of `limit` may pass again.
    pub reset: Duration,
    /// Until this one may pass; zero when it did. Never for a cost over the limit, told as the whole window.
    pub retry: Duration,
}

impl Rate {
    fn window_micros(self) -> u64 {
        u64::try_from(self.window.as_micros()).unwrap_or(u64::MAX / 4).clamp(1, u64::MAX / 4)
    }

    /// Decides for a bucket that is empty at `empty_at`, both in microseconds of the same clock. Gives the new moment
    /// when it may pass.
    pub(crate) fn decide(self, empty_at: u64, now: u64, cost: u32) -> (Decision, Option<u64>) {
        let window = self.window_micros();
        if self.limit == 0 {
            return (Decision { allowed: false, limit: 0, remaining: 0, reset: self.window, retry: self.window }, None);
        }
        let limit = u64::from(self.limit);
        let base = empty_at.clamp(now, now.saturating_add(window));
        // rounded up, so that rounding never lets more pass
        let step = |n: u64| (u128::from(n) * u128::from(window)).div_ceil(u128::from(limit));
        let after = u128::from(base) + step(u64::from(cost));
        let full = u128::from(now) + u128::from(window);
        let left = |until: u64| {
            let free = u128::from(window).saturating_sub(u128::from(until.saturating_sub(now)));
            u32::try_from(free * u128::from(limit) / u128::from(window)).unwrap_or(u32::MAX).min(self.limit)
        };
        let micros = |n: u128| Duration::from_micros(u64::try_from(n).unwrap_or(u64::MAX));
        if after <= full {
            let after = u64::try_from(after).unwrap_or(u64::MAX);
            let reset = micros(u128::from(after - now));
            (Decision { allowed: true, limit: self.limit, remaining: left(after), reset, retry: Duration::ZERO }, Some(after))
        } else {
            let retry = micros(after - full).min(self.window);
            let reset = micros(u128::from(base - now));
            (Decision { allowed: false, limit: self.limit, remaining: left(base), reset, retry }, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate { limit: 10, window: Duration::from_secs(10) };
        let (mut empty_at, mut now, mut passed) = (0, 1_000_000_000, 0);
        for _ in 0..20 {
            let (d, next) = rate.decide(empty_at, now, 1);
            passed += u32::from(d.allowed);
            empty_at = next.unwrap_or(empty_at);
        }
        assert_eq!(passed, 10);
        now += 1_000_000;
        let (d, next) = rate.decide(empty_at, now, 1);
        assert!(d.allowed && d.remaining == 0);
        let (d, _) = rate.decide(next.unwrap(), now, 1);
        assert_eq!((d.allowed, d.retry), (false, Duration::from_secs(1)));
    }

    #[test]
    fn odd_rates() {
        let none = Rate { limit: 0, window: Duration::from_secs(1) };
        assert!(!none.decide(0, 5, 1).0.allowed);
        let one = Rate { limit: 1, window: Duration::ZERO };
        assert!(one.decide(0, 5, 1).0.allowed);
        let small = Rate { limit: 3, window: Duration::from_secs(1) };
        assert!(!small.decide(0, 5, 4).0.allowed);
        assert!(small.decide(0, 5, 3).0.allowed);
        let huge = Rate { limit: u32::MAX, window: Duration::MAX };
        assert!(huge.decide(0, 5, u32::MAX).0.allowed);
    }
}
