//! Durations as people write them in settings: `24h`, `15m`, `30s`, `7d`, or several of them (jiff's friendly format).

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// What was written isn't a duration, or not one that can be meant here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration; write 24h, 15m, 30s or 7d")]
pub struct InvalidDuration(String);

/// Reads one that may be none at all: `0s`. A day has 24 hours.
///
/// # Errors
/// If it can't be read, or is negative.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let span: jiff::Span = text.parse().map_err(|_| invalid())?;
    let signed = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| invalid())?;
    Duration::try_from(signed).map_err(|_| invalid())
}

/// Reads one that is longer than nothing.
///
/// # Errors
/// As [`parse`], and for `0s`.
pub fn parse_positive(text: &str) -> Result<Duration, InvalidDuration> {
    match parse(text) {
        Ok(duration) if duration.is_zero() => Err(InvalidDuration(text.to_owned())),
        read => read,
    }
}

/// [`parse`], for serde's `deserialize_with`.
///
/// # Errors
/// As [`parse`].
pub fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// [`parse_positive`], for serde's `deserialize_with`.
///
/// # Errors
/// As [`parse_positive`].
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_positive(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// [`parse`] of what may be left out, for serde's `deserialize_with`.
///
/// # Errors
/// As [`parse`].
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| parse(&text))
        .transpose()
        .map_err(D::Error::custom)
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

    #[test]
    fn where_none_at_all_makes_no_sense_it_is_refused() {
        assert_eq!(parse_positive("7d"), Ok(Duration::from_secs(7 * 86400)));
        let error = parse_positive("0s").expect_err("nothing").to_string();
        assert!(error.contains("\"0s\" is no duration"), "{error}");
        assert!(parse_positive("-5m").is_err());
    }
}
