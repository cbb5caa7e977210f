//! The `resourceVersion` of an object or list in an answer.

use std::{io::Read as _, sync::Arc};

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http::{HeaderMap, header};
use prost::Message;
use serde::Deserialize;

use crate::kept::Kept;

/// What stands before everything in Protobuf (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`).
const MAGIC: &[u8] = b"k8s\0";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What is read at once; more is read where it holds up nobody.
const BRIEF: usize = 64 * 1024;
/// The most that is unpacked.
const MAX_UNPACKED: u64 = 32 * 1024 * 1024;

/// The version in JSON or Protobuf, packed with gzip or not; nothing if it can't be read.
pub(crate) async fn of(answer: Arc<Kept>, is_list: bool) -> Option<String> {
    let is_brief = answer.body.len() <= BRIEF && !answer.headers.contains_key(header::CONTENT_ENCODING);
    let version = if is_brief {
        read(&answer.headers, &answer.body, is_list)
    } else {
        let read = move || read(&answer.headers, &answer.body, is_list);
        tokio::task::spawn_blocking(read).await.ok().flatten()
    };
    version.filter(|version| !version.is_empty() && version != "0")
}

fn read(headers: &HeaderMap, body: &Bytes, is_list: bool) -> Option<String> {
    let text = |name| headers.get(name).map_or(Some(""), |value| value.to_str().ok());
    let body = match text(header::CONTENT_ENCODING)? {
        "" | "identity" => body.clone(),
        "gzip" => unpacked(body)?,
        _ => return None,
    };
    let content_type = text(header::CONTENT_TYPE)?;
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => in_json(&body),
        PROTOBUF => in_protobuf(body, is_list),
        _ => None,
    }
}

fn unpacked(body: &Bytes) -> Option<Bytes> {
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(&body[..])
        .take(MAX_UNPACKED + 1)
        .read_to_end(&mut unpacked)
        .ok()?;
    (read as u64 <= MAX_UNPACKED).then(|| unpacked.into())
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

fn in_json(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Object>(body)
        .ok()
        .map(|object| object.metadata.resource_version)
}

/// `k8s.io/apimachinery/pkg/runtime/generated.proto`.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(bytes = "bytes", optional, tag = "2")]
    raw: Option<Bytes>,
}

/// Any list of `k8s.io/api`: metadata comes first in all of them.
#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ListMeta>,
}

/// Any object of `k8s.io/api`, alike.
#[derive(Clone, PartialEq, Message)]
struct Single {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
}

/// `k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto`.
#[derive(Clone, PartialEq, Message)]
struct ListMeta {
    #[prost(string, optional, tag = "2")]
    resource_version: Option<String>,
}

/// The same.
#[derive(Clone, PartialEq, Message)]
struct ObjectMeta {
    #[prost(string, optional, tag = "6")]
    resource_version: Option<String>,
}

fn in_protobuf(body: Bytes, is_list: bool) -> Option<String> {
    if !body.starts_with(MAGIC) {
        return None;
    }
    let raw = Unknown::decode(body.slice(MAGIC.len()..)).ok()?.raw?;
    if is_list {
        List::decode(raw).ok()?.metadata?.resource_version
    } else {
        Single::decode(raw).ok()?.metadata?.resource_version
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    use super::*;

    async fn version(
        content_type: &'static str,
        encoding: Option<&'static str>,
        body: Vec<u8>,
        is_list: bool,
    ) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        of(Arc::new(Kept::new(headers, body)), is_list).await
    }

    fn packed(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn protobuf(object: impl Message) -> Vec<u8> {
        let unknown = Unknown {
            raw: Some(object.encode_to_vec().into()),
        };
        [MAGIC, &unknown.encode_to_vec()].concat()
    }

    #[tokio::test]
    async fn versions_are_read_in_json_wherever_metadata_stands() {
        let custom = br#"{"apiVersion":"v1","items":[{"metadata":{"resourceVersion":"3"}}],"kind":"List","metadata":{"resourceVersion":"7"}}"#;
        let json = "application/json; charset=utf-8";
        assert_eq!(
            version(json, None, custom.to_vec(), true).await.as_deref(),
            Some("7")
        );
        assert_eq!(
            version(json, Some("gzip"), packed(custom), true).await.as_deref(),
            Some("7")
        );
    }

    #[tokio::test]
    async fn versions_are_read_in_protobuf() {
        let list = List {
            metadata: Some(ListMeta {
                resource_version: Some("7".into()),
            }),
        };
        let object = Single {
            metadata: Some(ObjectMeta {
                resource_version: Some("8".into()),
            }),
        };
        assert_eq!(
            version(PROTOBUF, None, protobuf(list), true).await.as_deref(),
            Some("7")
        );
        assert_eq!(
            version(PROTOBUF, None, protobuf(object), false).await.as_deref(),
            Some("8")
        );
    }

    #[tokio::test]
    async fn what_cannot_be_read_has_no_version() {
        let json = "application/json";
        for body in [
            "",
            "{}",
            r#"{"metadata":{}}"#,
            r#"{"metadata":{"resourceVersion":""}}"#,
            r#"{"metadata":{"resourceVersion":"0"}}"#,
        ] {
            assert_eq!(version(json, None, body.into(), true).await, None, "{body}");
        }
        let object = br#"{"metadata":{"resourceVersion":"7"}}"#;
        assert_eq!(
            version("application/cbor", None, object.to_vec(), true).await,
            None
        );
        assert_eq!(version(json, Some("br"), object.to_vec(), true).await, None);
        assert_eq!(version(json, Some("gzip"), object.to_vec(), true).await, None);
        assert_eq!(version(PROTOBUF, None, object.to_vec(), true).await, None);
        assert_eq!(
            version(PROTOBUF, None, b"k8s\0\xff\xff".to_vec(), false).await,
            None
        );
    }

    #[tokio::test]
    async fn what_unpacks_without_end_is_given_up() {
        let bomb = packed(&vec![b' '; MAX_UNPACKED as usize + 1]);
        assert!(bomb.len() < 1024 * 1024);
        assert_eq!(version("application/json", Some("gzip"), bomb, true).await, None);
    }
}
