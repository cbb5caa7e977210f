//! One HTTP request: opened, checked, done, and answered; or whatever a test wants instead.

use std::{
    convert::Infallible,
    sync::{Arc, MutexGuard},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use serde_json::Value;

use super::{
    behaviour::{Endpoint, Fault},
    crypto::{self, Key},
    endpoints, form,
    server::{Shared, State},
    wire::{Refusal, Sealed, Sender, payload},
};

/// The longest body that is taken.
const LONGEST: usize = 64 << 20;
const BLOCK: usize = 64 << 10;
const BEFORE_CUT: Duration = Duration::from_millis(50);

/// An answer's body. Its only error is that it ends too early.
pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// The connection is to end here.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut off, as the test wants it")]
pub(super) struct Cut;

/// Answers one request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let endpoint = Endpoint::of_path(&path, head.method == Method::GET);
    let (entry, fault) = {
        let mut state = shared.lock();
        let entry = state.log.begin(endpoint, &head.method, &path, &head.headers);
        let fault = endpoint.and_then(|endpoint| state.behaviours.next(endpoint));
        (entry, fault)
    };
    let response = match (endpoint, Limited::new(body, LONGEST).collect().await) {
        (None, _) => refused(
            &path,
            Refusal::new(StatusCode::NOT_FOUND, "not_found", "no such endpoint"),
        ),
        (_, Err(_)) => refused(
            &path,
            Refusal::bad_request("the body is too long, or was cut off"),
        ),
        (Some(endpoint), Ok(body)) => {
            let asked = Asked {
                endpoint,
                path: &path,
                headers: &head.headers,
                body: body.to_bytes(),
                entry,
            };
            match fault {
                Some(fault) => faulty(&shared, asked, fault).await,
                None => proper(&shared, asked, None),
            }
        }
    };
    shared.lock().log.end(entry, response.status().as_u16());
    Ok(response)
}

struct Asked<'r> {
    endpoint: Endpoint,
    path: &'r str,
    headers: &'r HeaderMap,
    body: Bytes,
    entry: usize,
}

/// The answer of a server that works, but for what `bend` does to the reply.
fn proper(shared: &Shared, asked: Asked<'_>, bend: Option<Fault>) -> Response<Body> {
    let path = asked.path;
    let mut state = shared.lock();
    let done = match asked.endpoint {
        Endpoint::Download => download(&mut state, &asked),
        Endpoint::Upload => upload(&mut state, &asked),
        _ => call(&mut state, asked, bend),
    };
    drop(state);
    match done {
        Ok((status, body)) => respond(status, "application/octet-stream", body),
        Err(refusal) => refused(path, refusal),
    }
}

/// The answer that a test wants.
async fn faulty(shared: &Shared, asked: Asked<'_>, fault: Fault) -> Response<Body> {
    let path = asked.path;
    match fault {
        Fault::Throttled(retry_after) => refused(path, Refusal::throttled(retry_after)),
        Fault::AccessDenied => refused(path, Refusal::access_denied("as the test wants it")),
        Fault::OtherKey(id) => refused(path, Refusal::other_key(id)),
        Fault::Status(status) => respond(
            status,
            "text/html",
            Bytes::from_static(b"<html><body>oh dear</body></html>"),
        ),
        Fault::Hang => std::future::pending().await,
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            proper(shared, asked, None)
        }
        Fault::Truncated => truncated(proper(shared, asked, None)).await,
        Fault::Huge { bytes, declared } => huge(bytes, declared),
        Fault::Empty => respond(StatusCode::OK, "application/octet-stream", Bytes::new()),
        Fault::Garbled => {
            let noise = Bytes::copy_from_slice(&crypto::random::<200>());
            respond(StatusCode::OK, "application/octet-stream", noise)
        }
        Fault::NotJson | Fault::WithoutRecords | Fault::WithoutFolders => proper(shared, asked, Some(fault)),
    }
}

type Done = Result<(StatusCode, Bytes), Refusal>;

