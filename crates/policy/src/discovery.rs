//! What every role gives on its clusters: what `kubectl` reads before it does anything.

use mk8s_model::{KubeRequest, ResourceRequest, Verb};

/// The rule's name.
pub(crate) const RULE: &str = "discovery";

/// Whether the request only finds out what there is, whether it is well, and what the caller may do. The paths are
/// those of the ClusterRoles `system:discovery`, `system:public-info-viewer` and `system:basic-user`.
pub(crate) fn covers(request: &KubeRequest<'_>) -> bool {
    match request {
        KubeRequest::NonResource { verb, path } => {
            matches!(&**verb, "get" | "head") && is_discovery_path(path)
        }
        KubeRequest::Resource(r) => is_self_review(r),
    }
}

fn is_discovery_path(path: &str) -> bool {
    let first = path.strip_prefix('/').unwrap_or(path).split('/').next();
    matches!(
        first,
        Some("api" | "apis" | "openapi" | "healthz" | "livez" | "readyz")
    ) || matches!(path, "/version" | "/version/")
}

fn is_self_review(r: &ResourceRequest<'_>) -> bool {
    r.verb == Verb::Create
        && r.subresource.is_none()
        && r.namespace.is_none()
        && matches!(
            (&*r.group, &*r.resource),
            (
                "authorization.k8s.io",
                "selfsubjectaccessreviews" | "selfsubjectrulesreviews"
            ) | ("authentication.k8s.io", "selfsubjectreviews")
        )
}
