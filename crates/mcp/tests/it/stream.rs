//! Planted secrets in text that comes in pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mk8s_mcp_core::render::redact::Stream;
use proptest::prelude::*;

use crate::planted::{self, anything, bytes};

fn streamed(text: &[u8], sizes: &[usize]) -> String {
    let mut stream = Stream::default();
    let (mut out, mut rest) = (String::new(), text);
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).clamp(1, rest.len());
        out.push_str(&stream.feed(&rest[..size]));
        rest = &rest[size..];
    }
    out.push_str(&stream.finish());
    out
}

const PREFIXES: &[&str] = &[
    "",
    "2026-11-22T02:46:00.123456789Z ",
    "2026-11-22T02:46:00Z stdout F ",
    "[pod/web-1/app] ",
    "web-1  | ",
    "I1122 02:46:00.123456       1 x.go:1] ",
    "    ",
];

fn prefixed(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}\n")).collect()
}

proptest! {
    #![proptest_config(crate::planted::cases(300))]

    #[test]
    fn secrets_are_hidden_in_any_pieces_behind_any_prefix(planted in anything(), prefix in prop::sample::select(PREFIXES), sizes in prop::collection::vec(1_usize..200, 1..5)) {
        let text = prefixed(&format!("first line\n{}\nlast line", planted.text), prefix);
        let out = streamed(text.as_bytes(), &sizes);
        planted.assert_hidden(&out);
        prop_assert!(out.contains("first line") && out.contains("last line"), "{out}");
        prop_assert_eq!(out, streamed(text.as_bytes(), &[usize::MAX]));
    }

    #[test]
    fn what_the_log_s_tail_has_of_a_key_is_hidden(seed in 0_u64..10_000, skipped in 1_usize..6, prefix in prop::sample::select(PREFIXES)) {
        let planted = planted::pem(seed);
        let rest: Vec<&str> = planted.text.lines().skip(skipped).collect();
        let out = streamed(prefixed(&format!("{}\nlast line", rest.join("\n")), prefix).as_bytes(), &[50]);
        planted.assert_hidden(&out);
        prop_assert!(out.contains("last line"));
    }

    #[test]
    fn tokens_that_were_wrapped_are_hidden(seed in 0_u64..10_000, width in 24_usize..90, prefix in prop::sample::select(PREFIXES)) {
        for planted in [planted::jwt(seed), planted::known_token(seed)] {
            let wrapped: Vec<&str> = planted.text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let out = streamed(prefixed(&format!("token is\n{}", wrapped.join("\n")), prefix).as_bytes(), &[17]);
            for piece in &wrapped {
                if piece.len() > 8 {
                    prop_assert!(!out.contains(piece), "{piece} in\n{out}");
                }
            }
        }
    }

    #[test]
    fn a_token_split_at_any_place_is_hidden(seed in 0_u64..10_000, at in 5_usize..30) {
        let planted = planted::known_token(seed);
        let at = at.min(planted.text.len() - 6);
        let out = streamed(format!("2026-11-22 10:00:00 using the key {}\n2026-11-22 10:00:00 {} now\n", &planted.text[..at], &planted.text[at..]).as_bytes(), &[9]);
        planted.assert_hidden(&out);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..3000), sizes in prop::collection::vec(1_usize..100, 1..4)) {
        let out = streamed(&bytes, &sizes);
        prop_assert!(!out.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }

    #[test]
    fn ordinary_logs_stay_as_they_are(words in prop::collection::vec("[a-z]{1,12}", 1..40), prefix in prop::sample::select(PREFIXES)) {
        prop_assume!(words.iter().all(|word| !["pass", "pwd", "secret", "token", "key", "cred", "auth", "cookie", "jwt", "sig", "dsn", "psk", "pin", "pat", "otp", "pw", "bearer", "basic"].iter().any(|hint| word.contains(hint))));
        let text = prefixed(&words.chunks(5).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n"), prefix);
        prop_assert_eq!(streamed(text.as_bytes(), &[13]), text);
    }
}

#[test]
fn what_comes_after_a_key_is_shown_again() {
    let planted = planted::pem(3);
    let text = format!("starting\n{}listening on port 80\n", planted.text);
    assert_eq!(
        streamed(text.as_bytes(), &[7]),
        "starting\n<redacted>\nlistening on port 80\n"
    );
}

#[test]
fn a_secret_as_kubectl_prints_it_shows_keys_alone() {
    let value = STANDARD.encode("hunter2 is the password");
    let yaml = format!(
        "apiVersion: v1\ndata:\n  password: {value}\n  other: {value}\nkind: Secret\nmetadata:\n  name: db\n"
    );
    let pretty = format!(
        "{{\n    \"apiVersion\": \"v1\",\n    \"data\": {{\n        \"other\": \"{value}\"\n    }},\n    \"kind\": \"Secret\"\n}}\n"
    );
    let compact = format!("got {{\"kind\":\"Secret\",\"data\":{{\"other\":\"{value}\"}}}}\n");
    let describe = "Environment:\n      DB_PASSWORD:  hunter2x\n".to_owned();
    for text in [yaml, pretty, compact, describe] {
        for prefix in PREFIXES {
            let out = streamed(prefixed(&text, prefix).as_bytes(), &[11]);
            assert!(!out.contains(&value) && !out.contains("hunter2x"), "{out}");
            assert!(out.contains("other") || out.contains("DB_PASSWORD"), "{out}");
        }
    }
}

#[test]
fn pairs_and_blocks_over_lines_are_hidden() {
    for text in [
        "- name: DB_PASSWORD\n  value: hunter2x\n",
        "\"name\": \"API_TOKEN\",\n\"value\": \"hunter2x\"\n",
        "password: |\n  hunter2x\n  more hunter2x\nuser: a\n",
        "password:\n  hunter2x\n",
        "the password=\nhunter2x\n",
    ] {
        let out = streamed(text.as_bytes(), &[5]);
        assert!(!out.contains("hunter2x"), "{text}: {out}");
    }
}

#[test]
fn a_line_without_an_end_is_cut_and_keeps_its_secrets() {
    let mut text = String::new();
    for seed in 0..4000 {
        text.push_str(&format!(
            "entry {seed} has {} and {}; ",
            planted::known_token(seed).text,
            planted::jwt(seed).text
        ));
    }
    let out = streamed(text.as_bytes(), &[8192]);
    for seed in 0..4000 {
        planted::known_token(seed).assert_hidden(&out);
    }
    for seed in (0..4000).step_by(50) {
        planted::jwt(seed).assert_hidden(&out);
    }
}

#[test]
fn escape_sequences_do_not_hide_a_token() {
    let planted = planted::known_token(0);
    let colored: String = planted
        .text
        .chars()
        .map(|c| format!("\u{1b}[31m{c}\u{200b}"))
        .collect();
    let out = streamed(colored.as_bytes(), &[3]);
    assert_eq!(out, "<redacted>");
}

#[test]
fn a_bar_that_draws_over_itself_is_several_lines() {
    assert_eq!(
        streamed(b"10%\r20%\rdone\r\nnext\n", &[1]),
        "10%\n20%\ndone\nnext\n"
    );
}

#[test]
fn digests_and_hexadecimal_are_shown() {
    let hex: String = bytes(1, 32).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{hex}\nimage sha256:{hex}\n");
    assert_eq!(streamed(text.as_bytes(), &[100]), text);
}
