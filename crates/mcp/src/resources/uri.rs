//! `k8s://CLUSTER` and the API server's own path: `k8s://staging/apis/apps/v1/namespaces/shop/deployments/web`.
//!
//! Strict: what parses means one request. Names may be percent-encoded, and are where they have other characters than RFC 3986's
//! unreserved ones in what we write ourselves.

use std::{fmt, str::FromStr};

use mk8s_model::ClusterName;
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::cluster::{UNRESERVED, check_name, check_namespace, is_name, is_version};

const SCHEME: &str = "k8s://";
/// A URI's bytes, at most.
const LONGEST: usize = 2_048;
/// What stands in the place of a resource in paths that mean something else (`k8s.io/apiserver/pkg/endpoints/request`).
const PREFIXES: &[&str] = &["watch", "proxy"];

/// Which object, list or log, of which cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceUri {
    /// The cluster, as its user calls it.
    pub cluster: ClusterName,
    /// API group; empty for the core group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// `pods`.
    pub plural: String,
    /// Where; of a list, all namespaces if none.
    pub namespace: Option<String>,
    /// What of it.
    pub part: Part,
}

/// What of a kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Those that are selected; all if nothing is said.
    List {
        /// `app=web`.
        labels: Option<String>,
        /// `type=Warning`.
        fields: Option<String>,
    },
    /// The one of this name.
    Object(String),
    /// What a pod of this name wrote.
    Log {
        /// The pod.
        pod: String,
        /// Which container; the failing one or the first if none is named.
        container: Option<String>,
        /// Whether it is of the time before its last restart.
        is_previous: bool,
    },
}

/// Why a URI is none of ours. It repeats nothing of what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URI can't be used: {0}")]
pub struct InvalidUri(&'static str);

impl ResourceUri {
    /// A list of a whole cluster, of the core group.
    pub(crate) fn list(cluster: ClusterName, plural: &str, fields: Option<&str>) -> Self {
        Self {
            cluster,
            group: String::new(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            namespace: None,
            part: Part::List {
                labels: None,
                fields: fields.map(str::to_owned),
            },
        }
    }
}

impl FromStr for ResourceUri {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        if text.len() > LONGEST {
            return Err(InvalidUri("it has more than 2048 bytes"));
        }
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or(InvalidUri("it has to begin with k8s://CLUSTER/api"))?;
        if rest.contains(['{', '}']) {
            return Err(InvalidUri("it is a template: put names where braces are"));
        }
        if rest.contains('#') {
            return Err(InvalidUri("it has a '#': leave it and what follows out"));
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (cluster, path) = rest.split_once('/').ok_or(InvalidUri(
            "after the cluster's name comes /api/v1 or /apis/GROUP/VERSION",
        ))?;
        let cluster = cluster.parse().map_err(|_| {
            InvalidUri("what comes after k8s:// is no cluster's name: the tool \"clusters\" lists them")
        })?;
        let segments = path.split('/').map(decoded).collect::<Result<Vec<_>, _>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, below) = match *segments {
            ["api", version, ref below @ ..] => ("", version, below),
            ["apis", group, version, ref below @ ..] if is_group(group) => (group, version, below),
            _ => {
                return Err(InvalidUri(
                    "after the cluster's name comes /api/v1 or /apis/GROUP/VERSION",
                ));
            }
        };
        if !is_version(version) {
            return Err(InvalidUri("its version is none: v1, v1beta1, …"));
        }
        let (namespace, plural, part) = below_version(group, below)?;
        let part = with_query(part, query)?;
        Ok(Self {
            cluster,
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.map(str::to_owned),
            part,
        })
    }
}

/// Where, of what kind, and what of it.
fn below_version<'a>(group: &str, below: &[&'a str]) -> Result<(Option<&'a str>, &'a str, Part), InvalidUri> {
    let all = || Part::List {
        labels: None,
        fields: None,
    };
    let (namespace, plural, part) = match *below {
        [plural] => (None, plural, all()),
        [plural, name] => (None, plural, Part::Object(object(name)?)),
        ["namespaces", namespace, plural] => (Some(namespace), plural, all()),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Part::Object(object(name)?)),
        ["namespaces", namespace, "pods", pod, "log"] if group.is_empty() => {
            let part = Part::Log {
                pod: object(pod)?,
                container: None,
                is_previous: false,
            };
            (Some(namespace), "pods", part)
        }
        _ => {
            return Err(InvalidUri(
                "after the version comes RESOURCE, RESOURCE/NAME, or the same after namespaces/NAMESPACE; /log after a pod",
            ));
        }
    };
    if !is_name(plural) || plural.contains('.') || PREFIXES.contains(&plural) {
        return Err(InvalidUri(
            "its resource is none: write the plural, like pods; the tool \"api_resources\" lists them",
        ));
    }
    if namespace.is_some_and(|namespace| check_namespace(namespace).is_err()) {
        return Err(InvalidUri(
            "its namespace is none: lower-case letters, digits and '-', 63 at most",
        ));
    }
    Ok((namespace, plural, part))
}

