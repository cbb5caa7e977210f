//! The issuer's keys (RFC 7517): which of them may verify what, kept and fetched again.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;
use tracing::{debug, warn};

use crate::{
    Algorithm, Clock, FetchError, discovery::Discovery, fetch::Client, kept::Kept, settings::Settings,
};

/// The largest key set taken, in bytes.
const MAX_BYTES: usize = 512 * 1024;
/// The most keys of it that are looked at.
const MAX_KEYS: usize = 128;
/// A modulus of 2048 bits, the least taken, and one of 8192, the most, in bytes.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// A coordinate on P-256 and a key of Ed25519, in bytes.
const COORDINATE_BYTES: usize = 32;

/// An issuer's keys, kept.
pub(crate) struct Keys {
    discovery: Arc<Discovery>,
    client: Client,
    allowed: Arc<[Algorithm]>,
    kept: Kept<KeySet, FetchError>,
}

/// The usable keys of a set.
#[derive(Default)]
pub(crate) struct KeySet(Vec<Key>);

/// One of them.
#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// Those that it may verify, by its type and what is said of it.
    algorithms: Vec<Algorithm>,
    verifying: Arc<DecodingKey>,
}

/// A key as it is published. What else is said of it (x5c, x5u …) is not looked at.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// A private key. Whoever publishes it lets everybody sign.
    d: Option<serde::de::IgnoredAny>,
}

impl Keys {
    pub(crate) fn new(settings: &Settings, discovery: Arc<Discovery>, client: Client, clock: Clock) -> Self {
        Self {
            discovery,
            client,
            allowed: Arc::clone(&settings.algorithms),
            kept: Kept::new(settings.lifetimes, clock),
        }
    }

    /// The key of that name for that algorithm; nothing if the issuer has none. A name not heard of has the keys fetched again, but
    /// not oftener than is set.
    pub(crate) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<Arc<DecodingKey>>, FetchError> {
        let held = self.kept.get(|| self.fetch()).await?;
        if let Some(key) = held.value.find(id, algorithm) {
            return Ok(Some(key));
        }
        let newer = self.kept.newer_than(&held, || self.fetch()).await?;
        Ok(newer.and_then(|held| held.value.find(id, algorithm)))
    }

    /// Fetches them, if there are none.
    pub(crate) async fn ready(&self) -> Result<(), FetchError> {
        self.kept.get(|| self.fetch()).await.map(drop)
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let fetched = self.fetch_anew().await;
        if let Err(error) = &fetched {
            warn!(issuer = %self.discovery.issuer(), %error, "the issuer's keys can't be fetched");
        }
        fetched
    }

    async fn fetch_anew(&self) -> Result<KeySet, FetchError> {
        let place = self.discovery.description().await?.jwks_uri.clone();
        let body = self.client.get(&place, MAX_BYTES).await?;
        let keys = KeySet::read(&body, &self.allowed)
            .ok_or_else(|| FetchError::unusable(&place, "what it has at jwks_uri is no key set"))?;
        if keys.0.is_empty() {
            warn!(issuer = %self.discovery.issuer(), "the issuer publishes no key for an allowed algorithm; all tokens will be refused");
        }
        debug!(issuer = %self.discovery.issuer(), keys = keys.0.len(), "fetched the issuer's keys");
        Ok(keys)
    }
}

impl KeySet {
    /// Reads a set. A key that isn't for verifying signatures by an allowed algorithm is left out; only a document that is no set
    /// has no value.
    pub(crate) fn read(body: &[u8], allowed: &[Algorithm]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(body).ok()?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        Some(Self(keys.filter_map(|key| Key::read(key, allowed)).collect()))
    }

    /// A token that names no key is taken to mean the only one there is.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let mut fitting = self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        let found = match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        found.map(|key| Arc::clone(&key.verifying))
    }
}

impl Key {
    fn read(value: Value, allowed: &[Algorithm]) -> Option<Self> {
        let key: Published = serde_json::from_value(value).ok()?;
        let for_signatures = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let may_verify = key
            .key_ops
            .as_ref()
            .is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        if !for_signatures || !may_verify || key.d.is_some() {
            return None;
        }
        let (possible, verifying): (&[Algorithm], _) = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => (&[Algorithm::RS256, Algorithm::PS256], rsa(&key)?),
            ("EC", Some("P-256")) => (&[Algorithm::ES256], elliptic(&key)?),
            ("OKP", Some("Ed25519")) => (&[Algorithm::EdDSA], edwards(&key)?),
            _ => return None,
        };
        let algorithms: Vec<Algorithm> = possible
            .iter()
            .copied()
            .filter(|one| allowed.contains(one) && names(key.alg.as_deref(), *one))
            .collect();
        (!algorithms.is_empty()).then(|| Self {
            id: key.kid,
            algorithms,
            verifying: Arc::new(verifying),
        })
    }
}

/// Whether what is said of a key lets it be used for the algorithm. RFC 9864 gives EdDSA on this curve a name of its own.
fn names(said: Option<&str>, algorithm: Algorithm) -> bool {
    match said {
        None => true,
        Some("Ed25519") => algorithm == Algorithm::EdDSA,
        Some(name) => name == algorithm.name(),
    }
}

fn rsa(key: &Published) -> Option<DecodingKey> {
    let (modulus, exponent) = (key.n.as_deref()?, key.e.as_deref()?);
    let bytes = bytes(modulus)?;
    let significant = bytes.len() - bytes.iter().take_while(|byte| **byte == 0).count();
    if !MODULUS_BYTES.contains(&significant) {
        return None;
    }
    DecodingKey::from_rsa_components(modulus, exponent).ok()
}

