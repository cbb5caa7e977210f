//! Manifests as people write them.

use std::{fs, path::PathBuf};

use mk8s_inject::{Stage, contract, workload};
use serde_json::Value;

use crate::support::{assert_sealed, injected, injection, injection_at};

/// The pods of the corpus, by file.
fn pods() -> Vec<(String, Value)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/corpus");
    let mut pods = Vec::new();
    for file in fs::read_dir(directory).expect("the corpus") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("read");
        let document: Value =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = workload::pods(&document);
        assert!(!found.is_empty(), "{}", path.display());
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        pods.extend(found.iter().map(|pod| {
            (
                name.clone(),
                document
                    .pointer(pod.pointer.as_str())
                    .expect("it was found")
                    .clone(),
            )
        }));
    }
    pods.sort_by(|a, b| a.0.cmp(&b.0));
    pods
}

#[test]
fn every_pod_is_injected_once_and_comes_back() {
    let pods = pods();
    assert!(pods.len() >= 15);
    for (name, pod) in pods {
        let excluded = pod["metadata"]["annotations"][contract::EXCLUDE_CONTAINERS_ANNOTATION]
            .as_str()
            .unwrap_or_default();
        let excluded: Vec<&str> = excluded.split(',').map(str::trim).collect();
        let injected = injected(&pod);
        assert_sealed(&injected, &excluded);
        let again = injection_at(Stage::Admission, &injected, &mk8s_inject::Settings::default());
        assert!(again.patch.is_empty(), "{name}: {:?}", again.patch);
    }
}

#[test]
fn patches_and_warnings_are_as_people_saw_them() {
    for (name, pod) in pods() {
        let injection = injection(&pod);
        if [
            "admitted-pod",
            "cronjob",
            "excluded",
            "mesh",
            "openshift",
            "plain-pod",
        ]
        .contains(&name.as_str())
        {
            let operations: Vec<Value> = injection
                .patch
                .iter()
                .map(|operation| serde_json::to_value(operation).expect("JSON"))
                .collect();
            insta::assert_yaml_snapshot!(name.clone(), operations);
        }
        if !injection.warnings.is_empty() {
            insta::assert_yaml_snapshot!(format!("{name}-warnings"), injection.warnings);
        }
    }
}