/// The part with what the query says of it.
fn with_query(mut part: Part, query: Option<&str>) -> Result<Part, InvalidUri> {
    let mut seen = Vec::new();
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let (key, value) = pair
            .split_once('=')
            .ok_or(InvalidUri("its query isn't KEY=VALUE&KEY=VALUE"))?;
        if seen.contains(&key) {
            return Err(InvalidUri("a key of its query is there twice"));
        }
        seen.push(key);
        let value = decoded(value)?;
        if value.is_empty() || value.contains(char::is_control) {
            return Err(InvalidUri(
                "a value of its query is empty, or has a control character",
            ));
        }
        match (&mut part, key) {
            (Part::List { labels, .. }, "labelSelector") => *labels = Some(value),
            (Part::List { fields, .. }, "fieldSelector") => *fields = Some(value),
            (Part::Log { container, .. }, "container") => *container = Some(object(&value)?),
            (Part::Log { is_previous, .. }, "previous") if value == "true" => *is_previous = true,
            (Part::List { .. }, _) => {
                return Err(InvalidUri(
                    "a list's query has labelSelector and fieldSelector, and nothing else",
                ));
            }
            (Part::Log { .. }, _) => {
                return Err(InvalidUri(
                    "a log's query has container and previous=true, and nothing else",
                ));
            }
            (Part::Object(_), _) => {
                return Err(InvalidUri(
                    "an object has no query: leave '?' and what follows out",
                ));
            }
        }
    }
    Ok(part)
}

/// A segment or value without its percent-encoding.
fn decoded(text: &str) -> Result<String, InvalidUri> {
    let is_encoded = text
        .split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()));
    if !is_encoded {
        return Err(InvalidUri("a '%' is no percent-encoding: write %25 for it"));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| InvalidUri("what is percent-encoded is no UTF-8"))
}

fn object(name: &str) -> Result<String, InvalidUri> {
    check_name(name)
        .map(str::to_owned)
        .map_err(|_| InvalidUri("a name in it is none: write it as it is in metadata.name"))
}

/// A DNS subdomain, as groups are.
fn is_group(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    is_name(text) && text.split('.').all(is_label)
}

