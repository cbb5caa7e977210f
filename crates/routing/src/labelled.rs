//! Labels and annotations that a request speaks of: those of the object in its body, or those that its label selector
//! demands.

use std::collections::BTreeMap;

use mk8s_model::query;
use prost::Message;
use serde::Deserialize;

/// What stands before every object in Protobuf (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`).
const MAGIC: &[u8] = b"k8s\0";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Annotations by name.
    pub annotations: BTreeMap<String, String>,
}

impl Labelled {
    /// What a list, watch or deletion of many demands: `key=value`, `key==value` and `key in (value)`. What a selector
    /// leaves open says nothing.
    pub fn by_selector(query: Option<&str>) -> Self {
        let selector = query::value(query, "labelSelector").and_then(|bytes| String::from_utf8(bytes).ok());
        let labels = selector.as_deref().map(demanded).unwrap_or_default();
        Self {
            labels,
            annotations: BTreeMap::new(),
        }
    }

    /// What the object in a body has, in JSON, YAML or Protobuf. Empty if there is none that can be read: the API server
    /// will say what is wrong with it.
    pub fn in_body(content_type: Option<&str>, body: &[u8]) -> Self {
        let media_type = content_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        let read = match media_type {
            PROTOBUF => in_protobuf(body),
            "application/yaml" | "application/apply-patch+yaml" => std::str::from_utf8(body)
                .ok()
                .and_then(|text| serde_saphyr::from_str::<Object>(text).ok())
                .map(Into::into),
            _ => serde_json::from_slice::<Object>(body).ok().map(Into::into),
        };
        read.unwrap_or_default()
    }
}

/// Of an object in JSON or YAML, what is looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: Option<BTreeMap<String, Option<String>>>,
    annotations: Option<BTreeMap<String, Option<String>>>,
}

impl From<Object> for Labelled {
    fn from(object: Object) -> Self {
        let metadata = object.metadata.unwrap_or_default();
        // In a merge patch, null takes a label away.
        let kept = |map: Option<BTreeMap<String, Option<String>>>| {
            map.unwrap_or_default()
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value)))
                .collect()
        };
        Self {
            labels: kept(metadata.labels),
            annotations: kept(metadata.annotations),
        }
    }
}

/// Every built-in type has its ObjectMeta in field 1.
fn in_protobuf(body: &[u8]) -> Option<Labelled> {
    let unknown = wire::Unknown::decode(body.strip_prefix(MAGIC)?).ok()?;
    let object = wire::Object::decode(unknown.raw.as_slice()).ok()?;
    let metadata = object.metadata.unwrap_or_default();
    Some(Labelled {
        labels: metadata.labels,
        annotations: metadata.annotations,
    })
}

/// Of the messages in `k8s.io/apimachinery` (`runtime/generated.proto`, `meta/v1/generated.proto`), the fields looked at.
mod wire {
    use std::collections::BTreeMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Unknown {
        #[prost(bytes = "vec", tag = "2")]
        pub(super) raw: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Object {
        #[prost(message, optional, tag = "1")]
        pub(super) metadata: Option<ObjectMeta>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ObjectMeta {
        #[prost(btree_map = "string, string", tag = "11")]
        pub(super) labels: BTreeMap<String, String>,
        #[prost(btree_map = "string, string", tag = "12")]
        pub(super) annotations: BTreeMap<String, String>,
    }
}

/// The labels that a selector pins to one value (`k8s.io/apimachinery/pkg/labels`).
fn demanded(selector: &str) -> BTreeMap<String, String> {
    requirements(selector)
        .filter_map(|requirement| {
            if let Some((name, values)) = requirement.split_once(" in ") {
                let value = values.trim().strip_prefix('(')?.strip_suffix(')')?.trim();
                return (!value.contains(',')).then(|| (name.trim().to_owned(), value.to_owned()));
            }
            if requirement.contains("!=") {
                return None;
            }
            let (name, value) = requirement.split_once('=')?;
            let value = value.strip_prefix('=').unwrap_or(value);
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Splits at the commas that aren't in parentheses.
fn requirements(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    selector
        .split(move |c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn a_selector_demands_what_it_pins_to_one_value() {
        let rows: [(&str, &[(&str, &str)]); 9] = [
            ("tier=west", &[("tier", "west")]),
            ("tier%3Dwest%2Capp%3D%3Dweb", &[("tier", "west"), ("app", "web")]),
            ("tier+in+(west)", &[("tier", "west")]),
            ("tier+in+(west%2Ceast),app=web", &[("app", "web")]),
            ("tier!=west", &[]),
            ("tier", &[]),
            ("!tier", &[]),
            ("tier+notin+(west)", &[]),
            ("", &[]),
        ];
        for (selector, expected) in rows {
            let query = format!("limit=5&labelSelector={selector}");
            let labelled = Labelled::by_selector(Some(&query));
            assert_eq!(labelled.labels, map(expected), "{selector}");
        }
        assert_eq!(Labelled::by_selector(None), Labelled::default());
    }

    #[test]
    fn an_objects_labels_are_read_in_every_encoding() {
        let expected = Labelled {
            labels: map(&[("tier", "west")]),
            annotations: map(&[("note", "x")]),
        };
        let json = br#"{"kind":"Pod","metadata":{"name":"p","labels":{"tier":"west","gone":null},"annotations":{"note":"x"}},"spec":{}}"#;
        assert_eq!(Labelled::in_body(Some("application/json"), json), expected);
        assert_eq!(
            Labelled::in_body(Some("application/merge-patch+json; charset=utf-8"), json),
            expected
        );
        let yaml = b"metadata:\n  labels: {tier: west}\n  annotations: {note: x}\n";
        assert_eq!(
            Labelled::in_body(Some("application/apply-patch+yaml"), yaml),
            expected
        );
        let object = wire::Object {
            metadata: Some(wire::ObjectMeta {
                labels: expected.labels.clone(),
                annotations: expected.annotations.clone(),
            }),
        };
        let unknown = wire::Unknown {
            raw: object.encode_to_vec(),
        };
        let protobuf = [MAGIC, &unknown.encode_to_vec()].concat();
        assert_eq!(Labelled::in_body(Some(PROTOBUF), &protobuf), expected);
    }

    #[test]
    fn what_cant_be_read_says_nothing() {
        for (content_type, body) in [
            (None, b"".as_slice()),
            (Some("application/json"), b"{\"metadata\":"),
            (Some("application/json"), b"[{\"op\":\"add\"}]"),
            (Some(PROTOBUF), b"k8s\0\xff\xff"),
            (Some(PROTOBUF), b"{}"),
            (Some("application/yaml"), b"\xff: ["),
        ] {
            assert_eq!(Labelled::in_body(content_type, body), Labelled::default());
        }
    }
}
