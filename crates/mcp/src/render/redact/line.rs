//! Secrets in one line, by what stands before them: assignments, flags, headers, URLs.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::names;

/// What the name before a secret has in it; [`names`] decides.
static HINTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i-u:pass|pwd|secret|token|key|cred|auth|cookie|jwt|sig|dsn|conn|psk|pin\b|pat\b|otp\b|pw\b|docker|bearer|userpass|webhook)")
        .expect("a valid pattern")
});

/// Credentials that follow their scheme.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i-u:\b(bearer|basic|negotiate|ntlm)[ +]+([A-Za-z0-9+/_.=~-]{8,}))")
        .expect("a valid pattern")
});

/// `curl -u user:password`, and MySQL's `user:password@tcp(host)`.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?-u:(?:^|[ \t])(?:-u|--user|--proxy-user)[ =]+["']?[A-Za-z0-9_.@+-]+:([!#-&(-~]+)|\b[A-Za-z0-9_.-]+:([!-~]{1,256}?)@(?:tcp|unix|udp)\()"#,
    )
    .expect("a valid pattern")
});

/// Words that follow `secret:` and `token:` in messages, and are nobody's secret.
const PROSE: &[&str] = &[
    "a",
    "an",
    "the",
    "not",
    "no",
    "is",
    "was",
    "has",
    "had",
    "have",
    "are",
    "must",
    "may",
    "can",
    "cannot",
    "can't",
    "could",
    "couldn't",
    "failed",
    "failure",
    "unable",
    "invalid",
    "expired",
    "missing",
    "unknown",
    "error",
    "empty",
    "required",
    "unauthorized",
    "forbidden",
    "does",
    "doesn't",
    "did",
    "didn't",
    "unexpected",
    "illegal",
    "malformed",
    "rejected",
    "denied",
    "wrong",
    "too",
    "timeout",
    "timed",
    "context",
    "secret",
    "secrets",
    "token",
    "tokens",
    "rpc",
    "got",
    "unexpectedly",
    "nothing",
    "optional",
    "object",
    "string",
    "resource",
    "of",
    "for",
    "from",
    "in",
    "with",
    "and",
    "or",
    "to",
    "on",
    "by",
    "at",
    "already",
    "created",
    "updated",
    "deleted",
    "configured",
    "found",
    "refreshed",
    "rotated",
    "loaded",
    "valid",
    "ok",
    "success",
    "successfully",
    "reading",
    "fetching",
    "generated",
    "authentication",
    "unable.",
    "unmarshal",
    "parsing",
    "parse",
    "open",
    "read",
    "get",
    "http",
    "https",
    "io",
    "eof",
    "dial",
];

/// What the next lines are, by this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Whatever they are.
    Anything,
    /// A block of YAML that is the secret.
    Block,
    /// The secret, alone on its line.
    Value,
}

/// Where a line has secrets. `body` is where what was logged begins.
pub(super) fn find(line: &str, body: usize, found: &mut Vec<Range<usize>>) -> Next {
    for hit in SCHEME.captures_iter(line) {
        let (Some(scheme), Some(value)) = (hit.get(1), hit.get(2)) else {
            continue;
        };
        if is_credential(scheme.as_str(), value.as_str()) {
            found.push(value.range());
        }
    }
    // Rare, and looked for at some cost.
    let user = line.contains('@') || line.contains("-u");
    for hit in USER.captures_iter(if user { line } else { "" }) {
        if let Some(value) = hit
            .get(1)
            .or_else(|| hit.get(2))
            .filter(|value| !names::harmless(value.as_str(), false))
        {
            found.push(value.range());
        }
    }
    urls(line, found);
    assignments(line, body, found)
}

/// A word after `bearer` is a credential unless it is English.
fn is_credential(scheme: &str, value: &str) -> bool {
    if scheme.eq_ignore_ascii_case("basic") {
        return value.len() >= 8
            && value
                .bytes()
                .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'=');
    }
    value.len() >= 24
        || value
            .bytes()
            .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Passwords in URLs, and tokens in the place of the user.
