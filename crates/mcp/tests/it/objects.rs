//! Planted secrets in objects: none comes out, in any shape, with any fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mk8s_mcp_core::answer::Shape;
use mk8s_mcp_core::render::EnvPolicy;
use mk8s_mcp_core::render::redact::Redactor;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::planted::{self, Planted, dressed, rendered};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One step from an object to what is planted in it.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Item(usize),
    Json(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![
        "[a-zA-Z][a-zA-Z0-9]{0,12}",
        prop::sample::select(vec![
            "spec",
            "data",
            "status",
            "metadata",
            "annotations",
            "items",
            "object",
            "properties",
            "env",
            "template",
            "command",
            "conditions",
            "message"
        ])
        .prop_map(str::to_owned),
    ];
    let step = prop_oneof![
        5 => key.clone().prop_map(Step::Key),
        2 => (0_usize..4).prop_map(Step::Item),
        1 => key.prop_map(Step::Json),
    ];
    prop::collection::vec(step, 1..8)
}

/// The value at the end of the steps, with something beside it at each.
fn wrap(mut value: Value, steps: &[Step]) -> Value {
    let mut encoded = 0;
    for step in steps.iter().rev() {
        value = match step {
            Step::Key(key) => json!({key: value, "beside": 1}),
            Step::Item(before) => {
                let mut items = vec![json!("beside"); *before];
                items.push(value);
                Value::Array(items)
            }
            Step::Json(key) if encoded < 2 => {
                encoded += 1;
                json!({key: json!({"inner": value}).to_string()})
            }
            Step::Json(key) => json!({key: value}),
        };
    }
    value
}

fn object(kind: &str, value: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": "x", "namespace": "y"}, "spec": {"planted": value}})
}

/// In every shape, and by fields that select all.
fn assert_hidden_everywhere(object: &Value, planted: &Planted) {
    for shape in [Shape::Names, Shape::Slim, Shape::Full] {
        planted.assert_hidden(&rendered(vec![object.clone()], shape, &[]).text);
        planted.assert_hidden(&rendered(vec![object.clone(), object.clone()], shape, &[]).text);
    }
    for field in ["$", "$..*", ".spec", "data", ".metadata", "$..[?@.inner]"] {
        planted.assert_hidden(&rendered(vec![object.clone()], Shape::Full, &[field]).text);
        planted.assert_hidden(&rendered(vec![object.clone(), object.clone()], Shape::Slim, &[field]).text);
    }
}

