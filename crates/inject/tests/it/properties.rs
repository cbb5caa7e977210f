//! Promises over generated pods.

use mk8s_inject::{Outcome, Settings, Stage, contract, inject, inject_at, json_patch, uninject, workload};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::TestCaseError};
use serde_json::{Map, Value, json};

use crate::support::{apply, assert_sealed};

/// A key with a value, or no key, or null.
fn maybe(object: &mut Map<String, Value>, key: &str, value: Option<Option<Value>>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value.unwrap_or_default());
    }
}

/// Absent, null, or a value of this strategy.
fn odd(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Option<Value>>> {
    option::of(option::weighted(0.9, value))
}

fn list(element: impl Strategy<Value = Value>, most: usize) -> impl Strategy<Value = Value> {
    vec(element, 0..=most).prop_map(Value::from)
}

/// Paths of every spelling.
fn path() -> impl Strategy<Value = &'static str> {
    select(vec![
        "/var/run/secrets/kubernetes.io/serviceaccount",
        "/var/run/secrets/kubernetes.io/serviceaccount/",
        "/run/secrets/kubernetes.io/serviceaccount",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "/var//run/./secrets/kubernetes.io/serviceaccount/ca.crt",
        "/var/run/secrets/kubernetes.io",
        "/var/run/secrets",
        "/run",
        "/var/run/secrets/tokens",
        "/data",
        "/",
        "",
        "relative",
    ])
}

const VOLUMES: [&str; 7] = [
    "kube-api-access-x7k2p",
    "own-token",
    "vault",
    "data",
    "legacy",
    "empty",
    "missing",
];

fn mount() -> impl Strategy<Value = Value> {
    (
        select(&VOLUMES[..]),
        path(),
        option::of(any::<bool>()),
        option::of(Just("token")),
    )
        .prop_map(|(name, path, read_only, sub_path)| {
            let mut mount = json!({ "name": name, "mountPath": path });
            read_only.inspect(|read_only| mount["readOnly"] = json!(read_only));
            sub_path.inspect(|sub_path| mount["subPath"] = json!(sub_path));
            mount
        })
}

fn variable() -> impl Strategy<Value = Value> {
    let names: Vec<&str> = contract::ENVIRONMENT
        .iter()
        .map(|(name, _)| *name)
        .chain(["A", "B", "HTTPS_PROXY"])
        .collect();
    (select(names), 0..4).prop_map(|(name, kind)| match kind {
        0 => json!({ "name": name, "value": "127.0.0.1" }),
        1 => json!({ "name": name, "value": "6443" }),
        2 => json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": "status.hostIP" } } }),
        _ => json!({ "name": name }),
    })
}

fn volume() -> impl Strategy<Value = Value> {
    let token = json!({ "sources": [{ "serviceAccountToken": { "path": "token" } }] });
    let audience =
        json!({ "sources": [{ "serviceAccountToken": { "path": "token", "audience": "vault" } }] });
    select(vec![
        json!({ "name": VOLUMES[0], "projected": token }),
        json!({ "name": VOLUMES[1], "projected": token }),
        json!({ "name": VOLUMES[2], "projected": audience }),
        json!({ "name": VOLUMES[3], "persistentVolumeClaim": { "claimName": "data" } }),
        json!({ "name": VOLUMES[4], "secret": { "secretName": "default-token-abcde" } }),
        json!({ "name": VOLUMES[5], "emptyDir": {} }),
    ])
}

fn container() -> impl Strategy<Value = Map<String, Value>> {
    (odd(list(variable(), 5)), odd(list(mount(), 4)), odd(unknown())).prop_map(|(env, mounts, unknown)| {
        let mut container = Map::new();
        maybe(&mut container, "env", env);
        maybe(&mut container, "volumeMounts", mounts);
        maybe(&mut container, "fromTheFuture", unknown);
        container
    })
}

/// Containers called `a0`, `a1`, …
fn containers(prefix: &'static str, least: usize) -> impl Strategy<Value = Value> {
    vec(container(), least..=3).prop_map(move |containers| {
        let named = containers.into_iter().enumerate().map(|(index, mut container)| {
            container.insert("name".to_owned(), json!(format!("{prefix}{index}")));
            Value::from(container)
        });
        named.collect()
    })
}

