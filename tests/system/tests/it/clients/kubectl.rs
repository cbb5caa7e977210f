//! kubectl in a pod.

use mk8s_testkit::{eventually, kubectl};

use super::checks::{ACCOUNT, Pods, change_repeatedly};

#[test]
fn creates_gets_lists_replaces_patches_and_deletes() {
    let pods = Pods::plain();
    let pod = pods.resting("client");
    let data = ["get", "configmap", "made", "--output", "jsonpath={.data}"];

    pod.kubectl(&["create", "configmap", "made", "--from-literal=step=create"])
        .ok();
    assert_eq!(pod.kubectl(&data).ok().text(), r#"{"step":"create"}"#);
    let listed = pod.kubectl(&["get", "configmaps", "--output", "name"]).ok();
    assert!(listed.stdout.contains("configmap/made\n"), "{listed}");

    // What it has read it writes changed.
    let me = kubectl::current().display();
    let replace =
        format!("{me} get cm made -o yaml | sed 's/step: create/step: update/' | {me} replace -f -");
    pod.exec(["sh", "-c", &replace]).ok();
    assert_eq!(pod.kubectl(&data).ok().text(), r#"{"step":"update"}"#);
    let patch = r#"--patch={"data":{"patched":"yes"}}"#;
    pod.kubectl(&["patch", "configmap", "made", patch]).ok();
    assert_eq!(
        pod.kubectl(&data).ok().text(),
        r#"{"patched":"yes","step":"update"}"#
    );

    pod.kubectl(&["delete", "configmap", "made"]).ok();
    let gone = pod.kubectl(&data).failed();
    assert!(gone.stderr.contains("NotFound"), "{gone}");
}

#[test]
fn sees_each_change_of_what_it_watches() {
    let pods = Pods::plain();
    let template = r#"jsonpath={.type} {.object.metadata.name} {.object.metadata.resourceVersion}{"\n"}"#;
    let me = kubectl::current().to_str().expect("a path that is text");
    let what = [
        "get",
        "configmaps",
        "--watch",
        "--output-watch-events",
        "--output",
        template,
    ];
    let watch = [me].into_iter().chain(what);
    let pod = pods.pod("client").command(watch).start();
    eventually("the watch to begin", || {
        pod.log().contains("ADDED kube-root-ca.crt ").then_some(())
    });
    let versions = change_repeatedly(&pods.namespace().kubectl());
    let log = eventually("the watch to see the end", || {
        let log = pod.log();
        log.contains("DELETED changing ").then_some(log)
    });

    let seen: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_once(" changing "))
        .collect();
    let [(first, _), .., (last, _)] = &seen[..] else {
        panic!("{log}");
    };
    assert_eq!((*first, *last), ("ADDED", "DELETED"), "{log}");
    let applied: Vec<_> = seen[..seen.len() - 1]
        .iter()
        .map(|(_, version)| *version)
        .collect();
    assert_eq!(applied, versions);
}

#[test]
fn runs_commands_in_another_pod() {
    let pods = Pods::plain();
    let other = pods.other();
    let pod = pods.resting("client");
    let other = other.ready();
    for websocket in ["true", "false"] {
        let script = format!(
            "export KUBECTL_REMOTE_COMMAND_WEBSOCKETS={websocket}
             kubectl() {{ {} \"$@\"; }}
             kubectl exec {other} -- echo hello
             seq 5000 >/tmp/sent
             kubectl exec -i {other} -- cat </tmp/sent >/tmp/received
             cmp /tmp/sent /tmp/received && echo same
             kubectl exec {other} -- sh -c 'exit 3'",
            kubectl::current().display(),
            other = other.name()
        );
        let ran = pod.exec(["sh", "-c", &script]);
        assert_eq!((ran.text(), ran.code), ("hello\nsame", Some(3)), "{ran}");
    }
}

#[test]
fn is_the_pods_service_account() {
    let pods = Pods::plain();
    let pod = pods.resting("client");
    let review = pod.kubectl(&["auth", "whoami", "--output", "json"]).ok().json();
    let namespace = pods.namespace().name();
    assert_eq!(
        review["status"]["userInfo"]["username"],
        format!("system:serviceaccount:{namespace}:{ACCOUNT}")
    );
}
