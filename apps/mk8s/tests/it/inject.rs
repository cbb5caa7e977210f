//! `mk8s inject` and `mk8s uninject` over manifests as people have them.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};

const POD: &str = "\
# Ours.
apiVersion: v1
kind: Pod
metadata:
  namespace: shop
  name: web   # the only one
spec:
  containers:
    - name: app
      image: \"registry.example.com/web:1\"
";

fn with_input(command: &str, text: &str) -> Run {
    Sandbox::new().run_with_input(&[command], text)
}

fn inject(text: &str) -> Run {
    with_input("inject", text)
}

#[track_caller]
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[track_caller]
fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn corpus() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crates/inject/tests/it/corpus");
    let files = fs::read_dir(directory).expect("the corpus");
    let mut files: Vec<_> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("read"))
        })
        .collect();
    files.sort();
    assert!(files.len() >= 15);
    files
}

/// A line's comment, if it has one; `#` in the corpus' texts has no space behind it or quotes around it.
fn comments(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.find("# ").map(|at| &line[at..]))
        .collect()
}

#[test]
fn the_corpus_is_injected_once_comes_back_and_keeps_its_comments() {
    for (name, text) in corpus() {
        let injected = inject(&text).succeeds();
        assert!(injected.stdout.contains("name: mca-proxy"), "{name}");
        assert_eq!(
            inject(&injected.stdout).succeeds().stdout,
            injected.stdout,
            "{name}: twice"
        );
        let check = Sandbox::new().run_with_input(&["inject", "--check"], &injected.stdout);
        assert_eq!(check.succeeds().stdout, "", "{name}");
        let back = with_input("uninject", &injected.stdout).succeeds();
        assert_eq!(yaml(&back.stdout), yaml(&text), "{name}: there and back");
        // What an alias means can't be changed in one place alone.
        if name == "gpu-training.yaml" {
            assert!(
                injected
                    .stderr
                    .contains("note: standard input:1: document 1 is written anew"),
                "{injected:?}"
            );
            continue;
        }
        assert!(
            !injected.stderr.contains("written anew"),
            "{name}: {}",
            injected.stderr
        );
        // A comment on a variable that is replaced goes with it.
        let mut expected = comments(&text);
        expected.retain(|comment| *comment != "# the last of a name counts");
        assert_eq!(
            comments(&injected.stdout),
            expected,
            "{name}: {}",
            injected.stdout
        );
        assert_eq!(comments(&back.stdout), expected, "{name}: {}", back.stdout);
    }
}

#[test]
fn every_line_that_needs_no_change_stays_as_it_was() {
    let injected = inject(POD).succeeds().stdout;
    let mut rest = injected.lines();
    for line in POD.lines() {
        assert!(
            rest.any(|other| other == line),
            "{line:?} isn't in its place in {injected}"
        );
    }
    assert_eq!(with_input("uninject", &injected).succeeds().stdout, POD);
    insta::assert_snapshot!("injected_pod", injected);
}

#[test]
fn unknown_kinds_and_comments_pass_byte_for_byte() {
    let others = "# Header\n---\napiVersion: v1\nkind:   Service   # odd   spacing\nmetadata: {name: x}\n---\n# nothing\n---\n\
                  apiVersion: example.com/v1\nkind: Deployment\nspec: {template: {spec: {containers: []}}}\n";
    let run = inject(others).succeeds();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (others, ""));
    let mixed = format!("{others}---\n{POD}---\nkind: ConfigMap\n");
    let injected = inject(&mixed).succeeds().stdout;
    assert!(
        injected.starts_with(others) && injected.ends_with("---\nkind: ConfigMap\n"),
        "{injected}"
    );
    assert_eq!(documents(&injected).len(), documents(&mixed).len());
}

