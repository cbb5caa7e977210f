//! The caBundle: whom the API server believes to be us.
//!
//! Only that one field is ever written, where it belongs to our Service, and only if the object is still what was read:
//! whatever somebody else changed meanwhile stays, and is looked at anew.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::{
    ByteString, api::admissionregistration::v1::MutatingWebhookConfiguration,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{Api, Client};
use mk8s_tls::{CertificateChain, pki_types::CertificateDer};
use serde_json::{Value, json};
use tracing::info;

use crate::settings::{BundlesIn, Place};

/// The objects that may name our Service.
pub(crate) struct Bundles {
    client: Client,
    place: Place,
}

/// An object as it was read.
pub(crate) struct Read {
    name: String,
    /// Empty if there is no such object.
    resource_version: String,
    ours: Vec<Bundle>,
}

/// A caBundle that is ours to keep.
struct Bundle {
    /// Where in the object (RFC 6901).
    pointer: String,
    pem: Vec<u8>,
}

/// What came of putting authorities in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// They are wherever they belong, and were before.
    Stands,
    /// Something was written, or was about to be when somebody else was faster.
    Changed,
    /// At least one of the objects has no place for them, for this reason.
    Missing(String),
}

impl Bundles {
    pub(crate) fn new(client: Client, place: Place) -> Self {
        Self { client, place }
    }

