//! Whom each side believes.

use std::{sync::Arc, time::Duration};

use mk8s_tls::{
    CertificateAuthority, ClientConfig, ClientTrust, ExpiredLists, Issued, ReloadingClientAuth, Roots,
    ServerConfig, client,
    rustls::ProtocolVersion::{TLSv1_2, TLSv1_3},
    server::{self, ClientAuth},
};

use crate::support::{
    DAY, ago, authority, client as client_certificate, jane, now, reloading, server as server_certificate,
    shake_hands, shake_hands_as, trust,
};

const H2: &[&[u8]] = &[b"h2"];

fn serve(issued: &Issued, client_auth: &ClientAuth) -> Arc<ServerConfig> {
    server::config(reloading(issued), client_auth, H2).expect("server configuration")
}

fn dial(roots: &Roots, issued: Option<&Issued>) -> Arc<ClientConfig> {
    client::config(roots, issued.map(reloading), H2).expect("client configuration")
}

/// One handshake in which both sides have certificates.
async fn mutual(authority: &CertificateAuthority, server: &Issued, client: &Issued) -> Result<(), String> {
    let server = serve(server, &ClientAuth::Required(trust(authority)));
    shake_hands(server, dial(&trust(authority), Some(client)))
        .await
        .map(drop)
}

fn assert_refused(outcome: Result<(), String>, word: &str) {
    let error = outcome.expect_err("refused");
    assert!(error.contains(word), "{error:?} should name {word:?}");
}

#[tokio::test]
async fn both_sides_know_each_other() {
    let authority = authority();
    let client = client_certificate(&authority);
    let server = serve(
        &server_certificate(&authority),
        &ClientAuth::Required(trust(&authority)),
    );
    let met = shake_hands(server, dial(&trust(&authority), Some(&client)))
        .await
        .expect("handshake");

    assert_eq!(
        (met.version, met.alpn.as_deref(), met.resumed),
        (TLSv1_3, Some(&b"h2"[..]), false)
    );
    let peer = met.peer.expect("a client certificate");
    assert_eq!(peer.common_name, "jane");
    assert_eq!(peer.organizations, ["dev", "ops"]);
    assert_eq!(peer.uri_sans, ["spiffe://example.com/jane"]);
    assert_eq!(peer.fingerprint, client.chain.fingerprint());
    assert_eq!(peer.not_after, client.chain.not_after());
    assert_eq!(peer.serial.len(), 32);
}

#[tokio::test]
async fn a_certificate_may_be_optional_but_never_wrong() {
    let (ours, other) = (authority(), authority());
    let server = serve(&server_certificate(&ours), &ClientAuth::Optional(trust(&ours)));
    let met = shake_hands(server.clone(), dial(&trust(&ours), None))
        .await
        .expect("without");
    assert_eq!(met.peer, None);
    let met = shake_hands(
        server.clone(),
        dial(&trust(&ours), Some(&client_certificate(&ours))),
    )
    .await
    .expect("with");
    assert!(met.peer.is_some());
    let wrong = shake_hands(server, dial(&trust(&ours), Some(&client_certificate(&other)))).await;
    assert_refused(wrong.map(drop), "BadSignature");
}

#[tokio::test]
async fn a_required_certificate_is_required() {
    let authority = authority();
    let server = serve(
        &server_certificate(&authority),
        &ClientAuth::Required(trust(&authority)),
    );
    assert_refused(
        shake_hands(server, dial(&trust(&authority), None))
            .await
            .map(drop),
        "no certificates",
    );
}

