//! What holds for any input.

use std::collections::BTreeMap;

use mk8s_secrets::{
    contract::{self, Request},
    record::Record,
};
use proptest::prelude::*;

use crate::support::{NAMESPACE, make, request, vault};

/// Pieces that annotations are made of, rightly and wrongly.
fn values() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "true",
        "My DB",
        "Server",
        ":/app/x",
        "/app/conf/y",
        "[login]",
        "keeper://",
        "db-uid",
        "/field/",
        "password",
        ",",
        "\\",
        "secrets:\n- record: ",
        "\n  path: /a/b/",
        "{}",
        "5m",
        "..",
        "$(X)",
        " ",
        "cert.pem",
        ":",
        "[",
        "]",
        "é",
        "\n  format: env",
        "\n  injectAsEnvVars: true",
        "\n  fields: [login]",
        "folders:\n- uid: folder-b",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat()),
        ".{0,30}"
    ]
}

fn names() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "secret",
        "secrets",
        "secret-a",
        "secret-b",
        "file-a",
        "folder",
        "folder-uid",
        "folder-path",
        "config",
        "refresh-interval",
        "signal",
        "env-prefix",
        "inject-env-vars",
        "inject-as-k8s-secret",
        "k8s-secret-name",
        "k8s-secret-type",
        "auth-method",
        "ksm-config",
        "gcp-secret-id",
        "ca-cert-secret",
        "unknown",
        "secret-",
        "",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_annotations_make_it_panic_and_what_is_taken_can_be_handed_over(
        annotations in prop::collection::btree_map(names(), values(), 0..5),
    ) {
        let mut all: BTreeMap<String, String> =
            annotations.into_iter().map(|(name, value)| (format!("keeper.security/{name}"), value)).collect();
        all.insert(contract::INJECT.to_owned(), "true".to_owned());
        all.entry(contract::KSM_CONFIG.to_owned()).or_insert_with(|| "keeper-auth".to_owned());
        match contract::read(&all, NAMESPACE) {
            Ok(reading) => {
                let request = reading.request.expect("asked for");
                prop_assert_eq!(Request::from_json(&request.to_json()), Ok(request.clone()));
                let outcome = make(&request, &vault());
                let mounts = request.mounts();
                for file in &outcome.files {
                    prop_assert!(mounts.iter().any(|mount| file.path.starts_with(&format!("{mount}/"))), "{}", file.path);
                }
                prop_assert_eq!(make(&request, &vault()), outcome);
            }
            Err(error) => {
                prop_assert!(!error.0.is_empty());
                for finding in &error.0 {
                    let missing = finding.problem.starts_with("it is missing; ")
                        && contract::KNOWN.contains(&finding.annotation.as_str());
                    prop_assert!(all.contains_key(&finding.annotation) != missing, "{}", error);
                }
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
        }
    }

    #[test]
    fn no_records_data_makes_it_panic(data in prop_oneof![Just(String::new()), ".*", r#"\{"title":"[a-z/.]{0,3}","fields":\[\{"type":"[a-z]?","value":\["[a-z]?",?\]\}\]\}"#]) {
        if let Ok(mut record) = Record::read("uid", data.as_bytes()) {
            record.folders.push("folder-b".to_owned());
            let mut vault = vault();
            vault.records.push(record);
            let _ = make(&request(&[("folder-uid", "folder-b"), ("folder-path", "/app/all")]), &vault);
        }
    }
}
