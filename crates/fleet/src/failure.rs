//! A failure as the client gets it: as the answer, or as the last event of a watch; always with the cluster's name.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use mk8s_model::ClusterName;
use mk8s_net::{Body, status::Status};
use serde_json::{Value, json};

use crate::accept::is_json;

/// The most that is read of an answer that says why not, in bytes.
const MAX_STATUS: usize = 64 * 1024;
/// The most that is shown of one that isn't a `Status`, in characters.
const MAX_SHOWN: usize = 200;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: StatusCode,
    /// A `Status` object.
    status: Vec<u8>,
    retry_after: Option<HeaderValue>,
}

impl Failure {
    /// What one of the clusters said instead of an answer.
    pub(crate) async fn of(cluster: &ClusterName, response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        if !(head.status.is_client_error() || head.status.is_server_error()) {
            return Status::bad_gateway(format!(
                "cluster {cluster} answered with {}, which is neither a list nor a failure",
                head.status
            ))
            .into();
        }
        let text = beginning(body).await;
        let said = is_json(&head.headers)
            .then(|| serde_json::from_slice::<Value>(&text).ok())
            .flatten()
            .filter(|said| said["kind"] == "Status");
        let status = match said {
            Some(said) => named(said, cluster),
            None => unknown(&head.status, &text, cluster),
        };
        Self(Box::new(Parts {
            code: head.status,
            status: status.to_string().into_bytes(),
            retry_after: head.headers.get(header::RETRY_AFTER).cloned(),
        }))
    }

    /// What can't be read of a cluster's answer.
    pub(crate) fn unreadable(cluster: &ClusterName, why: &dyn std::fmt::Display) -> Self {
        Status::bad_gateway(format!("cluster {cluster}'s answer can't be read: {why}")).into()
    }

    pub(crate) fn code(&self) -> StatusCode {
        self.0.code
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> &[u8] {
        &self.0.status
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(self.0.status));
        *response.status_mut() = self.0.code;
        head(response.headers_mut());
        if let Some(after) = self.0.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        response
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let code = status.code();
        let json = status.to_json();
        let retry_after = status.into_response().headers_mut().remove(header::RETRY_AFTER);
        Self(Box::new(Parts {
            code,
            status: json,
            retry_after,
        }))
    }
}

/// The headers of whatever we answer.
pub(crate) fn head(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
}

/// A `Status` whose message says of which cluster it is. Its metadata goes: a `continue` in there is the cluster's own,
/// which we wouldn't take back.
pub(crate) fn named(mut status: Value, cluster: &ClusterName) -> Value {
    let message = status["message"].as_str().unwrap_or("no reason was given");
    let is_named = message
        .strip_prefix("cluster ")
        .and_then(|rest| rest.strip_prefix(cluster.as_str()))
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    let message = if is_named {
        message.to_owned()
    } else {
        format!("cluster {cluster}: {message}")
    };
    if let Some(members) = status.as_object_mut() {
        members.insert("message".to_owned(), message.into());
        members.insert("metadata".to_owned(), json!({}));
    }
    status
}

fn unknown(code: &StatusCode, text: &[u8], cluster: &ClusterName) -> Value {
    let text = String::from_utf8_lossy(text);
    let shown: String = text
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_SHOWN)
        .collect();
    let message = if shown.is_empty() {
        format!("cluster {cluster} answered {code}")
    } else {
        format!("cluster {cluster} answered {code}: {shown}")
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "code": code.as_u16(),
    })
}

/// As much of a body as is needed to see why not; what is there, if it breaks off.
async fn beginning(mut body: Body) -> Bytes {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let room = MAX_STATUS - text.len();
            text.extend_from_slice(&data[..data.len().min(room)]);
        }
        if text.len() >= MAX_STATUS {
            break;
        }
    }
    text.into()
}
