//! Settings as operators write them.

use mk8s_inject::{Order, Resource, Settings};
use serde_json::json;

#[test]
fn the_documented_settings_are_the_defaults() {
    let text = include_str!("../../../../docs/injection.md");
    let yaml = text
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("an example");
    let documented: Settings = serde_saphyr::from_str(yaml).expect("settings");
    let version = documented.image.as_str().rsplit(':').next();
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
    let expected = Settings {
        image_pull_policy: documented.image_pull_policy,
        log: documented.log.clone(),
        metrics_port: documented.metrics_port,
        options: documented.options.clone(),
        ..Settings::default()
    };
    assert_eq!(documented, expected);
}

#[test]
fn what_is_not_written_is_the_default_and_null_unsets() {
    assert_eq!(
        serde_json::from_value::<Settings>(json!({})).expect("settings"),
        Settings::default()
    );
    let settings: Settings =
        serde_json::from_value(json!({ "uid": null, "order": "last", "resources": { "requests": {} } }))
            .expect("settings");
    assert_eq!((settings.uid, settings.order), (None, Order::Last));
    assert_eq!(settings.gid, Settings::default().gid);
    assert!(
        settings.resources.requests.is_empty() && settings.resources.limits.contains_key(&Resource::Memory)
    );
    let written = serde_json::to_value(&settings).expect("JSON");
    assert_eq!(
        serde_json::from_value::<Settings>(written).expect("settings"),
        settings
    );
}

#[test]
fn what_cannot_be_right_is_refused() {
    for settings in [
        json!({ "imag": "x" }),
        json!({ "image": "" }),
        json!({ "image": "a b" }),
        json!({ "uid": 0 }),
        json!({ "uid": 2_147_483_648_u32 }),
        json!({ "gid": -1 }),
        json!({ "metricsPort": 0 }),
        json!({ "options": { "qps": 0 } }),
        json!({ "options": { "otlpEndpoint": "https://x" } }),
        json!({ "options": { "cache": 1 } }),
        json!({ "order": "middle" }),
        json!({ "imagePullPolicy": "always" }),
        json!({ "resources": { "limits": { "memory": "much" } } }),
        json!({ "resources": { "limits": { "gpu": 1 } } }),
    ] {
        assert!(
            serde_json::from_value::<Settings>(settings.clone()).is_err(),
            "{settings}"
        );
    }
}
