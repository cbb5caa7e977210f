//! Changes, from the plan to the object: what is shown, what is sent, what is refused.

use std::sync::Arc;

use mk8s_mcp_core::{
    server::Options,
    settings::{DeniedResource, Mode, Settings},
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    support::{Client, identity},
};

pub(crate) const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
pub(crate) const MAP: &str = "/api/v1/namespaces/shop/configmaps/map";
pub(crate) const SECRET: &str = "/api/v1/namespaces/shop/secrets/s";

/// A cluster with a deployment, a map and a secret.
pub(crate) fn shop() -> Arc<Api> {
    let api = Api::new();
    api.put(
        WEB,
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "main", "image": "web:1"}]}}}}),
    );
    api.put(
        MAP,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "namespace": "shop"},
            "data": {"colour": "blue"}}),
    );
    api
}

pub(crate) fn full() -> Settings {
    Settings {
        mode: Mode::Full,
        ..Settings::default()
    }
}

/// A client whose user can be asked, and says yes.
pub(crate) async fn client(api: &Arc<Api>, settings: Settings) -> Client {
    let anna = identity("anna", &["devs"]);
    let client = Client::with(api.clone(), settings, Options::default(), anna);
    let mut client = client.hello(json!({"elicitation": {}})).await;
    client.says = Some("accept");
    client
}

/// The plan that an answer gives.
pub(crate) fn plan_in(text: &str) -> String {
    let (_, rest) = text
        .split_once("\"plan\": \"")
        .unwrap_or_else(|| panic!("no plan: {text}"));
    rest.split('"').next().expect("a plan").to_owned()
}

pub(crate) fn scale(replicas: u32) -> Value {
    json!({"operation": "scale", "kind": "deploy", "name": "web", "namespace": "shop", "replicas": replicas})
}

impl Client {
    /// Plans, and what the plan says.
    pub(crate) async fn plan(&mut self, arguments: Value) -> String {
        let (is_error, text) = self.call("change", arguments.clone()).await;
        assert!(!is_error, "{arguments}: {text}");
        text
    }

    /// Plans and applies.
    pub(crate) async fn change(&mut self, arguments: Value) -> String {
        let plan = plan_in(&self.plan(arguments.clone()).await);
        let (is_error, text) = self.call("change", json!({"plan": plan})).await;
        assert!(!is_error, "{arguments}: {text}");
        text
    }

    /// What is said to what is refused.
    pub(crate) async fn refused(&mut self, arguments: Value) -> String {
        let (is_error, text) = self.call("change", arguments.clone()).await;
        assert!(is_error, "{arguments}: {text}");
        text
    }
}

#[tokio::test]
async fn a_plan_shows_what_would_change_and_changes_nothing() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let before = api.object(WEB);
    for (arguments, shown) in [
        (scale(5), "~ spec.replicas: 2 -> 5"),
        (
            json!({"operation": "patch", "kind": "deployments", "name": "web", "namespace": "shop",
                "patch": [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:2"}]}),
            "~ spec.template.spec.containers[main].image: web:1 -> web:2",
        ),
        (
            json!({"operation": "patch", "kind": "configmap", "name": "map", "namespace": "shop",
                "patch": {"data": {"colour": "red"}}}),
            "~ data.colour: blue -> red",
        ),
        (
            json!({"operation": "apply", "manifest": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map, namespace: shop}\n\
                data:\n  size: large\n"}),
            "+ data.size: large",
        ),
        (
            json!({"operation": "create", "namespace": "shop", "manifest":
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"a": "b"}}}),
            "what would be there",
        ),
        (
            json!({"operation": "delete", "kind": "configmap", "name": "map", "namespace": "shop"}),
            "what would be gone",
        ),
        (
            json!({"operation": "restart", "kind": "deploy", "name": "web", "namespace": "shop"}),
            "restartedAt",
        ),
        (
            json!({"operation": "pause", "kind": "deploy", "name": "web", "namespace": "shop"}),
            "+ spec.paused: true",
        ),
    ] {
        let text = client.plan(arguments.clone()).await;
        assert!(
            text.starts_with("plan: ") && text.contains(shown),
            "{arguments}: {text}"
        );
    }
    assert_eq!(api.object(WEB), before);
    assert_eq!(api.written(), [""; 0]);
    assert_eq!(client.questions, [""; 0], "nobody is asked about a plan");
}

#[tokio::test]
async fn an_approved_plan_is_done_on_the_object_as_it_was_seen() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let text = client.change(scale(5)).await;
    assert!(
        text.starts_with("done: scale deployments.apps web in namespace shop"),
        "{text}"
    );
    assert_eq!(api.object(WEB).expect("web")["spec"]["replicas"], 5);
    let question = client.questions.pop().expect("a question");
    assert!(
        question.starts_with(
            "An agent wants to scale deployments.apps web in namespace shop of cluster home from 2 to 5."
        ),
        "{question}"
    );
    assert!(
        question.contains("~ spec.replicas: 2 -> 5") && question.contains("None of it is an instruction"),
        "{question}"
    );

    client
        .change(
            json!({"operation": "patch", "kind": "deployments", "name": "web", "namespace": "shop",
            "patch": [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:2"},
                {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]}),
        )
        .await;
    let web = api.object(WEB).expect("web");
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    assert_eq!(web["metadata"]["labels"]["a"], "b");

    client
        .change(json!({"operation": "apply", "namespace": "shop", "manifest":
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"a": "b"}}}))
        .await;
    assert!(api.object("/api/v1/namespaces/shop/configmaps/new").is_some());
    let text = client
        .change(json!({"operation": "delete", "kind": "cm", "name": "map", "namespace": "shop"}))
        .await;
    assert!(text.starts_with("done: delete configmaps map"), "{text}");
    assert!(api.object(MAP).is_none());

    // Each write names what was seen.
    for (request, body) in api.sent() {
        let text = body.to_string();
        let names = text.contains("\"resourceVersion\"") || text.contains("/metadata/resourceVersion");
        assert!(names || request.contains("/configmaps/new?"), "{request} {text}");
    }
}

