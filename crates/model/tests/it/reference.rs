//! Kubernetes' own reading of a request, line by line after `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`, and
//! Go's of a URL. Slow and plain: it is what [`mk8s_model::KubeRequest`] is held against. Shared with `fuzz/`.

/// `RequestInfo`, with empty text where Go has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    pub(crate) is_resource_request: bool,
    pub(crate) verb: String,
    pub(crate) path: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) name: String,
}

/// `NewRequestInfo`. None where it is an error. `path` is decoded, as `http.Request.URL.Path` is.
pub(crate) fn request_info(method: &str, path: &str, query: &str) -> Option<RequestInfo> {
    let mut info = RequestInfo {
        verb: method.to_ascii_lowercase(),
        path: path.to_owned(),
        ..RequestInfo::default()
    };
    let trimmed = path.trim_matches('/');
    let parts: Vec<&str> = if trimmed.is_empty() {
        Vec::new()
    } else {
        trimmed.split('/').collect()
    };
    let mut parts = parts.as_slice();
    if parts.len() < 3 || (parts[0] != "api" && parts[0] != "apis") {
        return Some(info);
    }
    let prefix = parts[0];
    parts = &parts[1..];
    if prefix == "apis" {
        if parts.len() < 3 {
            return Some(info);
        }
        info.group = parts[0].to_owned();
        parts = &parts[1..];
    }
    info.is_resource_request = true;
    info.version = parts[0].to_owned();
    parts = &parts[1..];
    if parts[0] == "proxy" || parts[0] == "watch" {
        if parts.len() < 2 {
            return None;
        }
        info.verb = parts[0].to_owned();
        parts = &parts[1..];
    } else {
        info.verb = match method {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        }
        .to_owned();
    }
    if parts[0] == "namespaces" && parts.len() > 1 {
        info.namespace = parts[1].to_owned();
        if parts.len() > 2 && parts[2] != "status" && parts[2] != "finalize" {
            parts = &parts[2..];
        }
    }
    if parts.len() >= 3 && info.verb != "proxy" {
        info.subresource = parts[2].to_owned();
    }
    if parts.len() >= 2 {
        info.name = parts[1].to_owned();
    }
    info.resource = parts[0].to_owned();
    if info.name.is_empty() && info.verb == "get" {
        let watch = parse_query(query)
            .into_iter()
            .find(|(key, _)| key == b"watch")
            .is_some_and(|(_, value)| {
                let value = value.to_ascii_lowercase();
                value != b"false" && value != b"0"
            });
        info.verb = if watch { "watch" } else { "list" }.to_owned();
    }
    if info.name.is_empty() && info.verb == "delete" {
        info.verb = "deletecollection".to_owned();
    }
    Some(info)
}

/// `url.ParseQuery`, its errors ignored as `URL.Query` does. Go's strings are bytes.
pub(crate) fn parse_query(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut values = Vec::new();
    for pair in query.split('&') {
        if pair.contains(';') || pair.is_empty() {
            continue;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (unescape(key, true), unescape(value, true)) {
            values.push((key, value));
        }
    }
    values
}

/// `url.PathUnescape` and, with `is_query`, `url.QueryUnescape`. None where it is an error.
pub(crate) fn unescape(text: &str, is_query: bool) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3)?;
                let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                out.push(digit(digits[0])? * 16 + digit(digits[1])?);
                at += 3;
            }
            b'+' if is_query => {
                out.push(b' ');
                at += 1;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Some(out)
}
