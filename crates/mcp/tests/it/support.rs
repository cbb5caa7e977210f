//! A client that writes JSON-RPC itself, and clusters that answer as a test wants.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use mk8s_mcp_core::{
    cluster::{Clusters, KnownCluster, NoSuchCluster},
    error::ToolError,
    principal::{Call, Principal},
    record::{CallLog, CallRecord},
    server::{Door, Options, Server, Starter},
    settings::Settings,
};
use mk8s_model::{AuthMethod, ClusterName, Identity};
use mk8s_net::Body;
use rmcp::ServiceExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf},
    sync::mpsc::{self, UnboundedSender},
    task::JoinHandle,
};

/// What a cluster does with a request.
pub(crate) enum Reply {
    Json(Value),
    Status(u16, &'static str),
    Bytes(Vec<u8>),
    /// There is no way to it, or no such cluster.
    NoCluster,
    /// Never answers. Whoever waits is counted while they do.
    Hang(Arc<Waiting>),
    /// An answer that goes on.
    Stream(Body),
}

/// How many wait for an answer now.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<usize>);

impl Waiting {
    pub(crate) fn count(&self) -> usize {
        *self.0.lock().expect("not poisoned")
    }

    pub(crate) fn change(&self, by: isize) {
        let mut count = self.0.lock().expect("not poisoned");
        *count = count.checked_add_signed(by).expect("not below none");
    }

