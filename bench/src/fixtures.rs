//! What is asked for, and what the upstream answers.

use std::fmt::Write as _;

/// A ConfigMap of [`SMALL_BYTES`] bytes.
pub(crate) const SMALL_PATH: &str = "/api/v1/namespaces/default/configmaps/x";
/// As long as a small object is, as JSON.
pub(crate) const SMALL_BYTES: usize = 519;
/// A list of [`LIST_BYTES`] bytes, or a watch.
pub(crate) const LIST_PATH: &str = "/api/v1/pods";
/// A watch of the same.
pub(crate) const WATCH_PATH: &str = "/api/v1/pods?watch=1&resourceVersion=0";
/// As long as a list of some 1,000 pods is, as JSON.
pub(crate) const LIST_BYTES: usize = 1_700_000;
/// What an agent asks for first.
pub(crate) const VERSION_PATH: &str = "/version";
pub(crate) const VERSION: &[u8] =
    br#"{"major":"1","minor":"36","gitVersion":"v1.36.3","goVersion":"go1.26.1","platform":"linux/amd64"}"#;

/// What an API server sets on every answer, beside date and type.
pub(crate) const HEADERS: [(&str, &str); 4] = [
    ("audit-id", "0b6c2d0e-6a2e-4b0e-8f5a-4d1f5f1c9a77"),
    ("cache-control", "no-cache, private"),
    (
        "x-kubernetes-pf-flowschema-uid",
        "3f1f8a0c-3c7b-4c87-9d0e-6f0b8c0e5a11",
    ),
    (
        "x-kubernetes-pf-prioritylevel-uid",
        "9d2b7d52-0f5e-4f3a-8a84-52f0b1a6f3c2",
    ),
];

/// The ConfigMap.
pub(crate) fn small() -> String {
    let head = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","namespace":"default","uid":"5d6fba5b-2fd4-4b5c-9dd5-2d4d2f7a1c10","resourceVersion":"4711","creationTimestamp":"2026-01-02T03:04:05Z","managedFields":[{"manager":"kubectl","operation":"Update","apiVersion":"v1","time":"2026-01-02T03:04:05Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:settings":{}}}}]},"data":{"settings":""#;
    padded(head, "\"}}\n", SMALL_BYTES)
}

/// The list.
pub(crate) fn list() -> String {
    let mut text = String::with_capacity(LIST_BYTES);
    text.push_str(r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"4711"},"items":["#);
    for number in 0.. {
        let pod = pod(number);
        if text.len() + pod.len() + 200 > LIST_BYTES {
            break;
        }
        text.push_str(&pod);
        text.push(',');
    }
    text.push_str(r#"{"metadata":{"name":"last","namespace":"default","annotations":{"filler":""#);
    padded(&text, "\"}}}]}\n", LIST_BYTES)
}

/// A watch's first event.
pub(crate) fn event() -> String {
    format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", pod(0))
}

fn pod(number: u32) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web-{number:06}","namespace":"default","labels":{{"app":"web"}}}},"spec":{{"nodeName":"node-{}","containers":[{{"name":"web","image":"registry.example.com/web:1.2.3","env":["#,
        number % 50
    );
    for variable in 0..24 {
        let _ = write!(
            text,
            r#"{{"name":"SETTING_{variable}","value":"{:08x}"}},"#,
            number.wrapping_mul(2_654_435_761) >> (variable % 8)
        );
    }
    text.push_str(r#"{"name":"LAST","value":"1"}]}]},"status":{"phase":"Running","qosClass":"BestEffort"}}"#);
    text
}

/// `head`, as much filling as it takes, and `tail`.
fn padded(head: &str, tail: &str, length: usize) -> String {
    let filling = length.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", "x".repeat(filling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_json_of_the_length_that_is_claimed() {
        assert_eq!(small().len(), SMALL_BYTES);
        assert_eq!(list().len(), LIST_BYTES);
        for text in [small(), list(), event()] {
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        }
    }
}