#[test]
fn several_files_become_one_stream() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.root().join("a.yaml"), POD.trim_end()).expect("written");
    fs::write(
        sandbox.root().join("b.json"),
        r#"{"kind":"Service","apiVersion":"v1"}"#,
    )
    .expect("written");
    let arguments = ["inject", "-f", "a.yaml", "-f", "b.json", "-f", "-"];
    let run = sandbox.run_with_input(&arguments, "kind: ConfigMap\n").succeeds();
    let kinds: Vec<Value> = documents(&run.stdout)
        .iter()
        .map(|document| document["kind"].clone())
        .collect();
    assert_eq!(kinds, ["Pod", "Service", "ConfigMap"]);
}

#[test]
fn json_stays_json_in_its_order_and_layout() {
    let list = json!({
        "kind": "List", "apiVersion": "v1",
        "items": [{ "kind": "Pod", "apiVersion": "v1", "spec": { "containers": [{ "name": "app" }] } }],
    });
    let text = "{\n    \"kind\": \"List\",\n    \"apiVersion\": \"v1\",\n    \"items\": [\n        {\n            \"kind\": \"Pod\",\n            \
                \"apiVersion\": \"v1\",\n            \"spec\": {\n                \"containers\": [\n                    {\n                        \
                \"name\": \"app\"\n                    }\n                ]\n            }\n        }\n    ]\n}\n";
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), list);
    let injected = inject(text).succeeds().stdout;
    assert!(
        injected.starts_with("{\n    \"kind\": \"List\",\n    \"apiVersion\": \"v1\",\n    \"items\": ["),
        "{injected}"
    );
    let parsed: Value = serde_json::from_str(&injected).expect("JSON");
    assert_eq!(
        parsed["items"][0]["spec"]["initContainers"][0]["name"],
        "mca-proxy"
    );
    assert_eq!(with_input("uninject", &injected).succeeds().stdout, text);
    // In one line, it stays in one; and several documents stay several.
    let lines = format!("{list}\n{{\"kind\":\"Service\"}}\n");
    assert_eq!(inject(&lines).succeeds().stdout.lines().count(), 2);
}

#[test]
fn the_output_can_be_of_the_other_kind() {
    let sandbox = Sandbox::new();
    let text = format!("{POD}---\n# only this\n---\nkind: Service\n");
    let run = sandbox
        .run_with_input(&["inject", "-o", "json"], &text)
        .succeeds();
    let documents = serde_json::Deserializer::from_str(&run.stdout).into_iter::<Value>();
    let documents: Vec<Value> = documents.map(|document| document.expect("JSON")).collect();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["spec"]["initContainers"][0]["name"], "mca-proxy");
    let run = sandbox
        .run_with_input(&["inject", "-o", "yaml"], &run.stdout)
        .succeeds();
    assert_eq!(self::documents(&run.stdout), documents);
}

#[test]
fn check_says_what_would_change_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let text = format!("{POD}---\n{POD}");
    let run = sandbox.run_with_input(&["inject", "--check"], &text).fails(1);
    assert_eq!(
        run.stderr,
        "standard input:2: document 1: Pod shop/web would change\n\
         standard input:13: document 2: Pod shop/web would change\n\
         error: 2 of 2 pods would change\n\
         hint: mk8s inject without --check changes them\n"
    );
    assert_eq!(
        sandbox
            .run_with_input(&["uninject", "--check"], &text)
            .succeeds()
            .stderr,
        ""
    );
    let injected = inject(&text).succeeds().stdout;
    sandbox
        .run_with_input(&["inject", "--check"], &injected)
        .succeeds();
    sandbox
        .run_with_input(&["uninject", "--check"], &injected)
        .fails(1);
    sandbox
        .run_with_input(&["inject", "--check", "--image", "other:2"], &injected)
        .fails(1);
}

