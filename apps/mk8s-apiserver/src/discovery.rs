//! What there is here, in the forms in which clients and the API server's aggregation layer ask for it
//! (<https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api>).

use http::{HeaderMap, HeaderValue, Response, header};
use mk8s_net::{Body, status::Status};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::resources::{Served, own_name};

/// Our API group.
pub(crate) const GROUP: &str = "custom.api.local";
/// Its one version.
pub(crate) const VERSION: &str = "v1";
/// Where it is.
pub(crate) const PREFIX: &str = "/apis/custom.api.local/v1";
/// Namespaces that one may see.
pub(crate) const MY_NAMESPACE: &str = "mynamespace";
/// Who one is.
pub(crate) const WHO_AM_I: &str = "whoami";

/// The aggregated form's media type.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Everything that doesn't depend on who asks, made once.
pub(crate) struct Discovery {
    groups: Vec<u8>,
    aggregated: Vec<u8>,
    group: Vec<u8>,
    resources: Vec<u8>,
    openapi_v2: Vec<u8>,
    openapi_v3: Vec<u8>,
    openapi_v3_index: Vec<u8>,
}

impl Discovery {
    /// For what is served beside namespaces.
    pub(crate) fn new(served: &[Served]) -> Self {
        let group = json!({
            "kind": "APIGroup", "apiVersion": "v1", "name": GROUP,
            "versions": [{"groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION}],
            "preferredVersion": {"groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION},
        });
        let entries = entries(served);
        let openapi_v3 = openapi_v3(&entries).to_string().into_bytes();
        let hash: String = Sha256::digest(&openapi_v3)
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02X}"))
            .collect();
        Self {
            groups: json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
                .to_string()
                .into_bytes(),
            aggregated: aggregated(&entries).to_string().into_bytes(),
            resources: json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{VERSION}"),
                "resources": entries.iter().map(Entry::resource).collect::<Vec<_>>(),
            })
            .to_string()
            .into_bytes(),
            group: group.to_string().into_bytes(),
            openapi_v2: openapi_v2(&entries).to_string().into_bytes(),
            openapi_v3_index: json!({"paths": {
                &PREFIX[1..]: {"serverRelativeURL": format!("/openapi/v3{PREFIX}?hash={hash}")},
            }})
            .to_string()
            .into_bytes(),
            openapi_v3,
        }
    }

    /// The document at a path; none if there is none.
    pub(crate) fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let plain = |text: &[u8]| json_body(text.to_vec(), "application/json");
        Some(match path.trim_end_matches('/') {
            "/apis" => match wants_aggregated(headers) {
                true => json_body(self.aggregated.clone(), AGGREGATED),
                false => plain(&self.groups),
            },
            "/apis/custom.api.local" => plain(&self.group),
            PREFIX => plain(&self.resources),
            "/openapi/v2" => plain(&self.openapi_v2),
            "/openapi/v3" => plain(&self.openapi_v3_index),
            "/openapi/v3/apis/custom.api.local/v1" => plain(&self.openapi_v3),
            "/version" => plain(
                json!({"major": "1", "minor": "0", "gitVersion": format!("v{}", env!("CARGO_PKG_VERSION"))})
                    .to_string()
                    .as_bytes(),
            ),
            _ => return None,
        })
    }
}

/// A JSON answer.
pub(crate) fn json_body(text: Vec<u8>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// As [`Discovery::answer`] doesn't know it: no such path.
pub(crate) fn nothing_there(path: &str) -> Response<Body> {
    let shown: String = path.chars().take(128).collect();
    Status::not_found(format!(
        "there is nothing at {shown:?}; {PREFIX} says what there is"
    ))
    .into_response()
}

/// Whether the aggregated form of version 2 is preferred.
fn wants_aggregated(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|media| media.replace(' ', "").to_ascii_lowercase())
        .take_while(|media| media.as_str() != "application/json")
        .any(|media| {
            let mut parts = media.split(';');
            parts.next() == Some("application/json") && {
                let parameters: Vec<&str> = parts.collect();
                ["g=apidiscovery.k8s.io", "v=v2", "as=apigroupdiscoverylist"]
                    .iter()
                    .all(|wanted| parameters.contains(wanted))
            }
        })
}

/// One resource here.
struct Entry {
    name: String,
    singular: String,
    /// Of the objects that are answered.
    kind: (String, String, String),
    verbs: &'static [&'static str],
    short_names: Vec<String>,
    help: String,
}

