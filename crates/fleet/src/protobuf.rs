//! Kubernetes' protobuf, edited as it lies there: what nobody here knows stays.
//!
//! client-go's typed clients write in protobuf unless they are told otherwise, also what they were given as JSON. Every
//! object has its metadata as field 1.
//! Sources: `k8s.io/apimachinery/pkg/runtime/serializer/protobuf`, `pkg/runtime/generated.proto`,
//! `pkg/apis/meta/v1/generated.proto`.

use std::borrow::Cow;

use bytes::Buf as _;
use mk8s_model::ClusterName;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::{
    mark::{ANNOTATION, MarkError},
    metadata::{Edit, Mark},
};

/// What the text begins with; `Unknown` follows.
const MAGIC: &[u8] = b"k8s\0";

mod unknown {
    pub(super) const TYPE_META: u32 = 1;
    pub(super) const RAW: u32 = 2;
    pub(super) const CONTENT_ENCODING: u32 = 3;
}
mod type_meta {
    pub(super) const KIND: u32 = 2;
}
/// In any object.
const METADATA: u32 = 1;
mod object_meta {
    pub(super) const RESOURCE_VERSION: u32 = 6;
    pub(super) const ANNOTATIONS: u32 = 12;
}
mod entry {
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
}
mod delete_options {
    pub(super) const PRECONDITIONS: u32 = 2;
}
mod preconditions {
    pub(super) const RESOURCE_VERSION: u32 = 2;
}

/// An object in its envelope.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    envelope: Message<'a>,
    object: Message<'a>,
    is_delete_options: bool,
}

impl<'a> Body<'a> {
    /// Reads a body; `None` if it isn't Kubernetes' protobuf.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Option<Self>, MarkError> {
        let Some(text) = body.strip_prefix(MAGIC) else {
            return Ok(None);
        };
        let envelope = Message::parse(text)?;
        if envelope
            .bytes(unknown::CONTENT_ENCODING)?
            .is_some_and(|encoding| !encoding.is_empty())
        {
            return Err(unreadable("its object is encoded once more"));
        }
        let type_meta = Message::parse(envelope.bytes(unknown::TYPE_META)?.unwrap_or_default())?;
        Ok(Some(Self {
            object: Message::parse(envelope.bytes(unknown::RAW)?.unwrap_or_default())?,
            is_delete_options: type_meta.bytes(type_meta::KIND)? == Some(b"DeleteOptions"),
            envelope,
        }))
    }

    /// The object's mark.
    pub(crate) fn mark(&self) -> Result<Option<Cow<'a, str>>, MarkError> {
        let mut found = None;
        for annotation in self.metadata()?.all(object_meta::ANNOTATIONS) {
            let annotation = Message::parse(annotation?)?;
            if is_mark(&annotation)? {
                if found.is_some() {
                    return Err(unreadable("the mark is in it twice"));
                }
                let value = annotation.bytes(entry::VALUE)?.unwrap_or_default();
                found = Some(String::from_utf8_lossy(value));
            }
        }
        Ok(found)
    }

    /// The resource version that a write depends on.
    pub(crate) fn resource_version(&self) -> Result<Option<Cow<'a, str>>, MarkError> {
        let version = if self.is_delete_options {
            self.preconditions()?.bytes(preconditions::RESOURCE_VERSION)?
        } else {
            self.metadata()?.bytes(object_meta::RESOURCE_VERSION)?
        };
        Ok(version.map(String::from_utf8_lossy))
    }

    /// The body so edited.
    pub(crate) fn edited(&self, edit: &Edit<'_>) -> Result<Vec<u8>, MarkError> {
        let object = if self.is_delete_options {
            let version = replaced(edit, preconditions::RESOURCE_VERSION);
            let preconditions = self.preconditions()?.with(version, &[]);
            let has_any = self.object.bytes(delete_options::PRECONDITIONS)?.is_some();
            self.object.with(
                has_any.then_some((delete_options::PRECONDITIONS, &*preconditions)),
                &[],
            )
        } else {
            let metadata = self.edited_metadata(edit)?;
            self.object.set(METADATA, &metadata)
        };
        let mut body = MAGIC.to_vec();
        body.extend(self.envelope.set(unknown::RAW, &object));
        Ok(body)
    }

    fn edited_metadata(&self, edit: &Edit<'_>) -> Result<Vec<u8>, MarkError> {
        let mut metadata = self.metadata()?;
        if !matches!(edit.mark, Mark::Leave) {
            let mut kept = Vec::with_capacity(metadata.0.len());
            for field in metadata.0 {
                let is_ours =
                    field.number == object_meta::ANNOTATIONS && is_mark(&Message::parse(field.bytes()?)?)?;
                if !is_ours {
                    kept.push(field);
                }
            }
            metadata = Message(kept);
        }
        let version = replaced(edit, object_meta::RESOURCE_VERSION);
        Ok(match edit.mark {
            Mark::Put(cluster) => {
                let annotation = annotation(cluster);
                metadata.with(version, &[(object_meta::ANNOTATIONS, &annotation)])
            }
            Mark::Leave | Mark::Take => metadata.with(version, &[]),
        })
    }

    fn metadata(&self) -> Result<Message<'a>, MarkError> {
        if self.is_delete_options {
            return Ok(Message(Vec::new()));
        }
        Message::parse(self.object.bytes(METADATA)?.unwrap_or_default())
    }

    fn preconditions(&self) -> Result<Message<'a>, MarkError> {
        Message::parse(
            self.object
                .bytes(delete_options::PRECONDITIONS)?
                .unwrap_or_default(),
        )
    }
}

