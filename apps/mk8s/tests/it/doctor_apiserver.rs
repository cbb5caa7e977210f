//! `mk8s doctor apiserver`, at a cluster that has what a test gives it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use mk8s_tls::CertificateAuthority;
use serde_json::{Value, json};

use crate::{
    doctor::rows,
    fake_central::FakeCentral,
    patient::{HOST, Patient},
    sandbox::{Run, Sandbox},
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[test]
fn a_healthy_cluster_passes() {
    let patient = Patient::healthy();
    let rows = rows(patient.doctor(&["--context", "prod"]));
    assert!(rows.iter().all(|row| row.status == "ok"), "{rows:?}");
    let seen = |name: &str| rows.iter().find(|row| row.name == name).expect(name).seen.clone();
    assert_eq!(seen("endpoints"), "2 of 3 ready");
    assert!(seen("serving certificate").starts_with(HOST));
    assert_eq!(seen("people may ask it"), "Group system:authenticated");
    let calls = patient.sandbox.noted("calls");
    assert!(
        calls.lines().all(|call| call.starts_with("--context=prod ")),
        "{calls}"
    );
    assert!(
        calls.contains("--as=system:serviceaccount:mk8s-system:mk8s-apiserver"),
        "{calls}"
    );
    // Nothing is changed, and no key is read.
    assert!(
        !calls.contains("create -f") && !calls.contains("tls.key"),
        "{calls}"
    );
}

#[test]
fn people_read_a_table_without_colours_in_a_pipe() {
    let patient = Patient::healthy();
    patient.change("/spec/caBundle", json!(""));
    let run = patient.sandbox.run(&["doctor", "apiserver"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.starts_with("STATUS   CHECK"), "{run:?}");
    assert!(
        run.stdout.contains("\nfail     caBundle") && run.stdout.contains("  remedy: kubectl patch"),
        "{run:?}"
    );
    assert!(!run.stdout.contains('\x1b'), "{run:?}");
    assert_eq!(run.stderr, "error: 1 of 17 checks failed\n");
}

#[test]
fn no_api_service_at_all() {
    let patient = Patient::healthy();
    patient.lose("apiservice");
    let row = patient.finding("fail", "APIService");
    assert!(row.remedy.contains("deploy/apiserver"), "{row:?}");
}

#[test]
fn a_cluster_that_isnt_there_is_one_row() {
    let patient = Patient::healthy();
    patient.complain(
        "apiservice",
        "The connection to the server localhost:8080 was refused",
    );
    let row = patient.finding("fail", "APIService");
    assert!(
        row.seen.contains("refused") && row.remedy.contains("--context"),
        "{row:?}"
    );
}

#[test]
fn the_conditions_message_is_told_with_its_remedy() {
    for (reason, message, remedy) in [
        (
            "FailedDiscoveryCheck",
            "tls: x509: certificate is valid for localhost",
            "mk8s pki issue server mk8s-apiserver --service mk8s-apiserver.mk8s-system",
        ),
        (
            "FailedDiscoveryCheck",
            "dial tcp 10.0.0.1:443: i/o timeout",
            "network policies",
        ),
        (
            "MissingEndpoints",
            "endpoints for service/mk8s-apiserver have no addresses",
            "get pods",
        ),
        (
            "ServiceNotFound",
            "service/mk8s-apiserver is not present",
            "deploy/apiserver",
        ),
        (
            "FailedDiscoveryCheck",
            "bad status from https://…: 401",
            "describe apiservice",
        ),
    ] {
        let patient = Patient::healthy();
        patient.unavailable(reason, message);
        let row = patient.finding("fail", "available");
        assert!(
            row.seen.contains(message) && row.remedy.contains(remedy),
            "{row:?}"
        );
    }
    let patient = Patient::healthy();
    patient.change("/status/conditions", json!([]));
    assert!(patient.finding("fail", "available").seen.contains("nothing yet"));
}

#[test]
fn a_ca_bundle_must_be_there_be_one_and_last() {
    let patient = Patient::healthy();
    let now = Timestamp::now();
    let authority = |from: Timestamp, validity: Duration| {
        CertificateAuthority::generate_for("aggregation", validity, from)
            .expect("an authority")
            .certificate_pem()
    };
    let ended = authority(now - SignedDuration::from_hours(24 * 400), YEAR);
    let ending = authority(now - SignedDuration::from_hours(24 * 350), YEAR);
    patient.lose("secret");
    for (bundle, status, word) in [
        (String::new(), "fail", "empty"),
        ("%%%".to_owned(), "fail", "base64"),
        (STANDARD.encode("hello"), "fail", "no certificate"),
        (STANDARD.encode(&ended), "fail", "ended at"),
        (STANDARD.encode(&ending), "warn", "ends soon"),
        (
            STANDARD.encode(patient.authority.certificate_pem() + &ended),
            "warn",
            "2 authorities; one of them ended",
        ),
    ] {
        patient.change("/spec/caBundle", json!(bundle));
        let findings = patient.findings(&[]);
        let row = findings
            .iter()
            .find(|row| row.name == "caBundle")
            .expect("a finding");
        assert!(row.status == status && row.seen.contains(word), "{word}: {row:?}");
    }
}

#[test]
fn skipping_verification_is_a_failure() {
    let patient = Patient::healthy();
    patient.change("/spec/insecureSkipTLSVerify", json!(true));
    assert!(
        patient
            .finding("fail", "TLS verification")
            .remedy
            .contains("caBundle")
    );
}

#[test]
fn the_service_and_its_endpoints_must_be_there() {
    let patient = Patient::healthy();
    patient.put(
        "endpointslices",
        &json!({"items": [{"endpoints": [{"conditions": {"ready": false}}]}]}),
    );
    assert_eq!(patient.finding("fail", "endpoints").seen, "0 of 1 ready");
    patient.put("endpointslices", &json!({"items": [{"endpoints": null}]}));
    assert_eq!(patient.finding("fail", "endpoints").seen, "0 of 0 ready");
    let patient = Patient::healthy();
    patient.put("service", &json!({"spec": {"ports": [{"port": 8443}]}}));
    assert!(patient.finding("fail", "Service").seen.contains("no port 443"));
    patient.lose("service");
    assert!(patient.finding("fail", "Service").seen.contains("not found"));
    patient.put(
        "service",
        &json!({"spec": {"type": "ExternalName", "externalName": "192.0.2.1"}}),
    );
    assert!(patient.findings(&[]).is_empty());
}

#[test]
fn the_serving_certificate_must_be_for_the_service() {
    let (patient, now) = (Patient::healthy(), Timestamp::now());
    patient.serve(&["localhost"], now);
    let row = patient.finding("fail", "serving certificate");
    assert!(
        row.seen.contains(HOST) && row.remedy.contains("--service mk8s-apiserver.mk8s-system"),
        "{row:?}"
    );
    patient.serve(&[HOST], now - SignedDuration::from_hours(24 * 60));
    assert!(
        patient
            .finding("fail", "serving certificate")
            .seen
            .contains("has expired")
    );
    patient.serve(&[HOST], now - SignedDuration::from_hours(24 * 28));
    assert!(
        patient
            .finding("warn", "serving certificate")
            .seen
            .contains("ends soon")
    );
    let other = CertificateAuthority::generate("aggregation", now).expect("an authority");
    let foreign = other
        .issue_server(&[HOST.to_owned()], YEAR, now)
        .expect("a certificate");
    patient.write("secret", &STANDARD.encode(foreign.chain.pem()));
    assert!(
        patient
            .finding("fail", "serving certificate")
            .seen
            .contains("caBundle")
    );
}

#[test]
fn a_secret_that_cant_be_read_leaves_what_the_api_server_says() {
    let patient = Patient::healthy();
    patient.complain("secret", "Error from server (Forbidden): secrets is forbidden");
    assert!(patient.findings(&[]).is_empty());
    patient.unavailable(
        "FailedDiscoveryCheck",
        "x509: certificate signed by unknown authority",
    );
    let findings = patient.findings(&[]);
    let names: Vec<&str> = findings.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["available", "serving certificate"], "{findings:?}");
    assert!(findings[1].seen.contains("unknown authority"));
    patient.unavailable("MissingEndpoints", "none");
    let findings = patient.findings(&[]);
    assert_eq!(findings[1].status, "warn", "{findings:?}");
}

#[test]
fn a_cluster_without_a_request_header_authority_believes_nobody() {
    let patient = Patient::healthy();
    patient.put("authentication", &json!({"data": {"client-ca-file": "x"}}));
    assert!(
        patient
            .finding("fail", "request-header authority")
            .remedy
            .contains("--requestheader-client-ca-file")
    );
    patient.lose("authentication");
    patient.finding("fail", "request-header authority");
    patient.complain(
        "authentication",
        "Error from server (Forbidden): configmaps is forbidden",
    );
    patient.finding("warn", "request-header authority");
}

#[test]
fn each_right_is_asked_for() {
    let patient = Patient::healthy();
    for (denied, name) in [
        (
            "create subjectaccessreviews.authorization.k8s.io",
            "may create subjectaccessreviews",
        ),
        ("list namespaces", "may list namespaces"),
        (
            "list rolebindings.rbac.authorization.k8s.io",
            "may list rolebindings",
        ),
        (
            "get configmaps/extension-apiserver-authentication",
            "may get configmaps/extension-apiserver-authentication",
        ),
    ] {
        patient.write("denied", denied);
        let row = patient.finding("fail", name);
        assert!(row.remedy.contains("rbac.yaml"), "{row:?}");
    }
    patient.lose("denied");
    patient.complain(
        "can-i",
        "Error from server (Forbidden): users \"x\" is forbidden: User \"jane\" cannot impersonate",
    );
    assert!(
        patient
            .finding("warn", "rights")
            .seen
            .contains("cannot impersonate")
    );
}

#[test]
fn people_must_be_bound_to_the_reader() {
    let patient = Patient::healthy();
    patient.lose("clusterrole");
    patient.finding("fail", "people may ask it");
    patient.put("clusterrolebindings", &json!({"items": []}));
    assert!(
        patient
            .finding("fail", "people may ask it")
            .seen
            .contains("nobody is bound")
    );
}

#[test]
fn somebody_who_sees_too_little_is_told_why() {
    let patient = Patient::healthy();
    let jane = ["--user", "jane", "--group", "dev", "--group", "not a label"];
    patient.put(
        "review",
        &json!({"status": {"allowed": false, "reason": "no RBAC policy matched"}}),
    );
    patient.write("namespaces", "namespace/shop\nnamespace/shop-test\n");
    let all = rows(patient.doctor(&jane));
    let seen = |name: &str| all.iter().find(|row| row.name == name).expect(name).seen.clone();
    assert!(
        seen("review").contains("may not list all namespaces: no RBAC policy matched"),
        "{all:?}"
    );
    assert_eq!(seen("namespaces shown"), "shop, shop-test (team in (dev))");
    assert_eq!(patient.sandbox.noted("selector"), "team in (dev)");
    let asked: Value = serde_json::from_str(&patient.sandbox.noted("created")).expect("JSON");
    assert_eq!(
        asked["spec"]["groups"],
        json!(["dev", "not a label", "system:authenticated"])
    );
    assert_eq!(
        asked["spec"]["resourceAttributes"],
        json!({"verb": "list", "resource": "namespaces"})
    );

    // By the configuration's own label.
    patient.put(
        "configmap",
        &json!({"data": {"apiserver.yaml": "namespaces: {team_label: owner}"}}),
    );
    patient.write("namespaces", "");
    let findings = patient.findings(&jane);
    assert!(
        findings[0]
            .remedy
            .contains("kubectl label namespace NAME owner=dev"),
        "{findings:?}"
    );
    let findings = patient.findings(&["--user", "jane"]);
    assert!(
        findings[0].seen.contains("no group of jane is a team"),
        "{findings:?}"
    );

    patient.put("review", &json!({"status": {"allowed": true}}));
    assert!(patient.findings(&jane).is_empty());
    patient.complain("review", "Error from server (Forbidden)");
    assert_eq!(patient.findings(&jane)[0].name, "review");
}

#[test]
fn answers_that_are_none_are_told_and_never_a_panic() {
    for name in [
        "apiservice",
        "service",
        "endpointslices",
        "secret",
        "authentication",
        "clusterrolebindings",
        "review",
    ] {
        for odd in [
            "",
            "null",
            "[]",
            "\"x\"",
            "{\"spec\": 7, \"items\": 7, \"data\": 7}",
            "{",
            "\u{1}",
        ] {
            let patient = Patient::healthy();
            patient.write(name, odd);
            let run = patient.doctor(&["--user", "jane", "--group", "dev"]);
            assert!(matches!(run.code, Some(0 | 1)), "{name} {odd:?}: {run:?}");
            assert!(!run.stderr.contains("panicked"), "{name} {odd:?}: {run:?}");
            assert!(rows(run).len() > 1 || name == "apiservice", "{name} {odd:?}");
        }
    }
}

#[test]
fn a_cluster_behind_central_is_reached_through_central() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    sandbox.stub_kubectl("echo gone >&2; exit 1");
    let run = sandbox.run(&["--cluster", "staging", "doctor", "apiserver", "-o", "json"]);
    assert_eq!(rows(run).len(), 1);
    assert!(sandbox.noted("kubeconfig").contains(&central.url()));
    let run = sandbox.run(&["--cluster", "staging", "doctor", "--context", "x"]);
    run.fails(2).says("two clusters");
}

#[test]
fn without_a_kubectl_there_is_nobody_to_ask() {
    let sandbox = Sandbox::new();
    let run: Run = sandbox
        .command(&["doctor", "apiserver"])
        .env("PATH", sandbox.bin())
        .output()
        .expect("it runs")
        .into();
    run.fails(1).says("no kubectl on the PATH");
}
