//! `port_forward`: a port of this machine that leads into a pod, for its user alone. Only where the server runs on that user's machine:
//! elsewhere it would open a port to whoever is there.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mk8s_model::Identity;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use uuid::Uuid;

use super::{Context, Tool, count, pods, read, schema, text};
use crate::{
    answer::{Answer, Content, Rank, Section, Table, name},
    cluster::{ApiError, Cluster, channels},
    error::ToolError,
    plan::{Approved, Harm},
    server::{self, Subject},
};

/// Sessions of one user, and connections of one session, at a time.
const MOST: usize = 8;
const MOST_CONNECTIONS: usize = 32;
/// How long a session lasts if nobody says so, and at most, in minutes.
const MINUTES: u32 = 30;
const MOST_MINUTES: u32 = 240;
/// What is read at once, in bytes.
const PIECE: usize = 16 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// start, list or stop.
    action: Action,
    /// start: pod name.
    pod: Option<String>,
    /// start: namespace.
    namespace: Option<String>,
    /// start: the pod's port.
    port: Option<u16>,
    /// start: the port here; any if not given.
    local_port: Option<u16>,
    /// start: how long, 30 if not given.
    minutes: Option<u32>,
    /// stop: from start or list.
    session: Option<String>,
    /// start: cluster name.
    cluster: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Start,
    List,
    Stop,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "port_forward",
        title: "Forward a port to a pod",
        description: "Let a port of your user's machine lead to a port of a pod, for a while, after they approved; list and stop.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

/// The sessions there are, of all users. They end with it.
#[derive(Default)]
pub(crate) struct Forwards(Mutex<Vec<Session>>);

struct Session {
    id: String,
    who: Identity,
    to: String,
    local: SocketAddr,
    until: Instant,
    running: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Forwards {
    /// Those that run; others are forgotten.
    fn with<T>(&self, take: impl FnOnce(&mut Vec<Session>) -> T) -> T {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| !session.running.is_finished());
        take(&mut sessions)
    }
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    context.guard.act().map_err(ApiError::from)?;
    // What a pod answers on its ports can be told to do anything; so it is entered like by a command.
    context.guard.allow(Some(Harm::Enters)).map_err(ApiError::from)?;
    let who = context.call.principal.identity.clone();
    match arguments.action {
        Action::Start => start(&context, &arguments).await,
        Action::List => Ok(list(&context.forwards, &who)),
        Action::Stop => {
            let Some(id) = &arguments.session else {
                return Err(ToolError::arguments("give \"session\""));
            };
            let stopped = context.forwards.with(|sessions| {
                let at = sessions
                    .iter()
                    .position(|session| session.id == *id && session.who == who)?;
                Some(sessions.remove(at))
            });
            match stopped {
                Some(session) => Ok(Answer::new(format!(
                    "stopped: {} to {}",
                    session.local, session.to
                ))),
                // Another user's is as if it weren't there.
                None => Err(ToolError::arguments("there is no such session of yours")),
            }
        }
    }
}

fn list(forwards: &Forwards, who: &Identity) -> Answer {
    let rows: Vec<Vec<String>> = forwards.with(|sessions| {
        let own = sessions.iter().filter(|session| session.who == *who);
        own.map(|session| {
            let left = session.until.saturating_duration_since(Instant::now());
            vec![
                session.id.clone(),
                session.local.to_string(),
                session.to.clone(),
                format!("{} min", left.as_secs().div_ceil(60)),
            ]
        })
        .collect()
    });
    let columns = ["SESSION", "HERE", "TO", "LEFT"].map(str::to_owned).into();
    Answer::new(count(rows.len(), "session").into_owned()).with(Section::new(
        Rank::Essential,
        Content::Table(Table { columns, rows }),
    ))
}

