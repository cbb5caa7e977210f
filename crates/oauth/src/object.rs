//! A JSON object in which every name stands once. Of a name that stands twice one reader takes the first value and another the
//! last, so there is no such object here.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// The JOSE header or the claims of a token.
#[derive(Debug, Default)]
pub(crate) struct Object(Map<String, Value>);

/// A claim is of another type than it must be. Its name is ours, so it may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongType;

impl Object {
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Null counts as absent, as for the API server.
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, WrongType> {
        self.value(name)
            .map(|value| value.as_str().ok_or(WrongType))
            .transpose()
    }

    pub(crate) fn truth(&self, name: &str) -> Result<Option<bool>, WrongType> {
        self.value(name)
            .map(|value| value.as_bool().ok_or(WrongType))
            .transpose()
    }

    /// One text or a list of them.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&str>, WrongType> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(many)) => many.iter().map(|one| one.as_str().ok_or(WrongType)).collect(),
            Some(_) => Err(WrongType),
        }
    }

    /// A NumericDate (RFC 7519 section 2), which may have a fraction: the second that it falls in.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, WrongType> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let seconds = match value.as_i64() {
            Some(seconds) => seconds,
            // What is beyond all time is beyond it as an integer too: the conversion saturates.
            None => value.as_f64().ok_or(WrongType)?.floor() as i64,
        };
        Timestamp::from_second(seconds).map(Some).map_err(|_| WrongType)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if object.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name stands twice"));
                    }
                }
                Ok(Object(object))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_makes_it_none() {
        assert!(Object::read(br#"{"aud":"a","sub":"b"}"#).is_some());
        for bad in [
            r#"{"aud":"a","aud":"b"}"#,
            r#"{"aud":"a","\u0061ud":"b"}"#,
            r#"["aud"]"#,
            r#""aud""#,
            r#"{"aud":"a"} {}"#,
            "",
        ] {
            assert!(Object::read(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn times_are_seconds_and_beyond_the_end_of_time_they_are_none() {
        let time = |text: &str| {
            Object::read(format!(r#"{{"exp":{text}}}"#).as_bytes())
                .expect("an object")
                .time("exp")
        };
        let second = |second| Ok(Some(Timestamp::from_second(second).expect("a time")));
        assert_eq!(time("1700000000"), second(1_700_000_000));
        assert_eq!(time("1700000000.9"), second(1_700_000_000));
        assert_eq!(time("null"), Ok(None));
        for bad in [
            "1e300",
            "-1e300",
            "18446744073709551615",
            "\"1700000000\"",
            "[1]",
            "true",
        ] {
            assert_eq!(time(bad), Err(WrongType), "{bad}");
        }
    }
}
