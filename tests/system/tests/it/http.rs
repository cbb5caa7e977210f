//! A client with HTTP/2, for many requests at once.

use mk8s_testkit::Gateway;
use mk8s_tls::Roots;

/// A client that sends this user's token.
pub(crate) fn client(gateway: &Gateway, token: &str) -> reqwest::Client {
    build(gateway.ca_pem(), token, &[])
}

/// A client that believes `ca_pem` and sends this token, and these headers besides.
pub(crate) fn build(ca_pem: &str, token: &str, headers: &[(&'static str, &str)]) -> reqwest::Client {
    let roots = Roots::Pem(ca_pem.as_bytes().to_vec());
    let tls = mk8s_tls::client::config(&roots, None, &[b"h2"]).expect("certificate authorities in PEM");
    let authorization = format!("Bearer {token}");
    let headers = headers
        .iter()
        .copied()
        .chain([("authorization", authorization.as_str())]);
    let headers = headers.map(|(name, value)| {
        let name = reqwest::header::HeaderName::from_static(name);
        (
            name,
            reqwest::header::HeaderValue::from_str(value).expect("a header's value"),
        )
    });
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.as_ref().clone())
        .default_headers(headers.collect())
        // As Go's client has it: a stream that isn't read must not use up what all streams of the connection share.
        .http2_initial_stream_window_size(4 << 20)
        .http2_initial_connection_window_size(1 << 30)
        .no_proxy()
        .build()
        .expect("a client")
}

/// A runtime for one test.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
