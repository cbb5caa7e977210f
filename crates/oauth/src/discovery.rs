//! The issuer's own description of itself (RFC 8414, OpenID Connect Discovery 1.0).

use std::{sync::Arc, time::Duration};

use reqwest::Url;
use serde::Deserialize;

use crate::{
    Clock, FetchError,
    fetch::Client,
    kept::{Kept, Lifetimes},
    settings::{Identifier, Settings},
    url::{Taken, origin, path},
};

/// The largest description taken, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// An issuer's description, kept.
pub(crate) struct Discovery {
    issuer: Identifier,
    taken: Taken,
    client: Client,
    kept: Kept<Arc<Description>, FetchError>,
}

/// What of it is needed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    /// Where its keys are.
    pub(crate) jwks_uri: Url,
    /// Where tokens are exchanged.
    pub(crate) token_endpoint: Option<Url>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
    token_endpoint: Option<String>,
}

/// Why a document is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Not the document of any issuer; it may be elsewhere.
    NoDocument,
    /// A document that must not be used.
    Refused(&'static str),
}

impl Discovery {
    pub(crate) fn new(settings: &Settings, client: Client, clock: Clock) -> Self {
        // It changes less often than keys, and is asked for first whenever they are.
        let lifetimes = Lifetimes {
            min_interval: settings.lifetimes.min_interval.min(Duration::from_secs(1)),
            ..settings.lifetimes
        };
        Self {
            issuer: settings.issuer.clone(),
            taken: settings.taken,
            client,
            kept: Kept::new(lifetimes, clock),
        }
    }

    /// The issuer whose description it is.
    pub(crate) fn issuer(&self) -> &Arc<str> {
        &self.issuer.text
    }

    pub(crate) async fn description(&self) -> Result<Arc<Description>, FetchError> {
        Ok(Arc::clone(&self.kept.get(|| self.fetch()).await?.value))
    }

    /// Tries each place where it may be. What answers there with something else is passed over; what claims to be another
    /// issuer's ends it.
    async fn fetch(&self) -> Result<Arc<Description>, FetchError> {
        let mut failure = None;
        for place in places(&self.issuer.url) {
            let body = match self.client.get(&place, MAX_BYTES).await {
                Ok(body) => body,
                Err(status @ FetchError::Status { .. }) => {
                    failure.get_or_insert(status);
                    continue;
                }
                Err(other) => return Err(other),
            };
            match read(&body, &self.issuer.text, self.taken) {
                Ok(description) => return Ok(Arc::new(description)),
                Err(Unusable::NoDocument) => {
                    let reason = "what it has at the well-known place is no description of an issuer";
                    failure.get_or_insert(FetchError::unusable(&place, reason));
                }
                Err(Unusable::Refused(reason)) => return Err(FetchError::unusable(&place, reason)),
            }
        }
        let nowhere = || FetchError::unusable(&self.issuer.url, "its description is nowhere");
        Err(failure.unwrap_or_else(nowhere))
    }
}

/// Where a description may be, in the order that MCP's clients look: RFC 8414 section 3.1, then OpenID's with the path inserted and
/// appended.
fn places(issuer: &Url) -> Vec<Url> {
    let (origin, path) = (origin(issuer), path(issuer));
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    places.iter().filter_map(|place| Url::parse(place).ok()).collect()
}

/// Reads a document. Its issuer must be the one that was asked, to the letter (RFC 8414 section 3.3).
pub(crate) fn read(body: &[u8], issuer: &str, taken: Taken) -> Result<Description, Unusable> {
    let document: Document = serde_json::from_slice(body).map_err(|_| Unusable::NoDocument)?;
    if document.issuer != issuer {
        let reason = "the description is another issuer's; write the setting \"issuer\" to the letter as the description has it";
        return Err(Unusable::Refused(reason));
    }
    let url = |text: Option<String>, refusal| {
        text.map(|text| taken.check(&text).map_err(|_| Unusable::Refused(refusal)))
            .transpose()
    };
    let jwks_uri = url(document.jwks_uri, "the description's jwks_uri is no https URL")?;
    let token_endpoint = url(
        document.token_endpoint,
        "the description's token_endpoint is no https URL",
    )?;
    Ok(Description {
        jwks_uri: jwks_uri.ok_or(Unusable::Refused("the description has no jwks_uri"))?,
        token_endpoint,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(issuer: &str) -> Vec<String> {
        let url = Url::parse(issuer).expect("a URL");
        places(&url).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_issuer_with_a_path_may_be_described_at_three_places_and_one_without_at_two() {
        assert_eq!(
            of("https://login.example.com/realms/one"),
            [
                "https://login.example.com/.well-known/oauth-authorization-server/realms/one",
                "https://login.example.com/.well-known/openid-configuration/realms/one",
                "https://login.example.com/realms/one/.well-known/openid-configuration",
            ]
        );
        let plain = [
            "https://login.example.com:8443/.well-known/oauth-authorization-server",
            "https://login.example.com:8443/.well-known/openid-configuration",
        ];
        assert_eq!(of("https://login.example.com:8443"), plain);
        assert_eq!(of("https://login.example.com:8443/"), plain);
    }

    #[test]
    fn only_the_issuer_itself_describes_itself() {
        const ISSUER: &str = "https://login.example.com";
        let with = |issuer: &str, keys: &str| {
            let text = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{keys}","other":[1]}}"#);
            read(text.as_bytes(), ISSUER, Taken::Https)
        };
        assert!(with(ISSUER, "https://keys.example.com/jwks").is_ok());
        for other in [
            "https://login.example.com/",
            "https://LOGIN.example.com",
            "https://login.example.com.evil.example",
            "",
        ] {
            assert!(
                matches!(with(other, "https://keys.example.com"), Err(Unusable::Refused(_))),
                "{other}"
            );
        }
        for keys in ["http://keys.example.com", "file:///etc/passwd", "keys", ""] {
            assert!(matches!(with(ISSUER, keys), Err(Unusable::Refused(_))), "{keys}");
        }
        let without = format!(r#"{{"issuer":"{ISSUER}"}}"#);
        assert!(read(without.as_bytes(), ISSUER, Taken::Https).is_err());
    }

    proptest! {
        #[test]
        fn no_document_whatever_it_says_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body, "https://login.example.com", Taken::HttpsAndLoopback);
        }

        #[test]
        fn a_description_never_names_a_place_that_is_not_safe(keys in ".{0,40}", tokens in ".{0,40}") {
            let document = serde_json::json!({"issuer": "https://x.example", "jwks_uri": keys, "token_endpoint": tokens});
            if let Ok(read) = read(document.to_string().as_bytes(), "https://x.example", Taken::Https) {
                prop_assert_eq!(read.jwks_uri.scheme(), "https");
            }
        }
    }
}
