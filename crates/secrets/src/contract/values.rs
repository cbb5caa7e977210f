//! Single values of annotations, parsed into what can't be wrong.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::finding::quote;

/// The shortest time between two fetches.
pub const SHORTEST_REFRESH: Duration = Duration::from_secs(10);
/// The longest: values are kept in memory for a day when the vault can't be reached.
pub const LONGEST_REFRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// A text of which only valid ones exist, also when read from JSON.
macro_rules! checked_text {
    ($(#[$attribute:meta])+ $name:ident, $check:path) => {
        $(#[$attribute])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            /// The error says what to write.
            fn try_from(text: String) -> Result<Self, String> {
                $check(&text).map(Self)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = String;

            fn try_from(text: &str) -> Result<Self, String> {
                $check(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(super) use checked_text;

checked_text! {
    /// The name of a Secret or ConfigMap: a DNS subdomain (RFC 1123). It can't name another namespace.
    ObjectName, object_name
}
checked_text! {
    /// What variables' names begin with: letters, digits and `_`, no digit first; may be empty.
    #[derive(Default)]
    EnvPrefix, env_prefix
}
checked_text! {
    /// A key of a Secret or ConfigMap.
    DataKey, data_key
}

fn object_name(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        edge(label.bytes().next()) && edge(label.bytes().last()) && label.bytes().all(inner)
    };
    if text.contains('/') {
        return Err(format!(
            "{} names a namespace; the pod's own is used, so write the name alone",
            quote(text)
        ));
    }
    if text.len() > 253 || !text.split('.').all(is_label) {
        return Err(format!(
            "{} is no name; write lower-case letters, digits, '-' and '.'",
            quote(text)
        ));
    }
    Ok(text.to_owned())
}

fn env_prefix(text: &str) -> Result<String, String> {
    let is_valid = text.len() <= 100 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_valid || text.bytes().next().is_some_and(|b| b.is_ascii_digit()) {
        return Err(format!(
            "{} can't begin a variable's name; write letters, digits and '_', like DB_, no digit first",
            quote(text)
        ));
    }
    Ok(text.to_owned())
}

fn data_key(text: &str) -> Result<String, String> {
    if crate::render::kubernetes::is_key(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is no key; write letters, digits, '-', '_' and '.'",
        quote(text)
    ))
}

/// `true` or `false`, in capitals too.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!(
            "{} is neither \"true\" nor \"false\"; write one of them",
            quote(text)
        )),
    }
}

/// A duration as Go writes it: `5m`, `90s`, `1h30m`, `1.5h`; whole seconds, within the bounds above.
pub(crate) fn refresh(text: &str) -> Result<u64, String> {
    let Some(nanoseconds) = nanoseconds(text) else {
        return Err(format!(
            "{} is no duration; write one like 5m, 90s or 1h30m",
            quote(text)
        ));
    };
    if nanoseconds < SHORTEST_REFRESH.as_nanos() || nanoseconds > LONGEST_REFRESH.as_nanos() {
        return Err(format!(
            "{} is out of bounds; write a duration from 10s to 24h",
            quote(text)
        ));
    }
    // In bounds it fits.
    Ok(u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(LONGEST_REFRESH.as_secs()))
}

fn nanoseconds(text: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 8] = [
        // Longer ones before those that they begin with.
        ("ms", 1_000_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("us", 1_000),
        ("ns", 1),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || whole.len() > 18 || fraction.contains('.') {
            return None;
        }
        let (unit, size) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let fraction = &fraction[..fraction.len().min(12)];
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let fraction: u128 = if fraction.is_empty() {
            0
        } else {
            fraction.parse().ok()?
        };
        total = total.checked_add(whole * size + fraction * size / scale)?;
        rest = &after[unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

/// A signal that a program can handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// As Linux numbers them, on x86 and ARM.
const SIGNALS: [(&str, i32); 29] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

impl Signal {
    /// Its number on Linux.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SIGNALS
            .iter()
            .find(|(_, number)| *number == self.0)
            .map(|(name, _)| name);
        write!(f, "SIG{}", name.unwrap_or(&""))
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.to_string()
    }
}

impl TryFrom<String> for Signal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::try_from(text.as_str())
    }
}

impl TryFrom<&str> for Signal {
    type Error = String;

    /// `SIGHUP`, `HUP`, `hup` or `1`.
    fn try_from(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        if ["KILL", "STOP", "9", "19"].contains(&name) {
            return Err(format!(
                "{} can't be handled by a program; write another, like SIGHUP",
                quote(text)
            ));
        }
        // To the letter, so that "+1" and "01" are no numbers.
        let is_it = |(known, number): &&(&str, i32)| name == *known || text == number.to_string();
        let found = SIGNALS.iter().find(is_it);
        found
            .map(|(_, number)| Self(*number))
            .ok_or_else(|| format!("{} is no signal; write one like SIGHUP, USR1 or 15", quote(text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_go_s() {
        for (text, seconds) in [
            ("5m", 300),
            ("90s", 90),
            ("1h30m", 5400),
            ("1.5h", 5400),
            (".5m", 30),
            ("10000ms", 10),
            ("24h", 86400),
            ("10s999ms", 10),
        ] {
            assert_eq!(refresh(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "+5m",
            "5x",
            "1.2.3m",
            ".m",
            "5m5",
            "five",
            "999999999999999999999h",
        ] {
            assert!(refresh(text).unwrap_err().contains("no duration"), "{text}");
        }
        for text in ["9s", "0s", "9.999s", "25h", "24h1ns", "999999999999999999h"] {
            assert!(refresh(text).unwrap_err().contains("from 10s to 24h"), "{text}");
        }
    }

    #[test]
    fn signals_are_real_ones_that_can_be_handled() {
        for (text, number) in [
            ("SIGHUP", 1),
            ("HUP", 1),
            ("sighup", 1),
            ("1", 1),
            ("USR2", 12),
            ("SIGTERM", 15),
        ] {
            assert_eq!(Signal::try_from(text).map(Signal::number), Ok(number), "{text}");
        }
        for text in ["KILL", "SIGKILL", "9", "STOP", "19"] {
            assert!(
                Signal::try_from(text).unwrap_err().contains("can't be handled"),
                "{text}"
            );
        }
        for text in [
            "",
            "SIG",
            "0",
            "-1",
            "+1",
            "01",
            "SIG1",
            "99",
            "SIGSIGHUP",
            "RTMIN",
            "HUP; rm",
        ] {
            assert!(
                Signal::try_from(text).unwrap_err().contains("is no signal"),
                "{text}"
            );
        }
    }

    #[test]
    fn names_are_kubernetes_names_without_a_namespace() {
        assert!(ObjectName::try_from("a-b.c1").is_ok());
        for text in [
            "",
            "A",
            "a_b",
            "-a",
            "a-",
            "a..b",
            "a b",
            "../x",
            &"a".repeat(254),
            "ключ",
        ] {
            assert!(ObjectName::try_from(text).is_err(), "{text}");
        }
        let error = ObjectName::try_from("kube-system/token").unwrap_err();
        assert!(error.contains("names a namespace"), "{error}");
    }

    #[test]
    fn prefixes_begin_variables() {
        for text in ["", "DB_", "_", "a1"] {
            assert!(EnvPrefix::try_from(text).is_ok(), "{text}");
        }
        for text in ["1DB", "DB-", "A B", "A=", "Ü", "A\n", "$(X)"] {
            assert!(EnvPrefix::try_from(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in ".*", digits in "[0-9.hmsuµ]{0,40}") {
            for text in [&text, &digits] {
                let _ = (refresh(text), boolean(text), Signal::try_from(text.as_str()));
                let _ = (ObjectName::try_from(text.as_str()), EnvPrefix::try_from(text.as_str()));
            }
        }
    }
}
