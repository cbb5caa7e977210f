//! `mk8s clusters` and `mk8s status`.

use crate::{fake_central::FakeCentral, sandbox::Sandbox};

#[test]
fn clusters_are_listed_and_chosen() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "staging");
    insta::assert_snapshot!(sandbox.run(&["clusters", "ls"]).succeeds().stdout, @r"
    CURRENT   NAME                 STATUS         VERSION   LAST SEEN
              dev                  disconnected   -         never
              production-us-east   connected      v1.36.3   never
    *         staging              connected      v1.36.3   never
    ");
    assert_eq!(
        sandbox.config(),
        format!("central_url: {}\ncurrent_cluster: staging\n", central.url())
    );
    let json = sandbox.run(&["clusters", "list", "-o", "json"]).succeeds().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["clusters"][2]["current"], true);
    let yaml = sandbox.run(&["clusters", "list", "-o", "yaml"]).succeeds().stdout;
    assert!(yaml.starts_with("clusters:\n"), "{yaml}");
}

#[test]
fn an_unknown_cluster_is_refused_with_those_that_exist() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let run = sandbox
        .run(&["clusters", "use", "prod"])
        .fails(1)
        .says("there is no cluster prod");
    assert!(
        run.stderr
            .contains("you can reach dev, production-us-east, staging"),
        "{run:?}"
    );
    let run = sandbox.run(&["clusters", "use", "../x"]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn a_namespace_belongs_to_its_cluster() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let use_ = |arguments: &[&str]| sandbox.run(&[&["clusters", "use"], arguments].concat());
    use_(&["staging", "--namespace", "web"]).succeeds();
    assert!(sandbox.config().contains("namespace: web\n"));
    use_(&["staging"]).succeeds();
    assert!(
        sandbox.config().contains("namespace: web\n"),
        "the same cluster keeps it"
    );
    use_(&["production-us-east"]).succeeds();
    assert!(
        !sandbox.config().contains("namespace"),
        "another one doesn't get it"
    );
    use_(&["staging", "-n", "Not_One"])
        .fails(2)
        .says("is no namespace");
}

#[test]
fn a_disconnected_cluster_can_be_chosen_with_a_warning() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let run = sandbox.run(&["clusters", "use", "dev"]).succeeds();
    assert!(run.stderr.starts_with("warning: dev is disconnected"), "{run:?}");
}

#[test]
fn no_clusters_is_said() {
    let central = FakeCentral::start();
    central.state().clusters.clear();
    let sandbox = Sandbox::logged_in(&central);
    let run = sandbox.run(&["clusters", "list"]).succeeds();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.starts_with("No clusters")),
        ("", true)
    );
    sandbox
        .run(&["clusters", "use", "x"])
        .fails(1)
        .says("your roles reach no cluster");
}

#[test]
fn status_tells_who_where_and_what() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::using(&central, "production-us-east");
    let run = sandbox.run(&["status"]).succeeds();
    let text = run.stdout.replace(&central.url(), "https://central");
    insta::with_settings!({filters => vec![
        (r"good for [0-9hms]+", "good for 59m"),
        (r"until \S+", "until 2030-01-01T00:00:00Z"),
    ]}, {
        insta::assert_snapshot!(text, @r"
        Central:    https://central
        User:       dev@example.com
        Roles:      developer
        Token:      good for 59m, renewed by itself
        Session:    until 2030-01-01T00:00:00Z unless it is used before
        Cluster:    production-us-east (connected)

        CLUSTER              STATUS         YOU MAY
        dev                  disconnected   -
        production-us-east   connected      get, list pods in all namespaces
                                            logs of pods in web
        staging              connected      everything
        ");
    });
    let json = sandbox
        .run(&["--cluster", "staging", "status", "-o", "json"])
        .succeeds()
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["current_cluster"], "staging");
    assert_eq!(json["clusters"].as_array().map(Vec::len), Some(1));
    assert!(!json.to_string().contains("secret"));
}

#[test]
fn output_may_end_early() {
    use std::process::Stdio;
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let mut child = sandbox
        .command(&["clusters", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "a closed pipe is no error to report"
    );
}