    /// Waits until so many wait.
    pub(crate) async fn reach(&self, count: usize) {
        tokio::time::timeout(Duration::from_secs(20), async {
            while self.count() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{count} should wait, {} do", self.count()));
    }
}

struct Counted(Arc<Waiting>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}

/// What a cluster says in watches.
#[derive(Default)]
pub(crate) struct Feed {
    /// How many watch.
    pub(crate) watching: Arc<Waiting>,
    open: Mutex<Vec<UnboundedSender<Bytes>>>,
}

impl Feed {
    /// The answer to a watch.
    pub(crate) fn reply(&self) -> Reply {
        let (to, from) = mpsc::unbounded_channel::<Bytes>();
        self.open.lock().expect("not poisoned").push(to);
        self.watching.change(1);
        let counted = Counted(self.watching.clone());
        let events = stream::unfold((from, counted), |(mut from, counted)| async move {
            let bytes = from.recv().await?;
            Some((
                Ok::<_, std::io::Error>(http_body::Frame::data(bytes)),
                (from, counted),
            ))
        });
        Reply::Stream(Body::boxed(StreamBody::new(events)))
    }

    /// Says something in all watches.
    pub(crate) fn say(&self, event: &Value) {
        self.say_bytes(format!("{event}\n").into());
    }

    pub(crate) fn say_bytes(&self, bytes: Bytes) {
        for watch in self.open.lock().expect("not poisoned").iter() {
            // One that has ended hears nothing.
            let _ = watch.send(bytes.clone());
        }
    }

    /// Ends all watches, as an API server does.
    pub(crate) fn end(&self) {
        self.open.lock().expect("not poisoned").clear();
    }
}

/// A change of an object, as a watch tells it.
pub(crate) fn change(version: u64) -> Value {
    json!({"type": "MODIFIED", "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "web-0", "namespace": "shop", "resourceVersion": version.to_string()}}})
}

type Handler = Box<dyn Fn(&ClusterName, &str) -> Reply + Send + Sync>;

/// Clusters in memory, each with pods, namespaces, secrets and events as discovery tells.
pub(crate) struct InMemory {
    names: Vec<&'static str>,
    handler: Handler,
    /// Paths that were asked for.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl InMemory {
    pub(crate) fn new(
        names: &[&'static str],
        handler: impl Fn(&ClusterName, &str) -> Reply + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            names: names.to_vec(),
            handler: Box::new(handler),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl Clusters for InMemory {
    async fn list(&self, _: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        let known = |name: &&str| KnownCluster {
            name: name.parse().expect("a name"),
            is_default: false,
            about: None,
        };
        Ok(self.names.iter().map(known).collect())
    }

    async fn send(&self, _: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path_and_query().expect("a path").to_string();
        let reply = match &*path {
            "/api" => Reply::Json(core()),
            "/apis" => Reply::Json(json!({"items": []})),
            _ => {
                self.asked
                    .lock()
                    .expect("not poisoned")
                    .push(format!("{} {path}", request.method()));
                (self.handler)(cluster, &path)
            }
        };
        match reply {
            Reply::Json(value) => Response::new(Body::full(value.to_string())),
            Reply::NoCluster => {
                let mut response = Response::new(Body::full("{}"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response.extensions_mut().insert(NoSuchCluster);
                response
            }
            Reply::Bytes(bytes) => Response::new(Body::full(bytes)),
            Reply::Status(code, message) => {
                let status = json!({"kind": "Status", "code": code, "reason": "Refused", "message": message});
                let mut response = Response::new(Body::full(status.to_string()));
                *response.status_mut() = StatusCode::from_u16(code).expect("a status");
                response
            }
            Reply::Stream(body) => Response::new(body),
            Reply::Hang(waiting) => {
                waiting.change(1);
                let _counted = Counted(waiting);
                std::future::pending().await
            }
        }
    }
}

fn core() -> Value {
    let resource = |plural: &str, kind: &str, scope: &str| {
        json!({"resource": plural, "singularResource": kind.to_lowercase(), "scope": scope,
            "responseKind": {"kind": kind}, "verbs": ["get", "list", "watch"]})
    };
    json!({"items": [{"metadata": {"name": ""}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
        resource("pods", "Pod", "Namespaced"), resource("secrets", "Secret", "Namespaced"),
        resource("configmaps", "ConfigMap", "Namespaced"), resource("namespaces", "Namespace", "Cluster")]}]}]})
}

/// Keeps what is written down of calls.
#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<Vec<CallRecord>>);

impl Records {
    pub(crate) fn all(&self) -> Vec<CallRecord> {
        self.0.lock().expect("not poisoned").clone()
    }
}

impl CallLog for Records {
    fn record(&self, call: &CallRecord) {
        self.0.lock().expect("not poisoned").push(call.clone());
    }
}

/// A client of the 2025-11-25 revision, on a pipe, and what the server wrote down.
pub(crate) struct Client {
    to: WriteHalf<DuplexStream>,
    from: BufReader<ReadHalf<DuplexStream>>,
    next: u64,
    /// What was read of a line that isn't whole.
    line: String,
    early: HashMap<u64, Value>,
    told: VecDeque<Value>,
    pub(crate) records: Arc<Records>,
    /// What the user says when they are asked while a call waits: `accept`, `decline`, `cancel`; nothing if they don't answer.
    pub(crate) says: Option<&'static str>,
    /// What they were asked.
    pub(crate) questions: Vec<String>,
    /// What happens while they think about it.
    pub(crate) meanwhile: Option<Box<dyn Fn() + Send>>,
    serving: JoinHandle<()>,
}

/// Who somebody is.
pub(crate) fn identity(user: &str, groups: &[&str]) -> Identity {
    Identity::new(user, groups, AuthMethod::Starter).expect("an identity")
}

impl Drop for Client {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Client {
    /// Says hello to a server of these clusters.
    pub(crate) async fn of(clusters: Arc<InMemory>, settings: Settings) -> Self {
        Self::silent(clusters, settings).hello(json!({})).await
    }

    /// Says hello, able to do that.
    pub(crate) async fn hello(mut self, capabilities: Value) -> Self {
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"}});
        self.ask("initialize", hello).await;
        self.tell("notifications/initialized", json!({})).await;
        self
    }

    /// Says nothing yet.
    pub(crate) fn silent(clusters: Arc<InMemory>, settings: Settings) -> Self {
        Self::with(
            clusters,
            settings,
            Options::default(),
            identity("anna", &["devs"]),
        )
    }

    /// The same, of somebody on a server that is made with these.
    pub(crate) fn with(
        clusters: Arc<dyn Clusters>,
        settings: Settings,
        options: Options,
        who: Identity,
    ) -> Self {
        let mut principal = Principal::local(who);
        principal.source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        Self::at(Arc::new(Starter(principal)), clusters, settings, options)
    }

    /// The same, who they are being a door's to say.
    pub(crate) fn at(
        door: Arc<dyn Door>,
        clusters: Arc<dyn Clusters>,
        settings: Settings,
        options: Options,
    ) -> Self {
        let records = Arc::new(Records::default());
        let server = Server::with(door, clusters, records.clone(), settings, options);
        Self::on(server, records)
    }

    /// Says nothing yet to this server.
    pub(crate) fn on(server: Server, records: Arc<Records>) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let serving = tokio::spawn(async move {
            let (from, to) = tokio::io::split(theirs);
            let from = server.hearing(from);
            if let Ok(running) = Box::pin(server.serve((from, to))).await {
                let _ = running.waiting().await;
            }
        });
        let (from, to) = tokio::io::split(ours);
        Self {
            to,
            from: BufReader::new(from),
            next: 0,
            line: String::new(),
            early: HashMap::new(),
            told: VecDeque::new(),
            records,
            says: None,
            questions: Vec::new(),
            meanwhile: None,
            serving,
        }
    }

    pub(crate) async fn tell(&mut self, method: &str, params: Value) {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await;
    }

    /// Sends a request and returns its id.
    pub(crate) async fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}))
            .await;
        self.next
    }

    /// The answer to a request: `{"result": …}` or `{"error": …}`.
    pub(crate) async fn answer(&mut self, id: u64) -> Value {
        loop {
            if let Some(answer) = self.early.remove(&id) {
                return answer;
            }
            let read = tokio::time::timeout(Duration::from_secs(60), self.read());
            read.await.expect("an answer in time");
        }
    }

    /// The next notification.
    pub(crate) async fn heard(&mut self) -> Value {
        self.heard_within(Duration::from_secs(60))
            .await
            .expect("a notification in time")
    }

    /// The next notification, if one comes.
    pub(crate) async fn heard_within(&mut self, time: Duration) -> Option<Value> {
        let heard = async {
            loop {
                if let Some(told) = self.told.pop_front() {
                    return told;
                }
                self.read().await;
            }
        };
        tokio::time::timeout(time, heard).await.ok()
    }

    /// What the user is asked is answered, if they answer.
    async fn asked(&mut self, message: &Value) {
        let question = message["params"]["message"].as_str().expect("a question");
        self.questions.push(question.to_owned());
        if let Some(meanwhile) = &self.meanwhile {
            meanwhile();
        }
        if let Some(action) = self.says {
            let said =
                json!({"jsonrpc": "2.0", "id": message["id"], "result": {"action": action, "content": {}}});
            self.write(&said).await;
        }
    }

    /// Keeps the next message for whoever waits for it.
    async fn read(&mut self) {
        // What is read of a line stays when nobody waits any more.
        let read = self.from.read_line(&mut self.line).await.expect("a line");
        assert!(read > 0, "the server is gone");
        let message: Value = serde_json::from_str(&self.line).expect("a line of JSON");
        self.line.clear();
        if message["method"] == "elicitation/create" {
            return self.asked(&message).await;
        }
        match message["id"].as_u64() {
            Some(id) => {
                self.early.insert(id, message);
            }
            None => self.told.push_back(message),
        }
    }

    /// Ends what the server reads, and waits for the server's end.
    pub(crate) async fn hang_up(mut self) {
        self.to.shutdown().await.expect("shut down");
        (&mut self.serving).await.expect("its end");
    }

    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params).await;
        self.answer(id).await
    }

    /// Calls a tool: whether it failed, and what it says.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> (bool, String) {
        let answer = self
            .ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await;
        told(&answer)
    }

    async fn write(&mut self, message: &Value) {
        self.to
            .write_all(format!("{message}\n").as_bytes())
            .await
            .expect("written");
    }
}

/// Somebody, as a door finds them.
pub(crate) fn principal(name: &str) -> Principal {
    let identity = Identity::new(name, ["devs"], AuthMethod::Starter).expect("an identity");
    let mut principal = Principal::local(identity);
    principal.source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    principal
}

/// What a call's answer says, and whether it is an error.
pub(crate) fn told(answer: &Value) -> (bool, String) {
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| panic!("no text: {answer}"));
    (answer["result"]["isError"] == true, text.to_owned())
}
