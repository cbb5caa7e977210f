//! Objects as text that says much in few tokens.

pub(crate) mod health;
pub(crate) mod slim;
pub(crate) mod table;
pub(crate) mod yaml;

use jiff::Timestamp;
use serde_json::Value;

/// The string at a path of keys.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str()
}

/// The number at a path of keys.
pub(crate) fn number(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path)?.as_i64()
}

/// The list at a path of keys, or none.
pub(crate) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The value at a path of keys.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

/// How long ago that was, as kubectl says it: the largest unit, and the next one if it still tells something.
pub(crate) fn age(since: Option<&str>, now: Timestamp) -> String {
    let Some(since) = since.and_then(|since| since.parse::<Timestamp>().ok()) else {
        return "-".to_owned();
    };
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => format!("{hours}h{}m", minutes % 60),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => format!("{days}d{}h", hours % 24),
        _ if days < 730 => format!("{days}d"),
        _ => format!("{}y{}d", days / 365, days % 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_kubectls() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (since, shown) in [
            ("2026-11-22T11:59:00Z", "60s"),
            ("2026-11-22T11:55:30Z", "4m30s"),
            ("2026-11-22T11:00:00Z", "60m"),
            ("2026-11-22T07:30:00Z", "4h30m"),
            ("2026-11-20T11:00:00Z", "2d1h"),
            ("2026-10-01T00:00:00Z", "52d"),
            ("2030-01-01T00:00:00Z", "0s"),
        ] {
            assert_eq!(age(Some(since), now), shown);
        }
        assert_eq!(age(Some("x"), now), "-");
    }
}
