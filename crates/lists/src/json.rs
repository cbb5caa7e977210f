//! JSON objects whose members keep their text: numbers their digits, unknown fields their place.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Why an answer can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It isn't JSON, or has another type than it should.
    #[error("it is not the JSON it should be: {0}")]
    Json(#[from] serde_json::Error),
    /// Its brackets and commas don't fit.
    #[error("it is not a JSON object")]
    Structure,
    /// It is over before its end.
    #[error("it ends in the middle")]
    CutShort,
    /// One value is larger than any object of Kubernetes.
    #[error("one value in it is larger than {} MiB", crate::splitter::MAX_VALUE >> 20)]
    TooLarge,
    /// It isn't UTF-8.
    #[error("it is not UTF-8")]
    Encoding(#[from] std::str::Utf8Error),
    /// A member that we read is there twice.
    #[error("{0:?} is in it twice")]
    Twice(&'static str),
    /// It says something that can't be.
    #[error("{0}")]
    Nonsense(&'static str),
}

/// An object, not read any deeper than its members.
#[derive(Debug)]
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Malformed::Json`] if it is none.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        Ok(serde_json::from_str(text)?)
    }

    /// A member's text.
    ///
    /// # Errors
    /// [`Malformed::Twice`] if it is there twice.
    pub fn text(&self, key: &'static str) -> Result<Option<&'a str>, Malformed> {
        let mut found = self.0.iter().filter(|(name, _)| name == key);
        let value = found.next().map(|(_, value)| value.get());
        if found.next().is_some() {
            return Err(Malformed::Twice(key));
        }
        Ok(value)
    }

    /// A member that is a string; `None` if there is none, or it is null.
    ///
    /// # Errors
    /// [`Malformed`] if it is something else, or there twice.
    pub fn string(&self, key: &'static str) -> Result<Option<Cow<'a, str>>, Malformed> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        Ok(serde_json::from_str::<Option<Text<'a>>>(text)?.map(|text| text.0))
    }

    /// A member that is an object; `None` if there is none, or it is null.
    ///
    /// # Errors
    /// [`Malformed`] if it is something else, or there twice.
    pub fn object(&self, key: &'static str) -> Result<Option<Self>, Malformed> {
        match self.text(key)? {
            None | Some("null") => Ok(None),
            Some(text) => Self::parse(text).map(Some),
        }
    }

    /// All members, in order: name and text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (&**name, value.get()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((name, value)) = map.next_entry::<Text<'de>, &RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A string, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Writes an object, member by member.
#[derive(Debug)]
pub struct Members<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Members<'o> {
    /// Begins an object at the end of what was written.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_first: true }
    }

    /// A name; its value is to be written next.
    pub fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        write_string(name, self.out);
        self.out.push(b':');
        self.out
    }

    /// A member whose value is JSON already.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name).extend_from_slice(value.as_bytes());
    }

    /// A member that is a string.
    pub fn string(&mut self, name: &str, value: &str) {
        write_string(value, self.name(name));
    }

    /// Ends it.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// Writes a string, quoted and escaped.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    // Neither a string's serialization nor a write to memory can fail.
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok());
}
