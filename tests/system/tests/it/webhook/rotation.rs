//! Authorities and certificates that come and go while pods are made.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Webhook, certificates, is_injected, pod};

/// An authority of 36 s is replaced after 24, a certificate of 15 after 10.
const SHORT: &str = "{caLifetime: 36s, certificateLifetime: 15s, settle: 2s}";
/// Within this, two authorities follow the first.
const LIMIT: Duration = Duration::from_secs(150);

#[test]
fn certificates_change_and_no_pod_is_refused_meanwhile() {
    let webhook = Webhook::start(SHORT);
    let (mut authorities, mut served, mut made) = (Vec::new(), Vec::new(), 0);
    let begun = Instant::now();
    while authorities.len() < 3 || served.len() < 5 || made < 10 {
        assert!(
            begun.elapsed() < LIMIT,
            "{} authorities, {} certificates, {made} pods",
            authorities.len(),
            served.len()
        );
        let pod = webhook.create(&pod(&format!("p{made}")), &[]);
        assert!(is_injected(&pod), "{pod:#}");
        made += 1;
        // In this order: what is served now must be believed a moment later, too.
        let secret = webhook.json(&["get", "secret", super::SECRET])["data"].take();
        let (authority, certificate) = (
            super::decoded(&secret["ca.crt"]),
            super::decoded(&secret["tls.crt"]),
        );
        let bundle = webhook.bundle();
        for replica in &webhook.replicas {
            let believed = webhook.endpoint(replica, &bundle).connect();
            assert!(believed.is_ok(), "{}: {:?}", replica.name, believed.err());
        }
        assert!(
            bundle.contains(&authority),
            "it is believed as long as it is in use"
        );
        if let Some(previous) = authorities.last().filter(|previous| **previous != authority) {
            assert!(
                bundle.contains(previous),
                "the previous authority is still believed"
            );
        }
        for (seen, now) in [(&mut authorities, authority), (&mut served, certificate)] {
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
    }
    mk8s_testkit::eventually(
        "the first authority to expire and to be believed no longer",
        || (!webhook.bundle().contains(&authorities[0])).then_some(()),
    );
    assert!(certificates(&webhook.bundle()).len() <= 3);
    for replica in &webhook.replicas {
        let log = replica.program.log();
        let panicked = log.lines().find(|line| line.contains("panicked"));
        assert_eq!(panicked, None);
    }
}

#[test]
fn what_others_change_in_the_configuration_is_kept() {
    let webhook = Webhook::start(SHORT);
    let first = webhook.secret("ca.crt");
    let entry = |name: &str, client: Value| {
        let never = json!({"matchLabels": {"never": webhook.unique}});
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": client,
            "objectSelector": never,
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        })
    };
    let ours =
        json!({"service": {"namespace": webhook.namespace.name(), "name": super::NAME, "path": "/other"}});
    // Another's before ours, one more of ours behind, and a setting changed.
    let patch = json!([
        {"op": "add", "path": "/webhooks/0", "value": entry("foreign.example.com", json!({"url": "https://127.0.0.1:1/"}))},
        {"op": "add", "path": "/webhooks/-", "value": entry("second.mca.k8s.io", ours)},
        {"op": "replace", "path": "/webhooks/1/timeoutSeconds", "value": 7},
        {"op": "add", "path": "/metadata/annotations", "value": {"somebody": "else"}},
    ]);
    let arguments = [
        "patch",
        "mutatingwebhookconfiguration",
        &webhook.unique,
        "--type=json",
        "--patch",
        &patch.to_string(),
    ];
    webhook.kubectl().run(arguments).ok();
    let find = |configuration: &Value, name: &str| {
        let entries = configuration["webhooks"].as_array().expect("entries");
        entries
            .iter()
            .find(|entry| entry["name"] == name)
            .expect(name)
            .clone()
    };
    mk8s_testkit::eventually("another authority, in both entries of ours", || {
        let configuration = webhook.configuration();
        let bundle = |name| super::decoded(&find(&configuration, name)["clientConfig"]["caBundle"]);
        let (one, two) = (bundle("inject.mca.k8s.io"), bundle("second.mca.k8s.io"));
        (webhook.secret("ca.crt") != first && one == two && !one.is_empty()).then_some(())
    });
    let configuration = webhook.configuration();
    assert_eq!(
        find(&configuration, "foreign.example.com")["clientConfig"],
        json!({"url": "https://127.0.0.1:1/"})
    );
    assert_eq!(find(&configuration, "inject.mca.k8s.io")["timeoutSeconds"], 7);
    assert_eq!(configuration["metadata"]["annotations"]["somebody"], "else");
    assert!(is_injected(&webhook.create(&pod("still"), &[])));
}

#[test]
fn an_authority_can_be_distrusted_at_once_as_the_documentation_says() {
    let webhook = Webhook::start(super::QUICK);
    let leaked = webhook.secret("ca.crt");
    webhook.kubectl().run(["delete", "secret", super::SECRET]).ok();
    let made = mk8s_testkit::eventually("another authority", || {
        let ran = webhook.kubectl().run(["get", "secret", super::SECRET]);
        let made = (ran.code == Some(0)).then(|| webhook.secret("ca.crt"))?;
        (!made.is_empty()).then_some(made)
    });
    assert_ne!(made, leaked);
    for replica in &webhook.replicas {
        mk8s_testkit::eventually("both to serve its certificate", || {
            webhook.endpoint(replica, &made).connect().ok().map(drop)
        });
    }
    let bundle = webhook.bundle();
    assert!(
        bundle.contains(&leaked) && bundle.contains(&made),
        "nobody was cut off meanwhile"
    );
    let patch = r#"[{"op": "remove", "path": "/data/previous-ca.crt"}]"#;
    webhook
        .kubectl()
        .run(["patch", "secret", super::SECRET, "--type=json", "--patch", patch])
        .ok();
    mk8s_testkit::eventually("the leaked one to be believed no longer", || {
        (webhook.bundle() == made).then_some(())
    });
    assert!(is_injected(&webhook.create(&pod("after"), &[])));
}

#[test]
fn the_certificate_is_renewed_while_the_configuration_is_away_and_believed_when_it_is_back() {
    let webhook = Webhook::start("{caLifetime: 1h, certificateLifetime: 9s, settle: 1s}");
    let (authority, certificate) = (webhook.secret("ca.crt"), webhook.secret("tls.crt"));
    let kind = "mutatingwebhookconfiguration";
    webhook.kubectl().run(["delete", kind, &webhook.unique]).ok();
    mk8s_testkit::eventually("another certificate", || {
        (webhook.secret("tls.crt") != certificate).then_some(())
    });
    assert_eq!(webhook.secret("ca.crt"), authority);
    webhook.namespace.apply(&webhook.manifest("webhook.yaml"));
    mk8s_testkit::eventually("the caBundle", || (webhook.bundle() == authority).then_some(()));
    mk8s_testkit::eventually("a pod to be injected", || {
        let ran = webhook.try_create(&pod("back"), &[]);
        (ran.code == Some(0)).then(|| assert!(is_injected(&ran.json())))
    });
    let leader = super::eventual_leader(&webhook, &["a", "b"]);
    let log = webhook.replica(&leader).program.log();
    let said = log.matches("there is no MutatingWebhookConfiguration").count();
    assert!((1..=3).contains(&said), "said once, not again and again:\n{log}");
}
