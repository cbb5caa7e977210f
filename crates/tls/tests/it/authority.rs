//! The authority's files, and what it issues.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::Duration,
};

use mk8s_tls::{
    AuthorityError, CertificateAuthority, CertificateChain, ClientSubject, Issued, MaterialError, PrivateKey,
};
use tempfile::tempdir;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{DAY, ago, authority, client, jane, now, server};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("metadata").mode() & 0o777
}

#[test]
fn the_first_start_makes_it_and_the_next_finds_it() {
    let parent = tempdir().expect("directory");
    let directory = parent.path().join("central").join("ca");
    let first = CertificateAuthority::load_or_create(&directory, "mk8s", now()).expect("made");
    let second = CertificateAuthority::load_or_create(&directory, "another name", now()).expect("found");
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.not_after(), second.not_after());
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("ca.key")), 0o600);
    assert_eq!(
        fs::read_to_string(directory.join("ca.crt")).expect("pem"),
        second.certificate_pem()
    );
    let mut left: Vec<_> = fs::read_dir(&directory)
        .expect("list")
        .map(|e| e.expect("entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["ca.crt", "ca.key", "ca.lock"]);
    // What the second issues is believed by whoever trusts the first.
    let leaf = second.issue_client(&jane(), DAY, now()).expect("client");
    let (_, leaf) = X509Certificate::from_der(leaf.chain.leaf()).expect("parsed");
    let (_, root) = X509Certificate::from_der(first.certificate()).expect("parsed");
    leaf.verify_signature(Some(root.public_key())).expect("signed");
}

#[test]
fn starts_at_the_same_time_end_with_one_authority() {
    let directory = tempdir().expect("directory");
    let path = directory.path();
    let fingerprints: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| CertificateAuthority::load_or_create(path, "mk8s", now()).expect("authority"))
            })
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("thread").fingerprint())
            .collect()
    });
    assert!(
        fingerprints.iter().all(|f| *f == fingerprints[0]),
        "{fingerprints:?}"
    );
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    let directory = tempdir().expect("directory");
    CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect("made");
    let key = directory.path().join("ca.key");
    for bad in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(bad)).expect("chmod");
        let error =
            CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect_err("refused");
        assert!(
            matches!(error, AuthorityError::ReadableByOthers { mode, .. } if mode == bad),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&format!("chmod 600 {}", key.display())) && !text.contains('\n'),
            "{text}"
        );
    }
}

