//! All clients at once in one injected pod, for ten minutes, in which the kubelet replaces the real token.

use std::{fs, path::PathBuf, thread, time::Duration};

use mk8s_testkit::{eventually, pod::Client};
use serde_json::{Value, json};

use super::{Pods, checks};

/// What the API server gives at least; the kubelet replaces a token at 80 % of its life.
const TOKEN_SECONDS: u64 = 600;
const WATCH_SECONDS: u64 = 600;

#[test]
fn watches_of_every_client_go_on_while_the_token_is_replaced() {
    let pods = Pods::changed_by(|pod| {
        let mut pod = checks::inject(pod);
        let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
        let real = volumes
            .iter_mut()
            .find(|volume| volume["name"] == "kube-api-access-sa")
            .expect("the real token");
        let sources = real["projected"]["sources"].as_array_mut().expect("sources");
        for source in sources {
            if let Some(token) = source.get_mut("serviceAccountToken") {
                token["expirationSeconds"] = TOKEN_SECONDS.into();
            }
        }
        pod
    });
    let watching: Vec<_> = Client::ALL
        .into_iter()
        .map(|client| {
            let name = format!("{client:?}").to_lowercase();
            let command = client.command(&["watch", "--seconds", &WATCH_SECONDS.to_string()]);
            (client, pods.pod(&name).command(command).start())
        })
        .collect();
    for (client, pod) in &watching {
        eventually(&format!("{client:?} to watch"), || {
            (!pod.client_log().events().is_empty()).then_some(())
        });
    }
    let uid = |pod: &Value| pod["metadata"]["uid"].as_str().expect("a UID").to_owned();
    let first_pod = uid(&watching[0].1.json());
    let before = real_token(&first_pod);
    // One change a minute, and a last one after the token was replaced.
    let kubectl = pods.namespace().kubectl();
    kubectl.run(["create", "configmap", "beat"]).ok();
    for minute in 0..9 {
        thread::sleep(Duration::from_secs(60));
        let patch = json!({"data": {"minute": minute.to_string()}}).to_string();
        kubectl
            .run(["patch", "configmap", "beat", "--type=merge", "--patch", &patch])
            .ok();
    }
    assert_ne!(
        real_token(&first_pod),
        before,
        "the kubelet has replaced the token"
    );
    for (client, pod) in &watching {
        pod.reach("Succeeded", Duration::from_secs(180));
        let outcome = pod.client_log().ok();
        let beats = outcome
            .events()
            .iter()
            .filter(|event| event.name == "beat")
            .count();
        assert!(beats >= 10, "{client:?} saw {beats} of 10 changes");
        assert_eq!(outcome.answer()["errors"], 0, "{client:?}: {}", outcome.answer());
    }
}

/// The real token, as the sidecar of a pod sees it: by way of its process, because nothing else in the pod can.
fn real_token(uid: &str) -> String {
    let process = crate::sidecar::process_of(uid);
    let path = PathBuf::from(format!(
        "/proc/{process}/root/var/run/secrets/kubernetes.io/serviceaccount/token"
    ));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
