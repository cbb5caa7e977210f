//! So many requests a second, for all containers of the pod together.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use mk8s_net::status::Status;

/// A token bucket.
pub(crate) struct Limit {
    bucket: DefaultDirectRateLimiter,
    per_second: NonZeroU32,
}

impl Limit {
    /// `per_second` requests on average, `burst` at once.
    pub(crate) fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self {
            bucket: RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst)),
            per_second,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// 429 with the whole seconds to wait, which clients do by themselves.
    pub(crate) fn admit(&self) -> Result<(), Status> {
        self.bucket.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.bucket.clock().now());
            let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
            Status::too_many_requests(
                format!(
                    "this pod may ask the Kubernetes API {} times a second (MCA_QPS): wait, or watch instead of asking again",
                    self.per_second
                ),
                seconds,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_is_beyond_is_told_when_to_come_again() {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        let limit = Limit::new(number(1), number(3));
        let passed = (0..10).filter(|_| limit.admit().is_ok()).count();
        assert_eq!(passed, 3);
        let response = limit.admit().expect_err("beyond").into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
