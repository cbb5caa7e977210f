//! Rows that look.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Door, Row, compare, compare_with_all_clients, streams::WEB_POD};

const SETTINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: first, labels: {app: web}}
data: {colour: green, shape: round}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: second}
data: {colour: red}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: hunter2}
";

const ROWS: &[Row] = &[
    ("get", |door| {
        door.namespace.apply(SETTINGS);
        door.lines(&[
            "get configmap first",
            "get configmap first -o yaml",
            "get configmap first -o jsonpath={.data}",
            "get configmap/first secret/secret -o name",
            "get secret secret -o json",
            "get --ignore-not-found configmap none",
        ]);
        door.refused("get configmap none");
        door.refused("get nonsense");
    }),
    ("list", |door| {
        door.namespace.apply(SETTINGS);
        assert!(door.line("get configmaps").stdout.contains("second"));
        door.lines(&[
            "get configmaps -o wide --show-labels",
            "get configmaps --selector app=web -o json",
            "get configmaps --field-selector metadata.name=second",
            "get configmaps --sort-by metadata.name",
            "get configmaps,secrets",
            "get configmaps --chunk-size 1 -o name",
            "get namespaces default -o json",
        ]);
        // Across namespaces, other tests come and go: only that it works.
        assert!(
            door.kubectl
                .run(["get", "configmaps", "--all-namespaces"])
                .ok()
                .stdout
                .contains("NAMESPACE")
        );
    }),
    ("describe", |door| {
        door.namespace.apply(SETTINGS);
        door.lines(&["describe configmap first", "describe secret secret"]);
    }),
    ("diff", |door| {
        door.namespace.apply(SETTINGS);
        let changed = SETTINGS.replace("green", "blue");
        let mut ran = door.kubectl.run_with(
            ["diff", "--server-side", "--force-conflicts", "-f", "-"],
            changed.as_bytes(),
        );
        assert_eq!(ran.code, Some(1), "{ran}");
        // The lines with file names name temporary files.
        ran.stdout = ran
            .stdout
            .lines()
            .filter(|line| line.starts_with("+  ") || line.starts_with("-  "))
            .collect();
        assert!(
            ran.stdout.contains("blue") && ran.stdout.contains("green"),
            "{ran}"
        );
        door.note(&ran.stdout);
    }),
    ("discovery", |door| {
        let ran = door.line("api-resources --sort-by name");
        assert!(ran.stdout.contains("deployments"), "{ran}");
        door.lines(&[
            "api-resources --verbs list --namespaced -o name",
            "api-versions",
            "explain pod.spec.containers",
            "explain deployment --recursive",
            "version -o json",
            "get --raw /",
            "get --raw /api",
            "get --raw /api/v1",
            "get --raw /apis",
            "get --raw /apis/apps/v1",
            "get --raw /version",
            "get --raw /openapi/v2",
            "get --raw /openapi/v3",
            "get --raw /.well-known/openid-configuration",
            "get --raw /openid/v1/jwks",
            "get --raw /healthz",
        ]);
        door.refused("get --raw /apis/nonsense.example.com/v1");
    }),
    ("who am I, and what may I", |door| {
        let ran = door.line("auth whoami -o json");
        let user = &ran.json()["status"]["userInfo"];
        assert_eq!(user["username"], "admin@example.com");
        assert_eq!(
            user["groups"],
            serde_json::json!(["mk8s:admin", "system:authenticated"])
        );
        door.lines(&[
            "auth whoami",
            "auth can-i create pods",
            "auth can-i --list",
            "auth can-i get pods --subresource log",
        ]);
    }),
    ("wait", |door| {
        door.namespace.apply(WEB_POD);
        door.lines(&[
            "wait --for=condition=Ready pod/web --timeout=60s",
            "wait --for=jsonpath={.status.phase}=Running pod/web --timeout=5s",
            "get pod web",
            "get pod web -o wide",
        ]);
        door.refused("wait --for=condition=Nonsense pod/web --timeout=1s");
        // A first process without a handler isn't ended by SIGTERM, so that it is still there when it is waited for.
        door.namespace.apply(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: lasting}\nspec: {terminationGracePeriodSeconds: 8, containers: [{name: c, \
             image: localhost/mk8s/busybox:dev, imagePullPolicy: Never, command: [sleep, '3600']}]}",
        );
        door.line("wait --for=condition=Ready pod/lasting --timeout=60s");
        door.line("delete pod lasting --wait=false");
        door.line("wait --for=delete pod/lasting --timeout=60s");
    }),
    ("events", |door| {
        door.namespace.apply(WEB_POD);
        door.line("wait --for=condition=Ready pod/web --timeout=60s");
        let ran = door.kubectl.run(["events", "--for", "pod/web"]).ok();
        assert!(
            ran.stdout.contains("Scheduled") && ran.stdout.contains("Started"),
            "{ran}"
        );
    }),
    ("raw lists in all forms", |door| {
        door.namespace.apply(SETTINGS);
        let configmaps = format!("/api/v1/namespaces/{}/configmaps", door.namespace.name());
        for query in [
            "",
            "?limit=1",
            "?labelSelector=app%3Dweb",
            "?fieldSelector=metadata.name%3Dfirst",
            "?resourceVersion=0",
        ] {
            let mut ran = door
                .kubectl
                .run(["get", "--raw", &format!("{configmaps}{query}")])
                .ok();
            // A continue token is the API server's own secret, and different each time.
            ran.stdout = without_continue(&ran.stdout);
            door.record(&ran);
        }
        door.refused("get --raw /api/v1/namespaces/default/configmaps?limit=nonsense");
    }),
];

