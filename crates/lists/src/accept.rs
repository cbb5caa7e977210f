//! Which forms of an answer a client takes, and which of them we can give.

use http::{HeaderMap, header};

/// What of a client's `Accept` is JSON, in its order, parameters (`as=Table`) and weights kept; `*/*` counts as JSON. Without
/// an `Accept`, that is plain JSON; nothing, if the client takes anything but JSON.
pub fn json_ranges(headers: &HeaderMap) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_restricted = false;
    for value in headers.get_all(header::ACCEPT) {
        let Ok(value) = value.to_str() else {
            is_restricted = true;
            continue;
        };
        for range in value.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            is_restricted = true;
            match media_type(range) {
                "application/json" => kept.push(range),
                "*/*" | "application/*" => kept.push("application/json"),
                _ => {}
            }
        }
    }
    if !is_restricted {
        kept.push("application/json");
    }
    kept
}

/// Whether this is a content type that we can read.
pub fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| media_type(value) == "application/json")
}

fn media_type(range: &str) -> &str {
    let media_type = range.split(';').next().unwrap_or_default().trim();
    // Types are compared in any letter case (RFC 9110, 8.3.1).
    ["application/json", "application/*", "*/*"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(media_type))
        .unwrap_or(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(accept: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().expect("value"));
        }
        let kept = json_ranges(&headers).join(",");
        (!kept.is_empty()).then_some(kept)
    }

    #[test]
    fn only_json_is_asked_for() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let rows: &[(&[&str], Option<&str>)] = &[
            (&[], Some("application/json")),
            (&[""], Some("application/json")),
            (&["*/*"], Some("application/json")),
            (
                &["application/json, */*"],
                Some("application/json,application/json"),
            ),
            (
                &["application/vnd.kubernetes.protobuf,application/json"],
                Some("application/json"),
            ),
            (
                &["application/yaml;q=0.5", "Application/JSON;q=0.3"],
                Some("Application/JSON;q=0.3"),
            ),
            (&["application/vnd.kubernetes.protobuf"], None),
            (
                &["application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io"],
                None,
            ),
            (&["text/html"], None),
        ];
        for (accept, expected) in rows {
            assert_eq!(narrowed(accept).as_deref(), *expected, "{accept:?}");
        }
        let kubectl = format!("{table},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json");
        assert_eq!(narrowed(&[&kubectl]), Some(kubectl.clone()));
    }
}
