//! Trying again what may be over in a moment.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tracing::warn;

use crate::provider::FetchError;

/// After 200, 400 and 800 ms.
const TIMES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Does something, and does it again if what went wrong may pass. If somebody says how long they want silence, that is kept if
/// it is no longer than `longest_wait`, and else it isn't done again.
pub(crate) async fn patiently<T>(
    longest_wait: Duration,
    mut look: impl AsyncFnMut() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_factor(2.0)
        .with_max_times(TIMES)
        .build();
    loop {
        let why = match look().await {
            Ok(done) => return Ok(done),
            Err(why) => why,
        };
        let next = pauses.next().filter(|_| why.is_passing);
        let pause = match why.after {
            None => next,
            Some(after) => next.map(|_| after).filter(|after| *after <= longest_wait),
        };
        let Some(pause) = pause else {
            return Err(why);
        };
        warn!(%why, "trying again in {pause:?}");
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn failure(is_passing: bool, after: Option<u64>) -> FetchError {
        FetchError {
            why: "x".to_owned(),
            is_passing,
            after: after.map(Duration::from_secs),
        }
    }

    /// How often it was done, and how long that took in hundredths of a second (timers round up to the next millisecond), if it
    /// fails so each time.
    async fn tried(longest_wait: u64, is_passing: bool, after: Option<u64>) -> (u32, u128) {
        let (mut times, began) = (0, Instant::now());
        let done: Result<(), _> = patiently(Duration::from_secs(longest_wait), async || {
            times += 1;
            Err(failure(is_passing, after))
        })
        .await;
        assert!(done.is_err());
        (times, began.elapsed().as_millis() / 10)
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_three_times_more_with_growing_pauses() {
        assert_eq!(tried(0, true, None).await, (4, 20 + 40 + 80));
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_is_tried_once() {
        assert_eq!(tried(20, false, None).await, (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_kept_if_it_is_short_enough() {
        assert_eq!(tried(20, true, Some(5)).await, (4, 1_500));
        assert_eq!(tried(20, true, Some(60)).await, (1, 0));
        assert_eq!(tried(0, true, Some(1)).await, (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_passed_is_done() {
        let mut times = 0;
        let done = patiently(Duration::ZERO, async || {
            times += 1;
            if times < 3 {
                Err(failure(true, None))
            } else {
                Ok(times)
            }
        });
        assert_eq!(done.await.expect("it passed"), 3);
    }
}
