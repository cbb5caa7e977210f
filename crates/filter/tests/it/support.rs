//! An API server in memory, and ways to read what comes out.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mk8s_filter::{Answered, Ask, LabelSelector, Scope, Scoped, Seal};
use mk8s_model::query;
use mk8s_net::{Body, BoxError};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

type Answers = Box<dyn Fn(&Request<Body>) -> Response<Body> + Send + Sync>;

/// Answers what it is told to, and remembers what it was asked.
pub(crate) struct Server {
    answers: Answers,
    asked: Mutex<Vec<Request<()>>>,
}

impl Server {
    pub(crate) fn new(
        answers: impl Fn(&Request<Body>) -> Response<Body> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answers: Box::new(answers),
            asked: Mutex::default(),
        })
    }

    /// Gives these answers, one after the other.
    pub(crate) fn scripted(answers: impl IntoIterator<Item = Response<Body>>) -> Arc<Self> {
        let answers: Mutex<Vec<_>> = Mutex::new(answers.into_iter().collect());
        Self::new(move |request| {
            let mut answers = answers.lock().expect("answers");
            assert!(!answers.is_empty(), "nobody expects {}", request.uri());
            answers.remove(0)
        })
    }

    /// The path and query of each request, decoded.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("asked");
        asked
            .iter()
            .map(|request| decoded(&request.uri().to_string()))
            .collect()
    }

    /// The path and query of each request, as it was sent.
    pub(crate) fn targets(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("asked");
        asked.iter().map(|request| request.uri().to_string()).collect()
    }

    /// A header of one of the requests.
    pub(crate) fn header(&self, at: usize, header: &str) -> Option<String> {
        let asked = self.asked.lock().expect("asked");
        let value = asked.get(at)?.headers().get(header)?;
        Some(value.to_str().expect("text").to_owned())
    }
}

impl Ask for Server {
    fn ask(&self, request: Request<Body>) -> Answered<'_> {
        let response = (self.answers)(&request);
        self.asked.lock().expect("asked").push(request.map(drop));
        Box::pin(async move {
            // As a real one's, the answer isn't there at once.
            tokio::task::yield_now().await;
            response
        })
    }
}

pub(crate) fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .expect("text")
        .into_owned()
}

/// A query parameter of a request, unless it is empty.
pub(crate) fn parameter(request: &Request<Body>, key: &str) -> Option<String> {
    let value = query::value(request.uri().query(), key)?;
    Some(String::from_utf8(value).expect("text")).filter(|value| !value.is_empty())
}

pub(crate) fn namespaces(names: &[&str]) -> Scope {
    let names: BTreeSet<Box<str>> = names.iter().map(|&name| name.into()).collect();
    Scope::Namespaces(Arc::new(names))
}

pub(crate) fn team(name: &str) -> Scope {
    let selector = LabelSelector::in_values("team", [name]).expect("key");
    Scope::Selector(selector.expect("value"))
}

pub(crate) fn since(since: u64, scope: Scope) -> Scoped {
    Scoped { scope, since }
}

pub(crate) fn seal(caller: &str) -> Seal {
    Seal::new(&[7; 32], caller).expect("seal")
}

pub(crate) fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).expect("request")
}

pub(crate) fn get_as(uri: &str, accept: &str) -> Request<Body> {
    let request = Request::get(uri).header("accept", accept);
    request.body(Body::empty()).expect("request")
}

/// A list that is expected to succeed.
pub(crate) async fn list(server: &Arc<Server>, scope: Scope, request: Request<Body>) -> Value {
    let response = mk8s_filter::list(server.clone(), &since(0, scope), &seal("jane"), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(&whole(response).await).expect("JSON")
}

/// A request that is expected to be refused: the code, and the `Status`.
pub(crate) async fn refused(response: Response<Body>) -> (u16, Value) {
    let code = response.status().as_u16();
    let status: Value = serde_json::from_slice(&whole(response).await).expect("JSON");
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["code"], code);
    (code, status)
}