fn urls(line: &str, found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(at) = line[from..].find("://") {
        let start = from + at + 3;
        let end = line[start..]
            .find(|c: char| c.is_whitespace() || "\"'`<>\\".contains(c))
            .map_or(line.len(), |length| start + length);
        from = start;
        let url = &line[start..end];
        let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
        // A password with a slash in it isn't allowed there, and is common.
        let port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
        let info = match authority.rfind('@') {
            Some(at) => &url[..at],
            None if authority.contains(':') && !port && !authority.starts_with('[') => match url.rfind('@') {
                Some(at) => &url[..at],
                None => continue,
            },
            None => continue,
        };
        let (secret, at) = match info.split_once(':') {
            Some((user, password)) => (password, start + user.len() + 1),
            None if info.len() >= 20 => (info, start),
            None => continue,
        };
        if !names::harmless(secret, true) {
            found.push(at..at + secret.len());
            from = at + secret.len();
        }
    }
}

/// `name=value`, `name: value`, `--name value`, `<name>value</name>` and their like.
fn assignments(line: &str, body: usize, found: &mut Vec<Range<usize>>) -> Next {
    let bytes = line.as_bytes();
    let mut from = 0;
    while let Some(hint) = HINTS.find_at(line, from) {
        let name = name_around(bytes, hint.range(), from);
        from = name.end.max(hint.end());
        let text = &line[name.clone()];
        if !names::sensitive(text) {
            continue;
        }
        match value_after(line, &name, body) {
            Found::Value(value) if !names::harmless(&line[value.clone()], names::password(text)) => {
                from = from.max(value.end);
                found.push(value);
            }
            Found::Value(_) | Found::None => {}
            Found::Block => return Next::Block,
            Found::End => return Next::Value,
        }
    }
    Next::Anything
}

/// The whole name around a hint.
fn name_around(bytes: &[u8], hint: Range<usize>, floor: usize) -> Range<usize> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let mut start = hint.start;
    while start > floor && hint.start - start < 128 && is_name(bytes[start - 1]) {
        start -= 1;
    }
    let mut end = hint.end;
    while end < bytes.len() && end - hint.end < 128 && is_name(bytes[end]) {
        end += 1;
    }
    start..end
}

/// What follows a name.
enum Found {
    /// Its value.
    Value(Range<usize>),
    /// A block of YAML on the next lines.
    Block,
    /// Nothing more on this line.
    End,
    /// It was no assignment, or to something with names of its own.
    None,
}

