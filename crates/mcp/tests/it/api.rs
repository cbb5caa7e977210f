//! A cluster in memory that can be changed: objects by their paths, with what an API server promises about preconditions and
//! rehearsals.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use mk8s_mcp_core::{
    cluster::{Clusters, KnownCluster, Upgraded},
    error::ToolError,
    principal::{Call, Principal},
};
use mk8s_model::ClusterName;
use mk8s_net::Body;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use crate::support::Waiting;

/// Clusters `home` and `away`, which share their objects.
#[derive(Default)]
pub(crate) struct Api {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Verbs that nobody has.
    withheld: Vec<&'static str>,
    /// Fields that somebody else manages, as JSON pointers.
    owned: Vec<&'static str>,
    /// What a webhook says to every write.
    says: Option<(u16, String)>,
    warns: Option<&'static str>,
    /// Whether somebody else is faster than the next write.
    is_raced: bool,
    /// What a container does with whoever enters it.
    within: Within,
    /// Every request that writes: method, path and body.
    written: Vec<(String, Value)>,
}

/// What a container does with whoever enters it.
#[derive(Clone, Default)]
pub(crate) enum Within {
    /// Says this on these channels, and ends.
    Says(Vec<(u8, Vec<u8>)>),
    /// Says nothing and doesn't end; whoever is in it is counted.
    Stays(Arc<Waiting>),
    /// Says back what it hears on channel 0, after the number of a port.
    #[default]
    Echoes,
}

type Answer = Result<(StatusCode, Value), (u16, &'static str, String)>;

impl Api {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Puts an object there, whatever was there before.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state().store(path, object);
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state().objects.remove(path);
    }

    pub(crate) fn withhold(&self, verb: &'static str) {
        self.state().withheld.push(verb);
    }

    pub(crate) fn owned(&self, pointer: &'static str) {
        self.state().owned.push(pointer);
    }

    pub(crate) fn says(&self, code: u16, message: impl Into<String>) {
        self.state().says = Some((code, message.into()));
    }

    pub(crate) fn warns(&self, warning: &'static str) {
        self.state().warns = Some(warning);
    }

    /// Lets somebody else write between the next write's last look and the write.
    pub(crate) fn race(&self) {
        self.state().is_raced = true;
    }

    pub(crate) fn within(&self, within: Within) {
        self.state().within = within;
    }

    /// Requests that wrote, and weren't rehearsed.
    pub(crate) fn written(&self) -> Vec<String> {
        let is_real = |(request, _): &&(String, Value)| !request.contains("dryRun=All");
        let state = self.state();
        state
            .written
            .iter()
            .filter(is_real)
            .map(|(request, _)| request.clone())
            .collect()
    }

    /// All of them, with their bodies.
    pub(crate) fn sent(&self) -> Vec<(String, Value)> {
        self.state().written.clone()
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let uid = self.objects.get(path).map_or_else(
            || json!(format!("uid-{}", self.version)),
            |old| old["metadata"]["uid"].clone(),
        );
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn take(&mut self, method: &Method, path: &str, query: &str, content_type: &str, body: Value) -> Answer {
        if path.ends_with("/selfsubjectaccessreviews") {
            let verb = body["spec"]["resourceAttributes"]["verb"]
                .as_str()
                .unwrap_or_default();
            let is_allowed = !self.withheld.contains(&verb);
            return Ok((StatusCode::CREATED, json!({"status": {"allowed": is_allowed}})));
        }
        let object = path.strip_suffix("/scale").unwrap_or(path);
        if method == Method::GET {
            let found = self.objects.get(path).cloned();
            return found.map(|object| (StatusCode::OK, object)).ok_or((
                404,
                "NotFound",
                "not found".to_owned(),
            ));
        }
        self.written
            .push((format!("{method} {path}?{query}"), body.clone()));
        if let Some((code, message)) = self.says.clone() {
            return Err((code, "Invalid", message));
        }
        // The body of a DELETE is what counts.
        let is_rehearsed = match *method {
            Method::DELETE => body["dryRun"] == json!(["All"]),
            _ => query.contains("dryRun=All"),
        };
        if !is_rehearsed && std::mem::take(&mut self.is_raced) {
            let mut theirs = self.objects.get(object).cloned().unwrap_or_else(|| body.clone());
            theirs["metadata"]["labels"] = json!({"theirs": "yes"});
            let created = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
            self.store(if *method == Method::POST { &created } else { object }, theirs);
        }
        let conflict = |what: &str| Err((409, "Conflict", format!("Operation cannot be fulfilled: {what}")));
        match *method {
            Method::POST => {
                let name = body["metadata"]["name"].as_str().expect("a name");
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return Err((409, "AlreadyExists", "already exists".to_owned()));
                }
                let made = if is_rehearsed {
                    body
                } else {
                    self.store(&path, body)
                };
                Ok((StatusCode::CREATED, made))
            }
            Method::PATCH => {
                let old = self.objects.get(object).cloned();
                let is_apply = content_type.contains("apply-patch");
                if old.is_none() && !is_apply {
                    return Err((404, "NotFound", "not found".to_owned()));
                }
                let mut new = old.clone().unwrap_or_else(|| json!({}));
                if content_type.contains("json-patch") {
                    let operations: json_patch::Patch = serde_json::from_value(body).expect("a patch");
                    if let Err(why) = json_patch::patch(&mut new, &operations) {
                        return Err((422, "Invalid", format!("the server rejected our request: {why}")));
                    }
                } else {
                    if is_apply && !query.contains("force=true") {
                        for field in &self.owned {
                            let (theirs, ours) = (new.pointer(field), body.pointer(field));
                            if ours.is_some() && ours != theirs {
                                let dotted = field.replace('/', ".");
                                let what = format!(
                                    "Apply failed with 1 conflict: conflict with \"hpa-controller\" using apps/v1: {dotted}"
                                );
                                return Err((409, "Conflict", what));
                            }
                        }
                    }
                    json_patch::merge(&mut new, &body);
                }
                if let Some(old) = &old {
                    for key in ["resourceVersion", "uid"] {
                        if new["metadata"][key] != old["metadata"][key] {
                            return conflict("the object has been modified");
                        }
                    }
                }
                let code = if old.is_some() {
                    StatusCode::OK
                } else {
                    StatusCode::CREATED
                };
                let new = if is_rehearsed {
                    new
                } else {
                    self.store(object, new)
                };
                Ok((code, new))
            }
            Method::DELETE => {
                let Some(old) = self.objects.get(path) else {
                    return Err((404, "NotFound", "not found".to_owned()));
                };
                for key in ["resourceVersion", "uid"] {
                    if body["preconditions"][key] != old["metadata"][key] {
                        return conflict("the precondition failed");
                    }
                }
                if !is_rehearsed {
                    self.objects.remove(path);
                }
                Ok((StatusCode::OK, json!({"kind": "Status", "status": "Success"})))
            }
            _ => Err((405, "MethodNotAllowed", "no".to_owned())),
        }
    }
}

