//! Points in time between which nothing passes unseen.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Now, by both clocks. The monotonic one stands still while a machine is suspended; the other may be set back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// How long ago this was at `now`: by the clock that says more.
    pub(crate) fn age(&self, now: &Self) -> Duration {
        let by_wall = now.wall.duration_since(self.wall).unwrap_or_default();
        now.monotonic
            .saturating_duration_since(self.monotonic)
            .max(by_wall)
    }

    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.monotonic < other.monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_says_more_counts() {
        let now = Moment::now();
        let day = Duration::from_secs(86_400);
        let suspended = Moment {
            monotonic: now.monotonic,
            wall: now.wall - day,
        };
        assert_eq!(suspended.age(&now), day);
        let later = Moment {
            monotonic: now.monotonic + day,
            wall: now.wall - day,
        };
        assert_eq!(now.age(&later), day, "the wall clock was set back");
    }
}