fn value_after(line: &str, name: &Range<usize>, body: usize) -> Found {
    let bytes = line.as_bytes();
    let blanks = |mut at: usize| {
        while at < bytes.len() && (bytes[at] == b' ' || bytes[at] == b'\t') {
            at += 1;
        }
        at
    };
    let text = &line[name.clone()];
    let flag = text.starts_with('-');
    let element = name.start > 0 && bytes[name.start - 1] == b'<' && bytes.get(name.end) == Some(&b'>');
    if element {
        let end = line[name.end + 1..]
            .find('<')
            .map_or(line.len(), |length| name.end + 1 + length);
        return Found::Value(name.end + 1..end);
    }
    let closed = after_quote(bytes, name.end);
    let at = blanks(closed);
    let (separator, value) = match bytes.get(at..) {
        Some([b':', b':', ..]) => return Found::None,
        Some([b':', b'=', ..] | [b'=', b'>' | b'=', ..] | [b'+' | b'?', b'=', ..]) => (b'=', blanks(at + 2)),
        Some([separator @ (b':' | b'='), ..]) => (*separator, blanks(at + 1)),
        // In a query, or YAML on one line within a shell's words.
        Some([b'%', b'3', b'D' | b'd', ..]) => (b'=', at + 3),
        Some([_, ..]) if flag && at > name.end => (b' ', at),
        // As databases' statements have it.
        Some([b'\'' | b'"', ..]) if at > name.end && names::password(text) => (b' ', at),
        // Files of their own kind: `requirepass x`, `password x`, `ENV API_KEY x`.
        Some([_, ..]) if at > name.end => {
            let end = line[at..]
                .find(char::is_whitespace)
                .map_or(line.len(), |length| at + length);
            let variable = text.contains('_') && !text.bytes().any(|byte| byte.is_ascii_lowercase());
            let has = |wanted: fn(&u8) -> bool| bytes[at..end].iter().any(wanted);
            let word = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
            let is_secret = word && (variable || names::password(text));
            return if is_secret {
                Found::Value(at..end)
            } else {
                Found::None
            };
        }
        _ => return Found::None,
    };
    let rest = &line[value..];
    // A header's value, or what YAML and properties have to the end of their line.
    let indent = blanks(body);
    let dashed = if line[indent..].starts_with("- ") {
        blanks(indent + 2)
    } else {
        indent
    };
    let exported = if line[dashed..].starts_with("export ") {
        dashed + 7
    } else {
        dashed
    };
    let first = name.start == exported
        || (name.start > exported && name.start - exported <= 2 && bytes[name.start - 1] == b'"');
    // A path in a message, and what happened there.
    if separator == b':' && name.start > 0 && bytes[name.start - 1] == b'/' {
        return Found::None;
    }
    let lower = text.to_ascii_lowercase();
    let authorization = lower.contains("authorization");
    let header = authorization || lower.contains("cookie");
    if rest.trim().is_empty() || rest.trim() == "\\" {
        return if separator == b' ' {
            Found::None
        } else {
            Found::End
        };
    }
    if is_block(rest) {
        return Found::Block;
    }
    if let Some(inner) = quoted(bytes, value) {
        return Found::Value(inner);
    }
    if rest.starts_with('[') || rest.starts_with("map[") {
        let end = rest.find(']').map_or(line.len(), |length| value + length + 1);
        let start = value + rest.find('[').unwrap_or_default();
        return if rest.starts_with("[]") || rest.starts_with("[{") {
            Found::None
        } else {
            Found::Value(start..end)
        };
    }
    if rest.starts_with(['{', '&']) {
        return Found::None;
    }
    let word = rest.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
    let plain = word
        .trim_end_matches([',', ';', ':', '.', ')'])
        .to_ascii_lowercase();
    if separator == b':'
        && !authorization
        && PROSE.contains(&plain.as_str())
        && rest.trim().len() > word.len()
    {
        return Found::None;
    }
    if authorization && !is_authorization(word) {
        return Found::None;
    }
    if header {
        let end = rest.find(['"', '\'']).map_or(line.len(), |length| value + length);
        return Found::Value(value..end);
    }
    let variable = (word.starts_with("$(") || word.starts_with("{{") || word.starts_with("${"))
        && names::harmless(rest, true);
    if variable {
        return Found::Value(value..line.len());
    }
    let end = if first && separator != b' ' && names::password(text) {
        line.trim_end().len()
    } else {
        // In JSON, a query, a struct or a list, these end it; within a word of their own they are the secret's.
        let stop = |c: char| c.is_whitespace() || ",;&\"'<>)]}`".contains(c) || c == '\\';
        let length = rest.find(stop).unwrap_or(rest.len());
        // `password=a,b` alone on its line.
        let whole = first && !rest.trim_end().contains(|c: char| c.is_whitespace() || c == '"');
        value + if whole { rest.trim_end().len() } else { length }
    };
    Found::Value(value..end.max(value))
}

/// Whether this begins credentials: messages say `authorization: failed`, too.
fn is_authorization(word: &str) -> bool {
    const SCHEMES: &[&str] = &[
        "bearer",
        "basic",
        "digest",
        "token",
        "negotiate",
        "ntlm",
        "apikey",
        "hoba",
        "hawk",
    ];
    let lower = word.to_ascii_lowercase();
    let long = word.len() >= 8
        && word
            .bytes()
            .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    long || word.len() >= 20 || lower.starts_with("aws4-") || SCHEMES.contains(&lower.as_str())
}

/// Whether YAML's text begins on the next line.
fn is_block(rest: &str) -> bool {
    let rest = rest.trim_end();
    let Some(after) = rest.strip_prefix(['|', '>']) else {
        return false;
    };
    after
        .bytes()
        .all(|byte| b"+-".contains(&byte) || byte.is_ascii_digit())
}