/// A message, field by field.
#[derive(Debug)]
struct Message<'a>(Vec<Field<'a>>);

#[derive(Clone, Copy, Debug)]
struct Field<'a> {
    number: u32,
    /// The field with its key.
    whole: &'a [u8],
    /// What is in it, if it is a string, bytes or message.
    bytes: Option<&'a [u8]>,
}

impl<'a> Field<'a> {
    fn bytes(&self) -> Result<&'a [u8], MarkError> {
        self.bytes.ok_or_else(|| unreadable("a field is of another type"))
    }
}

impl<'a> Message<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, MarkError> {
        let mut fields = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let begin = rest;
            let (number, wire_type) = decode_key(&mut rest).map_err(unreadable)?;
            let (skip, is_bytes) = match wire_type {
                WireType::Varint => (decode_varint(&mut rest).map(|_| 0), false),
                WireType::ThirtyTwoBit => (Ok(4), false),
                WireType::SixtyFourBit => (Ok(8), false),
                WireType::LengthDelimited => (decode_varint(&mut rest), true),
                WireType::StartGroup | WireType::EndGroup => return Err(unreadable("groups are not used")),
            };
            let skip = usize::try_from(skip.map_err(unreadable)?).unwrap_or(usize::MAX);
            let value = rest
                .get(..skip)
                .ok_or_else(|| unreadable("it ends in the middle of a field"))?;
            rest.advance(skip);
            fields.push(Field {
                number,
                whole: &begin[..begin.len() - rest.len()],
                bytes: is_bytes.then_some(value),
            });
        }
        Ok(Self(fields))
    }

    /// What is in each field of this number.
    fn all(&self, number: u32) -> impl Iterator<Item = Result<&'a [u8], MarkError>> {
        let fields = self.0.iter().filter(move |field| field.number == number);
        fields.map(Field::bytes)
    }

    /// What is in the field of this number.
    fn bytes(&self, number: u32) -> Result<Option<&'a [u8]>, MarkError> {
        let mut found = self.all(number);
        let value = found.next().transpose()?;
        if found.next().is_some() {
            return Err(unreadable("a field is in it twice"));
        }
        Ok(value)
    }

    /// The message with these contents for one field, which it has then, unless they are none.
    fn set(&self, number: u32, value: &[u8]) -> Vec<u8> {
        if value.is_empty() || self.0.iter().any(|field| field.number == number) {
            self.with(Some((number, value)), &[])
        } else {
            self.with(None, &[(number, value)])
        }
    }

    /// The message with other contents for one field, where it has it, and with more behind it.
    fn with(&self, replaced: Option<(u32, &[u8])>, added: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for field in &self.0 {
            match replaced {
                Some((number, value)) if number == field.number => put(number, value, &mut out),
                _ => out.extend_from_slice(field.whole),
            }
        }
        for (number, value) in added {
            put(*number, value, &mut out);
        }
        out
    }
}

fn put(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn replaced<'a>(edit: &Edit<'a>, number: u32) -> Option<(u32, &'a [u8])> {
    edit.resource_version.map(|version| (number, version.as_bytes()))
}

fn annotation(cluster: &ClusterName) -> Vec<u8> {
    let mut out = Vec::new();
    put(entry::KEY, ANNOTATION.as_bytes(), &mut out);
    put(entry::VALUE, cluster.as_str().as_bytes(), &mut out);
    out
}

fn is_mark(annotation: &Message<'_>) -> Result<bool, MarkError> {
    Ok(annotation.bytes(entry::KEY)? == Some(ANNOTATION.as_bytes()))
}

