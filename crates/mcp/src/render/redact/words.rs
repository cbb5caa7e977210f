//! Secrets that are known by their form: a word is one whatever stands around it.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::Regex;

use super::scrub;

/// How often base64 within base64 is opened.
const DEEPEST: u8 = 3;

/// Tokens with a form of their own: clouds, forges, payment, chat, registries, password hashes.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
        r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}",
        r"gh[pousr]_[A-Za-z0-9]{16,}",
        r"github_pat_[A-Za-z0-9_]{20,}",
        r"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-[A-Za-z0-9_.-]{16,}",
        r"xox[a-z]-[A-Za-z0-9-]{10,}",
        r"(?:xapp|xwfp)-[A-Za-z0-9-]{10,}",
        r"sk-(?:proj-|ant-|live-|svcacct-|or-)?[A-Za-z0-9_-]{20,}",
        r"(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}",
        r"whsec_[A-Za-z0-9+/=]{16,}",
        r"AIza[A-Za-z0-9_-]{30,}",
        r"ya29\.[A-Za-z0-9_-]{16,}",
        r"GOCSPX-[A-Za-z0-9_-]{16,}",
        r"npm_[A-Za-z0-9]{20,}",
        r"pypi-[A-Za-z0-9_-]{30,}",
        r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
        r"hv[sbr]\.[A-Za-z0-9_-]{20,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"do[opr]_v1_[a-f0-9]{32,}",
        r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32,}",
        r"sq0(?:atp|csp)-[A-Za-z0-9_-]{20,}",
        r"AGE-SECRET-KEY-1[A-Z0-9]{40,}",
        r"ATATT3[A-Za-z0-9_=-]{20,}",
        r"gl(?:sa|c)_[A-Za-z0-9_+/=]{20,}",
        r"lin_api_[A-Za-z0-9]{20,}",
        r"nvapi-[A-Za-z0-9_-]{20,}",
        r"hf_[A-Za-z0-9]{30,}",
        r"tskey-[a-z]+-[A-Za-z0-9-]{10,}",
        r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{20,}",
        r"figd_[A-Za-z0-9_-]{20,}",
        r"sntrys_[A-Za-z0-9+/=_-]{20,}",
        r"NRAK-[A-Z0-9]{20,}",
        r"dapi[a-f0-9]{32}",
        r"rubygems_[a-f0-9]{40,}",
        r"PMAK-[a-f0-9-]{30,}",
        r"v2\.local\.[A-Za-z0-9_-]{20,}",
        r"[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}",
        r"[A-Za-z0-9]{3}8Q~[A-Za-z0-9_.~-]{31,}",
    ];
    // These begin with what is no letter.
    let others = [
        r"\$(?:2[abxy]|5|6|y|7|apr1|argon2[a-z]*|pbkdf2[a-z0-9-]*)\$[A-Za-z0-9./=,+$_-]{16,}",
        r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{10,}",
        r"discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{10,}",
    ];
    Regex::new(&format!(r"(?-u:\b(?:{})|{})", forms.join("|"), others.join("|"))).expect("a valid pattern")
});

/// What base64 shows of words that only secrets' files have, whichever byte of three they begin at.
static MARKS: LazyLock<Regex> = LazyLock::new(|| {
    let words = [
        "\"alg\"",
        "PRIVATE KEY",
        "client-key-data",
        "openssh-key-v1",
        "current-context",
        "stringData",
        "Authorization:",
    ];
    let forms: Vec<String> = words
        .iter()
        .flat_map(|word| forms(word))
        .map(|form| regex::escape(&form))
        .collect();
    Regex::new(&format!("(?-u:{})", forms.join("|"))).expect("a valid pattern")
});

static RUN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?-u:[A-Za-z0-9+/_-]{20,})").expect("a valid pattern"));

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Where in the text words are secrets; `depth` counts encodings that were opened already.
pub(super) fn find(text: &str, depth: u8, found: &mut Vec<Range<usize>>) {
    if text.len() < 12 {
        return;
    }
    found.extend(
        KNOWN
            .find_iter(text)
            .filter(|hit| is_known(hit.as_str()))
            .map(|hit| hit.range()),
    );
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(hit) = MARKS.find_at(text, from) {
        // Everything of the word, its dots and what they separate.
        let mut start = hit.start();
        while start > from && is_dotted(bytes[start - 1]) {
            start -= 1;
        }
        let mut end = hit.end();
        while end < bytes.len() && (is_dotted(bytes[end]) || bytes[end] == b'=') {
            end += 1;
        }
        found.push(start..end);
        from = end;
    }
    if depth < DEEPEST {
        for run in RUN.find_iter(text) {
            if holds_secret(run.as_str(), depth) {
                let padding = bytes[run.end()..]
                    .iter()
                    .take(2)
                    .take_while(|&&byte| byte == b'=')
                    .count();
                found.push(run.start()..run.end() + padding);
            }
        }
    }
}

/// Whether there is a token with a form of its own.
pub(super) fn has_known(text: &str) -> bool {
    KNOWN.is_match(text)
}