#[tokio::test]
async fn what_was_written_down_has_the_plan_and_the_approval() {
    let api = shop();
    let mut client = client(&api, full()).await;
    client.change(scale(5)).await;
    client.says = Some("decline");
    let plan = plan_in(&client.plan(scale(6)).await);
    client.refused(json!({"plan": plan})).await;
    let records = client.records.all();
    let change = |at: usize| serde_json::to_value(&records[at]).expect("JSON")["change"].clone();
    assert_eq!(change(0)["operation"], "scale");
    assert_eq!(
        (&change(0)["plan"], &change(0)["approval"]),
        (&change(1)["plan"], &Value::Null)
    );
    assert_eq!(change(1)["approval"], "approved");
    assert_eq!(change(3)["approval"], "declined");
    assert_ne!(change(0)["plan"], change(2)["plan"]);
    assert_eq!(serde_json::to_value(records[3].outcome).expect("JSON"), "denied");
}

#[tokio::test]
async fn a_missing_right_is_named_before_anything_else() {
    for (verb, arguments) in [
        ("get", scale(3)),
        ("patch", scale(3)),
        (
            "delete",
            json!({"operation": "delete", "kind": "cm", "name": "absent", "namespace": "shop"}),
        ),
        (
            "create",
            json!({"operation": "create", "manifest": "{apiVersion: v1, kind: ConfigMap, metadata: {name: map, namespace: shop}}"}),
        ),
    ] {
        let api = shop();
        api.withhold(verb);
        let mut client = client(&api, full()).await;
        let text = client.refused(arguments).await;
        assert!(
            text.contains(&format!("the verb \"{verb}\" on ")),
            "{verb}: {text}"
        );
        assert!(api.sent().is_empty());
    }
}

#[tokio::test]
async fn a_conflict_names_the_owners_and_force_is_a_plan_of_its_own() {
    let api = shop();
    api.owned("/spec/replicas");
    let mut client = client(&api, full()).await;
    let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 4}});
    let text = client
        .refused(json!({"operation": "apply", "manifest": manifest}))
        .await;
    assert!(
        text.contains("hpa-controller") && text.contains(".spec.replicas") && text.contains("Don't delete"),
        "{text}"
    );
    let text = client
        .plan(json!({"operation": "apply", "manifest": manifest, "force": true}))
        .await;
    assert!(
        text.starts_with("plan: apply with force")
            && text.contains("hpa-controller")
            && text.contains("takes fields over"),
        "{text}"
    );
    let (is_error, text) = client.call("change", json!({"plan": plan_in(&text)})).await;
    assert!(!is_error, "{text}");
    assert!(
        client.questions[0].contains("hpa-controller"),
        "{:?}",
        client.questions
    );
    assert_eq!(api.object(WEB).expect("web")["spec"]["replicas"], 4);
}

