//! An API server in memory, and clients of it behind a cache.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::poll_fn;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mk8s_cache::{Ask, Cache, IdentityKey, Settings};
use mk8s_model::ClusterName;
use mk8s_net::{Body, BoxError};
use tokio::sync::{mpsc, oneshot};

pub(crate) const MAX_AGE: Duration = Duration::from_secs(10);
pub(crate) const SETTINGS: Settings = Settings {
    max_age: MAX_AGE,
    max_bytes: 1024 * 1024,
    max_entry_bytes: 64 * 1024,
};

/// The sending end of a body. Dropped, it ends the body.
pub(crate) type Pieces = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

/// The API server. It answers at once, unless it is told to let requests wait.
#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<Server>>);

#[derive(Default)]
struct Server {
    /// The state that GETs answer with, and all versions in it.
    version: u64,
    asked: Vec<Asked>,
    watches: Vec<Watched>,
    /// What watches are answered with instead.
    refusal: Option<StatusCode>,
    answers: Option<Arc<dyn Fn(u64) -> Response<Body> + Send + Sync>>,
    waiting: Option<Vec<oneshot::Sender<()>>>,
}

/// A request that came.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) cluster: ClusterName,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

/// A watch that was begun.
pub(crate) struct Watched {
    pub(crate) asked: Asked,
    events: Option<Pieces>,
}

/// Somebody who asks through a cache.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) cache: Cache,
    pub(crate) api: Api,
    pub(crate) cluster: ClusterName,
    pub(crate) identity: IdentityKey,
    pub(crate) headers: HeaderMap,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<String, String>,
}

impl Ask for Api {
    async fn ask(&self, cluster: ClusterName, request: Request<Body>) -> Response<Body> {
        let asked = Asked {
            cluster,
            path: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        if asked.path.contains("allowWatchBookmarks=true") {
            return self.watch(asked);
        }
        // The state is that of when the request came; the answer comes when it may.
        let (version, wait) = {
            let mut server = self.lock();
            server.asked.push(asked);
            let (go, wait) = oneshot::channel();
            let wait = server.waiting.as_mut().map(|waiting| {
                waiting.push(go);
                wait
            });
            (server.version, wait)
        };
        if let Some(wait) = wait {
            wait.await.expect("the test lets it go on");
        }
        let answers = self.lock().answers.clone();
        match answers {
            Some(answers) => answers(version),
            None => json(version),
        }
    }
}

impl Api {
    /// Another state, that nobody is told of.
    pub(crate) fn change(&self) {
        self.lock().version += 1;
    }

    /// How many requests came, without watches.
    pub(crate) fn asked(&self) -> usize {
        self.lock().asked.len()
    }

    pub(crate) fn refuse_watches(&self, status: StatusCode) {
        self.lock().refusal = Some(status);
    }

    /// How the state is answered with.
    pub(crate) fn answer_with(&self, answers: impl Fn(u64) -> Response<Body> + Send + Sync + 'static) {
        self.lock().answers = Some(Arc::new(answers));
    }

    /// Lets requests wait from now on.
    pub(crate) fn hold(&self) {
        self.lock().waiting = Some(Vec::new());
    }

    /// Lets those that wait go on, and no others wait.
    pub(crate) fn release(&self) {
        for go in self.lock().waiting.take().unwrap_or_default() {
            // Nobody waits whose client has left.
            let _left = go.send(());
        }
    }

    /// The watches that were asked for.
    pub(crate) fn watches(&self) -> Vec<Asked> {
        self.lock()
            .watches
            .iter()
            .map(|watched| watched.asked.clone())
            .collect()
    }

    pub(crate) fn open_watches(&self) -> usize {
        let server = self.lock();
        let is_open = |watched: &&Watched| watched.events.as_ref().is_some_and(|events| !events.is_closed());
        server.watches.iter().filter(is_open).count()
    }

    /// Sends to all watches.
    pub(crate) async fn send(&self, text: impl Into<Bytes>) {
        let text = text.into();
        for watched in &self.lock().watches {
            if let Some(events) = &watched.events {
                let _over = events.send(Ok(Frame::data(text.clone())));
            }
        }
        settle().await;
    }

    /// Sends an event to all watches.
    pub(crate) async fn event(&self, kind: &str, namespace: &str, name: &str, version: u64) {
        self.send(event(kind, namespace, name, version)).await;
    }