/// Whether base64 of this, whatever is wrapped around its lines, holds a secret.
pub(super) fn wrapped_secret(text: &str, depth: u8) -> bool {
    if depth >= DEEPEST || text.len() < 24 || !text.contains(['\n', ' ']) {
        return false;
    }
    let alphabet = |byte: u8| is_dotted(byte) && byte != b'.' && byte != b'~';
    if !text
        .bytes()
        .all(|byte| alphabet(byte) || byte == b'=' || byte.is_ascii_whitespace())
    {
        return false;
    }
    let joined: String = text.split_ascii_whitespace().collect();
    holds_secret(joined.trim_end_matches('='), depth) || MARKS.is_match(&joined)
}

/// Whether a word looks like a key's bytes: a long word of base64's alphabet without any order.
pub(super) fn random_looking(word: &str, least: usize) -> bool {
    let word = word.trim_end_matches('=');
    if word.len() < least
        || !word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
    {
        return false;
    }
    let class = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let has = |wanted| word.bytes().any(|byte| class(byte) == wanted);
    let changes = word
        .as_bytes()
        .windows(2)
        .filter(|pair| class(pair[0]) != class(pair[1]))
        .count();
    has(0) && has(1) && has(2) && changes * 3 >= word.len()
}

/// Whether a word isn't one of a language: digits among letters, or capitals within.
pub(super) fn disorderly(word: &str) -> bool {
    let has = |wanted: fn(&u8) -> bool| word.as_bytes().iter().any(wanted);
    let digits = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let capitals = word.as_bytes().iter().skip(1).any(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    word.len() >= 8 && (digits || capitals)
}

/// Whether a byte is within words of base64 and what dots join of them.
fn is_dotted(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/_-.~".contains(&byte)
}

/// `sk-` begins words of English, too; a token has digits.
fn is_known(word: &str) -> bool {
    !word.starts_with("sk-") || word.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether a word of base64 opens to something with a secret in it, or to a private key's bytes.
fn holds_secret(word: &str, depth: u8) -> bool {
    // Nearly every word is none, and the first bytes say so.
    let Some(first) = decode(&word[..20.min(word.len())]) else {
        return false;
    };
    if first.starts_with(&[0x1f, 0x8b]) {
        // Compressed: nobody can say what is in it. Helm's releases are such.
        return word.len() >= 64;
    }
    if first.first() == Some(&0x30) && word.len() >= 40 && is_der_key(&first) {
        return true;
    }
    let is_text = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\t' | b' '..=b'~') || *byte >= 0x80;
    if !first
        .iter()
        .take(6)
        .all(|byte| matches!(byte, b'\n' | b'\r' | b'\t' | b' '..=b'~'))
        || !first.iter().all(is_text)
    {
        return false;
    }
    let Some(all) = decode(word) else { return false };
    let text = String::from_utf8_lossy(&all);
    scrub::holds_secret(&text, depth + 1)
}

/// A sequence that begins with a small integer: PKCS#1, PKCS#8 and SEC 1 have their version there; certificates and requests don't.
fn is_der_key(der: &[u8]) -> bool {
    let content = match der.get(1) {
        Some(length) if *length < 0x80 => 2,
        Some(0x81) => 3,
        Some(0x82) => 4,
        _ => return false,
    };
    matches!(der.get(content..content + 3), Some([2, 1, 0 | 1]))
}

fn decode(word: &str) -> Option<Vec<u8>> {
    // A word that was cut may end within a group.
    let whole = if word.len() % 4 == 1 {
        &word[..word.len() - 1]
    } else {
        word
    };
    if whole.contains(['-', '_']) {
        URL_SAFE.decode(whole).ok()
    } else {
        STANDARD.decode(whole).ok()
    }
}

/// What base64 has of a word at each of the three places where it may begin, without the characters that its neighbours change.
fn forms(word: &str) -> Vec<String> {
    (0..3)
        .map(|shift| {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(word.as_bytes());
            let encoded = STANDARD.encode(&bytes);
            let bits = bytes.len() * 8;
            let start = (shift * 8).div_ceil(6);
            encoded[start..bits / 6].to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> bool {
        let mut found = Vec::new();
        find(text, 0, &mut found);
        !found.is_empty()
    }

    #[test]
    fn a_word_is_found_in_base64_wherever_it_begins() {
        for before in ["", "x", "xy", "xyz"] {
            let encoded = STANDARD.encode(format!("{before}-----BEGIN {}PRIVATE KEY-----\nabc", "RSA "));
            assert!(hidden(&encoded), "{encoded}");
        }
        assert_eq!(forms("\"alg\"")[2], "iYWxnI");
    }

    #[test]
    fn ordinary_long_words_are_no_secrets() {
        for text in [
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "/usr/share/elasticsearch/modules/ingest-common/something-long.jar",
            "registry.example.com/team/project/image-name-which-is-long:v1.2.3",
            "task-runner-deployment-with-a-long-name-7d9c8b6f5d-x2x7k",
            "sk-ingress-controller-with-a-name",
            "550e8400-e29b-41d4-a716-446655440000",
            &STANDARD.encode("apiVersion: v1\nkind: ConfigMap\nmetadata: {}"),
            &STANDARD.encode("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
        ] {
            assert!(!hidden(text), "{text}");
        }
    }

    #[test]
    fn randomness_is_told_from_names() {
        let random = STANDARD.encode(
            (0..48_u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect::<Vec<_>>(),
        );
        assert!(random_looking(&random, 40), "{random}");
        assert!(!random_looking(
            "/Users/SomeBody/Projects/TheProject/Sources/TheFileOfMine",
            40
        ));
        assert!(!random_looking(&"a1b2".repeat(16), 40));
    }
}