async fn start(context: &Context, arguments: &Arguments) -> Result<Answer, ToolError> {
    context.approver.note("port-forward", None);
    let (Some(pod), Some(namespace), Some(port)) = (&arguments.pod, &arguments.namespace, arguments.port)
    else {
        return Err(ToolError::arguments("give \"pod\", \"namespace\" and \"port\""));
    };
    let minutes = arguments.minutes.unwrap_or(MINUTES);
    if !(1..=MOST_MINUTES).contains(&minutes) || port == 0 {
        return Err(ToolError::Arguments(format!(
            "port is {port} and minutes {minutes}: give a port, and 1 to {MOST_MINUTES} minutes"
        )));
    }
    let who = context.call.principal.identity.clone();
    let count_of = |sessions: &mut Vec<Session>| sessions.iter().filter(|session| session.who == who).count();
    let full = || {
        ToolError::Denied(format!(
            "there are {MOST} sessions of yours, and no more at a time: stop one (action stop)"
        ))
    };
    if context.forwards.with(count_of) >= MOST {
        return Err(full());
    }
    let cluster = context.cluster(arguments.cluster.as_deref()).await?;
    let found = pods::find(&cluster, namespace, pod, "portforward").await?;
    let wire = found.wire("portforward", vec![("ports", Some(port.to_string()))]);
    let to = format!(
        "port {port} of pod {} in namespace {} of cluster {}",
        name(pod),
        name(namespace),
        cluster.name()
    );
    let subject = Subject {
        nonce: None,
        digest: wire.digest(cluster.name()),
    };
    let here = arguments
        .local_port
        .map_or_else(|| "a port".to_owned(), |port| format!("port {port}"));
    let title = format!(
        "An agent wants {here} of this machine to lead to {to} for {minutes} min. Whatever runs here can then connect. Approve it \
         only if that is what you want."
    );
    let question = async || Ok(server::text(Answer::new(title), &context.settings).text);
    let consent = context.approver.ask(subject, question).await?;
    let approved = Approved::of(cluster.name().clone(), wire, Some(Harm::Enters), &consent)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.local_port.unwrap_or(0)));
    let refused = |error: std::io::Error| ToolError::Arguments(format!("can't listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    let mut until = Instant::now() + Duration::from_secs(u64::from(minutes) * 60);
    if let Some(proof) = context.call.principal.until {
        until = until.min(proof.into());
    }
    let serving = Arc::new(Serving {
        cluster,
        approved,
        pod: found,
    });
    let id = Uuid::new_v4().to_string();
    let session = Session {
        id: id.clone(),
        who: who.clone(),
        to: to.clone(),
        local,
        until,
        running: tokio::spawn(async move {
            let _ = tokio::time::timeout_at(until, serving.accept(listener)).await;
        })
        .abort_handle(),
    };
    // Somebody may have started others while they were asked.
    let is_kept = context.forwards.with(|sessions| {
        let has_room = count_of(sessions) < MOST;
        if has_room {
            sessions.push(session);
        }
        has_room
    });
    if !is_kept {
        return Err(full());
    }
    Ok(Answer::new(format!("{local} leads to {to} for {minutes} min"))
        .with_more(format!("to end it: action stop, session {id}")))
}

/// What a session's connections have in common.
struct Serving {
    cluster: Cluster,
    approved: Approved,
    pod: pods::Pod,
}

impl Serving {
    /// Takes connections until the pod is another. Dropped, all of them end.
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { return };
                    if connections.len() >= MOST_CONNECTIONS {
                        continue;
                    }
                    if !self.is_same().await {
                        return;
                    }
                    let serving = self.clone();
                    connections.spawn(async move { serving.carry(stream).await });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Whether it is the pod that was approved of, and none of its name that came after it.
    async fn is_same(&self) -> bool {
        match self.cluster.get(self.pod.path()).await {
            Ok(now) => text(&now, "/metadata/uid") == text(&self.pod.object, "/metadata/uid"),
            // It is asked again by whoever connects next.
            Err(ApiError::Refused { code, .. }) => code != 404,
            Err(_) => true,
        }
    }

    /// Bytes both ways, until the pod ends them or they can't be written here. That this side has said all can't be told to the other.
    async fn carry(&self, stream: TcpStream) -> Result<(), ApiError> {
        let mut frames = self.cluster.enter(&self.approved, "v4.channel.k8s.io").await?;
        let broken = |error: std::io::Error| ApiError::Broken(error.to_string());
        let (mut from, mut to) = stream.into_split();
        let mut buffer = vec![0; PIECE];
        let (mut is_open, mut greeted) = (true, false);
        loop {
            tokio::select! {
                read = from.read(&mut buffer), if is_open => match read.map_err(broken)? {
                    0 => is_open = false,
                    length => frames.send(channels::DATA, &buffer[..length]).await?,
                },
                message = frames.next() => {
                    let Some(message) = message else { return Ok(()) };
                    let (channel, bytes) = message?;
                    match channel {
                        // Each channel begins with the port's number.
                        channels::DATA if !greeted => greeted = true,
                        channels::DATA => to.write_all(&bytes).await.map_err(broken)?,
                        channels::TROUBLE if bytes.len() > 2 => return Ok(()),
                        _ => {}
                    }
                }
            }
        }
    }
}
