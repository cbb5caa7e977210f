//! "May I?", asked by a person about themselves: a `SelfSubjectAccessReview`, which is what `kubectl auth can-i` and
//! dashboards send. The API server knows its own rules alone, but a request must be allowed here, too. So what would be
//! refused here is answered here; for the rest, the API server's word is the last.
//!
//! Source: `k8s.io/api/authorization/v1/{types.go,generated.proto}`, and `k8s.io/apimachinery/pkg/runtime/generated.proto`
//! for what Protobuf is wrapped in.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use mk8s_model::{Decision, Denial, KubeRequest, ResourceRequest, Verb};
use mk8s_net::Body;
use prost::Message;
use serde::Deserialize;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What stands before every object in Protobuf.
const MAGIC: &[u8] = b"k8s\0";

/// What the verb `*` asks for: all of it.
const EVERY_VERB: [Verb; 8] = [
    Verb::Get,
    Verb::List,
    Verb::Watch,
    Verb::Create,
    Verb::Update,
    Verb::Patch,
    Verb::Delete,
    Verb::DeleteCollection,
];

/// Whether the request is such a question.
pub(crate) fn is_review(request: &KubeRequest<'_>) -> bool {
    matches!(request, KubeRequest::Resource(r) if r.verb == Verb::Create
        && r.group == "authorization.k8s.io"
        && r.resource == "selfsubjectaccessreviews"
        && r.subresource.is_none())
}

/// The answer, if it is no because of what `decide` says. None leaves it to the API server: also what can't be read here,
/// so that a client hears of its mistakes in the API server's words.
pub(crate) fn refused(
    headers: &HeaderMap,
    question: &Bytes,
    decide: impl Fn(&KubeRequest<'_>) -> Decision,
) -> Option<Response<Body>> {
    let content_type = media_type(headers.get(header::CONTENT_TYPE));
    let (answer, content_type) = match content_type {
        Some(JSON) | None => (in_json(question, decide)?, JSON),
        Some(PROTOBUF) => (in_protobuf(question, decide)?, PROTOBUF),
        Some(_) => return None,
    };
    if !accepts(headers, content_type) {
        return None;
    }
    let mut response = Response::new(Body::full(answer));
    *response.status_mut() = StatusCode::CREATED;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Some(response)
}

fn media_type(value: Option<&HeaderValue>) -> Option<&str> {
    let text = value?.to_str().unwrap_or("?");
    text.split(';').next().map(str::trim)
}

fn accepts(headers: &HeaderMap, content_type: &str) -> bool {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .peekable();
    // With parameters it would be another form of the object, such as a table.
    ranges.peek().is_none()
        || ranges.any(|range| {
            range == content_type || range.starts_with("*/*") || range.starts_with("application/*")
        })
}

/// `spec`, as far as it is decided on here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    #[serde(borrow)]
    resource_attributes: Option<ResourceAttributes<'a>>,
    #[serde(borrow)]
    non_resource_attributes: Option<NonResourceAttributes<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceAttributes<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    verb: Cow<'a, str>,
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    resource: Cow<'a, str>,
    #[serde(borrow)]
    subresource: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NonResourceAttributes<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    verb: Cow<'a, str>,
}

impl Spec<'_> {
    /// The first thing asked for that is refused.
    fn denial(self, decide: impl Fn(&KubeRequest<'_>) -> Decision) -> Option<Denial> {
        let denial = |request: KubeRequest<'_>| match decide(&request) {
            Decision::Deny(denial) => Some(denial),
            Decision::Allow(_) => None,
        };
        match (self.resource_attributes, self.non_resource_attributes) {
            (Some(asked), None) => {
                let verbs: &[Verb] = match &*asked.verb {
                    "*" => &EVERY_VERB,
                    word => {
                        let at = EVERY_VERB.iter().position(|verb| verb.as_str() == word)?;
                        &EVERY_VERB[at..=at]
                    }
                };
                verbs.iter().find_map(|verb| denial(asked.request(*verb)))
            }
            (None, Some(asked)) => denial(KubeRequest::NonResource {
                verb: asked.verb,
                path: asked.path,
            }),
            // Neither or both: the API server refuses it.
            _ => None,
        }
    }
}

impl ResourceAttributes<'_> {
    /// The request that would ask for this.
    fn request(&self, verb: Verb) -> KubeRequest<'_> {
        fn given(text: &str) -> Option<Cow<'_, str>> {
            (!text.is_empty()).then_some(Cow::Borrowed(text))
        }
        let is_namespace = self.group.is_empty() && self.resource == "namespaces";
        KubeRequest::Resource(ResourceRequest {
            verb,
            group: Cow::Borrowed(&self.group),
            version: Cow::Borrowed(&self.version),
            resource: Cow::Borrowed(&self.resource),
            subresource: given(&self.subresource),
            // A namespace is in itself.
            namespace: if is_namespace {
                given(&self.name)
            } else {
                given(&self.namespace)
            },
            name: given(&self.name),
        })
    }
}

