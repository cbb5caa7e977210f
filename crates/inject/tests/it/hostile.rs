//! Pods whose author wants the real token, or wants to slip past.

use mk8s_inject::{contract, uninject};
use serde_json::{Value, json};

use crate::support::{apply, assert_sealed, injected, injection, refusal};

fn pod() -> Value {
    json!({ "metadata": { "name": "x" }, "spec": { "containers": [{ "name": "app", "image": "app" }] } })
}

#[test]
fn a_pre_set_marker_changes_nothing() {
    for marker in ["true", "{}", r#"{"v":1}"#, r#"{"v":1,"automount":"false"}"#] {
        let mut marked = pod();
        marked["metadata"]["annotations"] = json!({ contract::INJECTED_ANNOTATION: marker });
        assert_sealed(&injected(&marked), &[]);
    }
}

#[test]
fn a_users_own_container_of_the_name_is_refused() {
    let sidecar = injected(&pod())["spec"]["initContainers"][0].clone();
    for (list, change) in [
        ("containers", json!({})),
        ("ephemeralContainers", json!({})),
        ("initContainers", json!({ "restartPolicy": null })),
        ("initContainers", json!({ "startupProbe": null })),
        (
            "initContainers",
            json!({ "startupProbe": { "exec": { "command": ["/bin/true"] } } }),
        ),
        ("initContainers", json!({ "volumeMounts": [] })),
    ] {
        let mut own = sidecar.clone();
        own.as_object_mut()
            .expect("an object")
            .extend(change.as_object().expect("an object").clone());
        let mut pod = pod();
        let elements = pod["spec"][list].as_array().cloned().unwrap_or_default();
        pod["spec"][list] = [elements, vec![own]].concat().into();
        let refusal = refusal(&pod);
        assert!(
            refusal.starts_with(&format!("spec.{list}[")) && refusal.contains("rename it"),
            "{refusal}"
        );
        assert!(uninject(&pod).is_err());
    }
}

#[test]
fn a_users_own_volumes_are_refused() {
    for name in [
        "kube-api-access-sa",
        "kube-api-access-mca-sa",
        "mca-proxy-state",
        "mca-proxy-config",
        "mca-proxy-credentials-12",
    ] {
        let mut own = pod();
        own["spec"]["volumes"] = json!([{ "name": name, "hostPath": { "path": "/" } }]);
        assert!(refusal(&own).contains(&format!("{name:?} is injection's")));
        // Nor in a pod that has the sidecar.
        let mut injected = injected(&pod());
        injected["spec"]["volumes"]
            .as_array_mut()
            .expect("volumes")
            .retain(|volume| volume["name"] != name);
        injected["spec"]["volumes"]
            .as_array_mut()
            .expect("volumes")
            .push(own["spec"]["volumes"][0].clone());
        assert!(refusal(&injected).contains("it is no "));
    }
}

/// Before injection there is no such volume, and the pod would be invalid; after it there would be.
#[test]
fn a_mount_of_a_volume_that_injection_will_add_is_refused() {
    for name in [
        "kube-api-access-sa",
        "kube-api-access-mca-sa",
        "mca-proxy-state",
        "mca-proxy-config",
        "mca-proxy-credentials-0",
    ] {
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let mut pod = pod();
            let elements = pod["spec"][list].as_array().cloned().unwrap_or_default();
            let thief = json!({ "name": "thief", "volumeMounts": [{ "name": name, "mountPath": "/loot" }] });
            pod["spec"][list] = [elements, vec![thief.clone()]].concat().into();
            assert!(refusal(&pod).contains(&format!("mounts the volume {name:?}")));
            // And in an injected pod.
            let mut injected = injected(&self::pod());
            let elements = injected["spec"][list].as_array().cloned().unwrap_or_default();
            injected["spec"][list] = [elements, vec![thief]].concat().into();
            assert!(refusal(&injected).contains(&format!("mounts the volume {name:?}")));
        }
    }
}

#[test]
fn what_was_written_into_the_sidecar_does_not_survive() {
    let clean = injected(&pod());
    for (path, value) in [
        ("/image", json!("evil.example.com/thief:1")),
        ("/command", json!(["/bin/sh"])),
        ("/args", json!(["run", "--evil"])),
        ("/env", json!([{ "name": "LD_PRELOAD", "value": "/x" }])),
        ("/envFrom", json!([{ "secretRef": { "name": "x" } }])),
        (
            "/lifecycle",
            json!({ "postStart": { "exec": { "command": ["/bin/sh"] } } }),
        ),
        ("/livenessProbe", json!({ "exec": { "command": ["/bin/sh"] } })),
        ("/workingDir", json!("/tmp")),
        ("/stdin", json!(true)),
        ("/terminationMessagePath", json!("/mca-proxy")),
        ("/securityContext/privileged", json!(true)),
        ("/securityContext/runAsUser", json!(0)),
        (
            "/securityContext/capabilities",
            json!({ "drop": ["ALL"], "add": ["SYS_ADMIN"] }),
        ),
        (
            "/volumeDevices",
            json!([{ "name": "disk", "devicePath": "/dev/x" }]),
        ),
        ("/ports", json!([{ "containerPort": 6443, "hostPort": 6443 }])),
        ("/imagePullPolicy", json!("Sometimes")),
        ("/fromTheFuture", json!(true)),
    ] {
        let mut tampered = clean.clone();
        let (parent, key) = path.rsplit_once('/').expect("a path");
        tampered["spec"]["initContainers"][0]
            .pointer_mut(parent)
            .expect("there")[key] = value;
        assert_ne!(tampered, clean);
        assert_eq!(apply(&tampered, &injection(&tampered).patch), clean, "{path}");
    }
}