#[test]
fn half_a_pair_is_an_error_that_says_what_to_do() {
    for missing in ["ca.key", "ca.crt"] {
        let directory = tempdir().expect("directory");
        CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect("made");
        fs::remove_file(directory.path().join(missing)).expect("removed");
        let error =
            CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect_err("refused");
        assert!(matches!(error, AuthorityError::HalfPair { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains(&format!("{missing} is missing; restore it")),
            "{error}"
        );
        assert!(!directory.path().join(missing).exists());
    }
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let other = tempdir().expect("directory");
    CertificateAuthority::load_or_create(other.path(), "other", now()).expect("made");
    let leaf = client(&authority());
    let damaged = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let other_key = fs::read_to_string(other.path().join("ca.key")).expect("key");
    let rows: [(&str, &str, &str); 6] = [
        ("ca.crt", "", "no certificate"),
        ("ca.crt", damaged, "can't be read"),
        (
            "ca.crt",
            "-----BEGIN CERTIFICATE-----\nMIIB",
            "\"-----END CERTIFICATE-----\" is missing",
        ),
        ("ca.key", "", "no private key"),
        (
            "ca.key",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "can't be used",
        ),
        ("ca.key", &other_key, "another pair"),
    ];
    for (file, content, expected) in rows {
        let directory = tempdir().expect("directory");
        CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect("made");
        let path = directory.path().join(file);
        fs::write(&path, content).expect("write");
        let error =
            CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect_err(expected);
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains(file), "{text}");
    }
    // A good pair that is no authority's.
    let directory = tempdir().expect("directory");
    leaf.save(&directory.path().join("ca.crt"), &directory.path().join("ca.key"))
        .expect("saved");
    let error = CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect_err("refused");
    assert!(matches!(error, AuthorityError::NoAuthority { .. }), "{error}");
}

#[test]
fn an_expired_authority_issues_nothing() {
    let directory = tempdir().expect("directory");
    let long_ago = ago(DAY * 365 * 11);
    let authority = CertificateAuthority::load_or_create(directory.path(), "mk8s", long_ago).expect("made");
    let error = authority.issue_client(&jane(), DAY, now()).expect_err("expired");
    assert!(matches!(error, AuthorityError::Expired { .. }), "{error}");
    let error = CertificateAuthority::load_or_create(directory.path(), "mk8s", now()).expect_err("expired");
    assert!(matches!(error, AuthorityError::Expired { .. }), "{error}");
}

#[test]
fn what_is_issued_has_the_extensions_of_its_purpose() {
    let authority = authority();
    let (_, root) = X509Certificate::from_der(authority.certificate()).expect("parsed");
    assert!(root.is_ca() && root.verify_signature(None).is_ok());
    let usage = root.key_usage().expect("parsed").expect("present").value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());

    for (issued, is_server) in [(server(&authority), true), (client(&authority), false)] {
        let (_, leaf) = X509Certificate::from_der(issued.chain.leaf()).expect("parsed");
        assert_eq!(leaf.version().0, 2);
        assert!(!leaf.is_ca());
        leaf.verify_signature(Some(root.public_key()))
            .expect("signed by the authority");
        assert_eq!(leaf.issuer().as_raw(), root.subject().as_raw());
        let usage = leaf.key_usage().expect("parsed").expect("present");
        assert!(usage.critical && usage.value.digital_signature() && !usage.value.key_cert_sign());
        let purpose = leaf.extended_key_usage().expect("parsed").expect("present").value;
        assert_eq!(
            (purpose.server_auth, purpose.client_auth, purpose.any),
            (is_server, !is_server, false)
        );
        let mut identifiers = (None, None);
        for extension in leaf.extensions() {
            use x509_parser::extensions::ParsedExtension::{AuthorityKeyIdentifier, SubjectKeyIdentifier};
            match extension.parsed_extension() {
                AuthorityKeyIdentifier(id) => identifiers.0 = id.key_identifier.clone(),
                SubjectKeyIdentifier(id) => identifiers.1 = Some(id.clone()),
                _ => {}
            }
        }
        let of_root = root.extensions().iter().find_map(|e| match e.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.clone()),
            _ => None,
        });
        assert_eq!(identifiers.0, of_root);
        assert!(identifiers.1.is_some_and(|id| id.0.len() == 20));
    }
}

#[test]
fn serial_numbers_are_never_repeated() {
    let authority = authority();
    let serials: std::collections::HashSet<Vec<u8>> = (0..64)
        .map(|_| {
            let issued = client(&authority);
            let (_, leaf) = X509Certificate::from_der(issued.chain.leaf()).expect("parsed");
            leaf.raw_serial().to_vec()
        })
        .collect();
    assert_eq!(serials.len(), 64);
    assert!(serials.iter().all(|s| s.len() == 16));
}

#[test]
fn nothing_outlives_the_authority() {
    let authority = authority();
    let issued = authority
        .issue_client(&jane(), DAY * 365 * 50, now())
        .expect("client");
    assert!(issued.chain.not_after() <= authority.not_after());
    // Beyond 2049 the encoding of dates changes.
    let late: jiff::Timestamp = "2049-12-30T00:00:00Z".parse().expect("time");
    let authority = CertificateAuthority::generate("late", late).expect("authority");
    let issued = authority.issue_client(&jane(), DAY * 5, late).expect("client");
    assert_eq!(issued.chain.not_after().to_string(), "2050-01-04T00:00:00Z");
}

#[test]
fn a_validity_must_be_one() {
    for bad in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
        let error = authority()
            .issue_client(&jane(), bad, now())
            .expect_err("refused");
        assert!(matches!(error, AuthorityError::BadValidity(_)), "{error}");
    }
}

