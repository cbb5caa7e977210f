//! `24h`, `15m`, `30s`, `7d`, or several of them (jiff's friendly format).

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// One that may be none at all: `0s`.
pub(super) fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// One that may be left out.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| parse(&text))
        .transpose()
        .map_err(D::Error::custom)
}

/// Reads a duration as people write it. A day has 24 hours.
fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is no duration; write 24h, 15m, 30s or 7d");
    let span: jiff::Span = text.parse().map_err(|_| invalid())?;
    let signed = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| invalid())?;
    Duration::try_from(signed).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_write_them() {
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("365d"), Ok(Duration::from_secs(365 * 86400)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert!(parse("-5m").is_err() && parse("5").is_err() && parse("").is_err());
    }
}