/// Fields that nobody knows.
fn unknown() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!([]),
        json!(1.5),
        json!({ "a/b": { "~": [1, { "name": "x" }] } }),
        json!("text"),
    ])
}

fn annotations() -> impl Strategy<Value = Value> {
    let one = select(vec![
        ("mca.k8s.io/order", "last"),
        ("mca.k8s.io/exclude-containers", "a0, i1"),
        ("mca.k8s.io/injected", "true"),
        ("mca.k8s.io/injected", r#"{"v":1,"automount":"false"}"#),
        ("mca.k8s.io/run-as-user", "unset"),
        ("mca.k8s.io/config", "clusters"),
        ("mca.k8s.io/credentials", "one,two"),
        ("mca.k8s.io/metrics-port", "9090"),
        ("mca.k8s.io/allow-automount", "true"),
        ("mca.k8s.io/unknown", "x"),
        ("example.com/~odd", "x"),
    ]);
    vec(one, 0..4).prop_map(|all| {
        all.into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect()
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let metadata = (odd(annotations()), odd(unknown())).prop_map(|(annotations, unknown)| {
        let mut metadata = Map::new();
        maybe(&mut metadata, "annotations", annotations);
        maybe(&mut metadata, "fromTheFuture", unknown);
        metadata.into()
    });
    (
        odd(metadata),
        containers("a", 1),
        odd(containers("i", 0)),
        odd(list(volume(), 6)),
        odd(any::<bool>().prop_map(Value::from)),
        odd(unknown()),
        odd(containers("e", 0)),
    )
        .prop_map(
            |(metadata, containers, init_containers, volumes, automount, unknown, ephemeral)| {
                let mut spec = Map::new();
                spec.insert("containers".to_owned(), containers);
                maybe(&mut spec, "initContainers", init_containers);
                maybe(&mut spec, "volumes", volumes);
                maybe(&mut spec, "automountServiceAccountToken", automount);
                maybe(&mut spec, "fromTheFuture", unknown);
                maybe(&mut spec, "ephemeralContainers", ephemeral);
                let mut pod = Map::new();
                maybe(&mut pod, "metadata", metadata);
                pod.insert("spec".to_owned(), spec.into());
                pod.into()
            },
        )
}

fn excluded(pod: &Value) -> Vec<&str> {
    let names = pod["metadata"]["annotations"][contract::EXCLUDE_CONTAINERS_ANNOTATION]
        .as_str()
        .unwrap_or_default();
    names.split(',').map(str::trim).collect()
}

/// Injects what may be passed over; gives the result of a pod that isn't.
fn try_inject(pod: &Value, settings: &Settings) -> Result<Option<Value>, TestCaseError> {
    match inject(pod, settings) {
        Ok(Outcome::Inject(injection)) => Ok(Some(apply(pod, &injection.patch))),
        Ok(Outcome::Skip { .. }) => Ok(None),
        Err(refused) => Err(TestCaseError::fail(format!("{refused} of {pod:#}"))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_second_injection_is_empty_and_uninjecting_is_the_identity(pod in pod()) {
        let settings = Settings::default();
        let Some(injected) = try_inject(&pod, &settings)? else {
            prop_assert_eq!(pod["spec"]["automountServiceAccountToken"].as_bool(), Some(false));
            return Ok(());
        };
        assert_sealed(&injected, &excluded(&pod));
        for stage in [Stage::Manifest, Stage::Admission] {
            let again = inject_at(stage, &injected, &settings);
            let Ok(Outcome::Inject(again)) = again else {
                return Err(TestCaseError::fail(format!("{again:?}")));
            };
            prop_assert_eq!(&again.patch, &json_patch::Patch::default());
        }
        let taken_out = uninject(&injected).expect("it was injected");
        prop_assert_eq!(apply(&injected, &taken_out.patch), pod);
    }

    #[test]
    fn other_settings_are_brought_up_to_date_in_place(pod in pod()) {
        let old = Settings { image: "registry/mca-proxy:0.0.1".parse().expect("an image"), ..Settings::default() };
        let Some(injected) = try_inject(&pod, &old)? else { return Ok(()) };
        let updated = try_inject(&injected, &Settings::default())?.expect("it is injected");
        prop_assert_eq!(Some(updated), try_inject(&pod, &Settings::default())?);
    }

    #[test]
    fn what_injection_does_not_touch_survives(pod in pod()) {
        let Some(injected) = try_inject(&pod, &Settings::default())? else { return Ok(()) };
        for list in ["initContainers", "containers"] {
            for before in pod["spec"][list].as_array().into_iter().flatten() {
                let mut containers = injected["spec"][list].as_array().expect("containers").iter();
                let after = containers.find(|after| after["name"] == before["name"]).expect("it is still there");
                prop_assert_eq!(before.get("fromTheFuture"), after.get("fromTheFuture"));
                // Other variables and mounts, in their order.
                let others = |container: &Value| -> Vec<Value> {
                    let env = container["env"].as_array().into_iter().flatten();
                    let ours = |entry: &&Value| contract::ENVIRONMENT.iter().any(|(name, _)| entry["name"] == *name);
                    env.filter(|entry| !ours(entry)).cloned().collect()
                };
                prop_assert_eq!(others(before), others(after));
            }
        }
        prop_assert_eq!(pod["spec"].get("fromTheFuture"), injected["spec"].get("fromTheFuture"));
    }

    #[test]
    fn tokens_of_the_api_server_that_stay_are_warned_of(pod in pod()) {
        let Ok(Outcome::Inject(injection)) = inject(&pod, &Settings::default()) else { return Ok(()) };
        let injected = apply(&pod, &injection.patch);
        for list in ["initContainers", "containers"] {
            for container in injected["spec"][list].as_array().into_iter().flatten() {
                if container["name"] == contract::CONTAINER { continue }
                for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                    let volume = mount["name"].as_str().expect("a name");
                    let exists = injected["spec"]["volumes"].as_array().expect("volumes").iter().any(|v| v["name"] == volume);
                    if exists && [VOLUMES[0], VOLUMES[1], VOLUMES[4]].contains(&volume) {
                        let name = container["name"].as_str().expect("a name");
                        let start = format!("container {name}: volume {volume} at ");
                        prop_assert!(injection.warnings.iter().any(|w| w.starts_with(&start)), "{:?}", injection.warnings);
                    }
                }
            }
        }
    }

    /// Somebody writes into an injected pod: it is made anew, or refused; never left as it is.
    #[test]
    fn tampering_is_undone_or_refused(pod in pod(), at in any::<prop::sample::Index>(), value in unknown(), remove in any::<bool>()) {
        let Some(injected) = try_inject(&pod, &Settings::default())? else { return Ok(()) };
        let mut places = Vec::new();
        let sidecar = injected["spec"]["initContainers"].as_array().expect("a list").iter()
            .position(|container| container["name"] == contract::CONTAINER).expect("the sidecar");
        paths(&injected["spec"]["initContainers"][sidecar], &format!("/spec/initContainers/{sidecar}"), &mut places);
        for (index, volume) in injected["spec"]["volumes"].as_array().expect("a list").iter().enumerate() {
            if contract::is_own_volume(volume["name"].as_str().expect("a name")) {
                paths(volume, &format!("/spec/volumes/{index}"), &mut places);
            }
        }
        // A volume of another name is its author's, and none of injection's.
        places.retain(|place| place.split('/').nth(4) != Some("name") || !place.starts_with("/spec/volumes/"));
        let mut tampered = injected.clone();
        let place = at.get(&places);
        if remove {
            let (parent, key) = place.rsplit_once('/').expect("not the root");
            match tampered.pointer_mut(parent).expect("it is there") {
                Value::Object(object) => { object.remove(key); }
                Value::Array(list) => { list.remove(key.parse().expect("an index")); }
                _ => unreachable!("a place has a parent"),
            }
        } else {
            *tampered.pointer_mut(place).expect("it is there") = value;
        }
        match inject(&tampered, &Settings::default()) {
            Err(_) => {}
            Ok(Outcome::Skip { reason }) => return Err(TestCaseError::fail(reason)),
            // But for what an admission plugin may do (an image pull policy, a resource) it is what it was.
            Ok(Outcome::Inject(injection)) => prop_assert_eq!(apply(&tampered, &injection.patch), injected),
        }
    }

    #[test]
    fn no_note_brings_back_what_injection_does_not_take(pod in pod(), note in any_note()) {
        let Some(mut injected) = try_inject(&pod, &Settings::default())? else { return Ok(()) };
        injected["metadata"]["annotations"][contract::INJECTED_ANNOTATION] = note.to_string().into();
        // Another opinion of what the pod was may be a reason to refuse, never one to pass it.
        match inject(&injected, &Settings::default()) {
            Err(_) => {}
            Ok(Outcome::Skip { reason }) => return Err(TestCaseError::fail(reason)),
            Ok(Outcome::Inject(injection)) => {
                let anew = apply(&injected, &injection.patch);
                assert_sealed(&anew, &excluded(&pod));
                let again = try_inject(&anew, &Settings::default())?.expect("it is injected");
                prop_assert_eq!(again, anew);
            }
        }
        if let Ok(injection) = uninject(&injected) {
            let taken_out = apply(&injected, &injection.patch);
            let added = |list: &str| -> Vec<Value> {
                let before = injected["spec"][list].as_array().cloned().unwrap_or_default();
                let after = taken_out["spec"][list].as_array().cloned().unwrap_or_default();
                let names: Vec<&Value> = before.iter().map(|element| &element["name"]).collect();
                after.iter().filter(|element| !names.contains(&&element["name"])).cloned().collect()
            };
            prop_assert_eq!(added("initContainers"), Vec::<Value>::new());
            for volume in added("volumes") {
                prop_assert!(volume["projected"].is_object() || volume["secret"].is_object());
            }
        }
    }

    #[test]
    fn no_json_makes_it_panic(pod in any_json(), object in select(vec!["pod", "spec", "container", "document"])) {
        let pod = match object {
            "spec" => json!({ "spec": pod }),
            "container" => json!({ "spec": { "containers": [pod] } }),
            "document" => json!({ "apiVersion": "v1", "kind": "List", "items": pod }),
            _ => pod,
        };
        let _ = inject(&pod, &Settings::default());
        let _ = uninject(&pod);
        let _ = workload::pods(&pod);
    }
}

/// Every place in a value, itself included.
fn paths(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(object) => object
            .iter()
            .for_each(|(key, value)| paths(value, &format!("{at}/{key}"), all)),
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(index, value)| paths(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

/// A note of the right form, and of any content.
fn any_note() -> impl Strategy<Value = Value> {
    let taken = |element: BoxedStrategy<Value>| {
        (
            option::of(select(vec!["absent", "null", "empty"])),
            vec((0..5_usize, element), 0..3),
        )
            .prop_map(|(was, removed)| match was {
                Some(was) => json!({ "was": was, "removed": removed }),
                None => json!({ "removed": removed }),
            })
    };
    let one = |variables, mounts| json!({ "env": variables, "volumeMounts": mounts });
    (
        taken(volume().boxed()),
        taken(prop_oneof![9 => variable(), 1 => Just(json!({ "name": "LD_PRELOAD", "value": "x" }))].boxed()),
        taken(mount().boxed()),
        option::of(select(vec!["true", "false", "null"])),
        option::of(select(vec!["absent", "null", "empty"])),
        option::weighted(0.05, taken(container().prop_map(Value::from).boxed())),
    )
        .prop_map(
            move |(volumes, variables, mounts, automount, annotations, containers)| {
                let mut note =
                    json!({ "v": 1, "volumes": volumes, "containers": { "a0": one(variables, mounts) } });
                automount.inspect(|automount| note["automount"] = json!(automount));
                annotations.inspect(|annotations| note["annotations"] = json!(annotations));
                containers.inspect(|containers| note["initContainers"] = containers.clone());
                note
            },
        )
}

/// JSON that has pods' words in odd places.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = select(vec![
        "metadata",
        "annotations",
        "labels",
        "spec",
        "containers",
        "initContainers",
        "name",
        "env",
        "volumeMounts",
        "mountPath",
        "volumes",
        "kind",
        "apiVersion",
        "items",
        "template",
        "mca.k8s.io/injected",
        "ports",
        "startupProbe",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(vec![
            "",
            "mca-proxy",
            "Pod",
            "v1",
            "Always",
            "kube-api-access-sa",
            "/run",
            "٣"
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((keys.clone(), inner), 0..6).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}