    /// Reads all of them, as they are now.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<Read>> {
        let mut all = Vec::new();
        for name in self.place.bundles.names() {
            all.push(match self.place.bundles {
                BundlesIn::MutatingWebhookConfigurations(_) => {
                    let found = Api::all(self.client.clone()).get_opt(name).await?;
                    Read::of_configuration(name, &found.unwrap_or_default(), &self.place)
                }
                BundlesIn::ApiServices(_) => {
                    let found = Api::all(self.client.clone()).get_opt(name).await?;
                    Read::of_api_service(name, &found.unwrap_or_default(), &self.place)
                }
            });
        }
        Ok(all)
    }

    /// Puts these authorities wherever they belong and aren't.
    pub(crate) async fn put(&self, read: &[Read], authorities: &str) -> anyhow::Result<Stand> {
        let mut stand = Stand::Stands;
        for object in read {
            if object.ours.is_empty() {
                stand = Stand::Missing(object.missing(&self.place));
                continue;
            }
            let Some(patch) = object.patch(authorities) else {
                continue;
            };
            if stand == Stand::Stands {
                stand = Stand::Changed;
            }
            self.write(object, &patch).await?;
        }
        Ok(stand)
    }

    async fn write(&self, object: &Read, patch: &Value) -> anyhow::Result<()> {
        let resource = match self.place.bundles {
            BundlesIn::MutatingWebhookConfigurations(_) => {
                "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
            }
            BundlesIn::ApiServices(_) => "apiregistration.k8s.io/v1/apiservices",
        };
        let path = format!(
            "/apis/{resource}/{}?fieldManager={}",
            object.name, self.place.program
        );
        let request = http::Request::patch(path)
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .body(patch.to_string().into_bytes())?;
        match self.client.request::<Value>(request).await {
            Ok(_) => {
                info!(object = %object.name, "wrote the caBundle");
                Ok(())
            }
            // It changed since it was read; it is read again, and that soon: whoever changed it woke us.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read {
    fn of_configuration(name: &str, found: &MutatingWebhookConfiguration, place: &Place) -> Self {
        let entries = found.webhooks.iter().flatten().enumerate();
        let ours = entries.filter(|(_, entry)| {
            let service = entry.client_config.service.as_ref();
            service.is_some_and(|s| s.name == place.service && s.namespace == place.namespace)
        });
        let ours = ours.map(|(at, entry)| {
            Bundle::new(
                format!("/webhooks/{at}/clientConfig/caBundle"),
                entry.client_config.ca_bundle.as_ref(),
            )
        });
        Self::new(name, &found.metadata, ours.collect())
    }

    fn of_api_service(name: &str, found: &APIService, place: &Place) -> Self {
        let ours = found.spec.iter().filter(|spec| {
            let service = spec.service.as_ref();
            service.is_some_and(|s| {
                s.name.as_deref() == Some(&place.service) && s.namespace.as_deref() == Some(&place.namespace)
            })
        });
        let ours = ours.map(|spec| Bundle::new("/spec/caBundle".to_owned(), spec.ca_bundle.as_ref()));
        Self::new(name, &found.metadata, ours.collect())
    }

    fn new(name: &str, metadata: &ObjectMeta, ours: Vec<Bundle>) -> Self {
        Self {
            name: name.to_owned(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            ours,
        }
    }

    fn missing(&self, place: &Place) -> String {
        let name = &self.name;
        let (kind, manifest, one, field) = match place.bundles {
            BundlesIn::MutatingWebhookConfigurations(_) => (
                "MutatingWebhookConfiguration",
                "deploy/webhook/webhook.yaml",
                "no webhook in ",
                "clientConfig.service",
            ),
            BundlesIn::ApiServices(_) => (
                "APIService",
                "deploy/apiserver/apiservice.yaml",
                "nothing in ",
                "spec.service",
            ),
        };
        if self.resource_version.is_empty() {
            return format!("there is no {kind} {name}: apply {manifest}");
        }
        format!(
            "{one}{kind} {name} points at the Service {}/{}: check its {field}",
            place.namespace, place.service
        )
    }

    /// What to change, if anything. RFC 6902; with another resourceVersion than the current one the API server answers
    /// 409 and changes nothing, so the indices are what they were when it was read.
    fn patch(&self, authorities: &str) -> Option<Value> {
        let outdated = self
            .ours
            .iter()
            .filter(|bundle| bundle.pem != authorities.as_bytes());
        let encoded = BASE64_STANDARD.encode(authorities);
        let operations: Vec<Value> = outdated
            .map(|bundle| json!({"op": "add", "path": bundle.pointer, "value": encoded}))
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
        self.ours
            .iter()
            .filter_map(|bundle| CertificateChain::from_pem(&bundle.pem).ok())
            .flat_map(|chain| chain.der().to_vec())
    }
}

impl Bundle {
    fn new(pointer: String, pem: Option<&ByteString>) -> Self {
        Self {
            pointer,
            pem: pem.map_or_else(Vec::new, |pem| pem.0.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::Lease;

    fn place() -> Place {
        Place {
            namespace: "mk8s-system".to_owned(),
            program: "mk8s-webhook",
            service: "mk8s-webhook".to_owned(),
            bundles: BundlesIn::MutatingWebhookConfigurations(Vec::new()),
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
        let read = Read::of_configuration("c", &found, &place());
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
        let read = Read::of_configuration("c", &configuration(&json!([entry(&ours)])), &place());
        assert_eq!(read.patch("new"), None);
        assert_eq!(
            read.authorities().count(),
            0,
            "what is no certificate is passed over"
        );
    }

    fn api_service(spec: &Value) -> APIService {
        let mut service = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"resourceVersion": "7"},
            "spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10},
        });
        for (key, value) in spec.as_object().expect("an object") {
            service["spec"][key] = value.clone();
        }
        serde_json::from_value(service).expect("an APIService")
    }

    #[test]
    fn an_api_service_that_points_at_us_is_written_and_no_other() {
        let ours = json!({"namespace": "mk8s-system", "name": "mk8s-webhook", "port": 443});
        let guard = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"});
        for before in [
            json!({"service": ours}),
            json!({"service": ours, "caBundle": "b2xk"}),
        ] {
            let read = Read::of_api_service("v1.example.com", &api_service(&before), &place());
            let expected = json!([guard, {"op": "add", "path": "/spec/caBundle", "value": "bmV3"}]);
            assert_eq!(read.patch("new"), Some(expected), "{before}");
        }
        let written = api_service(&json!({"service": ours, "caBundle": "bmV3"}));
        assert_eq!(
            Read::of_api_service("v1.example.com", &written, &place()).patch("new"),
            None
        );
        for theirs in [
            json!({}),
            json!({"service": {"namespace": "other", "name": "mk8s-webhook"}}),
        ] {
            let read = Read::of_api_service("v1.example.com", &api_service(&theirs), &place());
            assert_eq!(read.patch("new"), None, "{theirs}");
            assert!(read.ours.is_empty(), "{theirs}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let there = Place {
            bundles: BundlesIn::ApiServices(Vec::new()),
            ..place()
        };
        let absent = Read::of_api_service("v1.example.com", &APIService::default(), &there);
        assert_eq!(
            absent.missing(&there),
            "there is no APIService v1.example.com: apply deploy/apiserver/apiservice.yaml"
        );
        let elsewhere = Read::of_api_service("v1.example.com", &api_service(&json!({})), &there);
        assert_eq!(
            elsewhere.missing(&there),
            "nothing in APIService v1.example.com points at the Service mk8s-system/mk8s-webhook: check its spec.service"
        );
    }
}
