//! Certificates that somebody else keeps in files.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use mk8s_serving::{ServedCertificate, SettingsError, Tls, TlsSettings};
use mk8s_tls::CertificateAuthority;

use crate::{
    fake::{Fake, SECRET},
    replica::{Replica, eventually},
};

/// Writes `tls.crt`, `tls.key` and `ca.crt`.
fn write(directory: &Path) -> CertificateAuthority {
    let now = Timestamp::now();
    let authority = CertificateAuthority::generate("test", now).expect("an authority");
    let names = ["mk8s-extension.n.svc".to_owned()];
    let issued = authority
        .issue_server(&names, Duration::from_secs(3600), now)
        .expect("a certificate");
    let file = |name| directory.join(name);
    issued.save(&file("tls.crt"), &file("tls.key")).expect("written");
    std::fs::write(file("ca.crt"), authority.certificate_pem()).expect("written");
    authority
}

fn settings(directory: &Path, more: &str) -> String {
    let d = directory.display();
    format!("{{mode: given, certificateFile: {d}/tls.crt, keyFile: {d}/tls.key{more}}}")
}

#[tokio::test]
async fn the_authorities_of_a_file_go_into_the_ca_bundle_and_nothing_else_is_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = write(directory.path());
    let fake = Fake::new();
    let more = format!(", caFile: {}/ca.crt", directory.path().display());
    let replica = Replica::start(&fake, &settings(directory.path(), &more)).await;
    assert_eq!(replica.objection(), None, "it is there from the start");
    eventually("the caBundle", || fake.bundle() == authority.certificate_pem()).await;
    assert_eq!(fake.get(SECRET), None);
    assert_eq!(replica.served.shared_key("pages"), None, "nothing is shared");
}

#[tokio::test]
async fn files_alone_leave_the_cluster_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let fake = Fake::new();
    let replica = Replica::start(&fake, &settings(directory.path(), "")).await;
    assert!(replica.keeping.candidate.is_none() && replica.keeping.leading.is_none());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fake.objects().writes, []);
    assert_eq!(replica.objection(), None);
}

#[test]
fn files_that_are_not_there_or_no_certificate_are_said_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let tls = || -> Tls {
        let settings: TlsSettings = serde_saphyr::from_str(&settings(directory.path(), "")).expect("valid");
        settings
            .checked(|| Err(SettingsError::NoNamespace))
            .expect("valid")
    };
    let absent = format!("{:#}", ServedCertificate::first(&tls()).expect_err("absent"));
    assert!(
        absent.contains("tls.certificateFile") && absent.contains("tls.crt"),
        "{absent}"
    );
    for name in ["tls.crt", "tls.key"] {
        std::fs::write(directory.path().join(name), "no PEM").expect("written");
    }
    let odd = format!(
        "{:#}",
        ServedCertificate::first(&tls()).expect_err("no certificate")
    );
    assert!(odd.contains("tls.certificateFile"), "{odd}");
}