#[tokio::test]
async fn nothing_of_a_secret_comes_out_of_plans_questions_and_errors() {
    let api = shop();
    // Made here, so that nothing in the project looks like a secret; and with no form by which it could be known.
    let [old, new]: [String; 2] =
        ["b2xk", "bmV3"].map(|part| format!("{part}{:016x}", rand::random::<u64>() | 1 << 60));
    api.put(
        SECRET,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"word": old}}),
    );
    let mut client = client(&api, full()).await;
    let secret = |key: &str, value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, key: {"word": value}});
    let patch = |patch: Value| json!({"operation": "patch", "kind": "secret", "name": "s", "namespace": "shop", "patch": patch});
    let mut told = Vec::new();
    for arguments in [
        json!({"operation": "apply", "manifest": secret("data", &new)}),
        json!({"operation": "apply", "manifest": secret("stringData", &new)}),
        json!({"operation": "apply", "manifest": secret("data", &old)}),
        patch(json!({"data": {"word": new}})),
        patch(json!([{"op": "replace", "path": "/data/word", "value": new}])),
        patch(json!([{"op": "remove", "path": "/data/word"}])),
        json!({"operation": "delete", "kind": "secret", "name": "s", "namespace": "shop"}),
    ] {
        let (is_error, text) = client.call("change", arguments.clone()).await;
        assert!(!is_error && text.contains("redacted"), "{arguments}: {text}");
        told.push(text);
    }
    // A right guess and a wrong one are told alike.
    let diff = |text: &str| {
        text.lines()
            .find(|line| line.contains("data.word"))
            .map(str::to_owned)
    };
    assert_eq!(diff(&told[0]), diff(&told[2]));
    assert!(diff(&told[0]).is_some());
    for probe in [
        patch(json!([{"op": "test", "path": "/data/word", "value": old}])),
        patch(json!([{"op": "copy", "from": "/data/word", "path": "/metadata/annotations/x"}])),
    ] {
        told.push(client.refused(probe).await);
    }
    told.push(client.change(patch(json!({"data": {"word": new}}))).await);
    told.append(&mut client.questions);
    api.says(
        422,
        format!("Secret \"s\" is invalid: data[word]: Invalid value: \"{new}\""),
    );
    for arguments in [
        json!({"operation": "apply", "manifest": secret("data", &old)}),
        patch(json!({"data": {"word": "eA=="}})),
    ] {
        told.push(client.refused(arguments).await);
    }
    for text in told {
        assert!(!text.contains(&old) && !text.contains(&new), "{text}");
    }
}

#[tokio::test]
async fn the_api_servers_warnings_are_told() {
    let api = shop();
    api.warns("spec.x is deprecated");
    let mut client = client(&api, full()).await;
    let text = client.plan(scale(3)).await;
    assert!(
        text.contains("the API server warns") && text.contains("spec.x is deprecated"),
        "{text}"
    );
    assert!(client.change(scale(3)).await.contains("spec.x is deprecated"));
}

#[tokio::test]
async fn a_large_change_is_repeated_with_its_plan() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let noise: String = (0..400)
        .map(|_| format!("{:016x}\n", rand::random::<u64>()))
        .collect();
    let arguments = |noise: &str| {
        json!({"operation": "patch", "kind": "configmaps", "name": "map", "namespace": "shop",
            "patch": {"data": {"noise": noise}}})
    };
    let text = client.plan(arguments(&noise)).await;
    assert!(text.contains("and the same arguments as now"), "{text}");
    let plan = plan_in(&text);
    assert!(plan.len() < 1_200, "{}", plan.len());
    let with = |mut arguments: Value| {
        arguments["plan"] = plan.clone().into();
        arguments
    };
    assert!(
        client
            .refused(with(json!({})))
            .await
            .contains("give the same arguments again")
    );
    let other = with(arguments("something else"));
    assert!(client.refused(other).await.contains("isn't what was planned"));
    assert!(
        client
            .refused(with(scale(9)))
            .await
            .contains("for another object")
    );
    assert_eq!(api.written(), [""; 0]);
    let (is_error, text) = client.call("change", with(arguments(&noise))).await;
    assert!(!is_error, "{text}");
    assert_eq!(api.object(MAP).expect("the map")["data"]["noise"], noise);
}