#[test]
fn what_was_written_into_the_sidecars_mounts_and_volumes_does_not_survive() {
    let clean = injected(&pod());
    let mut tampered = clean.clone();
    let mounts = tampered["spec"]["initContainers"][0]["volumeMounts"]
        .as_array_mut()
        .expect("mounts");
    mounts.push(json!({ "name": "evil", "mountPath": "/mca-proxy", "subPath": "thief" }));
    mounts[0]["subPath"] = json!("x");
    let volumes = tampered["spec"]["volumes"].as_array_mut().expect("volumes");
    volumes[0]["projected"]["sources"][0]["serviceAccountToken"]["audience"] = json!("elsewhere");
    volumes[1]["emptyDir"] = json!({ "medium": "" });
    assert_eq!(apply(&tampered, &injection(&tampered).patch), clean);
}

#[test]
fn what_was_written_into_the_other_containers_does_not_survive() {
    let mut tampered = injected(&pod());
    let app = &mut tampered["spec"]["containers"][0];
    app["volumeMounts"][0]["subPath"] = json!("token");
    app["env"][0] = json!({ "name": "KUBERNETES_SERVICE_HOST", "value": "10.0.0.1" });
    tampered["spec"]["automountServiceAccountToken"] = json!(true);
    let again = refusal_or_apply(&tampered);
    match again {
        // A mount that is only almost ours is one of a volume that is ours.
        Err(refusal) => assert!(refusal.contains("mounts the volume"), "{refusal}"),
        Ok(again) => assert_sealed(&again, &[]),
    }
    tampered["spec"]["containers"][0]["volumeMounts"] = json!([]);
    let again = apply(&tampered, &injection(&tampered).patch);
    assert_sealed(&again, &[]);
}

fn refusal_or_apply(pod: &Value) -> Result<Value, String> {
    match mk8s_inject::inject(pod, &mk8s_inject::Settings::default()) {
        Ok(mk8s_inject::Outcome::Inject(injection)) => Ok(apply(pod, &injection.patch)),
        Ok(outcome) => panic!("{outcome:?}"),
        Err(refused) => Err(refused.to_string()),
    }
}

#[test]
fn a_note_brings_back_only_what_injection_takes_away() {
    let clean = injected(&pod());
    for note in [
        json!({ "v": 1, "volumes": { "removed": [[0, { "name": "host", "hostPath": { "path": "/" } }]] } }),
        json!({ "v": 1, "volumes": { "removed": [[0, { "name": "kube-api-access-sa", "secret": { "secretName": "a-token-abcde" } }]] } }),
        json!({ "v": 1, "containers": { "app": { "env": { "removed": [[0, { "name": "LD_PRELOAD", "value": "x" }]] } } } }),
        json!({ "v": 1, "containers": { "app": { "volumeMounts": { "removed": [[0, { "name": "x", "mountPath": "/etc" }]] } } } }),
        json!({ "v": 1, "containers": { "app": { "volumeMounts": { "removed": [[0, { "name": "mca-proxy-state",
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }]] } } } }),
        json!({ "v": 1, "initContainers": { "removed": [[0, { "name": "evil", "image": "evil" }]] } }),
        json!({ "v": 1, "hostNetwork": true }),
        json!({ "v": 2 }),
        json!("true"),
        json!({}),
    ] {
        let mut pod = clean.clone();
        pod["metadata"]["annotations"][contract::INJECTED_ANNOTATION] = note.to_string().into();
        let refused = uninject(&pod).expect_err("not what injection writes").to_string();
        assert!(
            refused.starts_with("annotation mca.k8s.io/injected: "),
            "{refused}"
        );
        // The pod is injected nevertheless, and a note of today replaces that one.
        let injection = injection(&pod);
        assert!(
            injection.warnings[0].starts_with("annotation mca.k8s.io/injected: "),
            "{:?}",
            injection.warnings
        );
        assert_eq!(apply(&pod, &injection.patch), clean);
    }
}

#[test]
fn uninjecting_without_the_note_takes_out_what_is_there() {
    let mut pod = injected(&pod());
    pod["metadata"]
        .as_object_mut()
        .expect("metadata")
        .remove("annotations");
    assert_eq!(apply(&pod, &uninject(&pod).expect("injected").patch), self::pod());
}
