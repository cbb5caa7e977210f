//! Clusters and routes as custom resources: as the chart defines them, read live.

use std::{fs, time::Duration};

use mk8s_testkit::{Cluster, wait, workspace};
use serde_json::json;

use super::{ALL, account, prepared_with};

/// The definitions of the chart. They stay: other tests on the cluster use them as well.
pub(crate) fn install() {
    let kubectl = Cluster::shared().kubectl();
    for name in ["clusters", "routes"] {
        let file = workspace::root().join(format!("deploy/helm/mk8s/crds/{name}.mca.k8s.io.yaml"));
        kubectl
            .apply(&fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        let definition = format!("crd/{name}.mca.k8s.io");
        kubectl
            .run([
                "wait",
                "--for=condition=Established",
                &definition,
                "--timeout=30s",
            ])
            .ok();
    }
}

#[test]
fn routes_are_taken_over_as_they_are_made_and_wrong_ones_change_nothing() {
    install();
    let (here, mut sidecar) = prepared_with(ALL);
    let second = Cluster::second();
    let there = second.namespace();
    account(&there, ALL);
    sidecar.write(
        "credentials/west/token",
        &second.service_account_token(there.name(), "app"),
    );
    sidecar.write("credentials/west/ca.crt", &second.ca_pem());
    sidecar.set_variable("MCA_CUSTOM_RESOURCES", "true");
    sidecar.start_again();
    let whoami = || {
        let review = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer = sidecar.request("POST", path, &[("Content-Type", "application/json")], review);
        answer.json()["status"]["userInfo"]["username"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let account_in = |namespace: &str| format!("system:serviceaccount:{namespace}:app");
    assert_eq!(whoami(), account_in(here.name()));
    let object = |kind: &str, name: &str, spec: serde_json::Value| {
        let object = json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        here.apply(&object.to_string());
    };
    object(
        "Cluster",
        "west",
        json!({"server": second.server(), "credentials": "west"}),
    );
    object(
        "Route",
        "reviews",
        json!({"match": [{"resources": ["selfsubjectreviews"]}], "clusters": ["west"]}),
    );
    let goes_to = |namespace: &str| {
        wait::within(Duration::from_secs(20), namespace, || {
            (whoami() == account_in(namespace)).then_some(())
        });
    };
    goes_to(there.name());
    object("Route", "wrong", json!({"priority": 5, "clusters": ["nowhere"]}));
    wait::within(Duration::from_secs(20), "the complaint", || {
        let log = sidecar.read("log");
        (log.contains("routes.mca.k8s.io/wrong") && log.contains("nowhere")).then_some(())
    });
    goes_to(there.name());
    here.kubectl()
        .run(["delete", "route.mca.k8s.io", "wrong", "reviews"])
        .ok();
    goes_to(here.name());
}

#[test]
fn the_definitions_refuse_what_could_never_be_right_and_show_what_matters() {
    install();
    let namespace = Cluster::shared().namespace();
    let apply = |kind: &str, spec: &serde_json::Value| {
        let object = json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
        namespace
            .kubectl()
            .run_with(["apply", "--filename", "-"], object.to_string().as_bytes())
    };
    for (kind, spec, expected) in [
        ("Cluster", json!({"server": "http://a"}), "https"),
        ("Cluster", json!({}), "members, or a place"),
        (
            "Cluster",
            json!({"server": "https://a", "members": ["b"]}),
            "members, or a place",
        ),
        ("Cluster", json!({"members": []}), "members"),
        ("Route", json!({"match": []}), "clusters"),
        (
            "Route",
            json!({"clusters": ["a"], "match": [{"verbs": ["read"]}]}),
            "verbs",
        ),
        ("Route", json!({"clusters": ["a"], "matches": []}), "matches"),
    ] {
        let ran = apply(kind, &spec).failed();
        assert!(ran.stderr.contains(expected), "{kind} {spec}: {}", ran.stderr);
    }
    apply("Cluster", &json!({"server": "https://a.example"})).ok();
    let shown = namespace.kubectl().run(["get", "clusters.mca.k8s.io"]).ok();
    assert!(
        shown.text().contains("SERVER") && shown.text().contains("https://a.example"),
        "{}",
        shown.text()
    );
}

#[test]
fn a_service_account_that_may_not_read_them_is_told_so_at_the_start() {
    install();
    let (_namespace, mut sidecar) = prepared_with("[{apiGroups: [''], resources: [pods], verbs: [get]}]");
    sidecar.set_variable("MCA_CUSTOM_RESOURCES", "true");
    let ran = mk8s_testkit::command::run(&mut sidecar.command()).failed();
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("may not get, list and watch"), "{last}");
}
