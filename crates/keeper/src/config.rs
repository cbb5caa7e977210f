//! What a client of Keeper Secrets Manager is configured with: the document that the SDKs and the `ksm` command line write.

use std::{fmt, net::Ipv6Addr};

use http::uri::Authority;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    base64,
    crypto::{Key, Point, Signer},
    server_key::{FIRST, ServerKey},
    text::plain,
};

/// The configuration of a client that is bound to an application. It holds the keys to all that the application may see, so it has
/// no printable form.
pub struct Config {
    authority: Authority,
    pub(crate) client_id: SecretString,
    pub(crate) signer: Signer,
    pub(crate) app_key: Key,
    /// The one to begin with.
    pub(crate) server_key: ServerKey,
    /// The server isn't one of Keeper's own: whatever it calls its key, it is this.
    pub(crate) has_own_key: bool,
}

/// Why a text is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nothing is there.
    #[error(
        "the Keeper configuration is empty; store what `ksm profile init` or an SDK wrote, as JSON or base64"
    )]
    Empty,
    /// It isn't JSON, nor base64 of JSON.
    #[error(
        "the Keeper configuration is neither a JSON document nor base64 of one; store what `ksm profile init` or an SDK wrote, unchanged"
    )]
    NotJson,
    /// It is JSON of another shape.
    #[error(
        "the Keeper configuration isn't a JSON object of texts (line {line}, column {column}); store what `ksm profile init` or an SDK wrote"
    )]
    Shape {
        /// Where, in the JSON.
        line: usize,
        /// Where, in the line.
        column: usize,
    },
    /// It is a token, with which a configuration could be made.
    #[error(
        "this is a one-time token, not a Keeper configuration; bind it first with `ksm profile init --token …` or an SDK, and store the configuration that it writes"
    )]
    OneTimeToken,
    /// Its token was never used.
    #[error(
        "the Keeper configuration isn't bound to an application yet: it has no appKey; fetch once with `ksm` or an SDK, and store the configuration as it is then"
    )]
    Unbound,
    /// A member isn't there, or empty.
    #[error("the Keeper configuration has no {0}; make a new one with `ksm profile init` or an SDK")]
    Missing(&'static str),
    /// A member isn't what it should be.
    #[error(
        "{name} in the Keeper configuration isn't {expected}; make a new one with `ksm profile init` or an SDK"
    )]
    Invalid {
        /// Which.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The key that it wants isn't one of those we know.
    #[error(
        "the Keeper configuration wants the server key {0:?}, which this version doesn't know; make a new configuration, or install a newer version"
    )]
    UnknownServerKey(String),
}

