//! How old a token is, told without trusting the clock on the wall.
//!
//! Central says how many seconds a token lives; we note when we received it. A wall clock that is ten minutes off does no
//! harm to that, but one that is *set* meanwhile would: so on Linux the time since boot (which no one sets, and which
//! counts suspends) is noted too, and the larger of the two ages wins. A token thought older than it is costs a refresh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moment {
    /// Seconds since 1970 by the wall clock.
    unix_seconds: u64,
    /// The same point on a clock that can't be set, where the system has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<BootMoment>,
}

/// Seconds since the boot that `id` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BootMoment {
    id: String,
    seconds: u64,
}

impl Moment {
    /// Reads this machine's clocks.
    pub(crate) fn now() -> Self {
        let unix_seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self {
            unix_seconds,
            boot: BootMoment::now(),
        }
    }

    /// The time from `earlier` to here, or `None` if the clocks only allow to say that it isn't known.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Duration> {
        let by_wall = self.unix_seconds.checked_sub(earlier.unix_seconds);
        let by_boot = match (&self.boot, &earlier.boot) {
            (Some(now), Some(then)) if now.id == then.id => now.seconds.checked_sub(then.seconds),
            _ => None,
        };
        by_wall.max(by_boot).map(Duration::from_secs)
    }

    /// The wall-clock time `ahead` of here, as RFC 3339 in UTC.
    pub(crate) fn rfc3339_after(&self, ahead: Duration) -> String {
        self.timestamp_after(ahead).to_string()
    }

    /// The wall-clock time.
    pub(crate) fn timestamp(&self) -> jiff::Timestamp {
        self.timestamp_after(Duration::ZERO)
    }

    fn timestamp_after(&self, ahead: Duration) -> jiff::Timestamp {
        let seconds = i64::try_from(self.unix_seconds.saturating_add(ahead.as_secs())).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl BootMoment {
    #[cfg(target_os = "linux")]
    fn now() -> Option<Self> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned();
        let seconds = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
        Some(Self {
            id,
            seconds: u64::try_from(seconds).ok()?,
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn now() -> Option<Self> {
        None
    }
}

#[cfg(test)]
impl Moment {
    /// A moment of a test's choosing.
    pub(crate) fn at(unix_seconds: u64, boot: Option<(&str, u64)>) -> Self {
        Self {
            unix_seconds,
            boot: boot.map(|(id, seconds)| BootMoment {
                id: id.to_owned(),
                seconds,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_set_back_does_not_make_a_token_younger() {
        let received = Moment::at(10_000, Some(("a", 100)));
        let set_back = Moment::at(9_400, Some(("a", 400)));
        assert_eq!(set_back.since(&received), Some(Duration::from_secs(300)));
    }

    #[test]
    fn after_a_reboot_the_wall_clock_is_all_there_is() {
        let received = Moment::at(10_000, Some(("a", 100)));
        assert_eq!(
            Moment::at(10_060, Some(("b", 5))).since(&received),
            Some(Duration::from_secs(60))
        );
        assert_eq!(Moment::at(9_999, Some(("b", 5))).since(&received), None);
    }

    #[test]
    fn the_larger_age_wins() {
        let received = Moment::at(10_000, Some(("a", 100)));
        assert_eq!(
            Moment::at(10_700, Some(("a", 110))).since(&received),
            Some(Duration::from_secs(700))
        );
    }

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        assert_eq!(
            Moment::at(1_700_000_000, None).rfc3339_after(Duration::from_secs(60)),
            "2023-11-14T22:14:20Z"
        );
    }
}