    /// Ends all watches.
    pub(crate) async fn close(&self, how: Option<BoxError>) {
        let how = how.map(|error| error.to_string());
        for watched in &mut self.lock().watches {
            if let Some(events) = watched.events.take()
                && let Some(how) = &how
            {
                let _over = events.send(Err(how.clone().into()));
            }
        }
        settle().await;
    }

    fn watch(&self, asked: Asked) -> Response<Body> {
        let mut server = self.lock();
        let (events, mut response) = streamed();
        let refusal = server.refusal;
        server.watches.push(Watched {
            asked,
            events: refusal.is_none().then_some(events),
        });
        if let Some(refusal) = refusal {
            *response.status_mut() = refusal;
        }
        response
    }

    fn lock(&self) -> MutexGuard<'_, Server> {
        self.0.lock().expect("no test panics with it")
    }
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            cache: Cache::new(settings),
            api: Api::default(),
            cluster: "home".parse().expect("a name"),
            identity: IdentityKey::new("ns/sa"),
            headers: HeaderMap::new(),
        }
    }

    /// Somebody else at the same cache.
    pub(crate) fn named(&self, identity: &str) -> Self {
        Self {
            identity: IdentityKey::new(identity),
            ..self.clone()
        }
    }

    /// The same with headers.
    pub(crate) fn with(&self, headers: &[(&'static str, &'static str)]) -> Self {
        let mut other = self.clone();
        for (name, value) in headers {
            other
                .headers
                .append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        other
    }

    /// The same, asking another cluster.
    pub(crate) fn at(&self, cluster: &str) -> Self {
        Self {
            cluster: cluster.parse().expect("a name"),
            ..self.clone()
        }
    }

    /// The head of the answer, its body still to be read.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Response<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a URI");
        *request.headers_mut() = self.headers.clone();
        self.cache
            .answer(&self.api, &self.cluster, &self.identity, request)
            .await
    }

    /// GETs, and lets the cache's own tasks come to rest.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let answer = Answer::read(self.ask(Method::GET, path).await).await;
        settle().await;
        answer
    }

    pub(crate) async fn write(&self, method: Method, path: &str) {
        Answer::read(self.ask(method, path).await).await;
        settle().await;
    }

    /// Whether a GET is answered from what is kept.
    pub(crate) async fn hits(&self, path: &str) -> bool {
        self.get(path).await.is_hit()
    }

    /// Whether an answer is kept for a GET. Looks without asking: a request that is asked is told by being given up.
    pub(crate) async fn is_kept(&self, path: &str) -> bool {
        self.api.hold();
        let looked = tokio::select! {
            biased;
            response = self.ask(Method::GET, path) => Answer::read(response).await.is_hit(),
            () = settle() => false,
        };
        self.api.lock().waiting = None;
        looked
    }
}

impl Answer {
    pub(crate) async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
            .map_err(|error| error.to_string());
        Self {
            headers: parts.headers,
            body,
        }
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.headers
            .get("x-mca-cache")
            .is_some_and(|value| value == "hit")
    }

    pub(crate) fn age(&self) -> Option<&str> {
        self.headers.get(header::AGE)?.to_str().ok()
    }
}

/// What a GET is answered with in this version.
pub(crate) fn json(version: u64) -> Response<Body> {
    let text = object(version);
    let mut response = Response::new(Body::full(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn object(version: u64) -> String {
    format!(r#"{{"kind":"Anything","metadata":{{"resourceVersion":"{version}"}}}}"#)
}

pub(crate) fn event(kind: &str, namespace: &str, name: &str, version: u64) -> String {
    let namespace = if namespace.is_empty() {
        String::new()
    } else {
        format!(r#""namespace":"{namespace}","#)
    };
    format!(
        r#"{{"type":"{kind}","object":{{"metadata":{{{namespace}"name":"{name}","resourceVersion":"{version}"}}}}}}"#
    ) + "\n"
}

/// An answer in JSON whose body comes in pieces.
pub(crate) fn streamed() -> (Pieces, Response<Body>) {
    let (pieces, mut sent) = mpsc::unbounded_channel();
    let mut response = Response::new(Body::boxed(StreamBody::new(poll_fn(move |cx| {
        sent.poll_recv(cx)
    }))));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (pieces, response)
}

/// Lets all tasks go on until none can.
pub(crate) async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
    settle().await;
}