impl Config {
    /// Reads a configuration: the JSON document, or base64 of it. Members that aren't needed are ignored.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong, without any of the values.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(ConfigError::Empty);
        }
        if text.starts_with('{') {
            return Self::from_json(text.as_bytes());
        }
        // Command lines wrap base64.
        let packed = Zeroizing::new(text.split_whitespace().collect::<String>());
        match base64::decode(&packed) {
            Some(json) if json.trim_ascii_start().starts_with(b"{") => Self::from_json(&json),
            Some(token) if token.len() == 32 => Err(ConfigError::OneTimeToken),
            None if is_token_with_region(text) => Err(ConfigError::OneTimeToken),
            _ => Err(ConfigError::NotJson),
        }
    }

    /// The host that this configuration calls, in lower case and without a port; of an IPv6 address, without brackets. Whether it may
    /// be called is for the caller to decide, who knows where the configuration came from.
    pub fn host(&self) -> String {
        host_of(&self.authority)
    }

    /// The host with its port, if it has one: `keepersecurity.eu`, `127.0.0.1:8443`.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        // The message of such an error may quote a value.
        let document: Document = serde_json::from_slice(json).map_err(|error| ConfigError::Shape {
            line: error.line(),
            column: error.column(),
        })?;
        let authority = authority(document.hostname.as_deref().unwrap_or_default())?;
        let Some(app_key) = given(document.app_key) else {
            return Err(ConfigError::Unbound);
        };
        let client_id = given(document.client_id).ok_or(ConfigError::Missing("clientId"))?;
        let private_key = given(document.private_key).ok_or(ConfigError::Missing("privateKey"))?;
        let app_key = base64::decode(app_key.expose_secret())
            .and_then(|bytes| Key::from_slice(&bytes))
            .ok_or(ConfigError::Invalid {
                name: "appKey",
                expected: "base64 of 32 bytes",
            })?;
        let signer = base64::decode(private_key.expose_secret())
            .and_then(|der| Signer::from_der(&der))
            .ok_or(ConfigError::Invalid {
                name: "privateKey",
                expected: "base64 of a P-256 key in PKCS #8",
            })?;
        let id = match document.server_public_key_id {
            Some(Id::Number(number)) => number.to_string(),
            Some(Id::Text(text)) if !text.is_empty() => text,
            _ => FIRST.to_owned(),
        };
        let own = document.server_public_key.filter(|key| !key.is_empty());
        let has_own_key = own.is_some();
        let server_key = match own {
            Some(key) => own_key(id, &key)?,
            None => ServerKey::production(&id).ok_or_else(|| ConfigError::UnknownServerKey(plain(&id)))?,
        };
        Ok(Self {
            authority,
            client_id,
            signer,
            app_key,
            server_key,
            has_own_key,
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// The host in lower case, without brackets.
pub(crate) fn host_of(authority: &Authority) -> String {
    let host = authority.host();
    host.trim_start_matches('[').trim_end_matches(']').to_lowercase()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    hostname: Option<String>,
    client_id: Option<SecretString>,
    private_key: Option<SecretString>,
    app_key: Option<SecretString>,
    server_public_key_id: Option<Id>,
    server_public_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

fn given(text: Option<SecretString>) -> Option<SecretString> {
    text.filter(|text| !text.expose_secret().is_empty())
}

fn own_key(id: String, key: &str) -> Result<ServerKey, ConfigError> {
    if id.len() > 20 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ConfigError::Invalid {
            name: "serverPublicKeyId",
            expected: "a number",
        });
    }
    let point = base64::decode(key).and_then(|bytes| Point::from_slice(&bytes));
    let point = point.ok_or(ConfigError::Invalid {
        name: "serverPublicKey",
        expected: "base64 of an uncompressed point of P-256",
    })?;
    Ok(ServerKey { id, point })
}

/// `host`, `host:port`, or either behind `https://`, as the SDKs take it.
fn authority(hostname: &str) -> Result<Authority, ConfigError> {
    let text = hostname.trim();
    let text = text.strip_prefix("https://").unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return Err(ConfigError::Missing("hostname"));
    }
    text.parse()
        .ok()
        .filter(|authority: &Authority| is_host(authority.host()) && has_good_port(authority))
        .ok_or(ConfigError::Invalid {
            name: "hostname",
            expected: "a host name or address, with a port if need be",
        })
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_label_character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    host.len() <= 253
        && host
            .split('.')
            .all(|label| !label.is_empty() && label.len() <= 63 && label.bytes().all(is_label_character))
}

/// There is nothing but the host and, if any, a port from 1 to 65535: no user's name, no colon without a number.
fn has_good_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(_) => authority.port_u16().is_some_and(|port| port != 0),
        None => false,
    }
}

/// `EU:…`: a token as it is handed out.
fn is_token_with_region(text: &str) -> bool {
    text.split_once(':').is_some_and(|(region, token)| {
        region.len() <= 64 && base64::decode(token).is_some_and(|token| token.len() == 32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(hostname: &str) -> Option<String> {
        authority(hostname).ok().map(|authority| host_of(&authority))
    }

    #[test]
    fn a_hostname_may_have_a_port_and_a_scheme() {
        for (hostname, expected) in [
            ("keepersecurity.eu", "keepersecurity.eu"),
            (" KeeperSecurity.EU ", "keepersecurity.eu"),
            ("https://keepersecurity.com/", "keepersecurity.com"),
            ("127.0.0.1:8443", "127.0.0.1"),
            ("[::1]:8443", "::1"),
            ("ksm-server_1.apps.svc:443", "ksm-server_1.apps.svc"),
        ] {
            assert_eq!(host(hostname).as_deref(), Some(expected), "{hostname}");
        }
        assert_eq!(authority("a.b:1").unwrap().as_str(), "a.b:1");
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_hostname() {
        for hostname in [
            "keepersecurity.eu@evil.example",
            "evil.example/keepersecurity.eu",
            "evil.example#keepersecurity.eu",
            "evil.example?keepersecurity.eu",
            "user:word@evil.example",
            "http://keepersecurity.eu",
            "a..b",
            ".a",
            "a b",
            "a\r\nHost: b",
            "a:b",
            "a:",
            "a:0",
            "a:65536",
            "[::1",
            "[a]",
            "::1",
            "ä.example",
            "https://",
        ] {
            assert_eq!(host(hostname), None, "{hostname}");
        }
        let long = "a".repeat(64);
        assert_eq!(host(&long), None);
    }

    #[test]
    fn an_id_that_would_break_a_header_is_refused() {
        let key = "BK9w6TZFxE6nFNbMfIpULCup2a8xc6w2tUTABjxny7yFmxW0dAEojwC6j6zb5nTlmb1dAx8nwo3qF7RPYGmloRM";
        assert!(own_key("7".to_owned(), key).is_ok());
        for id in ["7\r\nX: y", "ä", "123456789012345678901"] {
            let error = own_key(id.to_owned(), key).unwrap_err();
            assert!(error.to_string().contains("serverPublicKeyId"), "{error}");
        }
    }
}
