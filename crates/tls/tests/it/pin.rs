//! Trust on first use.

use std::{sync::Arc, time::Duration};

use mk8s_tls::{
    CertificateAuthority, CertificateChain, Issued, ServerConfig, TlsAcceptor, client,
    pin::{PinError, PresentedChain, probe, probe_stream},
    server::{self, ClientAuth},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::TcpListener,
};

use crate::support::{DAY, ago, authority, now, reloading, server as server_certificate, shake_hands, trust};

const SECOND: Duration = Duration::from_secs(1);

fn serve(issued: &Issued, client_auth: &ClientAuth) -> Arc<ServerConfig> {
    server::config(reloading(issued), client_auth, &[b"h2"]).expect("server")
}

async fn presented(host: &str, config: Arc<ServerConfig>) -> Result<PresentedChain, PinError> {
    let (near, far) = duplex(64 * 1024);
    let server = async {
        if let Ok(mut stream) = TlsAcceptor::from(config).accept(far).await {
            let mut sent = Vec::new();
            let _ = stream.read_to_end(&mut sent).await;
            assert!(sent.is_empty(), "a probe says nothing");
        }
    };
    let (chain, ()) = tokio::join!(probe_stream(near, host), server);
    chain
}

#[tokio::test]
async fn the_authority_is_shown_and_then_trusted() {
    let ours = authority();
    let issued = server_certificate(&ours);
    for client_auth in [
        ClientAuth::None,
        ClientAuth::Optional(trust(&ours)),
        ClientAuth::Required(trust(&ours)),
    ] {
        let chain = presented("localhost", serve(&issued, &client_auth))
            .await
            .expect("presented");
        assert_eq!(chain.certificates().len(), 2);
        let found = chain.authority(now()).expect("an authority");
        assert_eq!(found.fingerprint, ours.fingerprint());
        assert_eq!(found.pem(), ours.certificate_pem());
        assert_eq!(found.subject, "CN=test authority");
        assert_eq!(found.not_after.as_second(), ours.not_after().as_second());
        chain.verify(&found.roots(), now()).expect("verified");
        assert!(matches!(
            chain.verify(&trust(&authority()), now()),
            Err(PinError::NoAuthority)
        ));

        let pinned = client::config(&found.roots(), None, &[b"h2"]).expect("client");
        if matches!(client_auth, ClientAuth::None) {
            shake_hands(serve(&issued, &client_auth), pinned.clone())
                .await
                .expect("the same authority");
            let impostor = serve(&server_certificate(&authority()), &client_auth);
            assert!(
                shake_hands(impostor, pinned).await.is_err(),
                "another one is refused from then on"
            );
        }
    }
}

#[tokio::test]
async fn a_chain_that_vouches_for_nobody_says_why() {
    let ours = authority();
    let good = server_certificate(&ours);
    let stranger = authority();

    let alone = CertificateChain::from_der(vec![good.chain.leaf().clone()]).expect("chain");
    let alone = Issued::new(alone, good.key.clone()).expect("pair");
    let chain = presented("localhost", serve(&alone, &ClientAuth::None))
        .await
        .expect("presented");
    assert!(matches!(chain.authority(now()), Err(PinError::NoAuthority)));

    // An authority of the same name that didn't sign it.
    let mixed = vec![good.chain.leaf().clone(), stranger.certificate().clone()];
    let mixed = Issued::new(
        CertificateChain::from_der(mixed).expect("chain"),
        good.key.clone(),
    )
    .expect("pair");
    let chain = presented("localhost", serve(&mixed, &ClientAuth::None))
        .await
        .expect("presented");
    assert!(matches!(chain.authority(now()), Err(PinError::NoAuthority)));

    let chain = presented("other.example.com", serve(&good, &ClientAuth::None))
        .await
        .expect("presented");
    let error = chain.authority(now()).expect_err("another name");
    assert!(
        matches!(&error, PinError::WrongName(name) if name == "other.example.com"),
        "{error}"
    );

    let chain = presented("localhost", serve(&good, &ClientAuth::None))
        .await
        .expect("presented");
    assert!(matches!(
        chain.authority(now() + 3 * DAY),
        Err(PinError::NotValidNow("has expired"))
    ));
    assert!(matches!(
        chain.authority(now() - DAY),
        Err(PinError::NotValidNow("is not valid yet"))
    ));

    let old = CertificateAuthority::generate("old", ago(3 * DAY)).expect("authority");
    let expired = old
        .issue_server(&["localhost".to_owned()], DAY, ago(2 * DAY))
        .expect("server");
    let chain = presented("localhost", serve(&expired, &ClientAuth::None))
        .await
        .expect("presented");
    assert!(matches!(chain.authority(now()), Err(PinError::NotValidNow(_))));
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .expect("written");
        // Silence from now on, for the second probe.
        let (stream, _) = listener.accept().await.expect("accepted");
        std::future::pending::<()>().await;
        drop(stream);
    });
    let error = probe("127.0.0.1", port, 10 * SECOND).await.expect_err("no TLS");
    assert!(matches!(error, PinError::Handshake(_)), "{error}");
    let error = probe("127.0.0.1", port, SECOND / 10).await.expect_err("silence");
    assert!(matches!(error, PinError::Timeout { .. }), "{error}");
    server.abort();
    let error = probe("a b", 443, SECOND).await.expect_err("no host");
    assert!(
        matches!(error, PinError::BadHost(_) | PinError::Connect { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn it_works_over_a_socket() {
    let ours = authority();
    let issued = ours
        .issue_server(&["127.0.0.1".to_owned()], DAY, now())
        .expect("server");
    let acceptor = TlsAcceptor::from(serve(&issued, &ClientAuth::None));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepted");
        let _ = acceptor.accept(stream).await;
    });
    let chain = probe("127.0.0.1", port, 10 * SECOND).await.expect("presented");
    assert_eq!(
        chain.authority(now()).expect("authority").fingerprint,
        ours.fingerprint()
    );
    server.await.expect("server");
    let error = probe("127.0.0.1", port, SECOND).await.expect_err("nobody there");
    assert!(matches!(error, PinError::Connect { .. }), "{error}");
}

#[test]
fn a_servers_certificate_is_looked_at_before_it_is_served() {
    let ours = authority();
    let chain = server_certificate(&ours).chain;
    let planned = |host: &str| PresentedChain::planned(host, &chain).expect("a name");
    planned("localhost")
        .verify(&trust(&ours), now())
        .expect("verified");
    let error = planned("other.example.com").verify(&trust(&ours), now());
    assert!(matches!(error, Err(PinError::WrongName(name)) if name == "other.example.com"));
    let error = planned("localhost").verify(&trust(&authority()), now());
    assert!(matches!(error, Err(PinError::NoAuthority)));
    let error = PresentedChain::planned("not a name", &chain);
    assert!(matches!(error, Err(PinError::BadHost(_))));
}
