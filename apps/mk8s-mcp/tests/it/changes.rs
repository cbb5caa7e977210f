//! Changes on a real cluster: what its API server makes of plans, preconditions and owners of fields.

use mk8s_testkit::{Cluster, Namespace, eventually};
use serde_json::{Value, json};

use crate::{client::Client, clients};

fn web(replicas: u32, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
            {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "3600"]}]}}}})
}

const IMAGE: &str = "localhost/mk8s/busybox:dev";

fn of(namespace: &Namespace, operation: &str, more: Value) -> Value {
    let mut arguments = json!({"operation": operation, "namespace": namespace.name()});
    if !["apply", "create"].contains(&operation) {
        arguments["kind"] = "deployment".into();
        arguments["name"] = "web".into();
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        arguments[key] = value.clone();
    }
    arguments
}

fn field(namespace: &Namespace, path: &str) -> String {
    let output = format!("jsonpath={path}");
    namespace
        .kubectl()
        .run(["get", "deploy", "web", "-o", &output])
        .text()
        .to_owned()
}

fn start(arguments: &[&str]) -> Client {
    let mut client = Client::start(Cluster::shared().kubeconfig(), arguments);
    client.says = Some("accept");
    client
}

#[test]
fn a_deployment_lives_from_its_making_to_its_end() {
    let namespace = Cluster::shared().namespace();
    let mut client = start(&["--mode", "full"]);
    let manifest = web(1, IMAGE);
    let text = client.change(of(&namespace, "apply", json!({"manifest": manifest})));
    assert!(text.starts_with("done: apply deployments.apps web"), "{text}");
    assert_eq!(
        field(&namespace, "{.metadata.managedFields[0].manager}"),
        "mk8s-mcp"
    );

    let text = client.change(of(&namespace, "apply", json!({"manifest": web(2, IMAGE)})));
    assert!(
        client.questions[1].contains("~ spec.replicas: 1 -> 2"),
        "{:?}",
        client.questions
    );
    assert!(text.contains("done: "), "{text}");
    client.change(of(&namespace, "scale", json!({"replicas": 3})));
    assert_eq!(field(&namespace, "{.spec.replicas}"), "3");

    let patch = json!([{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"a": "b"}},
        {"op": "replace", "path": "/spec/replicas", "value": 1}]);
    client.change(of(&namespace, "patch", json!({"patch": patch})));
    let told = field(
        &namespace,
        "{.spec.replicas} {.spec.template.metadata.annotations.a}",
    );
    assert_eq!(told, "1 b");
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}}});
    client.change(of(&namespace, "patch", json!({"patch": patch})));
    assert_eq!(
        field(&namespace, "{.spec.template.spec.containers[0].env[0].name}"),
        "A"
    );
    assert_eq!(
        field(&namespace, "{.spec.template.spec.containers[0].image}"),
        IMAGE,
        "merged by name"
    );

    client.change(of(&namespace, "restart", json!({})));
    assert!(field(&namespace, "{.spec.template.metadata.annotations}").contains("restartedAt"));
    client.change(of(&namespace, "pause", json!({})));
    assert_eq!(field(&namespace, "{.spec.paused}"), "true");
    client.change(of(&namespace, "resume", json!({})));
    assert_eq!(field(&namespace, "{.spec.paused}"), "");

    // The controller gives the newest template its revision.
    eventually("a revision before the last", || {
        let (is_error, _) = client.call("change", of(&namespace, "undo", json!({})));
        (!is_error && field(&namespace, "{.metadata.annotations}").contains("revision")).then_some(())
    });
    client.change(of(&namespace, "undo", json!({"revision": 1})));
    assert_eq!(field(&namespace, "{.spec.template.metadata.annotations}"), "");
    assert_eq!(
        field(&namespace, "{.spec.template.metadata.labels}"),
        "{\"app\":\"web\"}"
    );

    let text = client.change(of(&namespace, "delete", json!({"propagation": "foreground"})));
    assert!(
        text.contains("deletes") || text.contains("done: delete"),
        "{text}"
    );
    eventually("the deployment to be gone", || {
        field(&namespace, "{.metadata.name}").is_empty().then_some(())
    });
}

#[test]
fn a_rehearsal_changes_nothing_not_even_of_a_delete() {
    let namespace = Cluster::shared().namespace();
    namespace.apply(&web(1, IMAGE).to_string());
    let mut client = start(&["--mode", "full", "--dry-run"]);
    let before = field(&namespace, "{.metadata.uid} {.spec}");
    for arguments in [
        of(&namespace, "delete", json!({})),
        of(&namespace, "scale", json!({"replicas": 0})),
        of(&namespace, "patch", json!({"patch": {"spec": {"replicas": 5}}})),
        of(
            &namespace,
            "apply",
            json!({"manifest": web(1, "other:1"), "force": true}),
        ),
        of(&namespace, "restart", json!({})),
    ] {
        let text = client.read("change", arguments);
        assert!(
            text.starts_with("plan: ") && text.contains("nothing can be done with it"),
            "{text}"
        );
    }
    assert_eq!(field(&namespace, "{.metadata.uid} {.spec}"), before);
}

