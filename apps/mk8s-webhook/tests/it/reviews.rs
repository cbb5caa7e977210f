//! Reviews that are answered.

use serde_json::{Value, json};

use crate::support::{Webhook, answer, changed, is_injected, patched, pod, review};

#[test]
fn a_labelled_pod_is_injected_and_its_sidecar_is_there_once() {
    let webhook = Webhook::start();
    let answered = answer(&webhook.review(&review(&pod())));
    let injected = patched(&pod(), &answered);
    assert!(is_injected(&injected), "{injected:#}");
    assert_eq!(injected["spec"]["automountServiceAccountToken"], false);
    // As when another webhook changed the pod after us, and the API server asks again.
    let again = answer(&webhook.review(&review(&injected)));
    assert_eq!(again["allowed"], true);
    assert_eq!(again["patch"], Value::Null, "nothing is left to do");
}

#[test]
fn a_pod_that_doesnt_ask_passes_unchanged() {
    let webhook = Webhook::start();
    for labels in [
        json!(null),
        json!({}),
        json!({"mca.k8s.io/inject": "false"}),
        json!({"mca.k8s.io/inject": "yes"}),
        json!({"app": "x"}),
    ] {
        let mut pod = pod();
        pod["metadata"]["labels"] = labels;
        let answered = answer(&webhook.review(&review(&pod)));
        assert_eq!(patched(&pod, &answered), pod);
        assert!(
            answered["patch"].is_null() && answered["warnings"].is_null(),
            "{answered}"
        );
    }
}

#[test]
fn a_dry_run_is_answered_alike() {
    let webhook = Webhook::start();
    let really = answer(&webhook.review(&review(&pod())));
    let dry = answer(&webhook.review(&changed(&pod(), &json!({"dryRun": true}))));
    // All that differs is the random name of what is for this pod alone, if anything is.
    assert!(is_injected(&patched(&pod(), &dry)));
    assert_eq!(really["warnings"], dry["warnings"]);
}

#[test]
fn whatever_isnt_the_creation_of_a_pod_passes_unchanged() {
    let webhook = Webhook::start();
    let deployment = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    for request in [
        json!({"operation": "UPDATE", "oldObject": pod()}),
        json!({"operation": "DELETE", "object": null, "oldObject": pod()}),
        json!({"operation": "CONNECT", "subResource": "exec"}),
        json!({"subResource": "binding"}),
        json!({"subResource": "ephemeralcontainers", "operation": "UPDATE"}),
        json!({"kind": deployment}),
        json!({"kind": {"group": "example.com", "version": "v1", "kind": "Pod"}}),
    ] {
        let answered = answer(&webhook.review(&changed(&pod(), &request)));
        assert_eq!(
            answered,
            json!({"uid": answered["uid"], "allowed": true}),
            "{request}"
        );
    }
}

#[test]
fn a_pod_that_is_skipped_comes_with_a_warning() {
    let webhook = Webhook::start();
    let mut windows = pod();
    windows["spec"]["os"] = json!({"name": "windows"});
    let answered = answer(&webhook.review(&review(&windows)));
    assert_eq!(patched(&windows, &answered), windows);
    let warnings = answered["warnings"].as_array().expect("warnings");
    let warning = warnings[0].as_str().expect("a warning");
    assert!(warning.starts_with("not injected: "), "{warning}");
    assert!(
        warnings
            .iter()
            .all(|w| w.as_str().is_some_and(|w| w.chars().count() <= 256))
    );
}

#[test]
fn a_pod_whose_service_account_withholds_the_token_is_skipped() {
    let webhook = Webhook::start();
    let mut withheld = pod();
    withheld["spec"]["containers"][0]["volumeMounts"] = json!([]);
    withheld["spec"]["volumes"] = json!([]);
    let answered = answer(&webhook.review(&review(&withheld)));
    assert_eq!(patched(&withheld, &answered), withheld);
    let warning = answered["warnings"][0].as_str().expect("a warning");
    assert!(
        warning.starts_with("not injected: its ServiceAccount"),
        "{warning}"
    );
}

#[test]
fn a_pod_of_three_megabytes_is_injected() {
    let webhook = Webhook::start();
    let mut large = pod();
    large["metadata"]["annotations"] = json!({});
    let containers: Vec<Value> = (0..300)
        .map(|n| {
            json!({
                "name": format!("c{n}"), "image": "app", "args": ["x".repeat(10_000)],
                "volumeMounts": pod()["spec"]["containers"][0]["volumeMounts"],
            })
        })
        .collect();
    large["spec"]["containers"] = containers.into();
    assert!(large.to_string().len() > 3_000_000);
    let answered = answer(&webhook.review(&review(&large)));
    assert!(is_injected(&patched(&large, &answered)));
}

#[test]
fn settings_are_those_of_the_configuration() {
    let webhook = crate::support::Setup::new().start("injection: {uid: 4711, image: 'example.com/proxy:1'}");
    let answered = answer(&webhook.review(&review(&pod())));
    let injected = patched(&pod(), &answered);
    let sidecar = &injected["spec"]["initContainers"][0];
    assert_eq!(sidecar["image"], "example.com/proxy:1");
    assert_eq!(sidecar["securityContext"]["runAsUser"], 4711);
}

#[test]
fn several_reviews_are_answered_on_one_connection() {
    let webhook = Webhook::start();
    let mut connection = webhook.endpoint.connect().expect("connected");
    for _ in 0..3 {
        let body = review(&pod()).to_string();
        let head = format!(
            "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.send(head.as_bytes()).expect("sent");
        connection.send(body.as_bytes()).expect("sent");
        let answered = answer(&connection.response().expect("an answer"));
        assert!(is_injected(&patched(&pod(), &answered)));
    }
}
