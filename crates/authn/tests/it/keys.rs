//! The files of the signing keys.

use std::{fs, os::unix::fs::PermissionsExt as _};

use mk8s_authn::{SigningKeys, TokenIssuer, TokenVerifier, token::Subject};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{AUDIENCE, ISSUER, email, settings, start};

fn clock() -> std::sync::Arc<dyn mk8s_authn::Clock> {
    std::sync::Arc::new(mk8s_authn::ManualClock::new(start()))
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().join("keys");
    let made = SigningKeys::load_or_create(&directory).expect("made");
    let again = SigningKeys::load_or_create(&directory).expect("loaded");
    assert_eq!(made.signing_key_id(), again.signing_key_id());
    assert_eq!(made.jwks(), again.jwks());
    let names: Vec<_> = fs::read_dir(&directory)
        .expect("read")
        .map(|e| e.expect("entry").file_name())
        .collect();
    assert_eq!(names, ["token-0001.pem"]);
    let mode = |path: &std::path::Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(
        (mode(&directory), mode(&directory.join("token-0001.pem"))),
        (0o700, 0o600)
    );
    let pem = fs::read_to_string(directory.join("token-0001.pem")).expect("read");
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("-----END PRIVATE KEY-----\n"));
    assert!(!format!("{made:?}").contains("PRIVATE"));
}

#[test]
fn two_that_start_at_once_have_the_same_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let load = || {
        SigningKeys::load_or_create(directory.path())
            .expect("keys")
            .signing_key_id()
            .to_owned()
    };
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn the_newest_signs_and_all_verify() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = SigningKeys::load_or_create(directory.path()).expect("made");
    SigningKeys::rotate(directory.path()).expect("rotated");
    let both = SigningKeys::load_or_create(directory.path()).expect("loaded");
    assert_ne!(old.signing_key_id(), both.signing_key_id());
    let subject = Subject {
        user_id: Uuid::new_v4(),
        session_id: Uuid::new_v4(),
        email: email(),
    };
    let verifier = TokenVerifier::new(both.clone(), ISSUER, AUDIENCE, clock(), 10);
    for keys in [&old, &both] {
        let issued = TokenIssuer::new(keys.clone(), settings(), clock())
            .issue(&subject)
            .expect("signed");
        assert!(verifier.verify(&issued.token).is_ok());
    }
    let jwks: Value = serde_json::from_str(&both.jwks()).expect("JSON");
    let ids: Vec<_> = jwks["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| &key["kid"])
        .collect();
    assert_eq!(ids, [both.signing_key_id(), old.signing_key_id()]);
}

#[test]
fn the_jwks_has_public_parts_only() {
    let jwks: Value = serde_json::from_str(&crate::support::keys().jwks()).expect("JSON");
    let key = jwks["keys"][0].as_object().expect("a key");
    let mut names: Vec<_> = key.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(
        (&key["alg"], &key["kty"], &key["use"], &key["e"]),
        (&"RS256".into(), &"RSA".into(), &"sig".into(), &"AQAB".into())
    );
    assert_eq!(key["n"].as_str().map(str::len), Some(342), "2048 bits");
    assert_eq!(
        key["kid"].as_str().map(str::len),
        Some(43),
        "a SHA-256 thumbprint"
    );
}

/// RFC 7638, section 3.1.
#[test]
fn the_key_id_is_the_rfc_7638_thumbprint() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use sha2::{Digest as _, Sha256};
    let keys = crate::support::keys();
    let jwks: Value = serde_json::from_str(&keys.jwks()).expect("JSON");
    let key = &jwks["keys"][0];
    let text = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, key["e"], key["n"]);
    assert_eq!(
        URL_SAFE_NO_PAD.encode(Sha256::digest(text)),
        keys.signing_key_id()
    );
}

#[test]
fn an_unusable_key_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token-0001.pem");
    fs::write(
        &path,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .expect("written");
    let error = SigningKeys::load_or_create(directory.path())
        .expect_err("no key")
        .to_string();
    assert!(
        error.starts_with(&format!("{}: not an RSA private key", path.display())),
        "{error}"
    );
    assert!(!error.contains('\n'));
    let not_a_directory = path.join("keys");
    let error = SigningKeys::load_or_create(&not_a_directory)
        .expect_err("no directory")
        .to_string();
    assert!(error.contains("token-0001.pem/keys"), "{error}");
}
