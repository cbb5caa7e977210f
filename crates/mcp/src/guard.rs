//! What no tool may do, whoever asks. Every request to a cluster passes here, so a tool can't forget to ask.

use http::{Method, Uri};
use mk8s_model::{GroupResource, KubeRequest};

use crate::settings::Settings;

/// Reviews of one's own rights are created, and change nothing (`authorization.k8s.io`).
const REVIEWS: &[&str] = &["selfsubjectaccessreviews", "selfsubjectrulesreviews"];

/// What no tool may do.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    denied: Vec<GroupResource>,
}

/// What is refused, and by what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It isn't reading.
    #[error("this server only reads")]
    ReadOnly,
    /// The resource is on the list.
    #[error("this server doesn't touch {0} (deniedResources)")]
    Resource(String),
    /// It isn't what Kubernetes would take it for.
    #[error("no such request is sent: {0}")]
    Odd(String),
}

impl Guard {
    /// What the settings say.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            denied: settings
                .denied_resources
                .iter()
                .map(|denied| denied.0.clone())
                .collect(),
        }
    }

    /// Whether a request may be sent.
    ///
    /// # Errors
    /// [`Refusal`], if not.
    pub fn check(&self, method: &Method, uri: &Uri) -> Result<(), Refusal> {
        let request = KubeRequest::classify(method, uri).map_err(|why| Refusal::Odd(why.to_string()))?;
        let resource = match &request {
            KubeRequest::Resource(resource) => resource,
            _ if method == Method::GET => return Ok(()),
            _ => return Err(Refusal::ReadOnly),
        };
        let is_review = resource.group == "authorization.k8s.io"
            && REVIEWS.contains(&&*resource.resource)
            && method == Method::POST;
        // What a workload answers, and what runs in it, isn't reading, whatever the method says.
        let is_interactive = resource.interactive().is_some();
        if !is_review && (method != Method::GET || is_interactive) {
            return Err(Refusal::ReadOnly);
        }
        let asked = GroupResource {
            group: resource.group.to_string(),
            resource: resource.resource.to_string(),
        };
        if self.denied.contains(&asked) {
            return Err(Refusal::Resource(asked.to_string()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DeniedResource;

    fn check(guard: &Guard, method: &str, uri: &str) -> Result<(), Refusal> {
        guard.check(&method.parse().expect("a method"), &uri.parse().expect("a URI"))
    }

    #[test]
    fn only_reading_passes() {
        let guard = Guard::default();
        for (method, uri) in [
            ("GET", "/api/v1/namespaces/a/pods?limit=5"),
            ("GET", "/api/v1/namespaces/a/pods/p/log"),
            ("GET", "/version"),
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ] {
            assert_eq!(check(&guard, method, uri), Ok(()), "{method} {uri}");
        }
        for (method, uri) in [
            ("POST", "/api/v1/namespaces/a/pods"),
            ("PUT", "/api/v1/namespaces/a/pods/p"),
            ("PATCH", "/api/v1/namespaces/a/pods/p"),
            ("DELETE", "/api/v1/namespaces/a/pods/p"),
            ("POST", "/api/v1/namespaces/a/serviceaccounts/s/token"),
            ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
            ("GET", "/api/v1/namespaces/a/pods/p/exec?command=sh"),
            ("GET", "/api/v1/namespaces/a/pods/p/attach"),
            ("GET", "/api/v1/namespaces/a/pods/p/portforward"),
            ("GET", "/api/v1/namespaces/a/pods/p/proxy/admin"),
            ("GET", "/api/v1/nodes/n/proxy/run"),
            ("POST", "/version"),
        ] {
            assert_eq!(
                check(&guard, method, uri),
                Err(Refusal::ReadOnly),
                "{method} {uri}"
            );
        }
    }

    #[test]
    fn a_denied_resource_is_denied_in_every_version_and_part() {
        let settings = Settings {
            denied_resources: ["secrets", "deployments.apps"]
                .map(|text| DeniedResource(text.parse().expect("a resource")))
                .into(),
            ..Settings::default()
        };
        let guard = Guard::new(&settings);
        for uri in [
            "/api/v1/secrets",
            "/api/v1/namespaces/a/secrets/s",
            "/apis/apps/v1/namespaces/a/deployments/d",
            "/apis/apps/v1beta9/deployments",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
        ] {
            assert!(
                matches!(check(&guard, "GET", uri), Err(Refusal::Resource(_))),
                "{uri}"
            );
        }
        assert_eq!(check(&guard, "GET", "/apis/extra.example.com/v1/secrets"), Ok(()));
    }
}
