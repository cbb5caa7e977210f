//! As much of an API server as keeps Secrets, Leases and APIServices: gets, lists, watches, server-side apply by one manager,
//! and JSON patches. Writes that name another version than the current one are refused with 409.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use mk8s_tls::CertificateChain;
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com";
pub(crate) const SECRET: &str = "/api/v1/namespaces/n/secrets/mk8s-extension-tls";
pub(crate) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/n/leases/mk8s-extension";

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The API server. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    objects: Mutex<Objects>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct Objects {
    version: u64,
    by_path: BTreeMap<String, Value>,
    /// What was asked to be written, in order: the path, and whether it was.
    pub(crate) writes: Vec<(String, bool)>,
    /// Somebody who changes the APIService just before the next JSON patch comes.
    pub(crate) faster: Option<Value>,
    /// What was ever served by the Secret and not believed at that moment.
    pub(crate) unbelieved: Vec<String>,
}

impl Fake {
    /// One with an APIService for `n/mk8s-extension` and no caBundle.
    pub(crate) fn new() -> Self {
        let fake = Self::empty();
        fake.put(API_SERVICE, api_service());
        fake
    }

    pub(crate) fn empty() -> Self {
        Self(Arc::new(Inner {
            objects: Mutex::default(),
            changed: watch::channel(0).0,
        }))
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { fake.answer(request).await }
        });
        Client::new(service, "default")
    }

    pub(crate) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.objects.lock().expect("not poisoned")
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.objects().by_path.get(path).cloned()
    }

    /// Makes or changes an object as somebody else.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.objects().store(path, object);
        self.tell();
    }

    pub(crate) fn delete(&self, path: &str) {
        self.objects().by_path.remove(path);
        self.tell();
    }

    /// The caBundle as text.
    pub(crate) fn bundle(&self) -> String {
        self.objects().bundle()
    }

    /// A value of the Secret as text; empty if there is none.
    pub(crate) fn secret(&self, key: &str) -> String {
        self.get(SECRET)
            .map_or_else(String::new, |secret| decoded(&secret["data"][key]))
    }

    fn tell(&self) {
        self.0.changed.send_modify(|count| *count += 1);
    }

    async fn answer(self, request: Request<Body>) -> Result<Answer, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default();
        Ok(match parts.method {
            Method::GET if query.contains("watch=true") => self.watch(&path, &watched(query)),
            Method::GET if query.contains("fieldSelector") => {
                let objects = self.objects();
                let items: Vec<_> = objects
                    .by_path
                    .get(&format!("{path}/{}", watched(query)))
                    .into_iter()
                    .collect();
                let metadata = json!({"resourceVersion": objects.version.to_string()});
                json_answer(&json!({"metadata": metadata, "items": items}))
            }
            Method::GET => self.get(&path).map_or_else(
                || status(StatusCode::NOT_FOUND, "NotFound"),
                |object| json_answer(&object),
            ),
            Method::PATCH => {
                let kind = parts.headers[header::CONTENT_TYPE].to_str().expect("text");
                let body = serde_json::from_slice(&body).expect("JSON");
                let written = self.objects().write(&path, kind, body);
                self.tell();
                written.map_or_else(
                    || status(StatusCode::CONFLICT, "Conflict"),
                    |object| json_answer(&object),
                )
            }
            _ => status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        })
    }

    /// Every state of one object from now on.
    fn watch(&self, path: &str, name: &str) -> Answer {
        let path = format!("{path}/{name}");
        let state = (self.clone(), self.0.changed.subscribe(), self.get(&path));
        let events = stream::unfold(state, move |(fake, mut changed, before)| {
            let path = path.clone();
            async move {
                loop {
                    let now = fake.get(&path);
                    if now != before {
                        let (kind, object) = match (&before, &now) {
                            (Some(gone), None) => ("DELETED", gone),
                            (_, Some(now)) => ("MODIFIED", now),
                            (None, None) => return None,
                        };
                        let line = format!("{}\n", json!({"type": kind, "object": object}));
                        let frame = http_body::Frame::data(Bytes::from(line));
                        return Some((Ok::<_, Infallible>(frame), (fake, changed, now)));
                    }
                    changed.changed().await.ok()?;
                }
            }
        });
        Response::new(StreamBody::new(events).boxed_unsync())
    }
}