fn elliptic(key: &Published) -> Option<DecodingKey> {
    let (x, y) = (key.x.as_deref()?, key.y.as_deref()?);
    let whole = bytes(x)?.len() == COORDINATE_BYTES && bytes(y)?.len() == COORDINATE_BYTES;
    whole
        .then(|| DecodingKey::from_ec_components(x, y).ok())
        .flatten()
}

fn edwards(key: &Published) -> Option<DecodingKey> {
    let x = key.x.as_deref()?;
    let whole = bytes(x)?.len() == COORDINATE_BYTES;
    whole.then(|| DecodingKey::from_ed_components(x).ok()).flatten()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(keys: Value) -> KeySet {
        KeySet::read(json!({"keys": keys}).to_string().as_bytes(), &Algorithm::ALL).expect("a set")
    }

    fn rsa_key() -> Value {
        let modulus = URL_SAFE_NO_PAD.encode([0xc5; 256]);
        json!({"kty": "RSA", "kid": "one", "n": modulus, "e": "AQAB"})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_type_and_of_what_is_said_of_it() {
        let free = set(json!([rsa_key()]));
        for (algorithm, found) in [
            (Algorithm::RS256, true),
            (Algorithm::PS256, true),
            (Algorithm::ES256, false),
            (Algorithm::EdDSA, false),
        ] {
            assert_eq!(
                free.find(Some("one"), algorithm).is_some(),
                found,
                "{algorithm:?}"
            );
        }
        let bound = set(json!([with(rsa_key(), "alg", json!("PS256"))]));
        assert!(bound.find(Some("one"), Algorithm::PS256).is_some());
        assert!(bound.find(Some("one"), Algorithm::RS256).is_none());
    }

    #[test]
    fn keys_for_something_else_are_as_if_they_were_not_there() {
        let octets = URL_SAFE_NO_PAD.encode([7; 64]);
        for (what, key) in [
            ("for encryption", with(rsa_key(), "use", json!("enc"))),
            ("for wrapping", with(rsa_key(), "key_ops", json!(["wrapKey"]))),
            ("of another algorithm", with(rsa_key(), "alg", json!("RSA-OAEP"))),
            (
                "of a shared secret's algorithm",
                with(rsa_key(), "alg", json!("HS256")),
            ),
            ("a private key", with(rsa_key(), "d", json!("AQAB"))),
            ("of another type", with(rsa_key(), "kty", json!("EC"))),
            (
                "a shared secret",
                json!({"kty": "oct", "kid": "one", "k": octets}),
            ),
            (
                "too short",
                with(rsa_key(), "n", json!(URL_SAFE_NO_PAD.encode([0xc5; 128]))),
            ),
            ("short behind zeros", {
                let mut padded = [0; 256];
                padded[128..].fill(0xc5);
                with(rsa_key(), "n", json!(URL_SAFE_NO_PAD.encode(padded)))
            }),
            ("no base64url", with(rsa_key(), "n", json!("???"))),
            ("a number for a name", with(rsa_key(), "kid", json!(1))),
            (
                "another curve",
                json!({"kty": "EC", "kid": "one", "crv": "secp256k1", "x": octets, "y": octets}),
            ),
            (
                "half a point",
                json!({"kty": "EC", "kid": "one", "crv": "P-256", "x": "AQAB", "y": "AQAB"}),
            ),
            ("no object", json!("one")),
        ] {
            let keys = set(json!([key]));
            for algorithm in Algorithm::ALL {
                assert!(
                    keys.find(Some("one"), algorithm).is_none(),
                    "{what}: {algorithm:?}"
                );
            }
            let beside = set(json!([key, with(rsa_key(), "kid", json!("two"))]));
            assert!(
                beside.find(Some("two"), Algorithm::RS256).is_some(),
                "{what}, beside a good one"
            );
        }
    }

    #[test]
    fn an_algorithm_that_is_not_allowed_has_no_key() {
        let body = json!({"keys": [rsa_key()]}).to_string();
        let keys = KeySet::read(body.as_bytes(), &[Algorithm::PS256]).expect("a set");
        assert!(keys.find(Some("one"), Algorithm::RS256).is_none());
        assert!(keys.find(Some("one"), Algorithm::PS256).is_some());
    }

    #[test]
    fn without_a_name_the_only_key_is_meant_and_of_two_none() {
        let one = set(json!([rsa_key()]));
        assert!(one.find(None, Algorithm::RS256).is_some());
        let two = set(json!([rsa_key(), with(rsa_key(), "kid", json!("two"))]));
        assert!(two.find(None, Algorithm::RS256).is_none());
    }

    proptest! {
        #[test]
        fn no_document_whatever_it_says_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = KeySet::read(&body, &Algorithm::ALL);
        }

        #[test]
        fn no_key_whatever_it_says_makes_it_panic(
            kind in prop::sample::select(vec!["RSA", "EC", "OKP", "oct", ""]),
            curve in prop::sample::select(vec!["P-256", "Ed25519", "P-384", ""]),
            one in prop::collection::vec(any::<u8>(), 0..300),
            two in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (one, two) = (URL_SAFE_NO_PAD.encode(one), URL_SAFE_NO_PAD.encode(two));
            let key = json!({"kty": kind, "crv": curve, "kid": "k", "n": one, "e": two, "x": one, "y": two});
            for algorithm in Algorithm::ALL {
                if let Some(key) = set(json!([key])).find(Some("k"), algorithm) {
                    let _ = jsonwebtoken::crypto::verify("AAAA", b"x", &key, algorithm.into());
                }
            }
        }
    }
}