#[async_trait]
impl Clusters for Api {
    async fn list(&self, _: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        let known = |name: &str| KnownCluster {
            name: name.parse().expect("a name"),
            is_default: name == "home",
            about: None,
        };
        Ok(["home", "away"].map(known).into())
    }

    async fn send(&self, _: &Call, _: &ClusterName, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let content_type = parts.headers.get(http::header::CONTENT_TYPE);
        let content_type = content_type
            .map_or("", |value| value.to_str().expect("text"))
            .to_owned();
        let answer = match parts.uri.path() {
            "/api" => Ok((StatusCode::OK, group("", "v1", core()))),
            "/apis" => Ok((StatusCode::OK, group("apps", "v1", apps()))),
            path => {
                let query = parts.uri.query().unwrap_or_default();
                self.state().take(&parts.method, path, query, &content_type, body)
            }
        };
        let (code, object) = answer.unwrap_or_else(|(code, reason, message)| {
            let status = json!({"kind": "Status", "code": code, "reason": reason, "message": message});
            (StatusCode::from_u16(code).expect("a status"), status)
        });
        let mut response = Response::new(Body::full(object.to_string()));
        *response.status_mut() = code;
        if let Some(warning) = self.state().warns.filter(|_| parts.method != Method::GET) {
            let value = format!("299 - \"{warning}\"").parse().expect("a header");
            response.headers_mut().insert("warning", value);
        }
        response
    }

    async fn upgrade(
        &self,
        _: &Call,
        _: &ClusterName,
        request: Request<()>,
    ) -> Result<Upgraded, Response<Body>> {
        let mut state = self.state();
        state
            .written
            .push((format!("{} {}", request.method(), request.uri()), Value::Null));
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(within(state.within.clone(), theirs));
        let asked = request.headers();
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-protocol", asked["sec-websocket-protocol"].clone());
        let accept = derive_accept_key(asked["sec-websocket-key"].as_bytes());
        headers.insert("sec-websocket-accept", accept.parse().expect("a header"));
        Ok(Upgraded {
            headers,
            stream: Box::new(ours),
        })
    }
}

async fn within(within: Within, stream: DuplexStream) {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let message = |channel: u8, bytes: &[u8]| Message::Binary([&[channel], bytes].concat().into());
    match within {
        Within::Says(all) => {
            for (channel, bytes) in all {
                let _ = socket.send(message(channel, &bytes)).await;
            }
            let _ = socket.close(None).await;
        }
        Within::Stays(waiting) => {
            waiting.change(1);
            while let Some(Ok(_)) = socket.next().await {}
            waiting.change(-1);
        }
        Within::Echoes => {
            for channel in [0, 1] {
                let _ = socket.send(message(channel, &80_u16.to_le_bytes())).await;
            }
            while let Some(Ok(Message::Binary(heard))) = socket.next().await {
                let _ = socket.send(Message::Binary(heard)).await;
            }
        }
    }
}

fn resource(plural: &str, kind: &str, scope: &str) -> Value {
    let short = match plural {
        "deployments" => "deploy",
        "configmaps" => "cm",
        plural => plural,
    };
    json!({"resource": plural, "singularResource": kind.to_lowercase(), "scope": scope, "responseKind": {"kind": kind},
        "shortNames": [short], "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        "subresources": if plural == "deployments" { json!([{"subresource": "scale"}]) } else { json!([]) }})
}

fn core() -> Value {
    json!([
        resource("pods", "Pod", "Namespaced"),
        resource("secrets", "Secret", "Namespaced"),
        resource("configmaps", "ConfigMap", "Namespaced"),
        resource("serviceaccounts", "ServiceAccount", "Namespaced"),
        resource("namespaces", "Namespace", "Cluster"),
    ])
}

fn apps() -> Value {
    json!([resource("deployments", "Deployment", "Namespaced")])
}

fn group(name: &str, version: &str, resources: Value) -> Value {
    json!({"items": [{"metadata": {"name": name},
        "versions": [{"version": version, "freshness": "Current", "resources": resources}]}]})
}
