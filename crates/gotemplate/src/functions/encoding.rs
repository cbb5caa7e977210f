//! Base64, base32 and digests.

use sha2::{Digest, Sha256, Sha512};

use super::{Arguments, Function, Type::Text};
use crate::{error::Outcome, run::Run, value::Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("b64enc", &[Text], encode_base64),
    Function::new("base64enc", &[Text], encode_base64),
    Function::new("b64dec", &[Text], decode_base64),
    Function::new("base64dec", &[Text], decode_base64),
    Function::new("b32enc", &[Text], |run, a| {
        run.text(encode(a.text(0), BASE32, 5, 8))
    }),
    Function::new("b32dec", &[Text], |run, a| {
        let clean: Vec<u8> = a
            .text(0)
            .iter()
            .copied()
            .filter(|b| !b"\r\n".contains(b))
            .collect();
        decoded(run, base32(&clean), "base32")
    }),
    Function::new("sha256sum", &[Text], |run, a| {
        run.text(hex(&Sha256::digest(a.text(0))))
    }),
    Function::new("sha512sum", &[Text], |run, a| {
        run.text(hex(&Sha512::digest(a.text(0))))
    }),
];

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode_base64(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    run.text(encode(a.text(0), BASE64, 6, 4))
}

fn decode_base64(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    decoded(run, base64(a.text(0)), "base64")
}

/// What was decoded. What is wrong takes its place, as in Sprig.
fn decoded(run: &mut Run, result: Result<Vec<u8>, usize>, what: &str) -> Outcome<Value> {
    match result {
        Ok(bytes) => run.text(bytes),
        Err(at) => run.text(format!("illegal {what} data at input byte {at}")),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digits of so many bits each, padded to groups.
fn encode(bytes: &[u8], alphabet: &[u8], bits: u32, group: usize) -> Vec<u8> {
    let mask = (1_u32 << bits) - 1;
    let mut out = Vec::with_capacity(bytes.len() * 8 / bits as usize + group);
    let (mut buffer, mut filled) = (0_u32, 0);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        filled += 8;
        while filled >= bits {
            filled -= bits;
            out.push(alphabet[((buffer >> filled) & mask) as usize]);
        }
        buffer &= (1 << filled) - 1;
    }
    if filled > 0 {
        out.push(alphabet[((buffer << (bits - filled)) & mask) as usize]);
    }
    while !out.len().is_multiple_of(group) {
        out.push(b'=');
    }
    out
}

/// A group's digits to its whole bytes.
fn join(digits: &[u8], bits: u32, out: &mut Vec<u8>) {
    let (mut buffer, mut filled) = (0_u32, 0);
    for &digit in digits {
        buffer = (buffer << bits) | u32::from(digit);
        filled += bits;
        if filled >= 8 {
            filled -= 8;
            out.push((buffer >> filled) as u8);
            buffer &= (1 << filled) - 1;
        }
    }
}

fn digit(byte: u8, alphabet: &[u8]) -> Option<u8> {
    alphabet.iter().position(|&b| b == byte).map(|i| i as u8)
}

/// Padded base64, in which ends of lines don't count; or the byte at which it isn't.
fn base64(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let skip = |mut at: usize| {
        while matches!(text.get(at), Some(b'\r' | b'\n')) {
            at += 1;
        }
        at
    };
    let mut at = 0;
    loop {
        let mut group = Vec::with_capacity(4);
        while group.len() < 4 {
            at = skip(at);
            let Some(&byte) = text.get(at) else {
                return match group.len() {
                    0 => Ok(out),
                    missing => Err(at - missing),
                };
            };
            at += 1;
            if let Some(digit) = digit(byte, BASE64) {
                group.push(digit);
                continue;
            }
            if byte != b'=' || group.len() < 2 {
                return Err(at - 1);
            }
            if group.len() == 2 {
                at = skip(at);
                match text.get(at) {
                    None => return Err(text.len()),
                    Some(b'=') => at += 1,
                    Some(_) => return Err(at - 1),
                }
            }
            at = skip(at);
            join(&group, 6, &mut out);
            return if at < text.len() { Err(at) } else { Ok(out) };
        }
        join(&group, 6, &mut out);
    }
}

/// Padded base32, without ends of lines.
fn base32(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut at = 0;
    while at < text.len() {
        let mut group = Vec::with_capacity(8);
        while group.len() < 8 {
            let count = group.len();
            let Some(&byte) = text.get(at) else {
                return Err(text.len() - count);
            };
            at += 1;
            let rest = &text[at..];
            if byte == b'=' && count >= 2 && rest.len() < 8 {
                if rest.len() + count < 7 {
                    return Err(text.len());
                }
                if let Some(k) = rest.iter().take(7 - count).position(|&b| b != b'=') {
                    return Err(at + k - 1);
                }
                if matches!(count, 1 | 3 | 6) {
                    return Err(at - 1);
                }
                join(&group, 5, &mut out);
                return Ok(out);
            }
            group.push(digit(byte, BASE32).ok_or(at - 1)?);
        }
        join(&group, 5, &mut out);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
            let bytes = text.as_bytes();
            assert_eq!(base64(&encode(bytes, BASE64, 6, 4)), Ok(bytes.to_vec()));
            assert_eq!(base32(&encode(bytes, BASE32, 5, 8)), Ok(bytes.to_vec()));
        }
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        assert_eq!(base64(b"Zm9v!"), Err(4));
        assert_eq!(base64(b"Zm9vZ"), Err(4));
        assert_eq!(base64(b"Zg=x"), Err(2));
    }
}