/// As it is written in templates: what isn't unreserved is percent-encoded (RFC 6570, simple expansion).
impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |text| utf8_percent_encode(text, UNRESERVED);
        write!(f, "{SCHEME}{}", self.cluster)?;
        if self.group.is_empty() {
            write!(f, "/api/{}", self.version)?;
        } else {
            write!(f, "/apis/{}/{}", self.group, self.version)?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "/namespaces/{namespace}")?;
        }
        write!(f, "/{}", self.plural)?;
        let pairs = match &self.part {
            Part::List { labels, fields } => [
                ("labelSelector", labels.as_deref()),
                ("fieldSelector", fields.as_deref()),
            ],
            Part::Object(name) => return write!(f, "/{}", encoded(name)),
            Part::Log {
                pod,
                container,
                is_previous,
            } => {
                write!(f, "/{}/log", encoded(pod))?;
                [
                    ("container", container.as_deref()),
                    ("previous", is_previous.then_some("true")),
                ]
            }
        };
        let mut before = '?';
        for (key, value) in pairs {
            if let Some(value) = value {
                write!(f, "{before}{key}={}", encoded(value))?;
                before = '&';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<ResourceUri, InvalidUri> {
        text.parse()
    }

    #[test]
    fn objects_lists_and_logs_are_told_apart() {
        let list = |labels: Option<&str>, fields: Option<&str>| Part::List {
            labels: labels.map(str::to_owned),
            fields: fields.map(str::to_owned),
        };
        let object = |name: &str| Part::Object(name.to_owned());
        let log = |container: Option<&str>, is_previous| Part::Log {
            pod: "web-0".to_owned(),
            container: container.map(str::to_owned),
            is_previous,
        };
        for (text, group, namespace, plural, part) in [
            ("k8s://a/api/v1/nodes", "", None, "nodes", list(None, None)),
            ("k8s://a/api/v1/nodes/n1", "", None, "nodes", object("n1")),
            (
                "k8s://a/api/v1/namespaces",
                "",
                None,
                "namespaces",
                list(None, None),
            ),
            (
                "k8s://a/api/v1/namespaces/shop",
                "",
                None,
                "namespaces",
                object("shop"),
            ),
            (
                "k8s://a/api/v1/namespaces/shop/pods",
                "",
                Some("shop"),
                "pods",
                list(None, None),
            ),
            (
                "k8s://a/api/v1/namespaces/shop/pods/web-0",
                "",
                Some("shop"),
                "pods",
                object("web-0"),
            ),
            (
                "k8s://a/apis/apps/v1/deployments?labelSelector=app%3Dweb",
                "apps",
                None,
                "deployments",
                list(Some("app=web"), None),
            ),
            (
                "k8s://a/api/v1/events?fieldSelector=type%3DWarning",
                "",
                None,
                "events",
                list(None, Some("type=Warning")),
            ),
            (
                "k8s://a/api/v1/events?fieldSelector=type=Warning",
                "",
                None,
                "events",
                list(None, Some("type=Warning")),
            ),
            (
                "k8s://a/api/v1/namespaces/shop/pods/web-0/log",
                "",
                Some("shop"),
                "pods",
                log(None, false),
            ),
            (
                "k8s://a/api/v1/namespaces/shop/pods/web-0/log?container=x&previous=true",
                "",
                Some("shop"),
                "pods",
                log(Some("x"), true),
            ),
            (
                "k8s://a/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "rbac.authorization.k8s.io",
                None,
                "clusterroles",
                object("system:node"),
            ),
            (
                "k8s://a/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
                "rbac.authorization.k8s.io",
                None,
                "clusterroles",
                object("system:node"),
            ),
        ] {
            let uri = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            let expected = (group, namespace, plural, part);
            assert_eq!(
                (&*uri.group, uri.namespace.as_deref(), &*uri.plural, uri.part),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_mean_something_else_is_refused_in_a_line_that_repeats_nothing() {
        for text in [
            "",
            "http://a/api/v1/pods",
            "k8s:/a/api/v1/pods",
            "k8s://a",
            "k8s://a/",
            "k8s:///api/v1/pods",
            "k8s://A/api/v1/pods",
            "k8s://a:6443/api/v1/pods",
            "k8s://user@a/api/v1/pods",
            "k8s://a/api",
            "k8s://a/api/v1",
            "k8s://a/api/v1/",
            "k8s://a/api/1/pods",
            "k8s://a/api/v1/pods/",
            "k8s://a//api/v1/pods",
            "k8s://a/apis/../v1/pods",
            "k8s://a/apis/a..b/v1/pods",
            "k8s://a/apis//v1/pods",
            "k8s://a/api/v1/namespaces/shop/pods/web-0/exec",
            "k8s://a/api/v1/namespaces/shop/pods/web-0/log/x",
            "k8s://a/apis/apps/v1/namespaces/shop/pods/web-0/log",
            "k8s://a/api/v1/pods/web-0/log",
            "k8s://a/api/v1/watch/pods",
            "k8s://a/api/v1/proxy/nodes",
            "k8s://a/api/v1/nodes/..",
            "k8s://a/api/v1/nodes/%2e%2e",
            "k8s://a/api/v1/nodes/a%2Fb",
            "k8s://a/api/v1/nodes/a%252Fb",
            "k8s://a/api/v1/nodes/%",
            "k8s://a/api/v1/nodes/%zz",
            "k8s://a/api/v1/nodes/%ff",
            "k8s://a/api/v1/nodes/a%00b",
            "k8s://a/api/v1/nodes/a b",
            "k8s://a/api/v1/nodes/a#b",
            "k8s://a/api/v1/nodes/n1?x=1",
            "k8s://a/api/v1/namespaces/Shop/pods",
            "k8s://a/api/v1/namespaces/*/pods",
            "k8s://a/api/v1/pods?watch=true",
            "k8s://a/api/v1/pods?labelSelector",
            "k8s://a/api/v1/pods?labelSelector=",
            "k8s://a/api/v1/pods?labelSelector=a&labelSelector=b",
            "k8s://a/api/v1/pods?labelSelector=a%26limit%3D0&limit=1",
            "k8s://a/api/v1/pods?fieldSelector=a%0Ab",
            "k8s://a/api/v1/namespaces/shop/pods/web-0/log?follow=true",
            "k8s://a/api/v1/namespaces/shop/pods/web-0/log?previous=1",
            "k8s://{cluster}/api/v1/{resource}",
        ] {
            let why = parse(text).expect_err(text).to_string();
            assert!(!why.contains('\n') && why.len() < 160, "{text}: {why}");
        }
        assert!(parse(&format!("k8s://a/api/v1/pods/{}", "a".repeat(3_000))).is_err());
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9:._ü=&+~-]{1,40}".prop_filter("no name", |name| check_name(name).is_ok())
    }

    fn uris() -> impl Strategy<Value = ResourceUri> {
        let selector = || proptest::option::of("[a-zA-Z0-9=,!&%+/?#{} ü-]{1,30}");
        let part = prop_oneof![
            (selector(), selector()).prop_map(|(labels, fields)| Part::List { labels, fields }),
            name().prop_map(Part::Object),
            (name(), proptest::option::of(name()), any::<bool>()).prop_map(
                |(pod, container, is_previous)| Part::Log {
                    pod,
                    container,
                    is_previous
                }
            ),
        ];
        let group = prop_oneof![Just(String::new()), "[a-z]{1,8}(\\.[a-z0-9]{1,5}){0,2}"];
        let namespace = proptest::option::of("[a-z]([a-z0-9-]{0,8}[a-z0-9])?");
        (
            "[a-z]([a-z0-9-]{0,8}[a-z0-9])?",
            group,
            "v[1-9](beta[1-9])?",
            "[a-z]{3,12}",
            namespace,
            part,
        )
            .prop_map(|(cluster, group, version, plural, namespace, part)| {
                let is_log = matches!(part, Part::Log { .. });
                // A path in no namespace whose resource is "namespaces" is what it looks like, one in a namespace isn't.
                ResourceUri {
                    cluster: cluster.parse().expect("a cluster's name"),
                    group: if is_log { String::new() } else { group },
                    version,
                    plural: if is_log { "pods".to_owned() } else { plural },
                    namespace: if is_log {
                        Some(namespace.unwrap_or_else(|| "shop".to_owned()))
                    } else {
                        namespace
                    },
                    part,
                }
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(uri in uris()) {
            prop_assume!(!PREFIXES.contains(&&*uri.plural));
            let text = uri.to_string();
            prop_assert!(text.is_ascii());
            prop_assert_eq!(parse(&text).map_err(|why| why.to_string()), Ok(uri));
        }

        #[test]
        fn whatever_is_read_is_written_as_the_same_or_refused(text in "(k8s://a/(api|apis/b)/v1/)?[a-z%/?=&.0-9A-F]{0,40}") {
            if let Ok(uri) = parse(&text) {
                prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
            }
        }
    }
}
