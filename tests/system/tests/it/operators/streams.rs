//! Streams of operators. That exec, attach, port-forward and cp are what they are without a front proxy is shown by the table of
//! what people do with kubectl; here is what a front proxy alone has.

use std::time::Duration;

use http::header;
use mk8s_testkit::{Cluster, FrontProxy, raw::Endpoint, within};

/// A front proxy before a cluster, as somebody who administers it.
fn door(settings: &str) -> (tempfile::TempDir, FrontProxy) {
    let directory = tempfile::tempdir().expect("a directory");
    let account = FrontProxy::account(Cluster::for_one_at_a_time(), directory.path());
    let proxy = FrontProxy::start(&account, settings);
    (directory, proxy)
}

#[test]
fn a_session_may_be_sent_to_the_api_server_itself() {
    let cluster = Cluster::for_one_at_a_time();
    let (_directory, proxy) = door(&format!(
        "reroutes: []\ninteractive: {{redirect_to: \"{}\"}}",
        cluster.server()
    ));
    let client = proxy.certificate("anna", &["team-a"]);
    let exec = "/api/v1/namespaces/default/pods/web/exec?command=sh&stdin=true";
    for method in ["GET", "POST"] {
        let answer = super::certificates::request(&proxy, &client, method, exec, &[]);
        assert_eq!(answer.status, 307);
        let location = answer.header(header::LOCATION.as_str()).expect("a place to go");
        assert_eq!(location, format!("{}{exec}", cluster.server()));
    }
    // What isn't a session stays.
    let answer = super::certificates::request(&proxy, &client, "GET", "/api/v1/namespaces/default/pods", &[]);
    assert_eq!(answer.status, 403);
    let sent: Vec<_> = proxy
        .audit()
        .into_iter()
        .filter(|event| event["stage"] == "close" && event["status"] == 307)
        .collect();
    assert_eq!(sent.len(), 2);
}

#[test]
fn an_api_server_that_is_away_is_a_status_that_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let server = format!("https://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let ca = Cluster::for_one_at_a_time().ca_pem();
    let kubeconfig = super::kubeconfig_at(directory.path(), &server, &ca);
    let proxy = FrontProxy::start(&kubeconfig, "");
    let anna = proxy.kubectl_as("anna", &[]);
    let ran = anna.run(["get", "--raw", "/api/v1/namespaces"]).failed();
    assert!(
        ran.stderr.contains("local") && ran.stderr.contains("refused"),
        "{ran}"
    );
}

#[test]
fn what_was_opened_is_closed() {
    let (_directory, proxy) = door("reroutes: []");
    let anna = proxy.kubectl_as("anna", &[]);
    for _ in 0..3 {
        anna.run(["get", "--raw", "/version"]).ok();
    }
    within(Duration::from_secs(30), "all streams to be closed", || {
        let open = proxy.metric("mk8s_streams_opened_total") - proxy.metric("mk8s_streams_closed_total");
        (open == 0.0 && proxy.metric("mk8s_connections") == 0.0).then_some(())
    });
    assert!(proxy.metric("mk8s_streams_opened_total") >= 3.0);
}

/// Not a client of this front proxy: no certificate at all.
pub(super) fn nobody(proxy: &FrontProxy) -> Endpoint {
    proxy.endpoint()
}
