//! The outbound request's head: where to, with which credentials, in which name.
//!
//! Identity headers are set here and nowhere else, after [`crate::sanitize`] took away whatever the client sent.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, uri::PathAndQuery};
use mk8s_model::{AuditId, Identity};

use crate::{
    Extra,
    error::ForwardError,
    sanitize::is_impersonation,
    upstream::{Naming, Upstream},
};

/// `:authority` of Kubernetes API requests on an agent's connection.
pub const KUBERNETES_AUTHORITY: &str = "kubernetes.mk8s.internal";

/// The client's own method, where an upgrade travels as an extended CONNECT.
pub static METHOD_HEADER: HeaderName = HeaderName::from_static("x-mk8s-method");
/// Honoured by the API server as the id of its own audit event.
pub static AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Says who asks, in impersonation headers.
pub static IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
/// Says in which group they are; once per group.
pub static IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// The head of an outbound request.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// Scheme, authority, path and query.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
}

/// Puts the head together. `headers` are sanitized already.
///
/// # Errors
/// [`ForwardError::Request`] if a name can't stand in a header, which [`Identity`] has ruled out.
pub fn head(
    upstream: &Upstream,
    method: Method,
    path: &PathAndQuery,
    mut headers: HeaderMap,
    identity: &Identity,
    extra: &Extra,
    audit: AuditId,
) -> Result<Head, ForwardError> {
    let (uri, naming) = match upstream {
        Upstream::Direct(direct) => {
            if let Some(authorization) = direct.credentials().authorization() {
                headers.insert(header::AUTHORIZATION, authorization);
            }
            (direct.uri(path)?, direct.naming())
        }
        Upstream::Agent(_) => {
            let uri = Uri::builder()
                .scheme(http::uri::Scheme::HTTPS)
                .authority(KUBERNETES_AUTHORITY)
                .path_and_query(path.clone())
                .build()?;
            (uri, Naming::Impersonate)
        }
    };
    if naming == Naming::Impersonate {
        impersonate(&mut headers, identity)?;
        // An agent takes a user and groups from us, and refuses whatever else would name somebody.
        if matches!(upstream, Upstream::Direct(_)) {
            extra.put_on(&mut headers);
        }
    }
    let mut id = HeaderValue::from_str(&audit.to_string()).map_err(http::Error::from)?;
    // Another one each time: marked so, HPACK keeps its table for what comes again.
    id.set_sensitive(true);
    headers.insert(AUDIT_ID.clone(), id);
    Ok(Head { method, uri, headers })
}

fn impersonate(headers: &mut HeaderMap, identity: &Identity) -> Result<(), ForwardError> {
    // None of the client's own can be there, unless a door relays them; beside ours they would add to the name.
    let left_over: Vec<HeaderName> = headers.keys().filter(|n| is_impersonation(n)).cloned().collect();
    for name in left_over {
        headers.remove(name);
    }
    headers.insert(IMPERSONATE_USER.clone(), value(identity.user())?);
    for group in identity.groups() {
        headers.append(IMPERSONATE_GROUP.clone(), value(group)?);
    }
    Ok(())
}

/// UTF-8 goes as it is: the API server reads header bytes as UTF-8.
fn value(text: &str) -> Result<HeaderValue, ForwardError> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|e| ForwardError::Request(e.into()))
}