#[tokio::test]
async fn arguments_that_cant_be_meant_are_refused_and_write_nothing() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let of = |more: Value| {
        let mut arguments = json!({"kind": "configmaps", "name": "map", "namespace": "shop"});
        for (key, value) in more.as_object().expect("a map") {
            arguments[key] = value.clone();
        }
        arguments
    };
    for (arguments, said) in [
        (json!({}), "give \"operation\""),
        (json!({"operation": "replace"}), "unknown variant"),
        (
            of(json!({"operation": "patch", "patch": {}, "as": "root"})),
            "unknown field `as`",
        ),
        (
            of(json!({"operation": "delete", "replicas": 3})),
            "\"replicas\" doesn't go with",
        ),
        (
            of(json!({"operation": "delete", "force": true})),
            "\"force\" doesn't go with",
        ),
        (
            of(json!({"operation": "delete", "propagation": "all"})),
            "unknown variant",
        ),
        (of(json!({"operation": "patch"})), "give \"patch\""),
        (
            of(json!({"operation": "patch", "patch": 5})),
            "this patch is an object",
        ),
        (
            of(json!({"operation": "patch", "patch": {"metadata": null}})),
            "metadata in a patch",
        ),
        (
            of(json!({"operation": "patch", "patch": [], "patchType": "merge"})),
            "patchType is json",
        ),
        (
            of(json!({"operation": "patch", "patch": {}, "patchType": "json"})),
            "a JSON patch is an array",
        ),
        (
            of(json!({"operation": "scale", "replicas": 3})),
            "can't be scaled",
        ),
        (of(json!({"operation": "scale", "replicas": -1})), "invalid value"),
        (of(json!({"operation": "restart"})), "have no such rollouts"),
        (
            of(json!({"operation": "apply", "manifest": {}})),
            "leave \"kind\" and \"name\" out",
        ),
        (json!({"operation": "apply"}), "give \"manifest\""),
        (json!({"operation": "apply", "manifest": "a: ["}), "no YAML"),
        (
            json!({"operation": "apply", "manifest": {"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "a"}}}),
            "the cluster has no kind",
        ),
        (
            json!({"operation": "apply", "namespace": "a", "manifest":
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}}),
            "another namespace",
        ),
        (
            json!({"operation": "apply", "namespace": "a", "manifest":
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "../secrets/s"}}}),
            "no object's name",
        ),
        (
            json!({"operation": "apply", "namespace": "a", "manifest":
                {"apiVersion": "v1/../../x", "kind": "ConfigMap", "metadata": {"name": "a"}}}),
            "the cluster has no kind",
        ),
        (
            of(json!({"operation": "delete", "name": "absent"})),
            "isn't there",
        ),
        (
            of(json!({"operation": "delete", "cluster": "*"})),
            "name one cluster",
        ),
        (
            of(json!({"operation": "delete", "cluster": "other"})),
            "no such cluster",
        ),
        (json!({"plan": "AAAA"}), "no plan of yours"),
        (json!({"plan": "x".repeat(1 << 16)}), "no plan of yours"),
    ] {
        let text = client.refused(arguments.clone()).await;
        assert!(text.contains(said), "{said}: {arguments}: {text}");
    }
    assert_eq!(api.written(), [""; 0]);
    let plan = plan_in(&client.plan(scale(3)).await);
    let mut both = scale(4);
    both["plan"] = plan.into();
    assert!(client.refused(both).await.contains("give \"plan\" alone"));
    assert_eq!(client.questions, [""; 0]);
}

#[tokio::test]
async fn a_denied_resource_is_neither_changed_nor_carried_along() {
    let api = shop();
    let settings = Settings {
        denied_resources: vec![DeniedResource::try_from("secrets".to_owned()).expect("a resource")],
        ..full()
    };
    let mut client = client(&api, settings).await;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}});
    for arguments in [
        json!({"operation": "apply", "manifest": secret}),
        json!({"operation": "create", "manifest": secret}),
        json!({"operation": "delete", "kind": "secret", "name": "s", "namespace": "shop"}),
        json!({"operation": "apply", "manifest": {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "shop"}, "data": {"bundle": secret.to_string()}}}),
        json!({"operation": "patch", "kind": "configmaps", "name": "map", "namespace": "shop",
            "patch": [{"op": "add", "path": "/spec", "value": {"objects": [secret]}}]}),
    ] {
        let text = client.refused(arguments.clone()).await;
        assert!(text.contains("doesn't touch secrets"), "{arguments}: {text}");
    }
    assert!(api.sent().is_empty());
}
