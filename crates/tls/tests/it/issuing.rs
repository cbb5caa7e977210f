//! Certificates for people and servers, as OpenSSL and we read them.

use std::fs;

use mk8s_tls::{
    AuthorityError, CertificateAuthority, Issued, PeerCertificate, Terms, generate_csr, generate_user_csr,
    ocsp,
};
use tempfile::tempdir;

use crate::{
    openssl::openssl,
    support::{DAY, authority, now},
};

fn terms() -> Terms {
    Terms {
        validity: DAY,
        ocsp: Some("http://ocsp.example.com/".to_owned()),
        crl: Some("http://crl.example.com/ca.crl".to_owned()),
    }
}

fn groups(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `openssl x509 -text` and `openssl verify` of a certificate.
fn shown(ours: &CertificateAuthority, issued: &Issued, purpose: &str) -> String {
    let directory = tempdir().expect("directory");
    fs::write(directory.path().join("ca.crt"), ours.certificate_pem()).expect("written");
    let (cert, key) = (directory.path().join("x.crt"), directory.path().join("x.key"));
    issued.save(&cert, &key).expect("saved");
    openssl(directory.path(), "x509 -in x.crt -noout -text")
        + &openssl(
            directory.path(),
            &format!("verify -x509_strict -purpose {purpose} -CAfile ca.crt x.crt"),
        )
}

#[test]
fn a_person_is_named_with_all_groups_and_is_a_client_alone() {
    let ours = authority();
    let issued = ours
        .issue_user("jane", &groups(&["dev", "ops", "dev"]), &terms(), now())
        .expect("issued");
    let peer = PeerCertificate::from_der(issued.chain.leaf()).expect("read");
    assert_eq!(
        (peer.common_name.as_str(), peer.organizations),
        ("jane", groups(&["dev", "ops"]))
    );
    let shown = shown(&ours, &issued, "sslclient");
    for line in [
        "Subject: O = dev, O = ops, CN = jane",
        "TLS Web Client Authentication",
        "OCSP - URI:http://ocsp.example.com/",
        "URI:http://crl.example.com/ca.crl",
        "x.crt: OK",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("TLS Web Server Authentication"), "{shown}");
}

#[test]
fn a_server_is_named_with_names_and_addresses_and_is_a_server_alone() {
    let ours = authority();
    let names = groups(&["proxy.example.com", "*.proxy.example.com", "10.0.0.1", "fd00::1"]);
    let issued = ours.issue_server_on(&names, &terms(), now()).expect("issued");
    let shown = shown(&ours, &issued, "sslserver");
    for line in [
        "DNS:proxy.example.com, DNS:*.proxy.example.com, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:1",
        "TLS Web Server Authentication",
        "x.crt: OK",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("TLS Web Client Authentication"), "{shown}");
    let plain = ours
        .issue_server_on(&names, &Terms::of(DAY), now())
        .expect("issued");
    assert_eq!(ocsp::responder(plain.chain.leaf()).expect("read"), None);
}

#[test]
fn a_comma_is_part_of_the_name() {
    let ours = authority();
    let issued = ours
        .issue_user("jane,O=admins", &groups(&["a,CN=root"]), &Terms::of(DAY), now())
        .expect("issued");
    let peer = PeerCertificate::from_der(issued.chain.leaf()).expect("read");
    assert_eq!(peer.common_name, "jane,O=admins");
    assert_eq!(peer.organizations, ["a,CN=root"]);
}

#[test]
fn names_that_no_client_may_have_are_refused() {
    let ours = authority();
    let huge = "x".repeat(10 * 1024);
    for bad in [
        "",
        "system:admin",
        "SYSTEM:masters",
        " system:x",
        "a\nb",
        "a\0",
        " jane",
        huge.as_str(),
    ] {
        for (user, group) in [(bad, "dev"), ("jane", bad)] {
            let error = ours
                .issue_user(user, &groups(&[group]), &Terms::of(DAY), now())
                .expect_err(bad);
            assert!(matches!(error, AuthorityError::Identity(_)), "{error}");
        }
    }
}

#[test]
fn urls_that_are_none_are_refused() {
    let ours = authority();
    for bad in [
        "",
        "ocsp.example.com",
        "ftp://x",
        "http://",
        "http://a b",
        "http://é",
        "http://a\n",
    ] {
        let on = Terms {
            ocsp: Some(bad.to_owned()),
            ..Terms::of(DAY)
        };
        let error = ours.issue_user("jane", &[], &on, now()).expect_err(bad);
        assert!(matches!(error, AuthorityError::BadName(..)), "{error}");
        let on = Terms {
            crl: Some(bad.to_owned()),
            ..Terms::of(DAY)
        };
        assert!(
            ours.issue_server_on(&groups(&["a"]), &on, now()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn of_a_request_only_the_key_is_used() {
    let ours = authority();
    let (key, request) = generate_csr().expect("request");
    let user = ours
        .sign_user(
            request.pem().as_bytes(),
            "jane",
            &groups(&["dev"]),
            &terms(),
            now(),
        )
        .expect("signed");
    let server = ours
        .sign_server(request.der(), &groups(&["a.example.com"]), &terms(), now())
        .expect("signed");
    for chain in [user, server] {
        Issued::new(chain, key.clone()).expect("the key's certificate");
    }
    for bad in [&b""[..], b"nothing", b"-----BEGIN CERTIFICATE REQUEST-----\n"] {
        let error = ours
            .sign_user(bad, "jane", &[], &terms(), now())
            .expect_err("refused");
        assert!(matches!(error, AuthorityError::Request(_)), "{error}");
    }
}

#[test]
fn a_list_that_is_out_of_date_at_once_is_refused() {
    let ours = authority();
    let error = ours
        .sign_revocation_list(&[], 1, now(), now() - DAY)
        .expect_err("refused");
    assert!(matches!(error, AuthorityError::BadNextUpdate(_)), "{error}");
}

#[test]
fn a_request_that_names_a_person_is_one_that_openssl_reads() {
    let (key, request) = generate_user_csr("jane", &groups(&["dev", "ops"])).expect("request");
    let directory = tempdir().expect("directory");
    fs::write(directory.path().join("x.csr"), request.pem()).expect("written");
    let shown = openssl(directory.path(), "req -in x.csr -noout -verify -subject");
    assert!(shown.contains("verify OK"), "{shown}");
    assert!(shown.contains("O = dev, O = ops, CN = jane"), "{shown}");
    let chain = authority()
        .sign_user(request.der(), "joe", &[], &terms(), now())
        .expect("signed");
    assert_eq!(
        PeerCertificate::from_der(chain.leaf()).expect("read").common_name,
        "joe"
    );
    Issued::new(chain, key).expect("the key's certificate");
    for bad in ["", "system:admin", "a\nb"] {
        let error = generate_user_csr(bad, &[]).expect_err("refused");
        assert!(matches!(error, AuthorityError::Identity(_)), "{error}");
    }
}

#[test]
fn an_authority_is_made_once_and_found_again() {
    let parent = tempdir().expect("directory");
    let directory = parent.path().join("pki");
    assert!(
        CertificateAuthority::open(&directory, now())
            .expect("nothing")
            .is_none()
    );
    let made = CertificateAuthority::create(&directory, "ours", 10 * DAY, now()).expect("made");
    let found = CertificateAuthority::open(&directory, now())
        .expect("read")
        .expect("found");
    assert_eq!(made.fingerprint(), found.fingerprint());
    assert_eq!(found.not_after().as_second(), (now() + 10 * DAY).as_second());
    for gone in ["ca.crt", "ca.key"] {
        let error = CertificateAuthority::create(&directory, "ours", DAY, now()).expect_err("there");
        assert!(matches!(error, AuthorityError::AlreadyThere { .. }), "{error}");
        fs::rename(directory.join(gone), parent.path().join("aside")).expect("moved");
        let error = CertificateAuthority::create(&directory, "ours", DAY, now()).expect_err("half there");
        assert!(matches!(error, AuthorityError::AlreadyThere { .. }), "{error}");
        let error = CertificateAuthority::open(&directory, now()).expect_err("half there");
        assert!(matches!(error, AuthorityError::HalfPair { .. }), "{error}");
        fs::rename(parent.path().join("aside"), directory.join(gone)).expect("moved back");
    }
    let error = CertificateAuthority::open(&directory, now() + 11 * DAY).expect_err("too late");
    assert!(matches!(error, AuthorityError::Expired { .. }), "{error}");
}

#[test]
fn a_certificate_says_when_it_begins_and_whether_a_client_may_show_it() {
    let (ours, at) = (authority(), now());
    let user = ours.issue_user("jane", &[], &terms(), at).expect("a certificate");
    let server = ours
        .issue_server(&["localhost".to_owned()], DAY, at)
        .expect("a certificate");
    assert!(user.chain.is_for_clients() && !server.chain.is_for_clients());
    assert!(user.chain.not_before() <= at && user.chain.not_after() > at);
}
