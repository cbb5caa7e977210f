//! A cluster with a history: three objects, watches that tell what changed, and requests that go on when the test says so.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use mk8s_cache::{Ask, Cache, IdentityKey};
use mk8s_model::ClusterName;
use mk8s_net::Body;
use tokio::{sync::oneshot, time::Instant};

use crate::support::{Answer, Pieces, event, settle, streamed};

/// Namespace and name.
pub(crate) const OBJECTS: [(&str, &str); 3] = [("x", "a"), ("x", "b"), ("y", "a")];
/// What is asked for, and which objects it is about.
pub(crate) const TARGETS: [(&str, &[usize]); 6] = [
    ("/api/v1/pods", &[0, 1, 2]),
    ("/api/v1/namespaces/x/pods", &[0, 1]),
    ("/api/v1/namespaces/y/pods", &[2]),
    ("/api/v1/namespaces/x/pods/a", &[0]),
    ("/api/v1/namespaces/x/pods/b", &[1]),
    ("/api/v1/namespaces/y/pods/a", &[2]),
];
pub(crate) const PEOPLE: [&str; 2] = ["jane", "joe"];

/// The cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Mutex<Server>>);

struct Server {
    /// Whether everything is done and told at once.
    is_prompt: bool,
    changes: Vec<Change>,
    requests: Vec<Pending>,
    watches: Vec<Watch>,
    /// By object, the version that whoever asks from now on must see.
    must_see: [u64; 3],
    violations: Vec<String>,
}

/// What happened to an object. The first has version 1.
#[derive(Clone, Copy)]
struct Change {
    object: usize,
    kind: &'static str,
    at: Instant,
}

struct Pending {
    asked: Asked,
    answer: Option<Response<Body>>,
    tell: oneshot::Sender<Response<Body>>,
}

#[derive(Clone)]
struct Asked {
    method: Method,
    path: String,
    query: String,
    who: String,
}

struct Watch {
    objects: Vec<usize>,
    /// What it hasn't told yet: the object and its version, if that is news, and the line.
    events: VecDeque<(Option<(usize, u64)>, String)>,
    sends: Pieces,
}

impl Ask for Cluster {
    async fn ask(&self, _: ClusterName, request: Request<Body>) -> Response<Body> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let who = request.headers().get("impersonate-user");
        let asked = Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: text(request.uri().query()),
            who: text(who.and_then(|who| who.to_str().ok())),
        };
        let told = {
            let mut server = self.lock();
            if server.is_prompt {
                return server.serve(&asked);
            }
            let (tell, told) = oneshot::channel();
            server.requests.push(Pending {
                asked,
                answer: None,
                tell,
            });
            told
        };
        told.await.expect("the test answers all")
    }
}

impl Cluster {
    pub(crate) fn new(is_prompt: bool) -> Self {
        let mut server = Server {
            is_prompt,
            changes: Vec::new(),
            requests: Vec::new(),
            watches: Vec::new(),
            must_see: [0; 3],
            violations: Vec::new(),
        };
        for object in 0..OBJECTS.len() {
            server.change(object);
        }
        Self(Arc::new(Mutex::new(server)))
    }

    /// GETs a target, and notes what is wrong with the answer: in it nothing may be missing that had to be seen, or that
    /// happened longer than `max_age` before it was asked for.
    pub(crate) async fn get(self, cache: Cache, who: usize, target: usize, max_age: Duration) {
        let (path, objects) = TARGETS[target];
        let (asked_at, must_see) = (Instant::now(), self.lock().must_see);
        let response = self.through(&cache, Method::GET, path, PEOPLE[who]).await;
        let answer = Answer::read(response).await;
        let body = answer.body.expect("whole");
        let said: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let seen = said["asOf"].as_u64().expect("a version");
        let mut server = self.lock();
        let missed: Vec<(u64, Change)> = (1..)
            .zip(server.changes.iter().copied())
            .filter(|(version, change)| *version > seen && objects.contains(&change.object))
            .collect();
        for (version, change) in missed {
            if version <= must_see[change.object] {
                let violation = format!("{path} of {seen} lacks {version}, which was known");
                server.violations.push(violation);
            }
            if asked_at - change.at >= max_age {
                let violation = format!("{path} of {seen} lacks {version}, which is too long ago");
                server.violations.push(violation);
            }
        }
        if said["who"] != PEOPLE[who] || said["path"] != path {
            let violation = format!("{path} of {} was answered with {body}", PEOPLE[who]);
            server.violations.push(violation);
        }
    }

    /// Writes an object. Whoever asks after the answer must see it.
    pub(crate) async fn write(self, cache: Cache, who: usize, object: usize) {
        let (namespace, name) = OBJECTS[object];
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let response = self.through(&cache, Method::PATCH, &path, PEOPLE[who]).await;
        let version = response.headers()["x-version"].to_str().expect("text");
        let version = version.parse().expect("a version");
        let mut server = self.lock();
        server.must_see[object] = server.must_see[object].max(version);
    }

    /// Somebody else writes an object.
    pub(crate) fn change(&self, object: usize) {
        self.lock().change(object);
    }

    /// Lets a request go on: what was served is answered, what wasn't is served.
    pub(crate) async fn step(&self, which: usize) {
        {
            let mut server = self.lock();
            if server.requests.is_empty() {
                return;
            }
            let at = which % server.requests.len();
            let is_watch = server.requests[at].asked.query.contains("watch=true");
            if server.requests[at].answer.is_none() {
                let asked = server.requests[at].asked.clone();
                let answer = server.serve(&asked);
                server.requests[at].answer = Some(answer);
                if !is_watch {
                    return;
                }
            }
            let served = server.requests.swap_remove(at);
            if let Some(answer) = served.answer {
                // Its client may have left.
                let _left = served.tell.send(answer);
            }
        }
        settle().await;
    }

