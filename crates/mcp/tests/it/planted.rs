//! Secrets to plant, made as the test runs, and what may be seen of none of them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mk8s_mcp_core::answer::{Answer, Content, Objects, Rank, Section, Shape};
use mk8s_mcp_core::render::{EnvPolicy, Nonce, Rendered, Settings, render};
use proptest::prelude::*;
use serde_json::Value;

/// Text with a secret in it, and the parts of it that must not come out.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) text: String,
    pub(crate) needles: Vec<String>,
}

impl Planted {
    fn new(text: String, needles: Vec<String>) -> Self {
        assert!(
            needles.iter().all(|needle| text.contains(needle.as_str())),
            "{text}: {needles:?}"
        );
        Self { text, needles }
    }

    /// Nothing of it is in the text.
    pub(crate) fn assert_hidden(&self, text: &str) {
        for needle in &self.needles {
            assert!(
                !text.contains(needle.as_str()),
                "{needle} of\n{}\nis in\n{text}",
                self.text
            );
        }
    }
}

pub(crate) fn settings(tokens: usize) -> Settings {
    Settings {
        tokens,
        now: "2026-11-22T12:00:00Z".parse().unwrap(),
        env: EnvPolicy::Harmless,
    }
}

/// Objects rendered with room for all of them.
pub(crate) fn rendered(items: Vec<Value>, shape: Shape, fields: &[&str]) -> Rendered {
    let mut objects = Objects::new(items, shape);
    objects.fields = fields.iter().map(|field| field.parse().unwrap()).collect();
    let answer = Answer::new("objects").with(Section::new(Rank::Essential, Content::Objects(objects)));
    render(answer, &settings(1_000_000), Nonce(7))
}

/// As random as keys are, and the same every time.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

fn word(seed: u64, length: usize) -> String {
    bytes(seed, length)
        .iter()
        .map(|byte| {
            char::from(b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"[usize::from(byte % 56)])
        })
        .collect()
}

pub(crate) fn jwt(seed: u64) -> Planted {
    let header = URL_SAFE_NO_PAD.encode(match seed % 3 {
        0 => r#"{"alg":"RS256","kid":"a"}"#.to_owned(),
        1 => r#"{"typ":"JWT","alg":"HS256"}"#.to_owned(),
        _ => "{\n \"kid\": \"k\", \"alg\": \"ES256\"}".to_owned(),
    });
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"kubernetes","sub":"{}"}}"#, word(seed, 20)));
    let signature = URL_SAFE_NO_PAD.encode(bytes(seed + 1, 64));
    Planted::new(
        format!("{header}.{payload}.{signature}"),
        vec![
            payload[20..40].to_owned(),
            signature[..20].to_owned(),
            signature[60..].to_owned(),
        ],
    )
}

pub(crate) fn pem(seed: u64) -> Planted {
    let kind = ["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED ", "DSA "][(seed % 6) as usize];
    let body = STANDARD.encode(bytes(seed, 300));
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let (begin, end) = (
        format!("-----BEGIN {kind}PRIVATE"),
        format!("-----END {kind}PRIVATE"),
    );
    let needles = lines
        .iter()
        .map(|line| line[..line.len().min(16)].to_owned())
        .collect();
    Planted::new(
        format!("{begin} KEY-----\n{}\n{end} KEY-----\n", lines.join("\n")),
        needles,
    )
}

pub(crate) fn known_token(seed: u64) -> Planted {
    // Of words without digits nobody can tell what they are when they stand alone.
    let tail: String = word(seed, 36)
        .char_indices()
        .map(|(at, c)| if at % 8 == 7 { '7' } else { c })
        .collect();
    let digits = format!("{tail}7");
    let text = match seed % 8 {
        0 => format!("ghp{}{tail}", "_"),
        1 => format!("glpat{}{tail}", "-"),
        2 => format!("AK{}{}", "IA", tail.to_uppercase().get(..16).unwrap()),
        3 => format!("xox{}{digits}", "b-123456789012-"),
        4 => format!("sk{}{digits}", "-proj-"),
        5 => format!("hv{}{tail}", "s."),
        6 => format!("npm{}{tail}", "_"),
        _ => format!("sk{}{tail}", "_live_"),
    };
    let from = text.len() - 12;
    Planted::new(text.clone(), vec![text[from..].to_owned()])
}

pub(crate) fn kubeconfig(seed: u64) -> Planted {
    let key = STANDARD.encode(&pem(seed).text);
    let certificate = STANDARD.encode(bytes(seed + 2, 90));
    let (token, password) = (word(seed + 3, 30), word(seed + 4, 16));
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1\ncontexts: []\nusers:\n- name: u\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n    token: {token}\n    password: {password}\n"
    );
    Planted::new(
        text,
        vec![
            key[60..90].to_owned(),
            certificate[..30].to_owned(),
            token,
            password,
        ],
    )
}

/// Something that is a secret by its form.
pub(crate) fn anything() -> impl Strategy<Value = Planted> {
    (0_u64..1_000_000, 0..4).prop_map(|(seed, kind)| match kind {
        0 => jwt(seed),
        1 => pem(seed),
        2 => known_token(seed),
        _ => kubeconfig(seed),
    })
}

/// The same, in clothes: within text, JSON, base64, or both.
pub(crate) fn dressed() -> impl Strategy<Value = Planted> {
    (anything(), 0..9).prop_map(|(planted, dress)| {
        let Planted { text, mut needles } = planted;
        let json = serde_json::json!({"kind": "Thing", "spec": {"x": text}}).to_string();
        let text = match dress {
            0 => text,
            1 => format!("before\n{text}\nafter"),
            2 => json,
            3 => serde_json::json!({"a": [json]}).to_string(),
            4 => {
                needles = Vec::new();
                STANDARD.encode(&text)
            }
            5 => {
                needles = Vec::new();
                format!("value={}", STANDARD.encode(format!("x: 1\n{text}")))
            }
            6 => text.replace('\n', "\\n"),
            7 => {
                needles = Vec::new();
                let encoded = STANDARD.encode(&text);
                encoded
                    .as_bytes()
                    .chunks(76)
                    .map(|line| std::str::from_utf8(line).unwrap())
                    .collect::<Vec<_>>()
                    .join("\n")
            }
            _ => text.replace('\n', "\r\n"),
        };
        if needles.is_empty() {
            let middle = text.len() / 2;
            needles.push(text[middle..].chars().take(20).collect());
        }
        Planted::new(text, needles)
    })
}

/// So many cases, and no file of failures: it would have what looks like tokens.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}
