//! What the API server says of whoever asked it, in headers, and how it proves to be the API server
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#kubernetes-apiserver-to-extension-apiserver>).
//! Which authority, names and headers count is in the ConfigMap `extension-apiserver-authentication`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use http::HeaderMap;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use mk8s_net::serve;
use mk8s_tls::{ReloadingCertificate, Roots, ServerConfig, server::ClientAuth};
use tracing::{info, warn};

use crate::requester::Requester;

const NAMESPACE: &str = "kube-system";
const CONFIG_MAP: &str = "extension-apiserver-authentication";
/// How often it is read again.
const REFRESH: Duration = Duration::from_secs(60);
/// How long reading it may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What counts, as of now, and the TLS that goes with it.
pub(crate) struct RequestHeader {
    client: Client,
    certificate: Arc<ReloadingCertificate>,
    current: ArcSwap<Current>,
}

struct Current {
    trust: Trust,
    tls: Arc<ServerConfig>,
}

/// Whom to believe, and which headers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trust {
    ca: String,
    /// Common names; any that the authority signed, if there is none.
    names: Vec<String>,
    username_headers: Vec<String>,
    uid_headers: Vec<String>,
    group_headers: Vec<String>,
    extra_prefixes: Vec<String>,
}

/// Why headers say nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("the certificate's common name {0:?} isn't among those that may speak for others")]
    Name(String),
    #[error("there is no {0} header, or it is empty")]
    NoUser(String),
    #[error("a header isn't text in UTF-8")]
    NotText,
}

impl RequestHeader {
    /// Reads the ConfigMap for the first time.
    pub(crate) async fn load(
        client: Client,
        certificate: Arc<ReloadingCertificate>,
    ) -> anyhow::Result<Arc<Self>> {
        let trust = read(&client).await?;
        let current = Current::new(trust, &certificate)?;
        Ok(Arc::new(Self {
            client,
            certificate,
            current: ArcSwap::from_pointee(current),
        }))
    }

    /// Reads it again and again: the API server's authority changes once in a while.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH).await;
            match read(&self.client).await {
                Ok(trust) if trust == self.current.load().trust => {}
                Ok(trust) => match Current::new(trust, &self.certificate) {
                    Ok(current) => {
                        info!(
                            "the API server proves itself by another authority, name or header from now on"
                        );
                        self.current.store(Arc::new(current));
                    }
                    Err(error) => warn!(%error, "{CONFIG_MAP} can't be used; the last good one stays"),
                },
                Err(error) => warn!("{error:#}; the last good one stays"),
            }
        }
    }

    /// What a new connection is accepted with: a client certificate is asked for, and must be the authority's if it is shown.
    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        self.current.load().tls.clone()
    }

    /// Whom a peer with this common name speaks for. Its certificate was verified by the handshake.
    pub(crate) fn requester(&self, common_name: &str, headers: &HeaderMap) -> Result<Requester, Unproven> {
        self.current.load().trust.requester(common_name, headers)
    }
}

impl Current {
    fn new(trust: Trust, certificate: &Arc<ReloadingCertificate>) -> anyhow::Result<Self> {
        let roots = Roots::Pem(trust.ca.clone().into_bytes());
        let tls = mk8s_tls::server::config(certificate.clone(), &ClientAuth::Optional(roots), serve::ALPN)
            .context("the authority in the ConfigMap")?;
        Ok(Self { trust, tls })
    }
}

async fn read(client: &Client) -> anyhow::Result<Trust> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let map = tokio::time::timeout(CALL_LIMIT, maps.get(CONFIG_MAP))
        .await
        .context("the API server doesn't answer in time")?
        .with_context(|| {
            format!(
                "can't read ConfigMap {NAMESPACE}/{CONFIG_MAP}; bind the Role extension-apiserver-authentication-reader to our \
                 service account"
            )
        })?;
    Trust::new(&map.data.unwrap_or_default())
}

impl Trust {
    fn new(data: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let list = |key: &str, default: &[&str]| -> anyhow::Result<Vec<String>> {
            match data.get(key) {
                None => Ok(default.iter().map(|name| (*name).to_owned()).collect()),
                Some(text) => serde_json::from_str(text).with_context(|| format!("{CONFIG_MAP}: {key}")),
            }
        };
        let ca = data
            .get("requestheader-client-ca-file")
            .cloned()
            .unwrap_or_default();
        ensure!(
            !ca.is_empty(),
            "{CONFIG_MAP} has no requestheader-client-ca-file: the API server runs without an aggregation layer; start it with \
             --requestheader-client-ca-file"
        );
        Ok(Self {
            ca,
            names: list("requestheader-allowed-names", &[])?,
            username_headers: list("requestheader-username-headers", &["X-Remote-User"])?,
            uid_headers: list("requestheader-uid-headers", &["X-Remote-Uid"])?,
            group_headers: list("requestheader-group-headers", &["X-Remote-Group"])?,
            extra_prefixes: list("requestheader-extra-headers-prefix", &["X-Remote-Extra-"])?,
        })
    }