    /// Tells the next event of a watch. Whoever asks after it was told must see it, unless it is the state in which the
    /// watch begins.
    pub(crate) async fn deliver(&self, which: usize) {
        let told = {
            let mut server = self.lock();
            server.watches.retain(|watch| !watch.sends.is_closed());
            if server.watches.is_empty() {
                return;
            }
            let at = which % server.watches.len();
            let watch = &mut server.watches[at];
            watch.events.pop_front().and_then(|(news, line)| {
                let _over = watch.sends.send(Ok(Frame::data(line.into())));
                news
            })
        };
        settle().await;
        if let Some((object, version)) = told {
            let mut server = self.lock();
            server.must_see[object] = server.must_see[object].max(version);
        }
    }

    /// Ends a watch, with what it hasn't told.
    pub(crate) async fn close(&self, which: usize) {
        {
            let mut server = self.lock();
            if !server.watches.is_empty() {
                let at = which % server.watches.len();
                server.watches.swap_remove(at);
            }
        }
        settle().await;
    }

    /// Whether anything waits to be let go on.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.lock().requests.is_empty()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    async fn through(&self, cache: &Cache, method: Method, path: &str, who: &str) -> Response<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a URI");
        let who = HeaderValue::from_str(who).expect("a name");
        *request.headers_mut() = HeaderMap::from_iter([("impersonate-user".parse().expect("a name"), who)]);
        let cluster = "home".parse().expect("a name");
        cache
            .answer(self, &cluster, &IdentityKey::new("sa"), request)
            .await
    }

    fn lock(&self) -> MutexGuard<'_, Server> {
        self.0.lock().expect("no test panics with it")
    }
}

impl Server {
    fn serve(&mut self, asked: &Asked) -> Response<Body> {
        let objects: Vec<usize> = match TARGETS.iter().find(|(path, _)| *path == asked.path) {
            Some((_, objects)) => objects.to_vec(),
            None => panic!("nobody asks for {}", asked.path),
        };
        if asked.query.contains("watch=true") {
            return self.watch(asked, objects);
        }
        if asked.method == Method::PATCH {
            self.change(objects[0]);
        }
        let now = self.changes.len() as u64;
        let (_, version, kind) = self.state(objects[0]);
        let is_gone = asked.path.matches('/').count() == 6 && kind == "DELETED";
        let version = if asked.path.ends_with("pods") {
            now
        } else {
            version
        };
        let text = serde_json::json!({
            "metadata": {"resourceVersion": version.to_string()},
            "asOf": now, "who": asked.who, "path": asked.path,
        });
        let mut response = Response::new(Body::full(text.to_string()));
        if is_gone && asked.method == Method::GET {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-version", now.into());
        response
    }

    /// An object's last change.
    fn state(&self, object: usize) -> (usize, u64, &'static str) {
        (1..)
            .zip(&self.changes)
            .filter(|(_, change)| change.object == object)
            .last()
            .map(|(version, change)| (object, version, change.kind))
            .expect("each began with one")
    }

    fn change(&mut self, object: usize) {
        // Each third change of an object takes it away.
        let before = self
            .changes
            .iter()
            .filter(|change| change.object == object)
            .count();
        let kind = ["ADDED", "MODIFIED", "DELETED"][before % 3];
        self.changes.push(Change {
            object,
            kind,
            at: Instant::now(),
        });
        let version = self.changes.len() as u64;
        for watch in &mut self.watches {
            watch.tell(object, version, kind, true);
        }
        self.tell_at_once();
    }

    fn watch(&mut self, asked: &Asked, mut objects: Vec<usize>) -> Response<Body> {
        let value = |name: &str| {
            let mut pairs = asked.query.split('&');
            pairs.find_map(|pair| pair.strip_prefix(name)).map(str::to_owned)
        };
        let name = value("fieldSelector=metadata.name%3D");
        let since: u64 = value("resourceVersion=")
            .expect("a version")
            .parse()
            .expect("a version");
        let (sends, response) = streamed();
        if let Some(name) = &name {
            objects.retain(|object| OBJECTS[*object].1 == *name);
        }
        let mut watch = Watch {
            objects,
            events: VecDeque::new(),
            sends,
        };
        if name.is_some() {
            // It begins with the present state.
            let (object, version, kind) = self.state(watch.objects[0]);
            if kind != "DELETED" {
                watch.tell(object, version, "ADDED", false);
            }
        } else {
            for (version, change) in (1..).zip(&self.changes).filter(|(version, _)| *version > since) {
                watch.tell(change.object, version, change.kind, true);
            }
        }
        self.watches.push(watch);
        self.tell_at_once();
        response
    }

    fn tell_at_once(&mut self) {
        if self.is_prompt {
            for watch in &mut self.watches {
                for (_, line) in watch.events.drain(..) {
                    let _over = watch.sends.send(Ok(Frame::data(line.into())));
                }
            }
        }
    }
}

impl Watch {
    fn tell(&mut self, object: usize, version: u64, kind: &str, is_news: bool) {
        if self.objects.contains(&object) {
            let (namespace, name) = OBJECTS[object];
            let line = event(kind, namespace, name, version);
            self.events
                .push_back((is_news.then_some((object, version)), line));
        }
    }
}
