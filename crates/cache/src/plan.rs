//! What becomes of a request: may it be answered from what is kept, does it change what is kept, or neither.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Request, header};
use http_body::Body as _;
use mk8s_model::{ClusterName, KubeRequest, ResourceRequest, Verb, query};
use mk8s_net::Body;

use crate::key::{IdentityKey, Key, Reach, Subject, Table, Who, values};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Plan {
    /// It may be answered from what is kept, and its answer may be kept.
    Read(Read),
    /// It may change what answers say.
    Write(Reach),
    /// It has nothing to do with us.
    Pass,
}

/// A request whose answer may be kept.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) key: Arc<Key>,
    pub(crate) subject: Arc<Subject>,
}

/// Groups whose answers are never kept: they say who somebody is or what they may do, or are themselves credentials.
const NEVER_KEPT: [&str; 3] = [
    "authentication.k8s.io",
    "authorization.k8s.io",
    "oauth.openshift.io",
];

/// Groups and resources that decide on others, by what they hold, serve or allow. All resources of a group: `*`.
const DECIDE_ON_OTHERS: [(&str, &str); 4] = [
    ("", "namespaces"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
    ("rbac.authorization.k8s.io", "*"),
];

/// Parameters that ask for a part of a list, or for how old an answer may be.
const PARTS_AND_VERSIONS: [&str; 4] = ["resourceVersion", "resourceVersionMatch", "limit", "continue"];

/// Headers with which a request means something else than the same request without.
static CHANGE_THE_MEANING: [HeaderName; 11] = [
    header::CACHE_CONTROL,
    header::CONTENT_RANGE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::ORIGIN,
    header::PRAGMA,
    header::RANGE,
    header::UPGRADE,
];

impl Plan {
    pub(crate) fn of(cluster: &ClusterName, identity: &IdentityKey, request: &Request<Body>) -> Self {
        let method = request.method();
        // What can't be read is refused further on; what is no resource is neither kept nor written.
        let Ok(KubeRequest::Resource(resource)) = KubeRequest::classify(method, request.uri()) else {
            return Self::Pass;
        };
        match *method {
            Method::GET if may_be_kept(&resource, request) => {
                Self::Read(read(cluster, identity, &resource, request))
            }
            Method::GET | Method::HEAD => Self::Pass,
            _ => written(cluster, &resource).map_or(Self::Pass, Self::Write),
        }
    }
}

fn may_be_kept(resource: &ResourceRequest<'_>, request: &Request<Body>) -> bool {
    let is_plain = matches!(resource.verb, Verb::Get | Verb::List)
        && matches!(resource.subresource.as_deref(), None | Some("status" | "scale"));
    let is_secret = resource.resource == "secrets" || NEVER_KEPT.contains(&&*resource.group);
    let asks_for_part = PARTS_AND_VERSIONS
        .iter()
        .any(|name| query::value(request.uri().query(), name).is_some());
    is_plain
        && !is_secret
        && !asks_for_part
        && request.body().is_end_stream()
        && is_unconditional(request.headers())
}

fn is_unconditional(headers: &HeaderMap) -> bool {
    !CHANGE_THE_MEANING.iter().any(|name| headers.contains_key(name))
        && !headers
            .keys()
            .any(|name| name.as_str().starts_with("sec-websocket-"))
        && is_token_or_none(headers)
        && names_no_header(headers)
}

/// One bearer token, which the door has looked at, or nothing. Another way to say who one is, nobody here understands.
fn is_token_or_none(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let is_bearer = |value: &[u8]| {
        value
            .get(..b"bearer ".len())
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
    };
    values.next().is_none_or(|value| is_bearer(value.as_bytes())) && values.next().is_none()
}

/// A header that `Connection` names goes no further than to us (RFC 9110, 7.6.1): the answer would not be to what the key
/// says.
fn names_no_header(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .all(|option| {
            option.is_empty()
                || option.eq_ignore_ascii_case(b"keep-alive")
                || option.eq_ignore_ascii_case(b"close")
        })
}

fn read(
    cluster: &ClusterName,
    identity: &IdentityKey,
    resource: &ResourceRequest<'_>,
    request: &Request<Body>,
) -> Read {
    let headers = request.headers();
    let path_and_query = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let key = Key {
        cluster: cluster.clone(),
        who: Arc::new(Who::new(identity, headers)),
        path_and_query: path_and_query.into(),
        accept: values(headers, &header::ACCEPT),
        accept_encoding: values(headers, &header::ACCEPT_ENCODING),
    };
    let subject = Subject {
        cluster: cluster.clone(),
        group: (&*resource.group).into(),
        version: (&*resource.version).into(),
        resource: (&*resource.resource).into(),
        namespace: namespace(resource),
        // A list that selects by name is a list.
        name: match resource.verb {
            Verb::Get => resource.name.as_deref().map(Into::into),
            _ => None,
        },
    };
    Read {
        key: Arc::new(key),
        subject: Arc::new(subject),
    }
}

/// What a request with a method that may write reaches; nothing if it goes to a workload.
fn written(cluster: &ClusterName, resource: &ResourceRequest<'_>) -> Option<Reach> {
    let goes_to_workload =
        resource.interactive().is_some() && resource.subresource.as_deref() != Some("ephemeralcontainers");
    if goes_to_workload {
        return None;
    }
    let decides_on_others = DECIDE_ON_OTHERS
        .iter()
        .any(|(group, name)| *group == resource.group && (*name == "*" || *name == resource.resource));
    if decides_on_others {
        return Some(Reach::Cluster(cluster.clone()));
    }
    // To bind a pod to its node may be said to the collection of bindings, too.
    let name = match &*resource.resource {
        "bindings" => "pods",
        name => name,
    };
    Some(Reach::Objects {
        table: Table {
            cluster: cluster.clone(),
            resource: name.into(),
        },
        namespace: namespace(resource),
        name: None,
    })
}

/// The namespace that an object is in. A Namespace is in none.
fn namespace(resource: &ResourceRequest<'_>) -> Option<Box<str>> {
    let is_namespace = resource.group.is_empty() && resource.resource == "namespaces";
    resource
        .namespace
        .as_deref()
        .filter(|_| !is_namespace)
        .map(Into::into)
}
