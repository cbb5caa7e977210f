//! A failure as a client gets it: as the answer, or as the last event of a watch.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use mk8s_net::{Body, status::Status};
use serde_json::{Value, json};

use crate::accept::is_json;

/// The most that is read of an answer that says why not, in bytes.
const MAX_STATUS: usize = 64 * 1024;
/// The most that is shown of one that isn't a `Status`, in characters.
const MAX_SHOWN: usize = 200;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: StatusCode,
    status: Vec<u8>,
    retry_after: Option<HeaderValue>,
}

impl Failure {
    /// One with this `Status` object.
    pub fn new(code: StatusCode, status: &Value, retry_after: Option<HeaderValue>) -> Self {
        Self(Box::new(Parts {
            code,
            status: status.to_string().into_bytes(),
            retry_after,
        }))
    }

    /// The HTTP status.
    pub fn code(&self) -> StatusCode {
        self.0.code
    }

    /// The `Status` object, as JSON.
    pub fn status(&self) -> &[u8] {
        &self.0.status
    }

    /// The whole answer.
    pub fn into_response(self) -> Response<Body> {
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
pub fn head(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
}

/// What an API server said instead of an answer.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub code: StatusCode,
    /// When to ask again.
    pub retry_after: Option<HeaderValue>,
    /// The `Status` object, if it is one.
    said: Option<Value>,
    /// As much of the answer as was read.
    text: Bytes,
}

impl Refusal {
    /// Reads an answer that isn't a success, as far as that takes to see why.
    pub async fn read(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let text = beginning(body).await;
        let said = is_json(&head.headers)
            .then(|| serde_json::from_slice::<Value>(&text).ok())
            .flatten()
            .filter(|said| said["kind"] == "Status");
        Self {
            code: head.status,
            retry_after: head.headers.get(header::RETRY_AFTER).cloned(),
            said,
            text,
        }
    }

    /// Whether it is a failure at all, and not a redirection or something of no use.
    pub fn is_failure(&self) -> bool {
        self.code.is_client_error() || self.code.is_server_error()
    }

    /// What was said, as a `Status` object: the server's own, or one that shows what it said. `who` is the subject of the
    /// sentence.
    pub fn into_status(self, who: &str) -> (Value, bool) {
        if let Some(said) = self.said {
            return (said, true);
        }
        let text = String::from_utf8_lossy(&self.text);
        let shown: String = text
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_SHOWN)
            .collect();
        let message = if shown.is_empty() {
            format!("{who} answered {}", self.code)
        } else {
            format!("{who} answered {}: {shown}", self.code)
        };
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "code": self.code.as_u16(),
        });
        (status, false)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(kind: &'static str, text: &str) -> (Value, bool) {
        let mut response = Response::new(Body::full(text.to_owned()));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Refusal::read(response).await.into_status("it")
    }

    #[tokio::test]
    async fn a_status_stays_and_anything_else_becomes_one() {
        let own = r#"{"kind":"Status","message":"no","more":1}"#;
        let (status, is_own) = read("application/json", own).await;
        assert!(is_own);
        assert_eq!(status["more"], 1);
        let (status, is_own) = read("text/plain", "gone\n away").await;
        assert!(!is_own);
        assert_eq!(
            status["message"],
            "it answered 503 Service Unavailable: gone away"
        );
        let (status, _) = read("application/json", "[]").await;
        assert_eq!(status["message"], "it answered 503 Service Unavailable: []");
    }
}