pub(crate) async fn whole(response: Response<Body>) -> Bytes {
    let body = response.into_body().collect().await.expect("a whole body");
    body.to_bytes()
}

/// Everything up to where the body breaks off.
pub(crate) async fn broken(response: Response<Body>) -> String {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Ok(frame) = body.frame().await.expect("it breaks off") {
        text.extend_from_slice(frame.data_ref().expect("data"));
    }
    String::from_utf8(text).expect("text")
}

/// Namespace and name of each item.
pub(crate) fn items(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(place)
        .collect()
}

pub(crate) fn place(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!(
        "{}/{}",
        text(&object["metadata"]["namespace"]),
        text(&object["metadata"]["name"])
    )
}

pub(crate) fn pod(namespace: &str, name: &str, version: u64) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": version.to_string()},
        "spec": {"metadata": {"namespace": "mine"}, "namespace": "mine"},
    })
}

/// Pods by their namespace and name, as an API server lists them.
pub(crate) fn pods(version: u64, places: &[(&str, &str)]) -> Value {
    let items: Vec<_> = places
        .iter()
        .map(|(namespace, name)| pod(namespace, name, 7))
        .collect();
    json!({
        "kind": "PodList", "apiVersion": "v1",
        "metadata": {"resourceVersion": version.to_string(), "remainingItemCount": 5}, "items": items,
    })
}

pub(crate) fn json_answer(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

pub(crate) fn answer(json: &Value) -> Response<Body> {
    json_answer(Body::full(json.to_string()))
}

pub(crate) fn status(code: u16, reason: &str) -> Response<Body> {
    let mut response = answer(&json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {"continue": "names secret/pod"}, "status": "Failure",
        "message": "no", "reason": reason, "details": {"kind": "pods"}, "code": code,
    }));
    *response.status_mut() = StatusCode::from_u16(code).expect("code");
    response
}

/// A body in pieces of these sizes, the last of them again and again.
pub(crate) fn cut(text: impl Into<Bytes>, sizes: &[usize]) -> Response<Body> {
    let mut text = text.into();
    let sizes = sizes.to_vec();
    let mut at = 0;
    let frames = std::iter::from_fn(move || {
        let size = sizes.get(at).or(sizes.last()).copied().unwrap_or(usize::MAX);
        at += 1;
        let size = size.max(1).min(text.len());
        (!text.is_empty()).then(|| Ok::<_, BoxError>(Frame::data(text.split_to(size))))
    });
    json_answer(Body::boxed(StreamBody::new(stream::iter(frames))))
}

/// The API server's end of a watch: what is sent here comes out of it.
pub(crate) struct Source(mpsc::UnboundedSender<Result<Bytes, BoxError>>);

impl Source {
    pub(crate) fn send(&self, event: &Value) {
        self.send_text(&format!("{event}\n"));
    }

    pub(crate) fn send_text(&self, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        self.0.send(Ok(text)).expect("somebody who reads");
    }

    pub(crate) fn break_off(&self) {
        self.0
            .send(Err("reset by peer".into()))
            .expect("somebody who reads");
    }

    pub(crate) fn is_let_go(&self) -> bool {
        self.0.is_closed()
    }
}

/// The answer to a watch, and its other end.
pub(crate) fn live() -> (Source, Response<Body>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = stream::poll_fn(move |cx| {
        receiver
            .poll_recv(cx)
            .map(|next| next.map(|data: Result<Bytes, BoxError>| data.map(Frame::data)))
    });
    (Source(sender), json_answer(Body::boxed(StreamBody::new(frames))))
}

/// A watch being read, and the other end of its scope.
pub(crate) struct Reading {
    body: Body,
    text: Vec<u8>,
    scoped: Option<watch::Sender<Scoped>>,
}