impl Objects {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.by_path.insert(path.to_owned(), object.clone());
        object
    }

    fn write(&mut self, path: &str, kind: &str, body: Value) -> Option<Value> {
        let written = match kind {
            "application/json-patch+json" => self.patch(path, body),
            "application/apply-patch+yaml" => self.apply(path, body),
            other => panic!("nobody writes by {other}"),
        };
        self.writes.push((path.to_owned(), written.is_some()));
        self.check();
        written
    }

    fn patch(&mut self, path: &str, body: Value) -> Option<Value> {
        if let Some(other) = self.faster.take() {
            self.store(path, other);
        }
        let mut object = self.by_path.get(path).cloned()?;
        let named = body[0]["value"].clone();
        assert_eq!(
            body[0]["path"], "/metadata/resourceVersion",
            "the version comes first"
        );
        if named != object["metadata"]["resourceVersion"] {
            return None;
        }
        let patch: json_patch::Patch = serde_json::from_value(body).expect("a patch");
        json_patch::patch(&mut object, &patch).expect("it fits");
        Some(self.store(path, object))
    }

    fn apply(&mut self, path: &str, body: Value) -> Option<Value> {
        let now = self
            .by_path
            .get(path)
            .map(|now| &now["metadata"]["resourceVersion"]);
        let named = &body["metadata"]["resourceVersion"];
        // Without a version anything is taken; with one, an object that isn't there can't be meant.
        if !named.is_null() && now != Some(named) {
            return None;
        }
        Some(self.store(path, body))
    }

    fn bundle(&self) -> String {
        self.by_path
            .get(API_SERVICE)
            .map_or_else(String::new, |service| decoded(&service["spec"]["caBundle"]))
    }

    /// What the Secret has to be served must be believed at every moment.
    fn check(&mut self) {
        let Some(secret) = self.by_path.get(SECRET) else {
            return;
        };
        let Ok(chain) = CertificateChain::from_pem(decoded(&secret["data"]["tls.crt"]).as_bytes()) else {
            return;
        };
        let authority = chain.der().last().expect("an authority").clone();
        let authority = CertificateChain::from_der(vec![authority])
            .expect("a certificate")
            .pem();
        if !self.bundle().contains(&authority) {
            self.unbelieved.push(authority);
        }
    }
}

/// An APIService that somebody applied, with fields that are none of our business.
pub(crate) fn api_service() -> Value {
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.example.com", "labels": {"somebody": "else"}},
        "spec": {
            "group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
            "service": {"namespace": "n", "name": "mk8s-extension", "port": 443},
        },
    })
}

/// Base64 as text; empty for what isn't.
pub(crate) fn decoded(value: &Value) -> String {
    let bytes = BASE64_STANDARD
        .decode(value.as_str().unwrap_or_default())
        .unwrap_or_default();
    String::from_utf8(bytes).expect("UTF-8")
}

/// The name in `fieldSelector=metadata.name=NAME`.
fn watched(query: &str) -> String {
    let selector = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("fieldSelector="))
        .expect("one object");
    let name = selector.rsplit("%3D").next().expect("a name");
    name.rsplit('=').next().expect("a name").to_owned()
}

fn json_answer(value: &Value) -> Answer {
    Response::new(http_body_util::Full::new(Bytes::from(value.to_string())).boxed_unsync())
}

fn status(code: StatusCode, reason: &str) -> Answer {
    let mut answer = json_answer(&json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason,
        "code": code.as_u16(),
    }));
    *answer.status_mut() = code;
    answer
}
