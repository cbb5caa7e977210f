//! Certificates that change while they are in use.

use std::{fs, sync::Arc};

use mk8s_tls::{
    Issued, Refresh, ReloadError, ReloadingCertificate, client,
    server::{self, ClientAuth},
};
use tempfile::tempdir;

use crate::support::{
    DAY, authority, client as client_certificate, jane, now, reloading, server as server_certificate,
    shake_hands, trust,
};

#[tokio::test]
async fn a_renewed_client_certificate_is_used_for_the_next_connection() {
    let ours = authority();
    let certificate = reloading(&client_certificate(&ours));
    let client = client::config_tls13(&trust(&ours), Some(certificate.clone()), &[]).expect("client");
    let server = server::config_tls13(
        reloading(&server_certificate(&ours)),
        &ClientAuth::Required(trust(&ours)),
        &[],
    )
    .expect("server");
    let before = shake_hands(server.clone(), client.clone())
        .await
        .expect("first")
        .peer
        .expect("certificate");

    let renewed = ours.issue_client(&jane(), 2 * DAY, now()).expect("renewed");
    certificate.replace(&renewed).expect("replaced");
    let after = shake_hands(server, client)
        .await
        .expect("second")
        .peer
        .expect("certificate");
    assert_ne!(before.serial, after.serial);
    assert_eq!(after.fingerprint, renewed.chain.fingerprint());
    assert_eq!(certificate.not_after(), renewed.chain.not_after());
}

#[tokio::test]
async fn a_renewed_server_certificate_is_used_for_the_next_connection() {
    let ours = authority();
    let directory = tempdir().expect("directory");
    let (cert, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    let first = server_certificate(&ours);
    first.save(&cert, &key).expect("saved");
    let certificate = ReloadingCertificate::from_files(&cert, &key).expect("read");
    let server = server::config(certificate.clone(), &ClientAuth::None, &[]).expect("server");
    let presented = async || {
        let client = client::config(&trust(&ours), None, &[]).expect("client");
        shake_hands(server.clone(), client)
            .await
            .expect("handshake")
            .presented
    };
    assert_eq!(presented().await, first.chain.leaf().as_ref());
    assert_eq!(certificate.refresh().expect("read"), Refresh::Unchanged);

    let second = server_certificate(&ours);
    second.save(&cert, &key).expect("saved");
    assert_eq!(
        presented().await,
        first.chain.leaf().as_ref(),
        "not before it is told to look"
    );
    assert_eq!(certificate.refresh().expect("read"), Refresh::Changed);
    assert_eq!(certificate.refresh().expect("read"), Refresh::Unchanged);
    assert_eq!(presented().await, second.chain.leaf().as_ref());
}

#[test]
fn what_is_half_written_leaves_the_last_good_pair_in_use() {
    let ours = authority();
    let directory = tempdir().expect("directory");
    let (cert, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    let first = server_certificate(&ours);
    first.save(&cert, &key).expect("saved");
    let certificate = ReloadingCertificate::from_files(&cert, &key).expect("read");
    let in_use = |c: &Arc<ReloadingCertificate>| c.chain().fingerprint();

    let second = server_certificate(&ours);
    let (new_cert, new_key) = (second.chain.pem(), second.key.pem());
    // The certificate came, the key not yet; then half of the key; then nothing; then no file.
    let key_states = [
        first.key.pem().as_bytes().to_vec(),
        new_key.as_bytes()[..80].to_vec(),
        Vec::new(),
    ];
    fs::write(&cert, &new_cert).expect("write");
    for state in key_states {
        fs::write(&key, state).expect("write");
        let error = certificate.refresh().expect_err("not good");
        assert!(matches!(error, ReloadError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains("tls.key"), "{error}");
        assert_eq!(in_use(&certificate), first.chain.fingerprint());
    }
    fs::remove_file(&key).expect("removed");
    assert!(matches!(certificate.refresh(), Err(ReloadError::Read { .. })));
    fs::write(&cert, &new_cert[..200]).expect("write");
    fs::write(&key, new_key.as_bytes()).expect("write");
    assert!(certificate.refresh().is_err());
    assert_eq!(in_use(&certificate), first.chain.fingerprint());

    fs::write(&cert, &new_cert).expect("write");
    assert_eq!(certificate.refresh().expect("whole again"), Refresh::Changed);
    assert_eq!(in_use(&certificate), second.chain.fingerprint());
}

#[test]
fn a_mounted_secret_changes_through_its_symbolic_link() {
    let ours = authority();
    let directory = tempdir().expect("directory");
    let at = |version: &str| directory.path().join(version);
    let (first, second) = (server_certificate(&ours), server_certificate(&ours));
    for (version, issued) in [("1", &first), ("2", &second)] {
        fs::create_dir(at(version)).expect("directory");
        issued
            .save(&at(version).join("tls.crt"), &at(version).join("tls.key"))
            .expect("saved");
    }
    let data = at("..data");
    std::os::unix::fs::symlink("1", &data).expect("link");
    let certificate =
        ReloadingCertificate::from_files(&data.join("tls.crt"), &data.join("tls.key")).expect("read");
    let next = at("..data_tmp");
    std::os::unix::fs::symlink("2", &next).expect("link");
    fs::rename(next, data).expect("swapped");
    assert_eq!(certificate.refresh().expect("read"), Refresh::Changed);
    assert_eq!(certificate.chain().fingerprint(), second.chain.fingerprint());
}

#[test]
fn a_foreign_key_never_replaces_a_good_pair() {
    let ours = authority();
    let first = client_certificate(&ours);
    let certificate = reloading(&first);
    let mixed = Issued {
        chain: client_certificate(&ours).chain,
        key: first.key.clone(),
    };
    assert!(certificate.replace(&mixed).is_err());
    assert_eq!(certificate.chain().fingerprint(), first.chain.fingerprint());
    assert_eq!(certificate.refresh().expect("no files"), Refresh::Unchanged);
}