fn unreadable(why: impl std::fmt::Display) -> MarkError {
    MarkError::Unreadable(why.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use prost::Message as _;

    use crate::mark;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Unknown {
        #[prost(message, optional, tag = "1")]
        type_meta: Option<TypeMeta>,
        #[prost(bytes = "vec", tag = "2")]
        raw: Vec<u8>,
        #[prost(string, tag = "3")]
        content_encoding: String,
        #[prost(string, tag = "4")]
        content_type: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct TypeMeta {
        #[prost(string, tag = "1")]
        api_version: String,
        #[prost(string, tag = "2")]
        kind: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Object {
        #[prost(message, optional, tag = "1")]
        metadata: Option<ObjectMeta>,
        #[prost(bytes = "vec", tag = "2")]
        spec: Vec<u8>,
        #[prost(fixed64, tag = "9")]
        odd: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct ObjectMeta {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "6")]
        resource_version: String,
        #[prost(int64, tag = "7")]
        generation: i64,
        #[prost(btree_map = "string, string", tag = "12")]
        annotations: BTreeMap<String, String>,
        #[prost(fixed32, tag = "99")]
        odd: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct DeleteOptions {
        #[prost(int64, tag = "1")]
        grace_period_seconds: i64,
        #[prost(message, optional, tag = "2")]
        preconditions: Option<Preconditions>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Preconditions {
        #[prost(string, tag = "1")]
        uid: String,
        #[prost(string, tag = "2")]
        resource_version: String,
    }

    fn body(kind: &str, object: &impl prost::Message) -> Vec<u8> {
        let unknown = Unknown {
            type_meta: Some(TypeMeta {
                api_version: "v1".to_owned(),
                kind: kind.to_owned(),
            }),
            raw: object.encode_to_vec(),
            ..Unknown::default()
        };
        [super::MAGIC, &unknown.encode_to_vec()].concat()
    }

    fn object<M: prost::Message + Default>(body: &[u8]) -> M {
        let text = body.strip_prefix(super::MAGIC).expect("protobuf");
        let unknown = Unknown::decode(text).expect("an envelope");
        assert_eq!(unknown.type_meta.expect("a type").api_version, "v1");
        M::decode(&*unknown.raw).expect("an object")
    }

    fn pod(version: &str, annotations: &[(&str, &str)]) -> Object {
        Object {
            metadata: Some(ObjectMeta {
                name: "x".to_owned(),
                resource_version: version.to_owned(),
                generation: 1 << 60,
                annotations: annotations
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                odd: 7,
            }),
            spec: vec![0xff; 300],
            odd: 9,
        }
    }

    #[test]
    fn an_object_in_protobuf_becomes_its_clusters_own_again() {
        for (version, own) in [("12", "12"), ("mca1.east~12~west~9", "12")] {
            let marked = pod(version, &[("a", "b"), ("mca.k8s.io/cluster", "east")]);
            let unmarked = mark::unmark(&body("Pod", &marked))
                .expect("readable")
                .expect("marked");
            assert_eq!(unmarked.cluster.as_str(), "east");
            assert_eq!(object::<Object>(&unmarked.body), pod(own, &[("a", "b")]));
        }
    }

    #[test]
    fn an_object_in_protobuf_is_marked() {
        let east = "east".parse().expect("name");
        let marked =
            mark::put(&body("Pod", &pod("12", &[("mca.k8s.io/cluster", "west")])), &east).expect("object");
        assert_eq!(
            object::<Object>(&marked),
            pod("12", &[("mca.k8s.io/cluster", "east")])
        );
        let marked = mark::put(&body("Pod", &Object::default()), &east).expect("object");
        assert_eq!(mark::cluster(&marked).expect("readable"), Some(east));
    }

    #[test]
    fn a_delete_s_precondition_in_protobuf_is_turned_back() {
        let options = |version: &str| DeleteOptions {
            grace_period_seconds: 5,
            preconditions: Some(Preconditions {
                uid: "u".to_owned(),
                resource_version: version.to_owned(),
            }),
        };
        let east = "east".parse().expect("name");
        let sent = body("DeleteOptions", &options("mca1.east~12~west~9"));
        let own = mark::remove(&sent, &east).expect("readable");
        assert_eq!(object::<DeleteOptions>(&own), options("12"));
        assert_eq!(mark::cluster(&sent).expect("readable"), None);
        let plain = body("DeleteOptions", &DeleteOptions::default());
        assert_eq!(*mark::remove(&plain, &east).expect("readable"), plain);
    }

    #[test]
    fn protobuf_that_can_t_be_read_is_refused() {
        let twice = [pod("1", &[]).encode_to_vec(), pod("2", &[]).encode_to_vec()].concat();
        let unknown = |raw: Vec<u8>, encoding: &str| Unknown {
            raw,
            content_encoding: encoding.to_owned(),
            ..Unknown::default()
        };
        for unknown in [
            unknown(twice, ""),
            unknown(vec![], "gzip"),
            unknown(vec![10, 200], ""),
            unknown(vec![8, 1], ""),
        ] {
            let text = [super::MAGIC, &unknown.encode_to_vec()].concat();
            assert_eq!(mark::unmark(&text).expect_err("unreadable").status().code(), 400);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = [super::MAGIC, &bytes].concat();
            let _ = mark::unmark(&text);
            let _ = mark::put(&text, &"a".parse().expect("name"));
        }
    }
}
