//! The certificate in files, as somebody else renews it.

use std::fs;

use jiff::Timestamp;
use mk8s_testkit::eventually;
use mk8s_tls::{CertificateAuthority, Fingerprint};

use crate::support::{Setup, Webhook, command, failing};

/// What is shown to those who connect now.
fn shown(webhook: &Webhook) -> Option<Fingerprint> {
    let config = mk8s_tls::client::config_unverified(None, &[b"http/1.1"]).expect("a configuration");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(webhook.endpoint.address)
            .await
            .ok()?;
        let name = mk8s_tls::ServerName::try_from(webhook.endpoint.name.clone()).ok()?;
        let stream = mk8s_tls::TlsConnector::from(config)
            .connect(name, stream)
            .await
            .ok()?;
        Some(Fingerprint::of(stream.get_ref().1.peer_certificates()?.first()?))
    })
}

#[test]
fn new_files_are_served_without_a_restart_and_damaged_ones_are_not() {
    let setup = Setup::new();
    let (certificate, key) = (setup.path("tls.crt"), setup.path("tls.key"));
    let mut webhook = setup.start("");
    let first = shown(&webhook).expect("a certificate");

    fs::write(&certificate, "half written").expect("written");
    eventually("the damage to be noticed", || {
        webhook.program.log().contains("old ones stay").then_some(())
    });
    assert_eq!(shown(&webhook), Some(first));

    let other = CertificateAuthority::generate("other", Timestamp::now()).expect("an authority");
    let day = std::time::Duration::from_secs(24 * 3600);
    let issued = other.issue_server(&[crate::support::NAME.to_owned()], day, Timestamp::now());
    let issued = issued.expect("a certificate");
    issued.save(&certificate, &key).expect("written");
    eventually("the new certificate", || {
        (shown(&webhook) == Some(issued.chain.fingerprint())).then_some(())
    });
    assert!(webhook.endpoint.connect().is_err(), "of another authority");
    webhook.endpoint.ca_pem = other.certificate_pem().into_bytes();
    assert!(webhook.endpoint.connect().is_ok());
}

#[test]
fn a_certificate_that_isnt_there_is_said_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--tls-mode",
        "cert-manager",
        "--certificate-file",
        "tls.crt",
        "--key-file",
        "tls.key",
    ];
    let said = failing(&arguments, directory.path());
    assert!(
        said.starts_with("error: ") && said.contains("tls.crt") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn without_a_cluster_there_is_no_certificate_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let ran = mk8s_testkit::command::run(
        command()
            .args(["--listen", "127.0.0.1:0", "--namespace", "n"])
            .current_dir(directory.path()),
    );
    let said = ran.failed().stderr;
    assert!(said.contains("--kubeconfig"), "{said}");
}
