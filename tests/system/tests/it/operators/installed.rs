//! The aggregated API in its cluster: what the cluster's own components make of it.

use std::time::Duration;

use mk8s_testkit::within;

use super::Operators;

#[test]
fn the_api_is_available_and_discovered_and_the_cluster_works_on() {
    let mut operators = Operators::start();
    let admin = operators.admin();
    let service = admin.run(["get", "apiservice", "v1.custom.api.local"]).ok();
    assert!(service.stdout.contains("True"), "{service}");
    let spec = admin
        .run(["get", "apiservice", "v1.custom.api.local", "-o", "json"])
        .ok()
        .json();
    assert_ne!(spec["spec"]["insecureSkipTLSVerify"], true);
    assert!(
        spec["spec"]["caBundle"]
            .as_str()
            .is_some_and(|bundle| !bundle.is_empty())
    );

    let resources = admin
        .run(["api-resources", "--api-group", "custom.api.local"])
        .ok();
    for name in ["mynamespace", "mypods", "mydeployments", "whoami"] {
        assert!(resources.stdout.contains(name), "{resources}");
    }
    admin.run(["get", "mynamespace"]).ok();
    admin.run(["get", "myns", "default"]).ok();
    admin.run(["get", "mypods"]).ok();
    // The API server's own documents have ours in them.
    within(Duration::from_secs(90), "OpenAPI to have the API", || {
        let index = admin.run(["get", "--raw", "/openapi/v3"]);
        index.stdout.contains("apis/custom.api.local/v1").then_some(())
    });
    let document = admin
        .run(["get", "--raw", "/openapi/v3/apis/custom.api.local/v1"])
        .ok();
    assert!(
        document.stdout.contains("/apis/custom.api.local/v1/mynamespace"),
        "{document}"
    );

    // Namespaces end, and what is owned is collected: the controllers that walk all APIs aren't held up.
    let doomed = operators.namespace("doomed", "red");
    let in_it = admin.clone().in_namespace(&doomed);
    in_it.run(["create", "configmap", "owner"]).ok();
    let uid = in_it
        .run(["get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}"])
        .ok();
    in_it.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: owned\n  ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {}}}]\n",
        uid.text()
    ));
    in_it.run(["delete", "configmap", "owner"]).ok();
    within(Duration::from_secs(90), "what was owned to be collected", || {
        (in_it.run(["get", "configmap", "owned"]).code != Some(0)).then_some(())
    });
    admin.run(["delete", "namespace", &doomed, "--timeout=90s"]).ok();

    // Discovery makes no noise in the log.
    let log = operators.aggregated.log();
    let info: Vec<&str> = log.lines().filter(|line| line.contains(" INFO ")).collect();
    assert!(!info.iter().any(|line| line.contains("openapi")), "{info:?}");
    assert!(info.iter().any(|line| line.contains("mynamespace")), "{info:?}");
}