#[test]
fn settings_come_from_flags_before_the_file() {
    let sandbox = Sandbox::new();
    let file = "image: from/file:1\nuid: null\nlog: debug\norder: last\nresources:\n  requests: {}\n  limits: {memory: 64Mi}\n";
    fs::write(sandbox.root().join("sidecar.yaml"), file).expect("written");
    let arguments = [
        "inject",
        "--settings",
        "sidecar.yaml",
        "--image",
        "from/flag:2",
        "--gid",
        "unset",
        "--memory-limit",
        "32Mi",
        "--metrics-port",
        "9464",
        "--image-pull-policy",
        "Never",
    ];
    let injected = yaml(&sandbox.run_with_input(&arguments, POD).succeeds().stdout);
    let sidecar = &injected["spec"]["initContainers"][0];
    assert_eq!(sidecar["image"], "from/flag:2");
    assert_eq!(sidecar["imagePullPolicy"], "Never");
    assert_eq!(sidecar["resources"], json!({ "limits": { "memory": "32Mi" } }));
    assert_eq!(sidecar["env"][0], json!({ "name": "MCA_LOG", "value": "debug" }));
    assert_eq!(sidecar["ports"][0]["containerPort"], 9464);
    for unset in ["runAsUser", "runAsGroup"] {
        assert_eq!(sidecar["securityContext"].get(unset), None);
    }
    // Injected by other settings, it is brought up to date where it stands.
    let updated = sandbox
        .run_with_input(&["inject"], &injected.to_string())
        .succeeds()
        .stdout;
    assert_eq!(yaml(&updated), yaml(&inject(POD).succeeds().stdout));
}

#[test]
fn settings_that_cannot_be_right_are_refused() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["--image", ""][..],
        &["--uid", "0"],
        &["--uid", "nobody"],
        &["--gid", "-1"],
        &["--cpu-limit", "much"],
        &["--metrics-port", "0"],
        &["--order", "middle"],
        &["--check", "-o", "json"],
        &["-f", "-", "-f", "-"],
    ] {
        let run = sandbox.run_with_input(&[&["inject"], arguments].concat(), POD);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
    }
    fs::write(sandbox.root().join("sidecar.yaml"), "image: x\nimagePull: y\n").expect("written");
    sandbox
        .run_with_input(&["inject", "--settings", "sidecar.yaml"], POD)
        .fails(1)
        .says("sidecar.yaml:2: ");
    sandbox
        .run_with_input(&["inject", "--metrics-port", "6443"], POD)
        .fails(1)
        .says("6443");
    sandbox
        .run_with_input(&["inject", "--memory-limit", "1Mi"], POD)
        .fails(1)
        .says("below its request 16Mi");
}

#[test]
fn warnings_name_the_pod_and_pods_passed_over_say_why() {
    let text = format!("{POD}  hostPID: true\n---\n{POD}  automountServiceAccountToken: false\n");
    let run = inject(&text).succeeds();
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(
        lines[0].starts_with("warning: standard input:2: document 1: Pod shop/web: spec.hostPID: "),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("warning: standard input:14: document 2: Pod shop/web: not injected: automountServiceAccountToken is false"),
        "{lines:?}"
    );
    assert!(documents(&run.stdout)[1]["spec"].get("initContainers").is_none());
}

#[test]
fn a_terminal_is_not_read() {
    let (shown, code) = Sandbox::new().on_a_terminal("inject", "");
    assert_eq!(code, 2, "{shown}");
    assert!(
        shown.contains("standard input is a terminal") && shown.contains("hint: mk8s inject -f app.yaml"),
        "{shown}"
    );
}

/// What must not be taken for a manifest, each with what is said of it.
mod bad_input {
    use super::*;

    #[test]
    fn nothing_is_written_if_one_document_of_many_is_refused() {
        let text = format!("{POD}---\nkind: Service\n---\n{POD}  hostNetwork: true\n");
        inject(&text)
            .fails(1)
            .says("standard input:15: document 3: Pod shop/web: spec.hostNetwork: ");
    }

    #[test]
    fn not_yaml() {
        inject("this: is: not: yaml\n")
            .fails(1)
            .says("standard input:1: document 1: ");
        inject(&format!("{POD}---\n\t- x: [\n"))
            .fails(1)
            .says("document 2: ");
        inject("just some words\n").succeeds();
    }

