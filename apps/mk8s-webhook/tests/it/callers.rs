//! Who is answered.

use std::{fs, sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_tls::{CertificateAuthority, ClientConfig, ClientSubject, ReloadingCertificate, Roots};

use crate::support::{Setup, Webhook, answer, message, pod, review};

/// What a client of this authority's shows, towards this webhook.
fn showing(webhook: &Webhook, authority: &CertificateAuthority, name: &str) -> Arc<ClientConfig> {
    let subject = ClientSubject {
        common_name: name.to_owned(),
        ..ClientSubject::default()
    };
    let hour = Duration::from_secs(3600);
    let issued = authority
        .issue_client(&subject, hour, Timestamp::now())
        .expect("issued");
    let certificate = ReloadingCertificate::from_issued(&issued).expect("a pair");
    let roots = Roots::Pem(webhook.endpoint.ca_pem.clone());
    mk8s_tls::client::config(&roots, Some(certificate), &[b"http/1.1"]).expect("a configuration")
}

fn ask(webhook: &Webhook, config: Arc<ClientConfig>) -> std::io::Result<mk8s_testkit::raw::Response> {
    let mut connection = webhook.endpoint.connect_with(config)?;
    let body = review(&pod()).to_string();
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes())?;
    connection.send(body.as_bytes())?;
    connection.response()
}

fn authority(name: &str) -> CertificateAuthority {
    CertificateAuthority::generate(name, Timestamp::now()).expect("an authority")
}

#[test]
fn a_request_from_elsewhere_is_refused_where_the_api_server_shows_a_certificate() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let setup = Setup::new();
    let file = setup.path("clients.crt");
    fs::write(&file, ours.certificate_pem()).expect("written");
    let webhook = setup.start(&format!(
        "clients: {{clientCAFile: {}, clientNames: [kube-apiserver]}}",
        file.display()
    ));

    let response = ask(&webhook, showing(&webhook, &ours, "kube-apiserver")).expect("an answer");
    assert_eq!(answer(&response)["allowed"], true);

    let without = webhook.review(&review(&pod()));
    assert_eq!(without.status, 403);
    assert!(
        message(&without).contains("showed no certificate"),
        "{}",
        message(&without)
    );
    let another = ask(&webhook, showing(&webhook, &ours, "system:node:n1")).expect("an answer");
    assert_eq!(another.status, 403);
    assert!(
        message(&another).contains("system:node:n1"),
        "{}",
        message(&another)
    );
    assert!(
        ask(&webhook, showing(&webhook, &theirs, "kube-apiserver")).is_err(),
        "of another authority"
    );

    // The kubelet's probes, and Prometheus.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(webhook.get(path).status, 200, "{path}");
    }
}

#[test]
fn other_authorities_for_clients_are_taken_without_a_restart() {
    let (before, after) = (authority("before"), authority("after"));
    let setup = Setup::new();
    let file = setup.path("clients.crt");
    fs::write(&file, before.certificate_pem()).expect("written");
    let webhook = setup.start(&format!("clients: {{clientCAFile: {}}}", file.display()));
    let is_answered = |authority| {
        ask(&webhook, showing(&webhook, authority, "anybody")).is_ok_and(|response| response.status == 200)
    };
    assert!(is_answered(&before) && !is_answered(&after));
    fs::write(&file, "no certificate").expect("written");
    mk8s_testkit::eventually("the damage to be noticed", || {
        webhook.program.log().contains("old ones stay").then_some(())
    });
    assert!(is_answered(&before));
    fs::write(&file, after.certificate_pem()).expect("written");
    mk8s_testkit::eventually("the new authority to be believed", || {
        is_answered(&after).then_some(())
    });
    assert!(!is_answered(&before));
}

#[test]
fn without_that_whoever_asks_learns_only_what_they_told() {
    let webhook = Webhook::start();
    let first = answer(&webhook.review(&review(&pod())));
    let second = answer(&webhook.review(&review(&pod())));
    assert_eq!(
        first, second,
        "an answer is a function of the question: nothing is remembered"
    );
}
