//! Why not, in the words that users of kubectl know.

use std::fmt::Write;

use mk8s_model::{ClusterName, Identity, Interactive, KubeRequest, ResourceRequest, Verb};

use crate::rule::Rule;

/// Lists are cut after this many names.
const MAX_LISTED: usize = 8;
/// Names from a request are cut after this many characters; Kubernetes' own have at most 253.
const MAX_SHOWN: usize = 253;

/// `rules` are those of the roles that concern the cluster; none of them allows the request.
pub(crate) fn reason<'r, R: AsRef<str>>(
    roles: &[R],
    rules: impl Iterator<Item = &'r Rule>,
    identity: &Identity,
    cluster: &ClusterName,
    request: &KubeRequest<'_>,
) -> String {
    let user = short(identity.user());
    let mut text = match request {
        KubeRequest::Resource(r) => format!("User {user} cannot {}", asked(r)),
        KubeRequest::NonResource { verb, path } => format!("User {user} cannot {verb} path {}", short(path)),
    };
    let _ = write!(text, " of cluster \"{cluster}\": ");
    let mut rules = rules.peekable();
    if rules.peek().is_none() {
        text.push_str("you have no role on this cluster");
        return text;
    }
    let roles: Vec<&str> = roles.iter().map(AsRef::as_ref).collect();
    match roles.as_slice() {
        [one] => {
            let _ = write!(text, "your role ({one}) doesn't allow ");
        }
        several => {
            let _ = write!(text, "none of your roles ({}) allows ", listed(several));
        }
    }
    match request {
        KubeRequest::Resource(r) => {
            text.push_str(&missing(r));
            text.push_str(" there");
            let elsewhere: Vec<&str> = rules
                .filter(|rule| rule.allows_somewhere(r))
                .flat_map(|rule| &rule.written.namespaces)
                .map(String::as_str)
                .collect();
            if !elsewhere.is_empty() {
                let _ = write!(text, ", only in these namespaces: {}", listed(&elsewhere));
            }
        }
        KubeRequest::NonResource { verb, .. } => {
            let _ = write!(text, "the verb {verb:?} on that path (nonResourceURLs)");
        }
    }
    text
}

/// As the API server says it: `delete resource "pods" in API group "" in the namespace "x"`.
fn asked(r: &ResourceRequest<'_>) -> String {
    let mut text = format!(
        "{} resource {} in API group {}",
        r.verb,
        short(&r.resource_path()),
        short(&r.group)
    );
    match &r.namespace {
        Some(namespace) => {
            let _ = write!(text, " in the namespace {}", short(namespace));
        }
        None => text.push_str(" at the cluster scope"),
    }
    text
}

/// The verb and the resource that a rule would have to name.
fn missing(r: &ResourceRequest<'_>) -> String {
    let path = short(&r.resource_path());
    match (r.interactive(), r.subresource.as_deref()) {
        (Some(Interactive::Exec), Some("ephemeralcontainers")) => {
            format!("the verbs \"exec\" and \"{}\" on {path}", r.verb)
        }
        (Some(way), _) => format!("the verb \"{}\" on {}", way.verb(), short(&r.resource)),
        (None, Some("log")) if r.verb == Verb::Get => format!("the verb \"logs\" on {}", short(&r.resource)),
        _ => format!("the verb \"{}\" on {path}", r.verb),
    }
}

fn listed(names: &[&str]) -> String {
    let mut text = names
        .iter()
        .take(MAX_LISTED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MAX_LISTED {
        let _ = write!(text, " and {} more", names.len() - MAX_LISTED);
    }
    text
}

/// Quoted, escaped and not too long: it goes into an answer and a log.
fn short(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}…", &name[..end]),
    }
}
