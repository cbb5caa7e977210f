//! What changes a cluster, or pretends to.

use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

use super::{ApiError, Cluster, read};
use crate::{
    guard::Warrant,
    plan::{Approved, Wire},
};

/// RFC 9111, 5.5: deprecated there, and the API server's way to warn.
const WARNING: HeaderName = HeaderName::from_static("warning");
/// More warnings than these aren't told.
const MOST_WARNINGS: usize = 20;

/// What an API server did, or would.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) object: Value,
    /// Whether the object is new.
    pub(crate) is_new: bool,
    /// What it warns of, in its own words or those of a webhook.
    pub(crate) warnings: Vec<String>,
}

impl Cluster {
    /// Asks what a change would do, of the same admission that it would pass.
    pub(crate) async fn rehearse(&self, wire: &Wire) -> Result<Done, ApiError> {
        self.change(wire, Warrant::Rehearsal).await
    }

    /// Does what somebody approved of.
    pub(crate) async fn make(&self, approved: &Approved) -> Result<Done, ApiError> {
        self.change(approved.wire(), Warrant::Approved(approved)).await
    }

    async fn change(&self, wire: &Wire, warrant: Warrant<'_>) -> Result<Done, ApiError> {
        let response = self.send_wire(wire, "application/json", warrant).await?;
        let is_new = response.status() == StatusCode::CREATED;
        let warnings = warnings(response.headers());
        let bytes = read(response.into_body(), self.read_bytes).await?;
        Ok(Done {
            object: serde_json::from_slice(&bytes)
                .map_err(|error| ApiError::Unreadable(error.to_string()))?,
            is_new,
            warnings,
        })
    }
}

/// `299 - "text"`, with backslashes before quotes and backslashes.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &str| {
        let quoted = value.split_once('"')?.1;
        let (mut text, mut escaped) = (String::new(), false);
        for c in quoted.chars() {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => break,
                c => {
                    text.push(c);
                    escaped = false;
                }
            }
        }
        Some(text)
    };
    headers
        .get_all(WARNING)
        .iter()
        .filter_map(|value| text(&String::from_utf8_lossy(value.as_bytes())))
        .take(MOST_WARNINGS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_without_their_wrapping() {
        let mut headers = HeaderMap::new();
        for value in [
            r#"299 - "unknown field \"spec.x\"""#,
            r#"299 - "a\\b" "Sun, 1 Jan 2026""#,
            "299",
            "",
        ] {
            headers.append(WARNING, value.parse().expect("a value"));
        }
        assert_eq!(warnings(&headers), ["unknown field \"spec.x\"", r"a\b"]);
    }
}
