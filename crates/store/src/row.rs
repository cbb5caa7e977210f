//! Between rows and types.

use std::{error::Error, str::FromStr};

use jiff::Timestamp;
use sqlx::{Row as _, any::AnyRow};
use uuid::Uuid;

/// A time as it is stored.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Reads columns by name.
pub(crate) trait Columns {
    fn text(&self, name: &str) -> sqlx::Result<String>;
    fn maybe_text(&self, name: &str) -> sqlx::Result<Option<String>>;
    fn number(&self, name: &str) -> sqlx::Result<i64>;
    fn maybe_number(&self, name: &str) -> sqlx::Result<Option<i64>>;

    fn id(&self, name: &str) -> sqlx::Result<Uuid> {
        self.parsed(name)
    }

    /// A column whose text is a type of ours.
    fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(&self, name: &str) -> sqlx::Result<T> {
        self.text(name)?.parse().map_err(|error| undecodable(name, error))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> sqlx::Result<T> {
        serde_json::from_str(&self.text(name)?).map_err(|error| undecodable(name, error))
    }

    fn flag(&self, name: &str) -> sqlx::Result<bool> {
        Ok(self.number(name)? != 0)
    }

    fn at(&self, name: &str) -> sqlx::Result<Timestamp> {
        Timestamp::from_millisecond(self.number(name)?).map_err(|error| undecodable(name, error))
    }

    fn maybe_at(&self, name: &str) -> sqlx::Result<Option<Timestamp>> {
        let at = self
            .maybe_number(name)?
            .map(Timestamp::from_millisecond)
            .transpose();
        at.map_err(|error| undecodable(name, error))
    }
}

impl Columns for AnyRow {
    fn text(&self, name: &str) -> sqlx::Result<String> {
        self.try_get(name)
    }

    fn maybe_text(&self, name: &str) -> sqlx::Result<Option<String>> {
        self.try_get(name)
    }

    fn number(&self, name: &str) -> sqlx::Result<i64> {
        self.try_get(name)
    }

    fn maybe_number(&self, name: &str) -> sqlx::Result<Option<i64>> {
        self.try_get(name)
    }
}

pub(crate) fn undecodable(name: &str, error: impl Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: Box::new(error),
    }
}