fn call(state: &mut MutexGuard<'_, State>, asked: Asked<'_>, bend: Option<Fault>) -> Done {
    let state = &mut **state;
    let endpoint = asked.endpoint;
    let sealed = Sealed::read(asked.headers, asked.body)?;
    let key = sealed.transmission_key(&state.keys)?;
    let document = sealed.open(&key)?;
    let sender: Sender = payload(&document)?;
    let known = state.clients.identify(&sender, &sealed, endpoint.may_bind())?;
    state.log.client(asked.entry, &sender.client_id);
    if !state.limiter.passes(&sender.client_id, endpoint, Instant::now()) {
        return Err(Refusal::throttled(None));
    }
    let origin = origin(asked.headers, &state.hostname);
    let mut reply = endpoints::act(&mut state.contents, endpoint, &document, &origin)?;
    if let Some(reply) = &mut reply {
        known.greet(reply, &state.contents);
    }
    Ok((StatusCode::OK, sealed_reply(&key, reply, bend)))
}

fn sealed_reply(key: &Key, reply: Option<Value>, bend: Option<Fault>) -> Bytes {
    let Some(mut reply) = reply else {
        return Bytes::new();
    };
    if let Some(members) = reply.as_object_mut() {
        match bend {
            Some(Fault::WithoutRecords) => drop(members.remove("records")),
            Some(Fault::WithoutFolders) => drop(members.remove("folders")),
            _ => {}
        }
    }
    let text = match bend {
        Some(Fault::NotJson) => "{\"records\": [".to_owned(),
        _ => reply.to_string(),
    };
    crypto::encrypt(key, text.as_bytes()).into()
}

fn download(state: &mut MutexGuard<'_, State>, asked: &Asked<'_>) -> Done {
    let ticket = asked.path.trim_start_matches("/files/");
    let gone = || Refusal::new(StatusCode::NOT_FOUND, "not_found", "no such file");
    let file = state.contents.file_mut(ticket).ok_or_else(gone)?;
    let content = file.content.as_ref().ok_or_else(gone)?;
    Ok((StatusCode::OK, crypto::encrypt(&file.key, content).into()))
}

fn upload(state: &mut MutexGuard<'_, State>, asked: &Asked<'_>) -> Done {
    let content_type = asked
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let parts = form::parts(content_type, &asked.body)
        .ok_or_else(|| Refusal::bad_request("this isn't a form with a file"))?;
    let part = |name: &str| {
        let found = parts.iter().find(|part| part.name == name);
        found.ok_or_else(|| Refusal::bad_request(&format!("the form has no part {name:?}")))
    };
    let ticket = String::from_utf8_lossy(part("key")?.content).into_owned();
    let file = state
        .contents
        .file_mut(&ticket)
        .filter(|file| file.content.is_none())
        .ok_or_else(|| Refusal::access_denied("no file is expected under this key"))?;
    let content = crypto::decrypt(&file.key, part("file")?.content)
        .map_err(|_| Refusal::bad_request("the file isn't encrypted with its key"))?;
    file.content = Some(content);
    Ok((StatusCode::NO_CONTENT, Bytes::new()))
}

/// The server as this client calls it, so that the URLs of files work wherever the client is.
fn origin(headers: &HeaderMap, hostname: &str) -> String {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    format!("https://{}", host.unwrap_or(hostname))
}

fn refused(path: &str, refusal: Refusal) -> Response<Body> {
    respond(refusal.status, "application/json", refusal.body(path))
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    response
}

/// The answer's own head, which promises all of it, and half of its body.
async fn truncated(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let whole = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(Cut) => Bytes::new(),
    };
    // With nothing to cut, something is promised that never comes.
    head.headers
        .insert(header::CONTENT_LENGTH, whole.len().max(1).into());
    let half = whole.slice(..whole.len() / 2);
    let cut = async {
        // What comes before must have gone out.
        tokio::time::sleep(BEFORE_CUT).await;
        Err(Cut)
    };
    let pieces = stream::once(async { Ok(Frame::data(half)) }).chain(stream::once(cut));
    Response::from_parts(head, StreamBody::new(pieces).boxed_unsync())
}

fn huge(bytes: u64, declared: bool) -> Response<Body> {
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    let pieces = stream::iter((0..bytes).step_by(BLOCK).map(move |sent| {
        let length = usize::try_from(bytes - sent).unwrap_or(BLOCK).min(BLOCK);
        Ok(Frame::data(Bytes::from_static(&ZEROS[..length])))
    }));
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    if declared {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, bytes.into());
    }
    response
}