#[test]
fn owners_of_fields_are_named_and_force_takes_them_over() {
    let namespace = Cluster::shared().namespace();
    let mut client = start(&["--mode", "full"]);
    client.change(of(&namespace, "apply", json!({"manifest": web(1, IMAGE)})));
    let path = namespace
        .kubectl()
        .run(["scale", "deploy", "web", "--replicas=2"]);
    assert!(path.text().contains("scaled"), "{}", path.text());
    let text = client.refused(
        "change",
        of(&namespace, "apply", json!({"manifest": web(3, IMAGE)})),
    );
    assert!(
        text.contains("conflict with \"kubectl\"")
            && text.contains(".spec.replicas")
            && text.contains("Don't delete"),
        "{text}"
    );
    let plan = of(
        &namespace,
        "apply",
        json!({"manifest": web(3, IMAGE), "force": true}),
    );
    client.change(plan);
    assert_eq!(field(&namespace, "{.spec.replicas}"), "3");
    let question = client.questions.last().expect("a question");
    assert!(question.contains("conflict with \"kubectl\""), "{question}");
}

#[test]
fn an_object_that_somebody_else_changed_loses_no_write_to_a_plan() {
    let namespace = Cluster::shared().namespace();
    namespace.apply(&web(1, IMAGE).to_string());
    let mut client = start(&["--mode", "full"]);
    for arguments in [
        of(&namespace, "scale", json!({"replicas": 2})),
        of(&namespace, "delete", json!({})),
        of(
            &namespace,
            "patch",
            json!({"patch": {"metadata": {"labels": {"a": "b"}}}}),
        ),
    ] {
        let plan = client.plan(arguments);
        let stamp = format!("touched={}", uuid::Uuid::new_v4());
        namespace
            .kubectl()
            .run(["annotate", "deploy", "web", "--overwrite", &stamp]);
        let text = client.refused("change", json!({"plan": plan}));
        assert!(text.contains("changed since it was planned"), "{text}");
    }
    // Between the question and the write, the API server itself compares.
    assert!(client.questions.is_empty());
    assert_eq!(field(&namespace, "{.spec.replicas}"), "1");
}

#[test]
fn a_missing_right_and_a_manifest_that_isnt_one_are_said_in_one_line() {
    let namespace = Cluster::shared().namespace();
    let directory = tempfile::tempdir().expect("a directory");
    namespace.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: editor}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: editor}\n\
         rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: editor}\n\
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: editor}\n\
         subjects: [{kind: ServiceAccount, name: editor}]\n",
    );
    let kubeconfig = directory.path().join("kubeconfig");
    Cluster::shared().service_account_kubeconfig(namespace.name(), "editor", &kubeconfig);
    let mut client = Client::start(&kubeconfig, &["--mode", "full"]);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}});
    let text = client.refused("change", of(&namespace, "apply", json!({"manifest": map})));
    assert!(text.contains("the verb \"patch\" on configmaps m"), "{text}");

    let mut client = start(&["--mode", "full"]);
    let wrong =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "dada": {"a": "b"}});
    let text = client.refused("change", of(&namespace, "create", json!({"manifest": wrong})));
    assert!(text.contains("unknown field \"dada\""), "{text}");
}

/// Plans with an official client, which asks its user by itself.
fn official(client: &str, mode: &str) {
    let namespace = Cluster::shared().namespace();
    namespace.apply(&web(1, IMAGE).to_string());
    let calls = json!([
        {"name": "change", "arguments": of(&namespace, "scale", json!({"replicas": 2}))},
        {"name": "change", "arguments": {"plan": ""}},
        {"name": "change", "arguments": {"plan": ""}},
    ]);
    for (says, replicas) in [("decline", "1"), ("accept", "2")] {
        let task = json!({"mode": mode, "says": says, "calls": calls});
        let said = clients::run(client, &task, &["--mode", "full"]).ok().json();
        let text = |at: usize| said["results"][at]["text"].as_str().expect("text").to_owned();
        assert_eq!(
            said["questions"].as_array().expect("questions").len(),
            1,
            "{said}"
        );
        let question = said["questions"][0].as_str().expect("a question");
        assert!(question.contains("~ spec.replicas: 1 -> 2"), "{question}");
        assert_eq!(said["results"][1]["isError"], says == "decline", "{}", text(1));
        assert!(text(2).contains("used or refused already"), "{}", text(2));
        assert_eq!(field(&namespace, "{.spec.replicas}"), replicas);
    }
    let task = json!({"mode": mode, "calls": [calls[0], calls[1]]});
    let said = clients::run(client, &task, &["--mode", "full"]).ok().json();
    assert!(said.to_string().contains("can't ask them"), "{said}");
}

#[test]
fn pythons_client_asks_its_user_in_the_newer_revision() {
    official("python", "2026-07-28");
}

#[test]
fn pythons_client_asks_its_user_in_the_older_revision() {
    official("python", "legacy");
}

#[test]
fn typescripts_client_asks_its_user_in_the_newer_revision() {
    official("node", "2026-07-28");
}

#[test]
fn typescripts_client_asks_its_user_in_the_older_revision() {
    official("node", "legacy");
}
