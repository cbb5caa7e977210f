//! What is no review, and pods that can't be taken as they are. Nobody who asks for injection passes without.

use serde_json::{Value, json};

use crate::support::{JSON, Webhook, answer, changed, is_injected, message, patched, pod, review};

/// The message of a refusal with this code.
#[track_caller]
fn refused(webhook: &Webhook, review: &Value, code: u16) -> String {
    let answered = answer(&webhook.review(review));
    assert_eq!(answered["allowed"], false, "{answered}");
    assert_eq!(answered["status"]["code"], code, "{answered}");
    assert!(answered["patch"].is_null());
    answered["status"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

#[test]
fn a_review_of_another_version_is_refused_and_told_why() {
    let webhook = Webhook::start();
    for version in ["admission.k8s.io/v1beta1", "admission.k8s.io/v2", "v1", ""] {
        let mut review = review(&pod());
        review["apiVersion"] = version.into();
        let response = webhook.review(&review);
        assert_eq!(response.status, 400);
        let message = message(&response);
        assert!(
            message.contains(version) && message.contains("admissionReviewVersions: [v1]"),
            "{message}"
        );
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let webhook = Webhook::start();
    for body in [&b"hello"[..], b"\xff\xfe\x00", b"{", b"kind: AdmissionReview\n"] {
        let response = webhook.post(body);
        assert_eq!(response.status, 400, "{}", response.text());
        assert!(message(&response).contains("JSON"), "{}", message(&response));
    }
    assert_eq!(webhook.post(b"").status, 400, "nothing at all");
}

#[test]
fn what_is_nested_without_end_is_refused() {
    let webhook = Webhook::start();
    let deep = "[".repeat(200_000);
    assert_eq!(webhook.post(deep.as_bytes()).status, 400);
    let text = review(&pod()).to_string();
    let deep = text.replace(
        "\"image\":\"app\"",
        &format!("\"image\":{}1{}", "[".repeat(50_000), "]".repeat(50_000)),
    );
    assert_eq!(webhook.post(deep.as_bytes()).status, 400);
    assert_eq!(webhook.get("/healthz").status, 200);
}

#[test]
fn a_truncated_review_is_refused() {
    let webhook = Webhook::start();
    let whole = review(&pod()).to_string();
    let response = webhook.post(&whole.as_bytes()[..whole.len() - 20]);
    assert_eq!(response.status, 400);
    assert!(message(&response).contains("EOF"), "{}", message(&response));
    // One that breaks off on the wire gets no answer, and harms nobody.
    let mut connection = webhook.endpoint.connect().expect("connected");
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        whole.len()
    );
    connection.send(head.as_bytes()).expect("sent");
    connection.send(&whole.as_bytes()[..100]).expect("sent");
    drop(connection);
    assert!(is_injected(&patched(
        &pod(),
        &answer(&webhook.review(&review(&pod())))
    )));
}

#[test]
fn what_is_no_review_is_refused() {
    let webhook = Webhook::start();
    for (body, says) in [
        (pod(), "\"Pod\""),
        (json!([]), "AdmissionReview"),
        (json!(null), "AdmissionReview"),
        (
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}),
            "no request",
        ),
        (changed(&pod(), &json!({"uid": null})), "no uid"),
        (changed(&pod(), &json!({"uid": 7})), "no uid"),
        (
            changed(&pod(), &json!({"operation": ["CREATE"]})),
            "no AdmissionReview",
        ),
    ] {
        let response = webhook.review(&body);
        assert_eq!(response.status, 400, "{body}");
        let message = message(&response);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_creation_without_its_pod_is_refused() {
    let webhook = Webhook::start();
    for object in [json!(null), json!("pod"), json!([])] {
        let why = refused(&webhook, &changed(&json!(null), &json!({"object": object})), 422);
        assert!(why.contains("request.object"), "{why}");
    }
}

#[test]
fn a_pod_without_containers_is_refused() {
    let webhook = Webhook::start();
    for containers in [json!(null), json!([]), json!({}), json!("app")] {
        let mut pod = pod();
        pod["spec"]["containers"] = containers;
        let why = refused(&webhook, &review(&pod), 422);
        assert!(why.contains("spec.containers"), "{why}");
    }
    let mut nothing = pod();
    nothing["spec"] = json!(null);
    refused(&webhook, &review(&nothing), 422);
}

#[test]
fn a_pod_with_a_container_of_its_own_called_mca_proxy_is_refused() {
    let webhook = Webhook::start();
    let own = json!({
        "name": "mca-proxy", "image": "mine", "restartPolicy": "Always",
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    });
    for list in ["containers", "initContainers"] {
        let mut pod = pod();
        pod["spec"]["initContainers"] = json!([]);
        pod["spec"][list]
            .as_array_mut()
            .expect("a list")
            .push(own.clone());
        let why = refused(&webhook, &review(&pod), 422);
        assert!(why.contains("mca-proxy") && why.contains(list), "{why}");
    }
}

#[test]
fn a_pod_with_a_volume_of_its_own_by_our_names_is_refused() {
    let webhook = Webhook::start();
    for name in ["kube-api-access-sa", "kube-api-access-mca-sa", "mca-proxy-state"] {
        let mut pod = pod();
        pod["spec"]["volumes"] = json!([{"name": name, "hostPath": {"path": "/"}}]);
        let why = refused(&webhook, &review(&pod), 422);
        assert!(why.contains(name), "{why}");
    }
}

#[test]
fn a_marker_that_was_set_beforehand_changes_nothing() {
    let webhook = Webhook::start();
    for marker in ["true", "{}", "v1", ""] {
        let mut pod = pod();
        pod["metadata"]["annotations"] = json!({"mca.k8s.io/injected": marker});
        let answered = answer(&webhook.review(&review(&pod)));
        let passed = answered["allowed"] == true;
        assert!(!passed || is_injected(&patched(&pod, &answered)), "{answered}");
    }
}

#[test]
fn a_pod_on_its_nodes_network_is_refused_with_the_field_and_a_remedy() {
    let webhook = Webhook::start();
    let mut pod = pod();
    pod["spec"]["hostNetwork"] = json!(true);
    let why = refused(&webhook, &review(&pod), 422);
    assert!(
        why.contains("spec.hostNetwork") && why.contains("mca.k8s.io/inject"),
        "{why}"
    );
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let webhook = Webhook::start();
    let mut connection = webhook.endpoint.connect().expect("connected");
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        9 << 20
    );
    connection.send(head.as_bytes()).expect("sent");
    let response = connection
        .response()
        .expect("an answer before a byte of the body");
    assert_eq!(response.status, 413);
    assert!(message(&response).contains("8 MiB"));
}

#[test]
fn a_body_that_turns_out_too_long_is_refused() {
    let webhook = Webhook::start();
    let mut connection = webhook.endpoint.connect().expect("connected");
    let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(head.as_bytes()).expect("sent");
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    for _ in 0..9 {
        // It may have answered and gone before the last.
        let _ = connection.send(chunk.as_bytes());
    }
    assert_eq!(connection.response().expect("an answer").status, 413);
}

#[test]
fn large_reviews_that_never_come_hold_up_no_small_one() {
    let webhook = Webhook::start();
    let announced = |bytes: usize| {
        let mut connection = webhook.endpoint.connect().expect("connected");
        let head = format!(
            "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
        );
        connection.send(head.as_bytes()).expect("sent");
        connection
    };
    let held: Vec<_> = (0..4).map(|_| announced((8 << 20) - 4096)).collect();
    let mut one_more = announced(4 << 20);
    assert!(is_injected(&patched(
        &pod(),
        &answer(&webhook.review(&review(&pod())))
    )));
    let response = one_more.response().expect("an answer");
    assert_eq!(
        (response.status, response.header("retry-after")),
        (429, Some("1"))
    );
    drop(held);
    let mut large = pod();
    large["metadata"]["annotations"] = json!({"large": "x".repeat(200_000), "larger": "y".repeat(60_000)});
    let answered = answer(&webhook.review(&review(&large)));
    assert!(is_injected(&patched(&large, &answered)), "there is room again");
}

#[test]
fn another_content_type_is_refused() {
    let webhook = Webhook::start();
    let body = review(&pod()).to_string();
    for headers in [
        vec![],
        vec![("Content-Type", "application/yaml")],
        vec![JSON, ("Content-Encoding", "gzip")],
    ] {
        let response = webhook
            .endpoint
            .request("POST", "/mutate", &headers, body.as_bytes());
        let response = response.expect("an answer");
        assert_eq!(response.status, 415, "{headers:?}");
        message(&response);
    }
}

#[test]
fn odd_pods_never_end_the_webhook() {
    let webhook = Webhook::start();
    let odd = [
        json!(null),
        json!(1.5),
        json!("x"),
        json!([[]]),
        json!({"": {}}),
        json!({"name": null}),
    ];
    for path in [
        "/metadata",
        "/metadata/annotations",
        "/spec",
        "/spec/containers",
        "/spec/containers/0",
        "/spec/containers/0/env",
        "/spec/containers/0/volumeMounts",
        "/spec/initContainers",
        "/spec/volumes",
        "/spec/securityContext",
        "/spec/nodeSelector",
        "/spec/os",
    ] {
        for value in &odd {
            let mut pod = pod();
            pod["metadata"]["annotations"] = json!({});
            pod["spec"]["containers"][0]["env"] = json!([]);
            pod["spec"]["containers"][0]["volumeMounts"] = json!([]);
            for field in [
                "initContainers",
                "volumes",
                "securityContext",
                "nodeSelector",
                "os",
            ] {
                pod["spec"][field] = json!(null);
            }
            *pod.pointer_mut(path).expect(path) = value.clone();
            let answered = answer(&webhook.review(&review(&pod)));
            let asks = pod["metadata"]["labels"]["mca.k8s.io/inject"] == "true";
            let passed = answered["allowed"] == true;
            let is_told = answered["warnings"][0]
                .as_str()
                .is_some_and(|warning| warning.starts_with("not injected: "));
            assert!(
                !passed || !asks || is_told || is_injected(&patched(&pod, &answered)),
                "{path} {value}: {answered}"
            );
            assert_ne!(answered["status"]["code"], 500, "{path} {value}: {answered}");
        }
    }
}
