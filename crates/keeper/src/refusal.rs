//! Answers that aren't a success. They come in the clear, and not always from the service.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::{FetchError, Reply, text::plain};

/// The longest wait that is believed.
const LONGEST_WAIT: f64 = 86_400.0;

/// What a refusal asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// Another key of the server's: this one.
    OtherKey(String),
    /// Nothing that we could do at once.
    Error(FetchError),
}

/// Reads a refusal.
pub(crate) fn read(reply: &Reply) -> Refusal {
    let Ok(document) = serde_json::from_slice::<Document>(&reply.body) else {
        return Refusal::Error(FetchError::Server {
            status: reply.status,
            message: "with something else than one of Keeper's errors".to_owned(),
        });
    };
    let code = text_of(document.result_code.as_ref().or(document.error.as_ref()));
    let is_throttle = reply.status == 403 || reply.status == 429;
    Refusal::Error(match code.as_str() {
        "key" => return Refusal::OtherKey(text_of(document.key_id.as_ref())),
        "throttled" if is_throttle => FetchError::Throttled {
            retry_after: document.retry_after.as_ref().and_then(seconds),
        },
        "access_denied" => FetchError::AccessDenied {
            message: words(&[code, text_of(document.message.as_ref())]),
        },
        _ => FetchError::Server {
            status: reply.status,
            message: words(&[
                code,
                text_of(document.message.as_ref()),
                text_of(document.additional_info.as_ref()),
            ]),
        },
    })
}

#[derive(Deserialize)]
struct Document {
    result_code: Option<Value>,
    error: Option<Value>,
    message: Option<Value>,
    additional_info: Option<Value>,
    key_id: Option<Value>,
    retry_after: Option<Value>,
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => plain(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn words(parts: &[String]) -> String {
    let said: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|p| !p.is_empty())
        .collect();
    if said.is_empty() {
        return "without a reason".to_owned();
    }
    said.join(", ")
}

/// A wait of zero says nothing.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds: f64 = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    let wait = Duration::try_from_secs_f64(seconds.min(LONGEST_WAIT)).ok()?;
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, document: &Value) -> Refusal {
        read(&Reply {
            status,
            body: document.to_string().into(),
        })
    }

    #[test]
    fn a_key_may_be_a_number_or_text() {
        for id in [json!(12), json!("12")] {
            let document = json!({"error": "key", "key_id": id});
            assert_eq!(refusal(401, &document), Refusal::OtherKey("12".to_owned()));
        }
    }

    #[test]
    fn waits_are_read_in_every_form_and_bounded() {
        for (given, expected) in [
            (json!(2), Some(2.0)),
            (json!(1.5), Some(1.5)),
            (json!("3"), Some(3.0)),
            (json!(1e300), Some(LONGEST_WAIT)),
            (json!("inf"), Some(LONGEST_WAIT)),
            (json!(0), None),
            (json!(-1), None),
            (json!("NaN"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            let document = json!({"error": "throttled", "retry_after": given});
            let retry_after = expected.map(Duration::from_secs_f64);
            assert_eq!(
                refusal(403, &document),
                Refusal::Error(FetchError::Throttled { retry_after }),
                "{given}"
            );
        }
    }

    #[test]
    fn a_broken_server_that_speaks_of_throttling_is_a_broken_server() {
        let Refusal::Error(error) = refusal(502, &json!({"error": "throttled"})) else {
            panic!("an error");
        };
        assert!(matches!(error, FetchError::Server { status: 502, .. }), "{error}");
    }

    #[test]
    fn the_result_code_goes_before_the_error_and_details_are_told() {
        let document = json!({
            "result_code": "invalid_client_version",
            "error": "other",
            "message": "a\nb",
            "additional_info": "c",
        });
        let Refusal::Error(error) = refusal(400, &document) else {
            panic!("an error");
        };
        assert!(
            error.to_string().contains("400: invalid_client_version, a b, c;"),
            "{error}"
        );
    }

    #[test]
    fn a_page_is_not_quoted() {
        let reply = Reply {
            status: 403,
            body: "<html>Blocked by your company".into(),
        };
        let Refusal::Error(error) = read(&reply) else {
            panic!("an error");
        };
        assert!(matches!(error, FetchError::Server { status: 403, .. }));
        assert!(!error.to_string().contains("Blocked"), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_one_line(status: u16, code in ".{0,30}", message in "\\PC{0,300}|.{0,300}") {
            let document = json!({"error": code, "message": message, "key_id": message});
            if let Refusal::Error(error) = refusal(status, &document) {
                let text = error.to_string();
                prop_assert!(!text.chars().any(char::is_control), "{text:?}");
                prop_assert!(text.chars().count() < 1000);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(status: u16, body: Vec<u8>) {
            let _ = read(&Reply { status, body: body.into() });
        }
    }
}