proptest! {
    #![proptest_config(crate::planted::cases(150))]

    #[test]
    fn secrets_by_their_form_are_hidden_wherever_they_stand(planted in dressed(), steps in steps()) {
        let value = wrap(Value::String(planted.text.clone()), &steps);
        assert_hidden_everywhere(&object("Widget", value), &planted);
    }

    #[test]
    fn secrets_within_keys_are_hidden(seed in 0_u64..100_000, steps in steps()) {
        for planted in [planted::jwt(seed), planted::known_token(seed)] {
            let value = wrap(json!({&planted.text: "x"}), &steps);
            assert_hidden_everywhere(&object("Widget", value), &planted);
        }
    }

    #[test]
    fn what_secrets_hold_is_hidden_however_they_stand(value in "[a-z0-9]{12,60}", steps in steps(), form in 0..7) {
        let encoded = STANDARD.encode(&value);
        let planted = Planted { text: value.clone(), needles: vec![value.clone(), encoded.clone()] };
        let metadata = json!({"name": "s", "annotations": {LAST_APPLIED: json!({"kind": "Secret", "data": {"k": encoded}}).to_string()}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {"k": encoded}, "stringData": {"k2": value}});
        let bare = json!({"metadata": metadata, "type": "Opaque", "data": {"k": encoded}});
        let object = match form {
            0 => secret,
            1 => json!({"apiVersion": "v1", "kind": "SecretList", "items": [bare]}),
            2 => json!({"type": "ADDED", "object": secret}),
            3 => json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table", "columnDefinitions": [{"name": "Name"}], "rows": [{"cells": ["s"], "object": secret}]}),
            4 => object("Widget", wrap(secret, &steps)),
            5 => bare,
            _ => object("Widget", wrap(Value::String(secret.to_string()), &steps)),
        };
        assert_hidden_everywhere(&object, &planted);
    }

    #[test]
    fn environment_variables_keep_their_names_alone(value in "[a-z]{4}[0-9]{8}[a-z]{2}", list in prop::sample::select(vec!["containers", "initContainers", "ephemeralContainers"]), steps in steps()) {
        let containers = json!({list: [{"name": "c", "env": [{"name": "PLAIN", "value": value}, {"name": "DEBUG", "value": "true"}, {"name": "REF", "valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}]}]});
        let planted = Planted { text: value.clone(), needles: vec![value] };
        let object = object("Widget", wrap(containers, &steps));
        assert_hidden_everywhere(&object, &planted);
    }

    #[test]
    fn redacting_again_changes_nothing(planted in dressed(), steps in steps()) {
        let mut once = object("Widget", wrap(Value::String(planted.text), &steps));
        Redactor::new(EnvPolicy::Harmless).object(&mut once);
        let mut twice = once.clone();
        Redactor::new(EnvPolicy::Harmless).object(&mut twice);
        prop_assert_eq!(once, twice);
    }
}

fn redacted(mut object: Value) -> Value {
    Redactor::new(EnvPolicy::Harmless).object(&mut object);
    object
}

#[test]
fn references_to_secrets_stay_readable() {
    let object = json!({
        "kind": "Pod",
        "spec": {
            "containers": [{
                "name": "c",
                "env": [
                    {"name": "LOG_LEVEL", "value": "debug"},
                    {"name": "REPLICAS", "value": "3"},
                    {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                ],
                "args": ["--v=2", "--token-file", "/var/run/token"],
            }],
            "volumes": [{"name": "v", "secret": {"secretName": "db", "items": [{"key": "a", "path": "b"}], "defaultMode": 420}}],
            "imagePullSecrets": [{"name": "registry"}],
            "automountServiceAccountToken": true,
        },
    });
    assert_eq!(redacted(object.clone()), object);
}

#[test]
fn commands_lose_the_values_of_secret_flags() {
    let object = json!({"command": ["app", "--password=hunter2x", "--token", "abc9x", "--port", "80", "-c", "PGPASSWORD=hunter2x psql"]});
    let expected = json!({"command": ["app", "--password=<redacted>", "--token", "<redacted>", "--port", "80", "-c", "PGPASSWORD=<redacted>"]});
    assert_eq!(redacted(object), expected);
}

#[test]
fn values_of_config_maps_lose_credentials_and_nothing_else() {
    let object = json!({
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {
            "app.properties": "db.user=shop\ndb.password=hunter2x\ndb.url=jdbc:postgresql://db/shop\n",
            "settings.json": "{\"user\":\"shop\",\"apiKey\":\"abc9x\"}",
            "url": "redis://:hunter2x@redis:6379/0",
            "color": "green",
        },
    });
    let expected = json!({
        "app.properties": "db.user=shop\ndb.password=<redacted>\ndb.url=jdbc:postgresql://db/shop\n",
        "settings.json": "{\"apiKey\":\"<redacted>\",\"user\":\"shop\"}",
        "url": "redis://:<redacted>@redis:6379/0",
        "color": "green",
    });
    assert_eq!(redacted(object)["data"], expected);
}

#[test]
fn a_secret_says_its_keys_and_what_is_empty() {
    let large = STANDARD.encode(vec![b'x'; 9000]);
    let object =
        json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "eA==", "b": "", "c": large}});
    assert_eq!(
        redacted(object)["data"],
        json!({"a": "<redacted>", "b": "<empty>", "c": "<redacted, large>"})
    );
}

#[test]
fn certificates_are_public() {
    let pem = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ2dUQ0FRd0RnWURWUjBQQVFIL0JBUURBZ0dHTUIwR0Ex\nVWREZ1FXQkJR\n-----END CERTIFICATE-----\n";
    let object =
        json!({"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": pem}});
    assert_eq!(redacted(object.clone()), object);
    let request =
        json!({"kind": "CertificateSigningRequest", "status": {"certificate": STANDARD.encode(pem)}});
    assert_eq!(redacted(request.clone()), request);
    assert_eq!(
        redacted(json!({"caBundle": STANDARD.encode(pem)})),
        json!({"caBundle": "(a bundle of certificates)"})
    );
}

#[test]
fn filters_tell_nothing_of_hidden_values() {
    let object =
        json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": STANDARD.encode("hunter2x")}});
    let encoded = STANDARD.encode("hunter2x");
    let right = rendered(
        vec![object.clone()],
        Shape::Full,
        &[&format!("$.data[?@ == '{encoded}']")],
    );
    let wrong = rendered(vec![object], Shape::Full, &["$.data[?@ == 'aaaaaaaaaaa=']"]);
    assert!(
        right.text.contains("(nothing)") && wrong.text.contains("(nothing)"),
        "{}",
        right.text
    );
}

#[test]
fn a_key_whose_lines_are_items_of_a_list_is_hidden() {
    for seed in 0..12 {
        let planted = planted::pem(seed);
        let lines: Vec<&str> = planted.text.split('\n').collect();
        planted.assert_hidden(&redacted(json!({"lines": lines})).to_string());
        let token = planted::jwt(seed);
        let (first, second) = token.text.split_at(60);
        token.assert_hidden(&redacted(json!({"args": ["run", first, second]})).to_string());
    }
}

#[test]
fn depth_is_bounded() {
    let mut value = json!("hunter2x");
    for _ in 0..100_000 {
        value = Value::Array(vec![value]);
    }
    let mut object = object("Widget", Value::Null);
    object["spec"]["planted"] = value;
    let text = rendered(vec![object], Shape::Full, &[]).text;
    assert!(text.contains("nested too deep"), "{text}");
}
