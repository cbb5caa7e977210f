//! How we prove to a token endpoint who we are. What we prove it by is read each time, so that it can be replaced.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Algorithm, NoToken};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// For how long an assertion of ours is good, in seconds.
const ASSERTION_SECONDS: i64 = 60;
/// The longest secret, key or token read from a file, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// What form encoding leaves as it is (RFC 6749 appendix B).
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*');

/// Who we are there, and by what we prove it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum ClientSettings {
    /// A secret that the endpoint knows too.
    Secret(SecretClient),
    /// A key whose public half the endpoint knows (`private_key_jwt`).
    PrivateKey(KeyClient),
    /// The pod's own projected service account token, which the endpoint can check with the cluster's keys (RFC 7523 section 2.2).
    ServiceAccountToken(TokenClient),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SecretClient {
    id: String,
    file: PathBuf,
    /// In the form instead of the header, for endpoints that read it there alone.
    #[serde(default)]
    in_form: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyClient {
    id: String,
    /// PEM, PKCS#8.
    file: PathBuf,
    algorithm: Algorithm,
    key_id: Option<String>,
    /// Whom the assertion is for, if not for the issuer or the endpoint that was set.
    audience: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenClient {
    id: Option<String>,
    file: PathBuf,
}

/// Proves it.
pub(super) struct Prover(ClientSettings);

/// What goes along with a request.
pub(super) struct Proof {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) fields: Vec<(&'static str, SecretString)>,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: Uuid,
    iat: i64,
    exp: i64,
}

impl Prover {
    pub(super) fn new(settings: &ClientSettings) -> Self {
        Self(settings.clone())
    }

    /// A new one for one request, for those who are called `audience`.
    pub(super) fn proof(&self, audience: &str, now: Timestamp) -> Result<Proof, NoToken> {
        match &self.0 {
            ClientSettings::Secret(client) => client.proof(),
            ClientSettings::PrivateKey(client) => client.proof(audience, now),
            ClientSettings::ServiceAccountToken(client) => {
                Ok(asserted(client.id.as_deref(), read(&client.file)?))
            }
        }
    }
}

impl SecretClient {
    fn proof(&self) -> Result<Proof, NoToken> {
        let secret = read(&self.file)?;
        if self.in_form {
            let fields = vec![("client_id", self.id.clone().into()), ("client_secret", secret)];
            return Ok(Proof {
                authorization: None,
                fields,
            });
        }
        let encoded = |text: &str| utf8_percent_encode(text, FORM).to_string().replace("%20", "+");
        let pair = format!("{}:{}", encoded(&self.id), encoded(secret.expose_secret()));
        let header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
        let mut header = header.map_err(|_| unusable(&self.file, "it makes no header"))?;
        header.set_sensitive(true);
        Ok(Proof {
            authorization: Some(header),
            fields: Vec::new(),
        })
    }
}

impl KeyClient {
    fn proof(&self, audience: &str, now: Timestamp) -> Result<Proof, NoToken> {
        let pem = read(&self.file)?;
        let pem = pem.expose_secret().as_bytes();
        let key = match self.algorithm {
            Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_pem(pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        };
        let no_key = |_| {
            unusable(
                &self.file,
                "there is no key for the algorithm in it (PEM, PKCS#8)",
            )
        };
        let header = Header {
            kid: self.key_id.clone(),
            ..Header::new(self.algorithm.into())
        };
        let now = now.as_second();
        let assertion = Assertion {
            iss: &self.id,
            sub: &self.id,
            aud: self.audience.as_deref().unwrap_or(audience),
            jti: Uuid::new_v4(),
            iat: now,
            exp: now + ASSERTION_SECONDS,
        };
        let signed = jsonwebtoken::encode(&header, &assertion, &key.map_err(no_key)?).map_err(no_key)?;
        Ok(asserted(Some(&self.id), signed.into()))
    }
}

fn asserted(id: Option<&str>, assertion: SecretString) -> Proof {
    let mut fields = vec![
        ("client_assertion_type", ASSERTION_TYPE.into()),
        ("client_assertion", assertion),
    ];
    fields.extend(id.map(|id| ("client_id", id.into())));
    Proof {
        authorization: None,
        fields,
    }
}

/// What is in a file, without the newline that editors leave at its end.
fn read(path: &Path) -> Result<SecretString, NoToken> {
    let mut text = String::new();
    let length = File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| unusable(path, &error.to_string()))?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(unusable(path, "it is too large for what it should hold"));
    }
    match text.trim() {
        "" => Err(unusable(path, "it is empty")),
        text => Ok(text.into()),
    }
}

fn unusable(path: &Path, reason: &str) -> NoToken {
    NoToken::Credentials(format!("{}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, secret: &str, in_form: bool) -> (tempfile::TempDir, Prover) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("secret");
        std::fs::write(&file, secret).expect("written");
        let settings = SecretClient {
            id: id.to_owned(),
            file,
            in_form,
        };
        (directory, Prover(ClientSettings::Secret(settings)))
    }

    fn basic(proof: &Proof) -> String {
        let header = proof.authorization.as_ref().expect("a header");
        assert!(header.is_sensitive());
        let pair = header
            .to_str()
            .expect("text")
            .strip_prefix("Basic ")
            .expect("the scheme");
        String::from_utf8(STANDARD.decode(pair).expect("base64")).expect("text")
    }

    #[test]
    fn a_secret_is_encoded_as_forms_are_before_it_is_put_in_the_header() {
        let (_directory, prover) = client("https://mcp/x", "a:b c+d%-._é\n", false);
        let proof = prover.proof("x", Timestamp::UNIX_EPOCH).expect("read");
        assert_eq!(basic(&proof), "https%3A%2F%2Fmcp%2Fx:a%3Ab+c%2Bd%25-._%C3%A9");
        assert!(proof.fields.is_empty());
    }

    #[test]
    fn a_secret_that_was_replaced_is_read_again_and_one_that_is_gone_is_told_of() {
        let (directory, prover) = client("mcp", "first", false);
        let proof = |_| prover.proof("x", Timestamp::UNIX_EPOCH);
        assert_eq!(basic(&proof(1).expect("read")), "mcp:first");
        let file = directory.path().join("secret");
        std::fs::write(&file, "second").expect("written");
        assert_eq!(basic(&proof(2).expect("read")), "mcp:second");
        for (what, content) in [("empty", String::from("\n")), ("huge", "x".repeat(70_000))] {
            std::fs::write(&file, content).expect("written");
            assert!(matches!(proof(3), Err(NoToken::Credentials(_))), "{what}");
        }
        std::fs::remove_file(&file).expect("removed");
        let error = proof(4).err().expect("gone").to_string();
        assert!(error.contains("secret") && !error.contains("second"), "{error}");
    }

    #[test]
    fn a_secret_for_the_form_is_in_the_form_alone() {
        let (_directory, prover) = client("mcp", "word", true);
        let proof = prover.proof("x", Timestamp::UNIX_EPOCH).expect("read");
        let fields: Vec<_> = proof
            .fields
            .iter()
            .map(|(name, value)| (*name, value.expose_secret()))
            .collect();
        assert_eq!(fields, [("client_id", "mcp"), ("client_secret", "word")]);
        assert!(proof.authorization.is_none());
    }
}