impl Reading {
    /// Begins a watch, which is expected to succeed.
    pub(crate) async fn begin(server: &Arc<Server>, scoped: Scoped, request: Request<Body>) -> Self {
        let (sender, receiver) = watch::channel(scoped);
        let response = mk8s_filter::watch(server.clone(), receiver, request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/json");
        Self {
            body: response.into_body(),
            text: Vec::new(),
            scoped: Some(sender),
        }
    }

    /// The scope changes.
    pub(crate) fn change(&self, scoped: Scoped) {
        let sender = self.scoped.as_ref().expect("a sender");
        sender.send(scoped).expect("a watch");
    }

    /// Nobody says any more what may be seen.
    pub(crate) fn forget_scope(&mut self) {
        self.scoped = None;
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an event"));
            }
            let Some(frame) = self.frame().await else {
                assert!(self.text.is_empty(), "it ends between events");
                return None;
            };
            let frame = frame.expect("not broken off");
            self.text.extend_from_slice(frame.data_ref().expect("data"));
        }
    }

    pub(crate) async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        // Nothing here takes time: what doesn't come soon never comes.
        for _ in 0..1000 {
            if let Some(frame) = self.body.frame().now_or_never() {
                return frame;
            }
            tokio::task::yield_now().await;
        }
        panic!("nothing comes, and it doesn't end");
    }

    /// The next events, in short.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(short(&self.next().await.expect("more events")));
        }
        events
    }

    /// All that comes now.
    pub(crate) async fn drain(&mut self) -> Vec<Value> {
        let mut looks = 0;
        while looks < 30 {
            match self.body.frame().now_or_never() {
                None => looks += 1,
                Some(frame) => {
                    let frame = frame.expect("not over").expect("not broken off");
                    self.text.extend_from_slice(frame.data_ref().expect("data"));
                    looks = 0;
                }
            }
            tokio::task::yield_now().await;
        }
        let text = std::mem::take(&mut self.text);
        let events = serde_json::Deserializer::from_slice(&text).into_iter();
        events.map(|event| event.expect("an event")).collect()
    }

    /// Asserts that nothing comes now, and that it isn't over either.
    pub(crate) async fn assert_quiet(&mut self) {
        // What is ready is so after a few looks.
        for _ in 0..20 {
            let frame = self.body.frame().now_or_never();
            assert!(frame.is_none(), "{frame:?} came");
            tokio::task::yield_now().await;
        }
        assert!(self.text.is_empty());
    }

    /// Asserts that the watch ends in a way on which clients list anew.
    pub(crate) async fn assert_expired(&mut self) {
        let event = self.next().await.expect("an event");
        assert_eq!(event["type"], "ERROR", "{event}");
        assert_eq!(event["object"]["kind"], "Status");
        assert_eq!(event["object"]["code"], 410);
        assert_eq!(event["object"]["reason"], "Expired");
        assert_eq!(self.next().await, None);
    }
}

/// An event in a few words: type, place, version, and whether it ends initial events.
pub(crate) fn short(event: &Value) -> String {
    let mut object = &event["object"];
    if object["kind"] == "Table" {
        object = &object["rows"][0]["object"];
    }
    let metadata = &object["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let ends = metadata["annotations"]["k8s.io/initial-events-end"] == "true";
    let version = text(&metadata["resourceVersion"]);
    let kind = text(&event["type"]);
    if kind == "BOOKMARK" {
        return format!("{kind} {version}{}", if ends { " end" } else { "" });
    }
    format!("{kind} {} {version}", place(object))
}

pub(crate) fn event(kind: &str, namespace: &str, name: &str, version: u64) -> Value {
    json!({"type": kind, "object": pod(namespace, name, version)})
}

pub(crate) fn bookmark(version: u64) -> Value {
    json!({"type": "BOOKMARK", "object": {
        "kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version.to_string()},
    }})
}

pub(crate) fn initial_events_end(version: u64) -> Value {
    let mut event = bookmark(version);
    event["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    event
}
