//! Clusters in memory, and ways to read what comes out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::{Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mk8s_fleet::{Ask, Asked};
use mk8s_model::{ClusterName, query};
use mk8s_net::{Body, BoxError};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Clusters by name, and what each of them was asked.
#[derive(Default)]
pub(crate) struct Clusters {
    answers: BTreeMap<ClusterName, Answers>,
    asked: Mutex<Vec<(String, Request<()>)>>,
}

type Answers = Box<dyn Fn(&Request<Body>) -> Response<Body> + Send + Sync>;

impl Clusters {
    pub(crate) fn with(
        mut self,
        cluster: &str,
        answers: impl Fn(&Request<Body>) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        self.answers.insert(name(cluster), Box::new(answers));
        self
    }

    /// A cluster that gives these answers, one after the other, and then can't be reached.
    pub(crate) fn scripted(self, cluster: &str, answers: impl IntoIterator<Item = Response<Body>>) -> Self {
        let answers: Mutex<Vec<_>> = Mutex::new(answers.into_iter().collect());
        let cluster_name = cluster.to_owned();
        self.with(cluster, move |_| {
            let mut answers = answers.lock().expect("answers");
            if answers.is_empty() {
                unreachable(&cluster_name)
            } else {
                answers.remove(0)
            }
        })
    }

    /// Which clusters were asked, in order, with the query.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        let asked = self.asked.lock().expect("asked");
        let query = |uri: &Uri| uri.query().unwrap_or_default().to_owned();
        asked
            .iter()
            .map(|(cluster, request)| (cluster.clone(), query(request.uri())))
            .collect()
    }

    /// A header of the first request.
    pub(crate) fn header(&self, header: &str) -> Option<String> {
        let asked = self.asked.lock().expect("asked");
        let value = asked.first()?.1.headers().get(header)?;
        Some(value.to_str().expect("text").to_owned())
    }
}

impl Ask for Clusters {
    fn ask<'a>(&'a self, cluster: &'a ClusterName, request: Request<Body>) -> Asked<'a> {
        let response = self
            .answers
            .get(cluster)
            .map_or_else(|| unreachable(cluster.as_str()), |answers| answers(&request));
        let head = request.map(drop);
        self.asked
            .lock()
            .expect("asked")
            .push((cluster.to_string(), head));
        Box::pin(async move {
            // As a real one's, the answer isn't there at once.
            tokio::task::yield_now().await;
            response
        })
    }
}

/// A cluster with a history: for each resource version the objects that there were.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    /// Each with the names at that version, in order.
    history: Vec<(u64, Vec<String>)>,
    /// Lists are written as those of custom resources are: with what they are behind the objects.
    is_custom: bool,
    chunk: usize,
}

impl Store {
    /// Objects of these names, at a resource version.
    pub(crate) fn new(version: u64, names: &[&str]) -> Self {
        let store = Self::default();
        store.update(version, names);
        store.0.lock().expect("store").chunk = 7;
        store
    }

    pub(crate) fn custom(self) -> Self {
        self.0.lock().expect("store").is_custom = true;
        self
    }

    pub(crate) fn chunked(self, chunk: usize) -> Self {
        self.0.lock().expect("store").chunk = chunk;
        self
    }

    pub(crate) fn update(&self, version: u64, names: &[&str]) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.0.lock().expect("store").history.push((version, names));
    }

    /// Forgets all but the newest.
    pub(crate) fn compact(&self) {
        let mut store = self.0.lock().expect("store");
        let newest = store.history.pop();
        store.history = newest.into_iter().collect();
    }

    /// Answers lists as an API server does, `limit`, `continue` and `resourceVersionMatch=Exact` included.
    pub(crate) fn answers(&self) -> impl Fn(&Request<Body>) -> Response<Body> + Send + Sync + 'static {
        let store = self.clone();
        move |request| store.list(request)
    }

    fn list(&self, request: &Request<Body>) -> Response<Body> {
        let store = self.0.lock().expect("store");
        let value = |key| {
            let value = query::value(request.uri().query(), key)?;
            Some(String::from_utf8(value).expect("text")).filter(|value| !value.is_empty())
        };
        let newest = store.history.last().expect("a version").0;
        let requested = value("resourceVersion");
        let (version, from) = match (value("continue"), value("resourceVersionMatch").as_deref()) {
            (Some(token), None) if requested.is_none() => {
                let (version, from) = token.split_once('/').expect("a token of this store");
                (version.parse().expect("version"), from.parse().expect("position"))
            }
            (None, Some("Exact")) => {
                let version = requested.as_ref().expect("Exact needs a version");
                (version.parse().expect("version"), 0)
            }
            (None, None) => (newest, 0),
            odd => panic!("no client asks so: {odd:?}"),
        };
        let Some((_, names)) = store.history.iter().find(|(known, _)| *known == version) else {
            let inconsistent = json!({"continue": "inconsistent"});
            return status(410, "Expired", "the version is too old", &inconsistent);
        };
        let limit = value("limit").filter(|_| requested.as_deref() != Some("0"));
        let limit = limit.map_or(usize::MAX, |limit| limit.parse().expect("limit"));
        let page: Vec<String> = names
            .iter()
            .skip(from)
            .take(limit)
            .map(|name| object(name, "7"))
            .collect();
        let to = from + page.len();
        let more = if to < names.len() {
            format!(
                r#","continue":"{version}/{to}","remainingItemCount":{}"#,
                names.len() - to
            )
        } else {
            String::new()
        };
        let metadata = format!(r#"{{"resourceVersion":"{version}"{more}}}"#);
        let items = page.join(",");
        let text = if store.is_custom {
            format!(r#"{{"apiVersion":"v1","items":[{items}],"kind":"PodList","metadata":{metadata}}}"#)
        } else {
            format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{metadata},"items":[{items}]}}"#)
        };
        json_answer(chunked(text, store.chunk))
    }
}

