//! Trying again what may well succeed a little later.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};

use crate::FetchError;

/// How long to be silent when the service wants fewer requests, and doesn't say for how long: it counts for ten seconds, which each
/// request prolongs.
pub const SILENCE: Duration = Duration::from_secs(11);

const FIRST: Duration = Duration::from_millis(200);
const MORE_TRIES: usize = 3;

/// Tries, and if that is worth it up to three times more: after 200, 400, and 800 ms. When the service wants fewer requests, the wait
/// is what it asks for, or else [`SILENCE`]; but all such waits together are no longer than `longest_wait`: what would take longer
/// is returned at once, as [`FetchError::Throttled`].
///
/// # Errors
/// The last try's.
pub async fn retry<T, F, R>(longest_wait: Duration, ask: F) -> Result<T, FetchError>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, FetchError>>,
{
    let delays = ExponentialBuilder::default()
        .with_min_delay(FIRST)
        .with_factor(2.0)
        .with_max_times(MORE_TRIES);
    let mut left = longest_wait;
    ask.retry(delays)
        .when(FetchError::is_worth_retrying)
        .adjust(|error, delay| match error {
            FetchError::Throttled { retry_after } => {
                let wait = delay.map(|_| retry_after.unwrap_or(SILENCE))?;
                left = left.checked_sub(wait)?;
                Some(wait)
            }
            _ => delay,
        })
        .await
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::Malformed;

    const BROKEN: FetchError = FetchError::File { status: 503 };

    fn throttled(seconds: Option<u64>) -> FetchError {
        FetchError::Throttled {
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    /// What comes of answers, how many were asked for, and how long that took.
    async fn tried(
        longest_wait: u64,
        answers: &[Result<u8, FetchError>],
    ) -> (Result<u8, FetchError>, usize, Duration) {
        let began = Instant::now();
        let mut asked = 0;
        let result = retry(Duration::from_secs(longest_wait), || {
            asked += 1;
            let answer = answers[asked - 1].clone();
            async { answer }
        })
        .await;
        (result, asked, began.elapsed())
    }

    /// The clock of such tests goes in milliseconds.
    fn is_about(time: Duration, millis: u64) -> bool {
        time.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(20)
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_three_times_more() {
        let answers = [Err(BROKEN), Err(BROKEN), Err(BROKEN), Ok(1)];
        let (result, asked, took) = tried(0, &answers).await;
        assert_eq!((result, asked), (Ok(1), 4));
        assert!(is_about(took, 1400), "{took:?}");
        let answers = [Err(BROKEN), Err(BROKEN), Err(BROKEN), Err(BROKEN)];
        let (result, asked, _) = tried(0, &answers).await;
        assert_eq!((result, asked), (Err(BROKEN), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_is_returned_at_once() {
        let error = FetchError::from(Malformed::NotJson);
        let (result, asked, took) = tried(60, &[Err(error.clone())]).await;
        assert_eq!((result, asked, took), (Err(error), 1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_may_ask_for_a_wait_within_the_bound() {
        let (result, asked, took) = tried(5, &[Err(throttled(Some(5))), Ok(1)]).await;
        assert_eq!((result, asked), (Ok(1), 2));
        assert!(is_about(took, 5000), "{took:?}");
        let (result, asked, took) = tried(5, &[Err(throttled(Some(6)))]).await;
        assert_eq!(
            (result, asked, took),
            (Err(throttled(Some(6))), 1, Duration::ZERO)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn waits_count_together() {
        let answers = [Err(throttled(Some(3))), Err(throttled(Some(3)))];
        let (result, asked, took) = tried(5, &answers).await;
        assert_eq!((result, asked), (Err(throttled(Some(3))), 2));
        assert!(is_about(took, 3000), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wait_of_its_own_the_service_gets_silence() {
        let (result, asked, _) = tried(10, &[Err(throttled(None))]).await;
        assert_eq!((result, asked), (Err(throttled(None)), 1));
        let (result, _, took) = tried(11, &[Err(throttled(None)), Ok(1)]).await;
        assert_eq!(result, Ok(1));
        assert!(is_about(took, 11_000), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_ends_after_as_many_tries_as_anything_else() {
        let answers: Vec<_> = (0..9).map(|_| Err(throttled(Some(1)))).collect();
        let (_, asked, _) = tried(100, &answers).await;
        assert_eq!(asked, 4);
    }
}