fn in_json(question: &[u8], decide: impl Fn(&KubeRequest<'_>) -> Decision) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        spec: Spec<'a>,
    }
    let review: Review<'_> = serde_json::from_slice(question).ok()?;
    let denial = review.spec.denial(decide)?;
    let mut answer: Value = serde_json::from_slice(question).ok()?;
    answer.as_object_mut()?.insert(
        "status".to_owned(),
        json!({"allowed": false, "reason": denial.reason}),
    );
    serde_json::to_vec(&answer).ok()
}

/// The messages of the two files above, with what is passed on untouched as bytes.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Unknown {
        #[prost(bytes = "vec", optional, tag = "1")]
        pub(super) type_meta: Option<Vec<u8>>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) raw: Vec<u8>,
        #[prost(string, tag = "3")]
        pub(super) content_encoding: String,
        #[prost(string, tag = "4")]
        pub(super) content_type: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SelfSubjectAccessReview {
        #[prost(bytes = "vec", optional, tag = "1")]
        pub(super) metadata: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "2")]
        pub(super) spec: Option<Vec<u8>>,
        #[prost(message, optional, tag = "3")]
        pub(super) status: Option<SubjectAccessReviewStatus>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SubjectAccessReviewStatus {
        #[prost(bool, tag = "1")]
        pub(super) allowed: bool,
        #[prost(string, tag = "2")]
        pub(super) reason: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Spec {
        #[prost(message, optional, tag = "1")]
        pub(super) resource_attributes: Option<ResourceAttributes>,
        #[prost(message, optional, tag = "2")]
        pub(super) non_resource_attributes: Option<NonResourceAttributes>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ResourceAttributes {
        #[prost(string, tag = "1")]
        pub(super) namespace: String,
        #[prost(string, tag = "2")]
        pub(super) verb: String,
        #[prost(string, tag = "3")]
        pub(super) group: String,
        #[prost(string, tag = "4")]
        pub(super) version: String,
        #[prost(string, tag = "5")]
        pub(super) resource: String,
        #[prost(string, tag = "6")]
        pub(super) subresource: String,
        #[prost(string, tag = "7")]
        pub(super) name: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct NonResourceAttributes {
        #[prost(string, tag = "1")]
        pub(super) path: String,
        #[prost(string, tag = "2")]
        pub(super) verb: String,
    }
}

impl From<wire::Spec> for Spec<'static> {
    fn from(spec: wire::Spec) -> Self {
        Self {
            resource_attributes: spec.resource_attributes.map(|asked| ResourceAttributes {
                namespace: asked.namespace.into(),
                verb: asked.verb.into(),
                group: asked.group.into(),
                version: asked.version.into(),
                resource: asked.resource.into(),
                subresource: asked.subresource.into(),
                name: asked.name.into(),
            }),
            non_resource_attributes: spec.non_resource_attributes.map(|asked| NonResourceAttributes {
                path: asked.path.into(),
                verb: asked.verb.into(),
            }),
        }
    }
}

fn in_protobuf(question: &[u8], decide: impl Fn(&KubeRequest<'_>) -> Decision) -> Option<Vec<u8>> {
    let mut object = wire::Unknown::decode(question.strip_prefix(MAGIC)?).ok()?;
    let mut review = wire::SelfSubjectAccessReview::decode(&*object.raw).ok()?;
    let spec = wire::Spec::decode(review.spec.as_deref()?).ok()?;
    let denial = Spec::from(spec).denial(decide)?;
    review.status = Some(wire::SubjectAccessReviewStatus {
        allowed: false,
        reason: denial.reason,
    });
    object.raw = review.encode_to_vec();
    Some([MAGIC, &object.encode_to_vec()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allows getting pods in the namespace `mine`, every namespace object called so, and `/version`.
    fn decide(request: &KubeRequest<'_>) -> Decision {
        let allowed = match request {
            KubeRequest::Resource(r) => {
                r.verb == Verb::Get
                    && matches!(&*r.resource, "pods" | "namespaces")
                    && r.namespace.as_deref() == Some("mine")
                    && matches!(r.subresource.as_deref(), None | Some("log"))
            }
            KubeRequest::NonResource { verb, path } => verb == "get" && path == "/version",
        };
        if allowed {
            Decision::Allow(mk8s_model::Grant {
                rule: "test".into(),
                policy_version: 1,
            })
        } else {
            Decision::Deny(Denial {
                reason: "the test refuses".to_owned(),
                policy_version: 1,
            })
        }
    }

    fn headers(content_type: &'static str, accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::ACCEPT, HeaderValue::from_static(accept)),
        ])
    }

    fn json(spec: &Value) -> Bytes {
        let review =
            json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec});
        review.to_string().into()
    }

    fn protobuf(spec: wire::Spec) -> Bytes {
        let review = wire::SelfSubjectAccessReview {
            metadata: Some(Vec::new()),
            spec: Some(spec.encode_to_vec()),
            status: None,
        };
        let object = wire::Unknown {
            type_meta: Some(b"\x0a\x02v1".to_vec()),
            raw: review.encode_to_vec(),
            ..wire::Unknown::default()
        };
        [MAGIC, &object.encode_to_vec()].concat().into()
    }

    fn is_refused(spec: &Value) -> bool {
        refused(&headers(JSON, "*/*"), &json(spec), decide).is_some()
    }

    #[test]
    fn what_would_be_refused_is_answered_and_the_rest_is_left_to_the_api_server() {
        let resource = |verb, resource, namespace, name| json!({"resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace, "name": name}});
        assert!(!is_refused(&resource("get", "pods", "mine", "")));
        assert!(!is_refused(&json!({"resourceAttributes":
            {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "mine"}})));
        assert!(is_refused(&resource("delete", "pods", "mine", "")));
        assert!(is_refused(&resource("get", "secrets", "mine", "")));
        assert!(is_refused(&resource("get", "pods", "", "")), "in all namespaces");
        assert!(is_refused(&resource("*", "pods", "mine", "")), "every verb");
        assert!(!is_refused(&resource("get", "namespaces", "", "mine")));
        assert!(is_refused(&resource("get", "namespaces", "", "other")));
        assert!(
            !is_refused(&resource("bind", "pods", "", "")),
            "no verb of a request"
        );
        let path = |verb, path| json!({"nonResourceAttributes": {"verb": verb, "path": path}});
        assert!(!is_refused(&path("get", "/version")));
        assert!(is_refused(&path("get", "/metrics")));
    }

    #[test]
    fn what_cant_be_read_is_left_to_the_api_server() {
        for spec in [json!({}), json!({"resourceAttributes": 1}), json!(null)] {
            assert!(!is_refused(&spec), "{spec}");
        }
        let both =
            json!({"resourceAttributes": {"verb": "delete"}, "nonResourceAttributes": {"verb": "get"}});
        assert!(!is_refused(&both));
        let headers = headers(PROTOBUF, "*/*");
        for bytes in [
            &b""[..],
            b"{",
            b"k8s\0",
            b"k8s\0\xff\xff\xff",
            b"k8s\0\x12\x02\x12\x7f",
        ] {
            assert!(in_json(bytes, decide).is_none());
            assert!(refused(&headers, &Bytes::from_static(bytes), decide).is_none());
        }
    }

    #[test]
    fn an_answer_in_a_form_that_wasnt_asked_for_is_left_to_the_api_server() {
        let question = json(&json!({"resourceAttributes": {"verb": "delete", "resource": "pods"}}));
        let answered =
            |content_type, accept| refused(&headers(content_type, accept), &question, decide).is_some();
        assert!(answered(
            "application/json; charset=utf-8",
            "text/plain, application/json"
        ));
        assert!(!answered(JSON, PROTOBUF));
        assert!(!answered(JSON, "application/json;as=Table;v=v1;g=meta.k8s.io"));
        assert!(!answered("application/yaml", "*/*"));
    }

    #[tokio::test]
    async fn the_answer_is_the_question_with_a_status_in_json() {
        use http_body_util::BodyExt as _;
        let question =
            json(&json!({"resourceAttributes": {"verb": "delete", "resource": "pods"}, "extra": [1]}));
        let response = refused(&headers(JSON, JSON), &question, decide).expect("refused");
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[header::CONTENT_TYPE], JSON);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
        let status = answer.as_object_mut().expect("an object").remove("status");
        assert_eq!(
            status,
            Some(json!({"allowed": false, "reason": "the test refuses"}))
        );
        assert_eq!(answer, serde_json::from_slice::<Value>(&question).expect("JSON"));
    }

    #[tokio::test]
    async fn the_answer_is_the_question_with_a_status_in_protobuf() {
        use http_body_util::BodyExt as _;
        let spec = |verb: &str| wire::Spec {
            resource_attributes: Some(wire::ResourceAttributes {
                verb: verb.to_owned(),
                resource: "pods".to_owned(),
                namespace: "mine".to_owned(),
                ..wire::ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        };
        let headers = headers(PROTOBUF, "application/vnd.kubernetes.protobuf,application/json");
        assert!(refused(&headers, &protobuf(spec("get")), decide).is_none());
        let response = refused(&headers, &protobuf(spec("delete")), decide).expect("refused");
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROTOBUF);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let object = wire::Unknown::decode(body.strip_prefix(MAGIC).expect("the magic")).expect("an object");
        assert_eq!(object.type_meta.as_deref(), Some(&b"\x0a\x02v1"[..]));
        let review = wire::SelfSubjectAccessReview::decode(&*object.raw).expect("a review");
        assert_eq!(review.spec, Some(spec("delete").encode_to_vec()));
        let status = review.status.expect("a status");
        assert_eq!((status.allowed, &*status.reason), (false, "the test refuses"));
    }
}