    fn requester(&self, common_name: &str, headers: &HeaderMap) -> Result<Requester, Unproven> {
        if !self.names.is_empty() && !self.names.iter().any(|name| name == common_name) {
            return Err(Unproven::Name(common_name.chars().take(64).collect()));
        }
        let first = |names: &[String]| {
            names
                .iter()
                .find_map(|name| headers.get(name.as_str()).filter(|value| !value.is_empty()))
                .map(|value| text(value.as_bytes()))
                .transpose()
        };
        let name = first(&self.username_headers)?
            .ok_or_else(|| Unproven::NoUser(self.username_headers.join(" or ")))?;
        let groups = self
            .group_headers
            .iter()
            .flat_map(|name| headers.get_all(name.as_str()))
            .map(|value| text(value.as_bytes()))
            .collect::<Result<_, _>>()?;
        Ok(Requester {
            name,
            uid: first(&self.uid_headers)?.unwrap_or_default(),
            groups,
            extra: self.extra(headers)?,
        })
    }

    fn extra(&self, headers: &HeaderMap) -> Result<BTreeMap<String, Vec<String>>, Unproven> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for prefix in &self.extra_prefixes {
            let prefix = prefix.to_ascii_lowercase();
            for (name, value) in headers {
                if let Some(key) = name.as_str().strip_prefix(&prefix) {
                    extra
                        .entry(unescaped(key))
                        .or_default()
                        .push(text(value.as_bytes())?);
                }
            }
        }
        Ok(extra)
    }
}

fn text(bytes: &[u8]) -> Result<String, Unproven> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| Unproven::NotText)
}

/// Keys of extra fields are percent-encoded where HTTP takes no such header name; what isn't valid is taken as it is, as
/// the API server does (`unescapeExtraKey`).
fn unescaped(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let Some(byte) = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        else {
            return key.to_owned();
        };
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn trust(more: &[(&str, &str)]) -> Trust {
        let mut data: BTreeMap<String, String> = [(
            "requestheader-client-ca-file".to_owned(),
            "a certificate".to_owned(),
        )]
        .into();
        data.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        Trust::new(&data).expect("valid")
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(*name).expect("a name"),
                    http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
                )
            })
            .collect()
    }

    #[test]
    fn user_uid_groups_and_extras_are_read() {
        let trust = trust(&[("requestheader-allowed-names", "[\"front-proxy-client\"]")]);
        let headers = headers(&[
            ("X-Remote-User", "anna"),
            ("X-Remote-Uid", "42"),
            ("X-Remote-Group", "team-a"),
            ("X-Remote-Group", "system:authenticated"),
            ("X-Remote-Extra-Scopes", "one"),
            ("X-Remote-Extra-Scopes", "two"),
            ("X-Remote-Extra-Example.com%2fagent", "x"),
            ("X-Remote-Extra-100%", "y"),
        ]);
        let requester = trust.requester("front-proxy-client", &headers).expect("somebody");
        assert_eq!((requester.name.as_str(), requester.uid.as_str()), ("anna", "42"));
        assert_eq!(requester.groups, ["team-a", "system:authenticated"]);
        let extra: Vec<_> = requester.extra.iter().collect();
        assert_eq!(extra.len(), 3);
        assert_eq!(requester.extra["scopes"], ["one", "two"]);
        assert_eq!(requester.extra["example.com/agent"], ["x"]);
        assert_eq!(requester.extra["100%"], ["y"]);
    }

    #[test]
    fn a_certificate_whose_name_is_not_allowed_speaks_for_nobody() {
        let trust = trust(&[("requestheader-allowed-names", "[\"front-proxy-client\"]")]);
        let headers = headers(&[("X-Remote-User", "anna")]);
        assert_eq!(
            trust.requester("somebody", &headers),
            Err(Unproven::Name("somebody".to_owned()))
        );
    }

    #[test]
    fn a_request_without_a_user_is_nobodys() {
        let trust = trust(&[]);
        for headers in [
            headers(&[]),
            headers(&[("X-Remote-User", "")]),
            headers(&[("X-Remote-Group", "g")]),
        ] {
            assert!(matches!(trust.requester("x", &headers), Err(Unproven::NoUser(_))));
        }
    }

    #[test]
    fn the_headers_that_the_cluster_names_are_read_and_no_others() {
        let trust = trust(&[(
            "requestheader-username-headers",
            "[\"X-Other\",\"X-Remote-User\"]",
        )]);
        let both = headers(&[("X-Remote-User", "anna"), ("X-Other", "ben")]);
        assert_eq!(trust.requester("x", &both).expect("somebody").name, "ben");
        let trust = self::trust(&[("requestheader-username-headers", "[\"X-Other\"]")]);
        assert!(
            trust
                .requester("x", &headers(&[("X-Remote-User", "anna")]))
                .is_err()
        );
    }

    #[test]
    fn a_cluster_without_an_aggregation_layer_is_told_what_to_do() {
        let error = Trust::new(&BTreeMap::new())
            .expect_err("no authority")
            .to_string();
        assert!(error.contains("--requestheader-client-ca-file"), "{error}");
    }
}