/// After a quote, itself perhaps quoted by backslashes, if there is one.
fn after_quote(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    while end < bytes.len() && end - at < 8 && bytes[end] == b'\\' {
        end += 1;
    }
    if matches!(bytes.get(end), Some(b'"' | b'\'' | b'`')) {
        end + 1
    } else {
        at
    }
}

/// What is in the quotes that open here: to the same quote with as many backslashes, or to the line's end.
fn quoted(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let open = after_quote(bytes, at);
    if open == at {
        return None;
    }
    let quote = bytes[open - 1];
    let slashes = open - at - 1;
    let mut run = 0;
    for (end, &byte) in bytes.iter().enumerate().skip(open) {
        if byte == b'\\' {
            run += 1;
            continue;
        }
        // More backslashes quote the quote itself.
        if byte == quote && run == slashes {
            return Some(open..end - slashes);
        }
        run = 0;
    }
    Some(open..bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(line: &str) -> String {
        let mut found = Vec::new();
        find(line, 0, &mut found);
        super::super::hide(line, found, "█").0
    }

    #[test]
    fn values_of_secret_names_are_hidden_and_no_more() {
        for (line, shown) in [
            ("password: hunter two", "password: █"),
            ("DB_PASSWORD=hunter2", "DB_PASSWORD=█"),
            ("user=a password=hunter2 host=b", "user=a password=█ host=b"),
            (
                r#"{"password":"hun\"ter2","user":"a"}"#,
                r#"{"password":"█","user":"a"}"#,
            ),
            (
                r#"{\"token\":\"abc1\",\"user\":\"a\"}"#,
                r#"{\"token\":\"█\",\"user\":\"a\"}"#,
            ),
            (
                "app --token abc1 --password=hunter2 --port 80",
                "app --token █ --password=█ --port 80",
            ),
            ("GET /x?token=abc1&user=a", "GET /x?token=█&user=a"),
            ("<password>hunter2</password>", "<password>█</password>"),
            ("map[password:hunter2 user:a]", "map[password:█ user:a]"),
            ("Authorization: Bearer abc.def user", "Authorization: █"),
            (
                "curl -H 'Authorization: Basic dXNlcjpw' http://x",
                "curl -H 'Authorization: █' http://x",
            ),
            ("sent Bearer abcdefgh1 on", "sent Bearer █ on"),
            ("postgres://u:p/w@host/db", "postgres://u:█@host/db"),
            ("http://host:80/a?b=c@d", "http://host:80/a?b=c@d"),
            ("https://user:hunter2@host:80/x", "https://user:█@host:80/x"),
            ("root:hunter2@tcp(db:3306)/x", "root:█@tcp(db:3306)/x"),
            ("curl -u admin:hunter2 x", "curl -u admin:█ x"),
            (
                "CREATE USER a WITH PASSWORD 'hunter2'",
                "CREATE USER a WITH PASSWORD '█'",
            ),
            ("tokens: [a, b]", "tokens: █"),
            (r#"secretName: "web""#, r#"secretName: "web""#),
            ("failed: secret: not found", "failed: secret: not found"),
            (r#"secret "db" not found"#, r#"secret "db" not found"#),
            ("password: $(DB_PASSWORD)", "password: $(DB_PASSWORD)"),
            ("bearer authentication is on", "bearer authentication is on"),
            ("basic authentication", "basic authentication"),
            ("key: value", "key: value"),
            (
                "may require authorization: server message: insufficient_scope: authorization failed",
                "may require authorization: server message: insufficient_scope: authorization failed",
            ),
            (
                "Get \"http://10.0.0.5:8080/auth\": EOF",
                "Get \"http://10.0.0.5:8080/auth\": EOF",
            ),
        ] {
            assert_eq!(hidden(line), shown, "{line}");
        }
    }

    #[test]
    fn what_comes_on_the_next_lines_is_told() {
        for (line, next) in [
            ("token: |", Next::Block),
            ("  password: >-", Next::Block),
            ("password:", Next::Value),
            ("spec:", Next::Anything),
        ] {
            assert_eq!(find(line, 0, &mut Vec::new()), next, "{line}");
        }
    }
}