    #[test]
    fn not_utf_8() {
        let sandbox = Sandbox::new();
        fs::write(sandbox.root().join("latin.yaml"), b"kind: Pod\nname: caf\xe9\n").expect("written");
        sandbox
            .run(&["inject", "-f", "latin.yaml"])
            .fails(1)
            .says("latin.yaml:2: this isn't UTF-8");
    }

    #[test]
    fn a_missing_file_and_a_directory() {
        let sandbox = Sandbox::new();
        sandbox
            .run(&["inject", "-f", "none.yaml"])
            .fails(1)
            .says("can't read none.yaml: ");
        sandbox
            .run(&["inject", "-f", "/"])
            .fails(1)
            .says("can't read /: ");
    }

    #[test]
    fn a_truncated_document() {
        inject("apiVersion: v1\nkind: Pod\nspec:\n  containers: [{name: app, image: \"x")
            .fails(1)
            .says("standard input:4: document 1: ");
        inject("{\"apiVersion\": \"v1\",\n\"kind\": \"Pod\",\n\"spec\": {")
            .fails(1)
            .says("standard input:3: document 1: ");
    }

    #[test]
    fn a_pod_without_containers() {
        for containers in ["", "  containers:\n", "  containers: []\n"] {
            let text = format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec:\n  restartPolicy: Never\n{containers}"
            );
            inject(&text)
                .fails(1)
                .says("standard input:1: document 1: Pod x: spec.containers: ");
        }
        inject("apiVersion: v1\nkind: Pod\n")
            .fails(1)
            .says("spec: is missing");
    }

    #[test]
    fn a_pod_of_three_megabytes_works() {
        let mut text = POD.to_owned();
        text += "      env:\n";
        for index in 0..300 {
            let value = "x".repeat(10_000);
            text += &format!("        - name: VARIABLE_{index}\n          value: {value}\n");
        }
        assert!(text.len() > 3_000_000);
        let run = inject(&text).succeeds();
        assert_eq!(run.stderr, "");
        assert!(run.stdout.starts_with("# Ours.\n") && run.stdout.contains("# the only one"));
        assert_eq!(with_input("uninject", &run.stdout).succeeds().stdout, text);
    }

    #[test]
    fn a_users_own_mca_proxy_container() {
        inject(&POD.replace("name: app", "name: mca-proxy"))
            .fails(1)
            .says(
                "document 1: Pod shop/web: spec.containers[0]: the name mca-proxy is the injected sidecar's",
            );
    }

    #[test]
    fn a_users_own_volumes() {
        inject(&format!(
            "{POD}  volumes:\n    - name: kube-api-access-sa\n      emptyDir: {{}}\n"
        ))
        .fails(1)
        .says("spec.volumes: the name \"kube-api-access-sa\" is injection's");
        inject(&format!(
            "{POD}      volumeMounts:\n        - {{name: mca-proxy-state, mountPath: /x}}\n"
        ))
        .fails(1)
        .says("spec.containers[0].volumeMounts[0]: mounts the volume \"mca-proxy-state\"");
    }

    #[test]
    fn a_pre_set_marker_changes_nothing() {
        let marked = POD.replace(
            "spec:",
            "  annotations:\n    mca.k8s.io/injected: \"true\"\nspec:",
        );
        let injected = inject(&marked).succeeds().stdout;
        assert_eq!(
            yaml(&injected)["spec"],
            yaml(&inject(POD).succeeds().stdout)["spec"]
        );
        assert_eq!(
            yaml(&with_input("uninject", &injected).succeeds().stdout),
            yaml(&marked)
        );
        assert_eq!(with_input("uninject", &marked).succeeds().stdout, marked);
    }

    #[test]
    fn duplicate_keys() {
        inject(&format!("{POD}      image: other\n"))
            .fails(1)
            .says("standard input:11: document 1: ");
        inject("{\"kind\": \"Pod\",\n\"kind\": \"Pod\"}")
            .fails(1)
            .says("standard input:2: document 1: the key \"kind\" is there twice");
    }

    #[test]
    fn anchors_and_aliases() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n    - name: a\n      env: &env\n        \
                    - {name: A, value: b}   # lost\n    - name: b\n      env: *env\n";
        let run = inject(text).succeeds();
        assert_eq!(
            run.stderr,
            "note: standard input:1: document 1 is written anew, without its comments (anchors, or YAML that can't be changed in place)\n"
        );
        let back = with_input("uninject", &run.stdout).succeeds().stdout;
        assert_eq!(yaml(&back), yaml(text));
        // An alias that has nothing to do with it stays.
        let text = POD.replace(
            "spec:",
            "  labels: &labels {app: x}\n  annotations: *labels\nspec:\n  # why",
        );
        let run = inject(&text.replace("annotations", "others")).succeeds();
        assert!(
            run.stdout.contains("*labels") && run.stdout.contains("# why") && run.stderr.is_empty(),
            "{run:?}"
        );
    }

    #[test]
    fn aliases_that_grow_without_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        inject(&text).fails(1).says("standard input:");
        inject(&"[".repeat(100_000)).fails(1).says("standard input:");
        inject(&format!("{{\"a\":{}", "[".repeat(100_000)))
            .fails(1)
            .says("standard input:");
    }

    #[test]
    fn empty_input() {
        for text in ["", "\n \n", "\u{feff}"] {
            inject(text).fails(1).says("standard input is empty");
        }
    }

    #[test]
    fn a_document_of_only_comments() {
        for text in ["# nothing here\n", "---\n# nothing\n---\n", "---\n...\n"] {
            assert_eq!(inject(text).succeeds().stdout, text);
        }
    }

    #[test]
    fn a_list_with_mixed_kinds() {
        let text = "apiVersion: v1\nkind: List\nitems:\n# first\n- apiVersion: v1\n  kind: Service\n  metadata: {name: s}\n- apiVersion: \
                    apps/v1\n  kind: Deployment\n  metadata: {name: d}\n  spec:\n    template:\n      spec:\n        containers:\n        \
                    - name: a   # app\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: p}\n  spec:\n    automountServiceAccountToken: \
                    false\n    containers:\n    - name: b\n";
        let run = inject(text).succeeds();
        let list = yaml(&run.stdout);
        assert_eq!(list["items"][0], yaml(text)["items"][0]);
        assert_eq!(
            list["items"][1]["spec"]["template"]["spec"]["initContainers"][0]["name"],
            "mca-proxy"
        );
        assert_eq!(list["items"][2], yaml(text)["items"][2]);
        assert!(
            run.stdout.contains("# first") && run.stdout.contains("# app"),
            "{}",
            run.stdout
        );
        assert!(
            run.stderr
                .starts_with("warning: standard input:1: document 1: Pod p: not injected"),
            "{}",
            run.stderr
        );
        inject(&text.replace("name: b", "name: mca-proxy"))
            .fails(1)
            .says("document 1: Pod p: ");
    }

    #[test]
    fn crlf_line_ends_stay() {
        let text = POD.replace('\n', "\r\n");
        let injected = inject(&text).succeeds().stdout;
        assert_eq!(injected.matches('\n').count(), injected.matches("\r\n").count());
        assert_eq!(injected.replace("\r\n", "\n"), inject(POD).succeeds().stdout);
        assert_eq!(with_input("uninject", &injected).succeeds().stdout, text);
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(
            inject(&format!("\u{feff}{POD}")).succeeds().stdout,
            inject(POD).succeeds().stdout
        );
    }

    #[test]
    fn yaml_1_1_booleans_are_not_guessed() {
        inject(&format!("{POD}  hostNetwork: \"yes\"\n"))
            .fails(1)
            .says("spec.hostNetwork: must be true or false");
    }
}
