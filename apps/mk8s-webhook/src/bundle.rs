//! The caBundle: whom the API server believes to be us.
//!
//! Only that one field is ever written, in entries that point at our Service, and only if the configuration is still what
//! was read: whatever somebody else changed meanwhile stays, and is looked at anew.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::{Api, Client};
use mk8s_tls::{CertificateChain, pki_types::CertificateDer};
use serde_json::{Value, json};
use tracing::info;

use crate::config::Place;

/// The configurations that name our Service.
pub(crate) struct Bundles {
    client: Client,
    api: Api<MutatingWebhookConfiguration>,
    place: Place,
}

/// A configuration as it was read.
pub(crate) struct Read {
    name: String,
    resource_version: String,
    /// Our entries: where in the list, and what their caBundle is.
    entries: Vec<(usize, Vec<u8>)>,
}

/// What came of putting authorities in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// They are in every entry of ours, and were before.
    Stands,
    /// Something was written, or was about to be when somebody else was faster.
    Changed,
    /// There is no entry of ours in at least one of the configurations, for this reason.
    Missing(String),
}

impl Bundles {
    pub(crate) fn new(client: Client, place: Place) -> Self {
        Self {
            api: Api::all(client.clone()),
            client,
            place,
        }
    }

    /// Reads all of them, as they are now.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<Read>> {
        let mut all = Vec::new();
        for name in &self.place.configurations {
            let found = self.api.get_opt(name).await?;
            all.push(Read::new(name, &found.unwrap_or_default(), &self.place));
        }
        Ok(all)
    }

    /// Puts these authorities into every entry of ours that doesn't have them.
    pub(crate) async fn put(&self, read: &[Read], authorities: &str) -> anyhow::Result<Stand> {
        let mut stand = Stand::Stands;
        for configuration in read {
            if configuration.entries.is_empty() {
                stand = Stand::Missing(configuration.missing(&self.place));
                continue;
            }
            let Some(patch) = configuration.patch(authorities) else {
                continue;
            };
            if stand == Stand::Stands {
                stand = Stand::Changed;
            }
            self.write(configuration, &patch).await?;
        }
        Ok(stand)
    }

    async fn write(&self, configuration: &Read, patch: &Value) -> anyhow::Result<()> {
        let path = format!(
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}?fieldManager={}",
            configuration.name,
            crate::cluster::FIELD_MANAGER
        );
        let request = http::Request::patch(path)
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .body(patch.to_string().into_bytes())?;
        match self.client.request::<Value>(request).await {
            Ok(_) => {
                info!(configuration = %configuration.name, "wrote the caBundle");
                Ok(())
            }
            // It changed since it was read; it is read again, and that soon: whoever changed it woke us.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read {
    fn new(name: &str, found: &MutatingWebhookConfiguration, place: &Place) -> Self {
        let entries = found.webhooks.iter().flatten().enumerate();
        let ours = entries.filter(|(_, entry)| {
            let service = entry.client_config.service.as_ref();
            service.is_some_and(|s| s.name == place.service && s.namespace == place.namespace)
        });
        let bundle = |bundle: &Option<k8s_openapi::ByteString>| bundle.clone().unwrap_or_default().0;
        Self {
            name: name.to_owned(),
            resource_version: found.metadata.resource_version.clone().unwrap_or_default(),
            entries: ours
                .map(|(at, entry)| (at, bundle(&entry.client_config.ca_bundle)))
                .collect(),
        }
    }

    fn missing(&self, place: &Place) -> String {
        let name = &self.name;
        if self.resource_version.is_empty() {
            return format!(
                "there is no MutatingWebhookConfiguration {name}: apply deploy/webhook/webhook.yaml"
            );
        }
        format!(
            "no webhook in MutatingWebhookConfiguration {name} points at the Service {}/{}: check its clientConfig.service",
            place.namespace, place.service
        )
    }

    /// What to change, if anything. RFC 6902; with another resourceVersion than the current one the API server answers
    /// 409 and changes nothing, so the indices are what they were when it was read.
    fn patch(&self, authorities: &str) -> Option<Value> {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let outdated = self
            .entries
            .iter()
            .filter(|(_, bundle)| bundle != authorities.as_bytes());
        let encoded = BASE64_STANDARD.encode(authorities);
        let operations: Vec<Value> = outdated
            .map(|(at, _)| {
                json!({"op": "add", "path": format!("/webhooks/{at}/clientConfig/caBundle"), "value": encoded})
            })
            .collect();
        if operations.is_empty() {
            return None;
        }
        let guard =
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": self.resource_version});
        Some(Value::Array(std::iter::once(guard).chain(operations).collect()))
    }

    /// The authorities that are believed now. A bundle that can't be read has none.
    pub(crate) fn authorities(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.entries
            .iter()
            .filter_map(|(_, bundle)| CertificateChain::from_pem(bundle).ok())
            .flat_map(|chain| chain.der().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Lease;

    fn place() -> Place {
        Place {
            namespace: "mk8s-system".to_owned(),
            service: "mk8s-webhook".to_owned(),
            configurations: Vec::new(),
            lease: Lease {
                name: String::new(),
                duration: Duration::ZERO,
            },
        }
    }

    fn configuration(entries: &Value) -> MutatingWebhookConfiguration {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"resourceVersion": "7"}, "webhooks": entries,
        });
        serde_json::from_value(configuration).expect("a configuration")
    }

    fn entry(client: &Value) -> Value {
        json!({"name": "x", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": client})
    }

    #[test]
    fn all_entries_that_point_at_us_are_written_and_no_other() {
        let ours = json!({"namespace": "mk8s-system", "name": "mk8s-webhook"});
        let theirs = json!({"namespace": "other", "name": "mk8s-webhook"});
        let found = configuration(&json!([
            entry(&json!({"url": "https://elsewhere"})),
            entry(&json!({"service": ours, "caBundle": "b2xk"})),
            entry(&json!({"service": theirs})),
            entry(&json!({"service": ours, "caBundle": "bmV3"})),
            entry(&json!({"service": ours})),
        ]));
        let read = Read::new("c", &found, &place());
        let patch = read.patch("new").expect("two are outdated");
        assert_eq!(
            patch,
            json!([
                {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
                {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "bmV3"},
                {"op": "add", "path": "/webhooks/4/clientConfig/caBundle", "value": "bmV3"},
            ])
        );
    }

    #[test]
    fn what_stands_is_left_alone() {
        let ours =
            json!({"service": {"namespace": "mk8s-system", "name": "mk8s-webhook"}, "caBundle": "bmV3"});
        let read = Read::new("c", &configuration(&json!([entry(&ours)])), &place());
        assert_eq!(read.patch("new"), None);
        assert_eq!(
            read.authorities().count(),
            0,
            "what is no certificate is passed over"
        );
    }
}
