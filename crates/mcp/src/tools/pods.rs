//! A pod that is to be entered.

use http::Method;
use serde_json::{Value, json};

use super::text;
use crate::{
    answer::name,
    cluster::{Cluster, check_name, check_namespace, query},
    error::ToolError,
    plan::Wire,
};

/// A pod that is to be entered.
pub(super) struct Pod {
    path: String,
    pub(super) object: Value,
}

/// The pod, if the user may enter it by that subresource.
pub(super) async fn find(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    part: &str,
) -> Result<Pod, ToolError> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}",
        check_namespace(namespace)?,
        check_name(pod)?
    );
    let object = cluster.get(&path).await?;
    // With a WebSocket it is a GET, and `create` is asked for since Kubernetes 1.35.
    for verb in ["get", "create"] {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "resource": "pods", "subresource": part,
                "namespace": namespace, "name": pod}},
        });
        let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let review = cluster.create(reviews, &review).await?;
        if review.pointer("/status/allowed") == Some(&Value::Bool(true)) {
            return Ok(Pod { path, object });
        }
    }
    Err(ToolError::Denied(format!(
        "you may not: the verb \"create\" on pods/{part} of {} in namespace {} is missing from your rights",
        name(pod),
        name(namespace)
    )))
}

impl Pod {
    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The request that enters it: this pod, and none of its name that comes after it.
    pub(super) fn wire(&self, part: &str, parameters: Vec<(&str, Option<String>)>) -> Wire {
        Wire {
            method: Method::GET,
            path: format!("{}/{part}{}", self.path, query(parameters)),
            content_type: None,
            body: None,
            of: Some(text(&self.object, "/metadata/uid").to_owned()),
        }
    }
}
