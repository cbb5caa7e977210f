//! Secrets in pods: what is put in, that doing it again changes nothing, alone and together with the API proxy, and what is
//! refused.

use mk8s_inject::{
    Outcome, Settings, inject, json_patch,
    secrets::{self, SecretsSettings, contract},
    uninject,
};
use serde_json::{Value, json};

fn pod(annotations: &Value) -> Value {
    let mut all = json!({"keeper.security/inject": "true", "keeper.security/ksm-config": "ksm"});
    let map = all.as_object_mut().expect("an object");
    for (name, value) in annotations.as_object().expect("an object") {
        map.insert(format!("keeper.security/{name}"), value.clone());
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "app", "annotations": all, "labels": {"mca.k8s.io/inject": "true"}},
        "spec": {
            "initContainers": [{"name": "migrate", "image": "i"}],
            "containers": [
                {"name": "app", "image": "i", "command": ["/app"], "args": ["serve"],
                 "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}]},
                {"name": "beside", "image": "i", "command": ["/beside"]},
            ],
            "volumes": [{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        },
    })
}

fn with_secrets(pod: &Value) -> Value {
    let settings = SecretsSettings::default();
    let outcome = secrets::inject(pod, "team", &settings, &|_| Ok(())).expect("injected");
    let Outcome::Inject(injection) = outcome else {
        panic!("skipped");
    };
    let mut after = pod.clone();
    json_patch::patch(&mut after, &injection.patch).expect("the patch fits");
    after
}

fn with_proxy(pod: &Value) -> Value {
    let Outcome::Inject(injection) = inject(pod, &Settings::default()).expect("injected") else {
        panic!("skipped");
    };
    let mut after = pod.clone();
    json_patch::patch(&mut after, &injection.patch).expect("the patch fits");
    after
}

fn names(list: &Value) -> Vec<&str> {
    let elements = list.as_array().into_iter().flatten();
    elements.filter_map(|element| element["name"].as_str()).collect()
}

fn refused(annotations: &Value, change: impl FnOnce(&mut Value)) -> String {
    let mut pod = pod(annotations);
    change(&mut pod);
    let settings = SecretsSettings::default();
    let check = |source: &str| match source.contains("{{") && !source.contains("}}") {
        true => Err("isn't closed".to_owned()),
        false => Ok(()),
    };
    match secrets::inject(&pod, "team", &settings, &check) {
        Err(refused) => refused.to_string(),
        Ok(_) => panic!("taken: {pod}"),
    }
}

/// What pods ask for, in all that makes a difference to the pod.
fn wishes() -> Vec<Value> {
    vec![
        json!({"secret": "db"}),
        json!({"secrets": "db, other", "init-only": "true"}),
        json!({"secret-db": "/app/config/db.json", "secret-other": "/app/tls/key.pem"}),
        json!({"secret": "db", "inject-env-vars": "true"}),
        json!({"secret": "db", "inject-as-k8s-secret": "true", "k8s-secret-name": "made"}),
        json!({"secret": "db", "ca-cert-configmap": "ca"}),
        json!({"secret": "db", "ca-cert-secret": "ca", "ca-cert-key": "root.pem"}),
        json!({"auth-method": "kubernetes", "secrets": "db,other"}),
        json!({"auth-method": "aws-secrets-manager", "aws-secret-id": "keeper/app", "secret": "db"}),
        json!({"folder": "Team/Prod"}),
    ]
}

#[test]
fn secrets_are_written_before_the_pods_own_init_containers_and_kept_up_to_date() {
    let after = with_secrets(&pod(&json!({"secret": "db"})));
    let spec = &after["spec"];
    assert_eq!(
        names(&spec["initContainers"]),
        [contract::INIT_CONTAINER, contract::SIDECAR_CONTAINER, "migrate"]
    );
    assert!(spec["initContainers"][0].get("restartPolicy").is_none());
    assert_eq!(spec["initContainers"][1]["restartPolicy"], "Always");
    for path in [
        "/spec/initContainers/2",
        "/spec/containers/0",
        "/spec/containers/1",
    ] {
        let mounts = after.pointer(path).expect("a container")["volumeMounts"].clone();
        let files = mounts.as_array().expect("mounts").iter();
        let files: Vec<_> = files
            .filter(|mount| mount["name"] == contract::FILES_VOLUME)
            .collect();
        assert_eq!(files.len(), 1, "{mounts}");
        assert_eq!(
            (&files[0]["mountPath"], &files[0]["readOnly"]),
            (&json!("/keeper/secrets"), &json!(true))
        );
    }
    assert_eq!(spec["volumes"][1]["emptyDir"]["medium"], "Memory");
    assert_eq!(
        spec["securityContext"]["supplementalGroups"],
        json!([contract::DEFAULT_READERS])
    );
    assert_eq!(
        after["metadata"]["annotations"]["keeper.security/injected"],
        "true"
    );
}

#[test]
fn only_our_own_containers_have_the_applications_configuration_and_it_is_no_variable() {
    for wish in wishes() {
        let after = with_secrets(&pod(&wish));
        for list in ["initContainers", "containers"] {
            for container in after["spec"][list].as_array().expect("a list") {
                let is_ours = container["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("keeper-secrets-"));
                for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                    let private = [
                        contract::CONFIG_VOLUME,
                        contract::SOURCE_VOLUME,
                        contract::API_VOLUME,
                    ];
                    let name = mount["name"].as_str().unwrap_or_default();
                    assert!(
                        is_ours || !private.iter().any(|volume| name.starts_with(volume)),
                        "{container}"
                    );
                }
                let text = container["env"].to_string();
                assert!(!text.contains("secretKeyRef"), "{text}");
            }
        }
    }
}

#[test]
fn doing_it_again_changes_nothing_alone_and_with_the_api_proxy() {
    for wish in wishes() {
        let original = pod(&wish);
        let alone = with_secrets(&original);
        assert_eq!(with_secrets(&alone), alone, "{wish}");
        let both = with_proxy(&alone);
        assert_eq!(with_secrets(&both), both, "{wish}");
        assert_eq!(with_proxy(&both), both, "{wish}");
        assert_eq!(names(&both["spec"]["initContainers"])[0], "mca-proxy");
        // A pod that had the proxy first.
        let later = with_secrets(&with_proxy(&original));
        assert_eq!(with_secrets(&later), later, "{wish}");
        assert_eq!(with_proxy(&later), later, "{wish}");
    }
}

#[test]
fn the_api_proxy_can_be_taken_out_again_and_leaves_the_secrets() {
    for wish in wishes() {
        let alone = with_secrets(&pod(&wish));
        let both = with_proxy(&alone);
        let out = uninject(&both).expect("taken out");
        let mut without = both;
        json_patch::patch(&mut without, &out.patch).expect("the patch fits");
        assert_eq!(without, alone, "{wish}");
    }
}

#[test]
fn through_the_api_proxy_our_containers_hold_no_real_token() {
    let wish = json!({"secret": "db", "inject-as-k8s-secret": "true", "k8s-secret-name": "made"});
    let both = with_proxy(&with_secrets(&pod(&wish)));
    let text = both["spec"].to_string();
    let tokens = text.matches("serviceAccountToken").count();
    assert_eq!(tokens, 1, "the sidecar's alone: {text}");
}

#[test]
fn variables_are_set_by_a_program_before_the_containers_own() {
    let after = with_secrets(&pod(&json!({"secret": "db", "inject-env-vars": "true"})));
    assert_eq!(
        after["spec"]["containers"][0]["command"],
        json!([contract::EXEC_PROGRAM, "--", "/app"])
    );
    assert_eq!(after["spec"]["containers"][0]["args"], json!(["serve"]));
    assert!(after["spec"]["containers"][0].get("env").is_none());
}

#[test]
fn another_request_replaces_the_first_one() {
    let first = with_secrets(&pod(&json!({"secret": "db", "inject-env-vars": "true"})));
    let mut changed = first;
    let annotations = changed["metadata"]["annotations"]
        .as_object_mut()
        .expect("annotations");
    annotations.remove("keeper.security/inject-env-vars");
    annotations.insert("keeper.security/init-only".to_owned(), "true".into());
    assert_eq!(
        with_secrets(&changed),
        with_secrets(&pod(&json!({"secret": "db", "init-only": "true"})))
    );
}

#[test]
fn a_cloud_identity_of_the_pods_is_lent_to_our_containers() {
    let mut asking =
        pod(&json!({"auth-method": "aws-secrets-manager", "aws-secret-id": "keeper/app", "secret": "db"}));
    asking["spec"]["containers"][0]["env"] =
        json!([{"name": "AWS_ROLE_ARN", "value": "arn"}, {"name": "OTHER", "value": "1"}]);
    asking["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "aws-iam-token", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"}]);
    let after = with_secrets(&asking);
    let init = &after["spec"]["initContainers"][0];
    assert!(names(&init["env"]).contains(&"AWS_ROLE_ARN") && !names(&init["env"]).contains(&"OTHER"));
    assert!(names(&init["volumeMounts"]).contains(&"aws-iam-token"));
    // EKS Pod Identity has other ones.
    let agent = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    asking["spec"]["containers"][0]["env"] = json!([{"name": agent, "value": "http://169.254.170.23/v1/credentials"},
               {"name": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "value": "/token"}]);
    asking["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "eks-pod-identity-token", "mountPath": "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"}]);
    let after = with_secrets(&asking);
    for ours in &after["spec"]["initContainers"].as_array().expect("ours")[..2] {
        let variables = names(&ours["env"]);
        assert!(variables.contains(&agent) && variables.contains(&"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
        assert!(names(&ours["volumeMounts"]).contains(&"eks-pod-identity-token"));
    }
}

#[test]
fn a_pod_that_doesnt_ask_is_left_alone() {
    for value in ["false", "no", ""] {
        let mut quiet = pod(&json!({"secret": "db"}));
        quiet["metadata"]["annotations"]["keeper.security/inject"] = value.into();
        assert_eq!(with_secrets(&quiet), quiet);
        assert!(!secrets::is_asked(&quiet));
    }
}

#[test]
fn everything_that_is_wrong_with_the_annotations_is_said_at_once() {
    let error = refused(
        &json!({"secret": "db", "refresh-interval": "soon", "signal": "KILL"}),
        |_| {},
    );
    assert!(
        error.contains("keeper.security/refresh-interval") && error.contains("keeper.security/signal"),
        "{error}"
    );
}

#[test]
fn a_template_that_cant_be_parsed_is_refused_with_its_place() {
    let config = "secrets:\n- record: db\n  path: /keeper/secrets/x\n  template: '{{ .password'\n";
    let error = refused(&json!({"config": config}), |_| {});
    assert!(
        error.starts_with("keeper.security/config:2:3: the template isn't closed"),
        "{error}"
    );
}

#[test]
fn a_container_or_volume_of_our_names_isnt_taken_for_ours() {
    let wish = json!({"secret": "db"});
    let error = refused(&wish, |pod| {
        pod["spec"]["initContainers"][0]["name"] = contract::INIT_CONTAINER.into();
    });
    assert!(error.starts_with("spec.initContainers[0]: the name"), "{error}");
    let error = refused(&wish, |pod| {
        pod["spec"]["containers"][1]["name"] = contract::SIDECAR_CONTAINER.into();
        pod["spec"]["containers"][1]["env"] = json!([{"name": contract::REQUEST_VARIABLE, "value": "{}"}]);
    });
    assert!(error.starts_with("spec.containers[1]: the name"), "{error}");
    let error = refused(&wish, |pod| {
        pod["spec"]["volumes"][0] = json!({"name": contract::CONFIG_VOLUME, "emptyDir": {}});
    });
    assert!(error.starts_with("spec.volumes[0]: the name"), "{error}");
    let error = refused(&wish, |pod| {
        pod["spec"]["containers"][1]["volumeMounts"] =
            json!([{"name": contract::CONFIG_VOLUME, "mountPath": "/x"}]);
    });
    assert!(error.contains("spec.containers[1].volumeMounts[0]"), "{error}");
}

#[test]
fn a_preset_marker_injects_nothing_less_and_is_said() {
    let mut marked = pod(&json!({"secret": "db"}));
    marked["metadata"]["annotations"]["keeper.security/injected"] = "true".into();
    let settings = SecretsSettings::default();
    let Outcome::Inject(injection) =
        secrets::inject(&marked, "team", &settings, &|_| Ok(())).expect("injected")
    else {
        panic!("skipped");
    };
    assert!(!injection.patch.is_empty());
    assert!(
        injection
            .warnings
            .iter()
            .any(|warning| warning.contains("proves nothing")),
        "{:?}",
        injection.warnings
    );
}

#[test]
fn what_cant_work_in_this_pod_is_refused_with_the_remedy() {
    let error = refused(&json!({"secret": "db", "signal": "SIGHUP"}), |_| {});
    assert!(error.contains("shareProcessNamespace: true"), "{error}");
    let error = refused(&json!({"secret": "db", "inject-env-vars": "true"}), |pod| {
        pod["spec"]["containers"][1]
            .as_object_mut()
            .expect("a container")
            .remove("command");
    });
    assert!(error.starts_with("spec.containers[1].command"), "{error}");
    let error = refused(&json!({"secret": "db"}), |pod| {
        pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] = "/keeper/secrets/".into();
    });
    assert!(error.contains("/keeper/secrets is where secrets go"), "{error}");
}

#[test]
fn windows_pods_pass_with_a_reason() {
    let mut windows = pod(&json!({"secret": "db"}));
    windows["spec"]["os"] = json!({"name": "windows"});
    let outcome = secrets::inject(&windows, "team", &SecretsSettings::default(), &|_| Ok(()));
    assert!(matches!(outcome, Ok(Outcome::Skip { .. })), "{outcome:?}");
}