fn without_continue(list: &str) -> String {
    let mut list: serde_json::Value = serde_json::from_str(list).expect("a list");
    if let Some(token) = list["metadata"].get_mut("continue") {
        *token = "TOKEN".into();
    }
    list.to_string()
}

/// Watching: rows that stream, in the forms that different releases of kubectl use.
const WATCHES: &[Row] = &[
    ("watch", |door| {
        door.namespace.apply(SETTINGS);
        let words = [
            "get",
            "configmaps",
            "--watch",
            "--output-watch-events",
            "--selector",
            "app=web",
        ];
        let lines = watch(door, &words, 5, |step, door| {
            let admin = door.namespace.kubectl();
            match step {
                1 => drop(admin.run(["label", "configmap", "second", "app=web"]).ok()),
                2 => drop(admin.run(["label", "configmap", "first", "size=large"]).ok()),
                3 => drop(admin.run(["delete", "configmap", "first"]).ok()),
                _ => {}
            }
        });
        let kinds: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(
            kinds,
            ["EVENT", "ADDED", "ADDED", "MODIFIED", "DELETED"],
            "{lines:#?}"
        );
        door.note(&lines.join("\n"));
    }),
    ("watch one object as JSON lines", |door| {
        door.namespace.apply(SETTINGS);
        let words = [
            "get",
            "configmap",
            "first",
            "--watch",
            "-o",
            "jsonpath={.data.colour}{\"\\n\"}",
        ];
        let lines = watch(door, &words, 2, |step, door| {
            if step == 1 {
                let patch = r#"{"data":{"colour":"blue"}}"#;
                door.namespace
                    .kubectl()
                    .run(["patch", "configmap", "first", "--patch", patch])
                    .ok();
            }
        });
        assert_eq!(lines, ["green", "blue"]);
        door.note(&lines.join("\n"));
    }),
];

/// Watches as the API server sends them. (kubectl before 1.34 leaves the path of its server out of `--raw`: kubernetes#131165.)
const RAW_WATCHES: &[Row] = &[
    ("a watch that begins with the list, and its bookmark", |door| {
        door.namespace.apply(SETTINGS);
        let path = format!(
            "/api/v1/namespaces/{}/configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
             &allowWatchBookmarks=true&timeoutSeconds=2",
            door.namespace.name()
        );
        let ran = door.kubectl.run(["get", "--raw", &path]).ok();
        let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("an event a line");
        // kube-root-ca.crt is in every namespace. More bookmarks may come before the time is up.
        let events: Vec<_> = ran.stdout.lines().map(event).take(4).collect();
        let kinds: Vec<_> = events.iter().map(|event| &event["type"]).collect();
        assert_eq!(kinds, ["ADDED", "ADDED", "ADDED", "BOOKMARK"], "{ran}");
        assert_eq!(
            events[3]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true",
            "{ran}"
        );
        let events: Vec<_> = ran.stdout.lines().take(4).collect();
        door.note(&events.join("\n"));
    }),
    ("a watch from a version that is too old", |door| {
        let path = format!(
            "/api/v1/namespaces/{}/configmaps?watch=1&resourceVersion=1&timeoutSeconds=2",
            door.namespace.name()
        );
        let ran = door.kubectl.run(["get", "--raw", &path]);
        // Either the API server still has it all, or says Expired within the stream; both doors see the same.
        door.note(if ran.stdout.contains("\"code\":410") {
            "expired"
        } else {
            "answered"
        });
    }),
];

/// Runs a watch until it has printed `count` lines, and after each line does what `then` says. Gives the lines.
fn watch(door: &mut Door, words: &[&str], count: usize, then: impl Fn(usize, &Door)) -> Vec<String> {
    let mut command = door.kubectl.command(words);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        stdout
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let mut seen = Vec::new();
    while seen.len() < count {
        match lines.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => seen.push(line),
            Err(_) => break,
        }
        // The heading is no event.
        let events = seen.iter().filter(|line| !line.starts_with("EVENT")).count();
        then(events, door);
    }
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    kill_process(pid, Signal::INT).expect("the watch still runs");
    child.wait().expect("kubectl ends on Ctrl-C");
    assert_eq!(seen.len(), count, "there were only: {seen:#?}");
    seen
}

#[test]
fn what_looks() {
    compare(ROWS);
}

#[test]
fn what_watches() {
    compare_with_all_clients(WATCHES);
}

#[test]
fn what_watches_without_kubectls_help() {
    compare(RAW_WATCHES);
}
