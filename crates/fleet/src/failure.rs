//! Failures, always with the cluster's name.

use http::Response;
use mk8s_lists::{Failure, Refusal};
use mk8s_model::ClusterName;
use mk8s_net::{Body, status::Status};
use serde_json::{Value, json};

/// What one of the clusters said instead of an answer.
pub(crate) async fn refused(cluster: &ClusterName, response: Response<Body>) -> Failure {
    let refusal = Refusal::read(response).await;
    let code = refusal.code;
    if !refusal.is_failure() {
        return Status::bad_gateway(format!(
            "cluster {cluster} answered with {code}, which is neither a list nor a failure"
        ))
        .into();
    }
    let retry_after = refusal.retry_after.clone();
    let (status, is_own) = refusal.into_status(&format!("cluster {cluster}"));
    let status = if is_own { named(status, cluster) } else { status };
    Failure::new(code, &status, retry_after)
}

/// What can't be read of a cluster's answer.
pub(crate) fn unreadable(cluster: &ClusterName, why: &dyn std::fmt::Display) -> Failure {
    Status::bad_gateway(format!("cluster {cluster}'s answer can't be read: {why}")).into()
}

/// A `Status` whose message says of which cluster it is. Its metadata goes: a `continue` in there is the cluster's own,
/// which we wouldn't take back.
pub(crate) fn named(mut status: Value, cluster: &ClusterName) -> Value {
    let message = status["message"].as_str().unwrap_or("no reason was given");
    let is_named = message
        .strip_prefix("cluster ")
        .and_then(|rest| rest.strip_prefix(cluster.as_str()))
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    let message = if is_named {
        message.to_owned()
    } else {
        format!("cluster {cluster}: {message}")
    };
    if let Some(members) = status.as_object_mut() {
        members.insert("message".to_owned(), message.into());
        members.insert("metadata".to_owned(), json!({}));
    }
    status
}