pub(crate) fn object(name: &str, version: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}},"spec":{{"n":1.0}}}}"#)
}

pub(crate) fn name(text: &str) -> ClusterName {
    text.parse().expect("a cluster's name")
}

pub(crate) fn names(texts: &[&str]) -> Vec<ClusterName> {
    texts.iter().map(|text| name(text)).collect()
}

pub(crate) fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).expect("request")
}

/// A list of all clusters that is expected to succeed.
pub(crate) async fn list(clusters: &Arc<Clusters>, of: &[&str], uri: &str) -> Value {
    let response = mk8s_fleet::list(clusters.clone(), names(of), get(uri)).await;
    assert_eq!(response.status(), StatusCode::OK, "{uri}");
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

/// Everything up to where the body breaks off, and why it did.
pub(crate) async fn broken(response: Response<Body>) -> (Vec<u8>, String) {
    let mut body = response.into_body();
    let mut text = Vec::new();
    loop {
        match body.frame().await.expect("it breaks off") {
            Ok(frame) => text.extend_from_slice(frame.data_ref().expect("data")),
            Err(why) => return (text, why.to_string()),
        }
    }
}

/// Name and cluster of each item.
pub(crate) fn items(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(marked)
        .collect()
}

pub(crate) fn marked(object: &Value) -> String {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    format!(
        "{}@{}",
        text(&object["metadata"]["name"]),
        text(&object["metadata"]["annotations"]["mca.k8s.io/cluster"])
    )
}

pub(crate) fn json_answer(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

pub(crate) fn status(code: u16, reason: &str, message: &str, metadata: &Value) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": message,
        "reason": reason, "details": {"kind": "pods", "causes": [{"reason": "x"}]}, "code": code,
    });
    let mut response = json_answer(Body::full(status.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).expect("code");
    response
}

pub(crate) fn unreachable(cluster: &str) -> Response<Body> {
    let message = format!("cluster {cluster} is disconnected");
    let mut response = status(503, "ServiceUnavailable", &message, &json!({}));
    response.headers_mut().insert("retry-after", 1.into());
    response
}

/// A body in pieces of this size.
pub(crate) fn chunked(text: impl Into<Bytes>, size: usize) -> Body {
    pieces(text.into(), move |_| size)
}

/// A body in pieces, each of the size that is said of its place.
pub(crate) fn pieces(mut text: Bytes, size: impl Fn(usize) -> usize + Send + 'static) -> Body {
    let mut at = 0;
    let frames = std::iter::from_fn(move || {
        let now = size(at).clamp(1, text.len().max(1)).min(text.len());
        at += 1;
        (!text.is_empty()).then(|| Ok::<_, BoxError>(Frame::data(text.split_to(now))))
    });
    Body::boxed(StreamBody::new(stream::iter(frames)))
}

/// A body that breaks off after this.
pub(crate) fn breaking(text: &str) -> Body {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let frames = [Ok(Frame::data(text)), Err(BoxError::from("reset by peer"))];
    Body::boxed(StreamBody::new(stream::iter(frames)))
}

/// The other end of a cluster's watch: what is sent here comes out of it.
pub(crate) struct Source(mpsc::UnboundedSender<Result<Bytes, BoxError>>);

impl Source {
    pub(crate) fn send(&self, event: &Value) {
        let line = Bytes::from(format!("{event}\n"));
        self.0.send(Ok(line)).expect("somebody who reads");
    }

    pub(crate) fn send_text(&self, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        self.0.send(Ok(text)).expect("somebody who reads");
    }

    pub(crate) fn break_off(self) {
        self.0
            .send(Err("reset by peer".into()))
            .expect("somebody who reads");
    }

    /// Ends the watch as `timeoutSeconds` does.
    pub(crate) fn end(self) {}

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

/// A watch being read.
pub(crate) struct Reading {
    body: Body,
    text: Vec<u8>,
}

impl Reading {
    pub(crate) fn new(response: Response<Body>) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            body: response.into_body(),
            text: Vec::new(),
        }
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

    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        // Nothing here takes time: what doesn't come soon never comes.
        for _ in 0..1000 {
            if let Some(frame) = self.body.frame().now_or_never() {
                return frame;
            }
            tokio::task::yield_now().await;
        }
        panic!("nothing comes, and it doesn't end");
    }

    /// The next events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("more events"));
        }
        events
    }

    /// Asserts that nothing comes now, and that it isn't over either.
    pub(crate) fn assert_quiet(&mut self) {
        // What is ready is so after a few looks.
        for _ in 0..20 {
            let next = self.next().now_or_never();
            assert!(next.is_none(), "{next:?} came");
        }
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }
}

pub(crate) async fn watch(clusters: &Arc<Clusters>, of: &[&str], uri: &str) -> Reading {
    Reading::new(mk8s_fleet::watch(clusters.clone(), names(of), get(uri)).await)
}

pub(crate) fn event(kind: &str, name: &str, version: u64) -> Value {
    json!({"type": kind, "object": {
        "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "resourceVersion": version.to_string()},
    }})
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

pub(crate) fn version(event: &Value) -> &str {
    event["object"]["metadata"]["resourceVersion"]
        .as_str()
        .expect("a resource version")
}