fn entries(served: &[Served]) -> Vec<Entry> {
    let mut entries = vec![
        Entry {
            name: WHO_AM_I.to_owned(),
            singular: WHO_AM_I.to_owned(),
            kind: (GROUP.to_owned(), VERSION.to_owned(), "WhoAmI".to_owned()),
            verbs: &["list"],
            short_names: Vec::new(),
            help: "who one is to the cluster".to_owned(),
        },
        Entry {
            name: MY_NAMESPACE.to_owned(),
            singular: MY_NAMESPACE.to_owned(),
            kind: (String::new(), "v1".to_owned(), "Namespace".to_owned()),
            verbs: &["get", "list", "watch"],
            short_names: vec!["myns".to_owned()],
            help: "the namespaces that one may see".to_owned(),
        },
    ];
    entries.extend(served.iter().map(|served| {
        Entry {
            name: own_name(&served.resource),
            singular: format!("my{}", served.singular),
            kind: (
                served.resource.group.clone(),
                served.version.clone(),
                served.kind.clone(),
            ),
            verbs: &["list", "watch"],
            short_names: served
                .short_names
                .iter()
                .map(|name| format!("my{name}"))
                .collect(),
            help: format!("{} of all namespaces in which one may list them", served.resource),
        }
    }));
    entries
}

impl Entry {
    /// As in an `APIResourceList`. `group` and `version` say that the objects are another API's.
    fn resource(&self) -> Value {
        let (group, version, kind) = &self.kind;
        let mut resource = json!({
            "name": self.name, "singularName": self.singular, "namespaced": false, "kind": kind, "verbs": self.verbs,
        });
        if group != GROUP {
            resource["group"] = json!(group);
            resource["version"] = json!(version);
        }
        if !self.short_names.is_empty() {
            resource["shortNames"] = json!(self.short_names);
        }
        resource
    }
}

fn aggregated(entries: &[Entry]) -> Value {
    let resources: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let (group, version, kind) = &entry.kind;
            let mut resource = json!({
                "resource": entry.name, "scope": "Cluster", "singularResource": entry.singular, "verbs": entry.verbs,
                "responseKind": {"group": group, "version": version, "kind": kind},
            });
            if !entry.short_names.is_empty() {
                resource["shortNames"] = json!(entry.short_names);
            }
            resource
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [{
            "metadata": {"name": GROUP, "creationTimestamp": null},
            "versions": [{"version": VERSION, "resources": resources, "freshness": "Current"}],
        }],
    })
}

/// The paths of both OpenAPI documents. Objects are those of other APIs, and are described there.
fn paths(entries: &[Entry], answered: &Value) -> Value {
    let operation = |entry: &Entry, verb: &str, suffix: &str| {
        json!({"get": {
            "description": format!("{verb} {}", entry.help),
            "operationId": format!("{verb}CustomApiLocalV1{}{suffix}", camel(&entry.name)),
            "tags": ["customApiLocal_v1"],
            "responses": {"200": answered, "401": {"description": "Unauthorized"}},
            "x-kubernetes-action": verb,
        }})
    };
    let mut paths = serde_json::Map::new();
    for entry in entries {
        paths.insert(format!("{PREFIX}/{}", entry.name), operation(entry, "list", ""));
        if entry.verbs.contains(&"get") {
            let mut one = operation(entry, "get", "Named");
            one["parameters"] = json!([{"name": "name", "in": "path", "required": true, "description": "name of the object",
                "schema": {"type": "string"}}]);
            paths.insert(format!("{PREFIX}/{}/{{name}}", entry.name), one);
        }
    }
    Value::Object(paths)
}

fn openapi_v3(entries: &[Entry]) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "mk8s", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths(entries, &json!({"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}})),
        "components": {"schemas": {}},
    })
}

fn openapi_v2(entries: &[Entry]) -> Value {
    let mut paths = paths(
        entries,
        &json!({"description": "OK", "schema": {"type": "object"}}),
    );
    for path in paths
        .as_object_mut()
        .into_iter()
        .flat_map(|paths| paths.values_mut())
    {
        for parameter in path["parameters"].as_array_mut().into_iter().flatten() {
            // Version 2 has the type beside the name.
            if let Some(parameter) = parameter.as_object_mut() {
                parameter.remove("schema");
                parameter.insert("type".to_owned(), json!("string"));
            }
        }
        if path["parameters"].is_null()
            && let Some(path) = path.as_object_mut()
        {
            path.remove("parameters");
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "mk8s", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "definitions": {},
    })
}

fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(accept: &str) -> HeaderMap {
        let value = HeaderValue::from_str(accept).expect("a value");
        [(header::ACCEPT, value)].into_iter().collect()
    }

    #[test]
    fn the_aggregated_form_is_for_those_who_prefer_it() {
        let client_go = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert!(wants_aggregated(&accepts(client_go)));
        assert!(wants_aggregated(&accepts(
            "application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io"
        )));
        for plain in [
            "application/json",
            "*/*",
            "application/json,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        ] {
            assert!(!wants_aggregated(&accepts(plain)), "{plain}");
        }
    }

    #[test]
    fn every_document_is_there_and_nothing_else() {
        let discovery = Discovery::new(&[]);
        for path in [
            "/apis",
            "/apis/custom.api.local",
            "/apis/custom.api.local/v1",
            "/apis/custom.api.local/v1/",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/apis/custom.api.local/v1",
            "/version",
        ] {
            assert!(discovery.answer(path, &HeaderMap::new()).is_some(), "{path}");
        }
        for path in [
            "/",
            "/api",
            "/apis/custom.api.local/v2",
            "/apis/other/v1",
            "/openapi/v3/apis/x/v1",
        ] {
            assert!(discovery.answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