#[test]
fn names_that_cannot_stand_in_a_certificate_are_refused() {
    let authority = authority();
    let error = authority.issue_server(&[], DAY, now()).expect_err("refused");
    assert!(matches!(error, AuthorityError::NoNames), "{error}");
    for bad in [
        "",
        "a b",
        "-",
        "*",
        "a.*.b",
        "https://a",
        "a:1",
        "a\n",
        "*.10.0.0.1",
    ] {
        let error = authority
            .issue_server(&[bad.to_owned()], DAY, now())
            .expect_err(bad);
        assert!(matches!(error, AuthorityError::BadName(..)), "{error}");
    }
    let long = "x".repeat(1025);
    for bad in ["", "a\r\nb", "a\0", long.as_str()] {
        let as_name = ClientSubject {
            common_name: bad.to_owned(),
            ..jane()
        };
        let as_group = ClientSubject {
            organizations: vec![bad.to_owned()],
            ..jane()
        };
        let as_uri = ClientSubject {
            uri_sans: vec![bad.to_owned()],
            ..jane()
        };
        for subject in [as_name, as_group, as_uri] {
            let error = authority.issue_client(&subject, DAY, now()).expect_err("refused");
            assert!(matches!(error, AuthorityError::BadName(..)), "{error}");
        }
    }
    let umlaut = ClientSubject {
        uri_sans: vec!["spiffe://bücher".to_owned()],
        ..jane()
    };
    assert!(authority.issue_client(&umlaut, DAY, now()).is_err());
}

#[test]
fn a_pair_survives_being_saved_and_read() {
    let directory = tempdir().expect("directory");
    let (certificate, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    let issued = client(&authority());
    issued.save(&certificate, &key).expect("saved");
    assert_eq!(mode(&key), 0o600);
    let read = Issued::from_pem(
        &fs::read(certificate).expect("read"),
        &fs::read(key).expect("read"),
    )
    .expect("a pair");
    assert_eq!(read.chain, issued.chain);
    assert_eq!(*read.key.pem(), *issued.key.pem());
    assert_eq!(format!("{:?}", read.key), "PrivateKey(…)");
}

#[test]
fn an_authority_kept_as_two_texts_issues_what_the_first_did() {
    let first = CertificateAuthority::generate_for("kept", DAY, now()).expect("made");
    let end = now() + DAY;
    assert!(first.not_after() <= end && first.not_after() > end - Duration::from_secs(60));
    let (certificate, key) = (first.certificate_pem(), first.key_pem());
    let second = CertificateAuthority::from_pem(certificate.as_bytes(), key.as_bytes()).expect("read");
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.not_after(), second.not_after());
    let leaf = server(&second);
    assert!(leaf.chain.not_after() <= first.not_after());
    let (_, leaf) = X509Certificate::from_der(leaf.chain.leaf()).expect("parsed");
    let (_, root) = X509Certificate::from_der(first.certificate()).expect("parsed");
    leaf.verify_signature(Some(root.public_key())).expect("signed");
}

#[test]
fn texts_that_are_no_authority_are_refused() {
    let ours = authority();
    let leaf = server(&ours);
    let read = |certificate: &str, key: &str| {
        CertificateAuthority::from_pem(certificate.as_bytes(), key.as_bytes()).map(drop)
    };
    assert!(matches!(
        read(&leaf.chain.pem(), &leaf.key.pem()),
        Err(MaterialError::NoAuthority)
    ));
    assert!(matches!(
        read(&ours.certificate_pem(), &authority().key_pem()),
        Err(MaterialError::Mismatch)
    ));
    assert!(matches!(read("", ""), Err(MaterialError::NoCertificate)));
    assert!(matches!(
        read(&ours.certificate_pem(), "no key"),
        Err(MaterialError::NoPrivateKey)
    ));
}

#[test]
fn damaged_pem_is_an_error_not_a_panic() {
    let issued = client(&authority());
    let (chain, key) = (issued.chain.pem(), issued.key.pem());
    for cut in (0..chain.len()).step_by(7) {
        assert!(
            CertificateChain::from_pem(&chain.as_bytes()[..cut]).is_err(),
            "{cut}"
        );
    }
    for cut in (0..key.len()).step_by(7) {
        assert!(PrivateKey::from_pem(&key.as_bytes()[..cut]).is_err(), "{cut}");
    }
    // A changed byte anywhere is at worst another certificate, and then not this key's or not this authority's.
    let der = issued.chain.leaf();
    for at in 0..der.len() {
        let mut changed = der.to_vec();
        changed[at] ^= 0x55;
        if let Ok(chain) = CertificateChain::from_der(vec![changed.into()]) {
            let _ = Issued::new(chain.clone(), issued.key.clone());
            let _ = mk8s_tls::PeerCertificate::from_der(chain.leaf());
        }
    }
    let other = client(&authority());
    assert!(matches!(
        Issued::new(issued.chain, other.key),
        Err(MaterialError::Mismatch)
    ));
}