#[tokio::test]
async fn another_authority_is_not_believed() {
    let ours = authority();
    let same_name = authority();
    let another = CertificateAuthority::generate("another authority", now()).expect("authority");
    for (other, word) in [(same_name, "BadSignature"), (another, "UnknownIssuer")] {
        let outcome = mutual(&ours, &server_certificate(&other), &client_certificate(&ours)).await;
        assert_refused(outcome, word);
        let outcome = mutual(&ours, &server_certificate(&ours), &client_certificate(&other)).await;
        assert_refused(outcome, word);
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_not_believed() {
    let ours = authority();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("self-signed");
    let own =
        Issued::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes()).expect("a pair");
    assert_refused(
        mutual(&ours, &own, &client_certificate(&ours)).await,
        "UnknownIssuer",
    );
    assert_refused(
        mutual(&ours, &server_certificate(&ours), &own).await,
        "UnknownIssuer",
    );
}

#[tokio::test]
async fn an_expired_certificate_is_not_believed() {
    let ours = CertificateAuthority::generate("old", ago(3 * DAY)).expect("authority");
    let names = ["localhost".to_owned()];
    let old_server = ours.issue_server(&names, DAY, ago(2 * DAY)).expect("server");
    let old_client = ours.issue_client(&jane(), DAY, ago(2 * DAY)).expect("client");
    let (server, client) = (server_certificate(&ours), client_certificate(&ours));
    mutual(&ours, &server, &client)
        .await
        .expect("the fresh ones are good");
    assert_refused(mutual(&ours, &old_server, &client).await, "Expired");
    assert_refused(mutual(&ours, &server, &old_client).await, "Expired");
}

#[tokio::test]
async fn a_certificate_serves_only_the_side_it_was_made_for() {
    let ours = authority();
    let (server, client) = (server_certificate(&ours), client_certificate(&ours));
    assert_refused(mutual(&ours, &server, &server).await, "extended key usage");
    let by_name = ours
        .issue_client(
            &mk8s_tls::ClientSubject {
                common_name: "localhost".to_owned(),
                ..jane()
            },
            DAY,
            now(),
        )
        .expect("client");
    assert!(mutual(&ours, &by_name, &client).await.is_err());
}

#[tokio::test]
async fn the_servers_name_must_be_in_its_certificate() {
    let ours = authority();
    let names = ["central.example.com", "*.eu.example.com", "10.0.0.1", "::1"].map(str::to_owned);
    let issued = ours.issue_server(&names, DAY, now()).expect("server");
    let server = serve(&issued, &ClientAuth::None);
    for good in ["central.example.com", "a.eu.example.com", "10.0.0.1", "::1"] {
        shake_hands_as(good, server.clone(), dial(&trust(&ours), None))
            .await
            .expect(good);
    }
    for bad in ["example.com", "a.b.eu.example.com", "10.0.0.2", "::2"] {
        let outcome = shake_hands_as(bad, server.clone(), dial(&trust(&ours), None))
            .await
            .map(drop);
        assert_refused(outcome, "not valid for name");
    }
}

#[tokio::test]
async fn clocks_ten_minutes_apart_do_no_harm() {
    const TEN_MINUTES: Duration = Duration::from_secs(600);
    // The authority's clock is ahead of ours, then behind.
    for issued_at in [now() + TEN_MINUTES, now() - TEN_MINUTES] {
        let ours = CertificateAuthority::generate("skewed", issued_at).expect("authority");
        let server = ours
            .issue_server(&["localhost".to_owned()], DAY, issued_at)
            .expect("server");
        let client = ours.issue_client(&jane(), DAY, issued_at).expect("client");
        mutual(&ours, &server, &client).await.expect("handshake");
    }
}

#[tokio::test]
async fn the_agents_port_speaks_tls_1_3_alone() {
    let ours = authority();
    let client_auth = ClientAuth::Optional(trust(&ours));
    let server =
        server::config_tls13(reloading(&server_certificate(&ours)), &client_auth, &[]).expect("server");
    let tls13 = client::config_tls13(&trust(&ours), None, &[]).expect("client");
    assert_eq!(
        shake_hands(server.clone(), tls13)
            .await
            .expect("handshake")
            .version,
        TLSv1_3
    );

    let mut roots = mk8s_tls::rustls::RootCertStore::empty();
    roots.add(ours.certificate().clone()).expect("root");
    let tls12 = ClientConfig::builder_with_provider(mk8s_tls::provider())
        .with_protocol_versions(&[&mk8s_tls::rustls::version::TLS12])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(shake_hands(server, Arc::new(tls12)).await.is_err());
}

#[tokio::test]
async fn files_that_change_serve_older_clients_too() {
    let (ours, other) = (authority(), authority());
    let sources = ClientTrust {
        authorities: trust(&ours),
        lists: Vec::new(),
        expired: ExpiredLists::Use,
        optional: false,
    };
    let auth = ReloadingClientAuth::new(sources, now()).expect("read");
    let server = serve(&server_certificate(&ours), &ClientAuth::Reloading(auth));
    for (authority, is_known) in [(&ours, true), (&other, false)] {
        let mut roots = mk8s_tls::rustls::RootCertStore::empty();
        roots.add(ours.certificate().clone()).expect("root");
        let mut tls12 = ClientConfig::builder_with_provider(mk8s_tls::provider())
            .with_protocol_versions(&[&mk8s_tls::rustls::version::TLS12])
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_cert_resolver(reloading(&client_certificate(authority)));
        tls12.alpn_protocols = vec![b"h2".to_vec()];
        let met = shake_hands(server.clone(), Arc::new(tls12)).await;
        assert_eq!(met.is_ok(), is_known, "{met:?}");
        if let Ok(met) = met {
            assert_eq!((met.version, met.resumed), (TLSv1_2, false));
            assert_eq!(met.peer.expect("a certificate").common_name, "jane");
        }
    }
}

#[tokio::test]
async fn sessions_are_resumed_only_where_no_client_certificate_counts() {
    let ours = authority();
    let issued = server_certificate(&ours);
    let plain = serve(&issued, &ClientAuth::None);
    let client = dial(&trust(&ours), None);
    assert!(
        !shake_hands(plain.clone(), client.clone())
            .await
            .expect("first")
            .resumed
    );
    assert!(shake_hands(plain, client.clone()).await.expect("second").resumed);

    let asking = serve(&issued, &ClientAuth::Optional(trust(&ours)));
    for _ in 0..2 {
        assert!(
            !shake_hands(asking.clone(), client.clone())
                .await
                .expect("handshake")
                .resumed
        );
    }
}

#[tokio::test]
async fn an_unverified_client_takes_any_server() {
    let server = serve(&server_certificate(&authority()), &ClientAuth::None);
    let client = client::config_unverified(None, H2).expect("client");
    shake_hands_as("anything.example.com", server, client)
        .await
        .expect("handshake");
}

#[tokio::test]
async fn an_authority_may_be_added_to_the_systems() {
    let ours = authority();
    let pem = ours.certificate_pem().into_bytes();
    for (authority, is_known) in [(&ours, true), (&self::authority(), false)] {
        let server = serve(&server_certificate(authority), &ClientAuth::None);
        let met = shake_hands(server, dial(&Roots::SystemAnd(pem.clone()), None)).await;
        assert_eq!(met.is_ok(), is_known);
    }
}

#[test]
fn roots_that_are_none_are_refused_with_their_origin() {
    let directory = tempfile::tempdir().expect("directory");
    let missing = directory.path().join("missing.crt");
    let garbage = directory.path().join("garbage.crt");
    let damaged = directory.path().join("damaged.crt");
    std::fs::write(&garbage, "nothing").expect("write");
    std::fs::write(
        &damaged,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("write");
    let rows = [
        (Roots::Files(vec![missing]), "missing.crt"),
        (Roots::Files(vec![garbage]), "garbage.crt has no certificate"),
        (Roots::Files(vec![damaged]), "damaged.crt"),
        (Roots::Files(vec![]), "no certificate"),
        (Roots::Pem(b"".to_vec()), "no certificate"),
        (Roots::SystemAnd(b"".to_vec()), "no certificate"),
        (
            Roots::Pem(b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n".to_vec()),
            "the PEM text",
        ),
    ];
    for (roots, expected) in rows {
        let error = client::config(&roots, None, &[])
            .expect_err("refused")
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}
