//! Which tools there are by which mode, and what they do in it: in the list, and at the call.

use mk8s_mcp_core::settings::{Mode, Settings};
use serde_json::{Value, json};

use crate::{
    changes::{WEB, client, plan_in, scale, shop},
    support::Client,
};

async fn names(client: &mut Client) -> Vec<String> {
    let answer = client.ask("tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().expect("tools");
    tools
        .iter()
        .map(|tool| {
            let changes =
                ["change", "exec", "port_forward"].contains(&tool["name"].as_str().expect("a name"));
            assert_eq!(tool["annotations"]["readOnlyHint"], !changes, "{tool}");
            assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
            tool["name"].as_str().expect("a name").to_owned()
        })
        .collect()
}

fn of(mode: Mode, dry_run: bool) -> Settings {
    Settings {
        mode,
        dry_run,
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_server_that_only_reads_has_no_tools_that_change_and_knows_none() {
    for dry_run in [false, true] {
        let api = shop();
        let mut client = client(&api, of(Mode::ReadOnly, dry_run)).await;
        assert_eq!(names(&mut client).await.len(), 9);
        let call = |name: &str| json!({"name": name, "arguments": scale(3)});
        let unknown = client.ask("tools/call", call("no_such_tool")).await["error"].clone();
        assert!(unknown.is_object());
        for tool in ["change", "exec", "port_forward"] {
            assert_eq!(
                client.ask("tools/call", call(tool)).await["error"],
                unknown,
                "{tool}"
            );
        }
        assert!(api.sent().is_empty());
    }
}

#[tokio::test]
async fn the_list_of_tools_depends_on_the_mode_and_the_machine() {
    for (mode, is_local, more) in [
        (Mode::ReadOnly, true, &[][..]),
        (Mode::NonDestructive, true, &["change", "exec", "port_forward"]),
        (Mode::Full, true, &["change", "exec", "port_forward"]),
        (Mode::Full, false, &["change", "exec"]),
    ] {
        let options = mk8s_mcp_core::server::Options {
            is_local,
            ..Default::default()
        };
        let anna = crate::support::identity("anna", &[]);
        let mut client = Client::with(shop(), of(mode, false), options, anna)
            .hello(json!({}))
            .await;
        assert_eq!(names(&mut client).await[9..], *more, "{mode:?} {is_local}");
    }
}

fn web(operation: &str) -> Value {
    json!({"operation": operation, "kind": "deploy", "name": "web", "namespace": "shop"})
}

fn with(mut arguments: Value, key: &str, value: Value) -> Value {
    arguments[key] = value;
    arguments
}

#[tokio::test]
async fn what_destroys_is_planned_in_full_mode_alone() {
    let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 1}});
    let fewer = json!({"spec": {"replicas": 0}});
    let fewer_as_json = json!([{"op": "replace", "path": "/spec/replicas", "value": 0}]);
    let apply = |manifest: &Value| json!({"operation": "apply", "manifest": manifest});
    let more = {
        let mut more = manifest.clone();
        more["spec"]["replicas"] = 3.into();
        more
    };
    for (arguments, destroys) in [
        (scale(3), false),
        (scale(2), false),
        (scale(1), true),
        (web("restart"), false),
        (web("pause"), false),
        (web("delete"), true),
        (with(web("patch"), "patch", fewer), true),
        (with(web("patch"), "patch", fewer_as_json), true),
        (
            with(web("patch"), "patch", json!({"metadata": {"labels": {"a": "b"}}})),
            false,
        ),
        (apply(&manifest), true),
        (apply(&more), false),
        (with(apply(&more), "force", true.into()), true),
    ] {
        for dry_run in [false, true] {
            let api = shop();
            let mut full = client(&api, of(Mode::Full, dry_run)).await;
            let (is_error, text) = full.call("change", arguments.clone()).await;
            assert!(!is_error, "{arguments}: {text}");
            let mut gentle = client(&api, of(Mode::NonDestructive, dry_run)).await;
            let (is_error, text) = gentle.call("change", arguments.clone()).await;
            assert_eq!(is_error, destroys, "{arguments}: {text}");
            assert_eq!(
                text.contains("mode non-destructive"),
                destroys,
                "{arguments}: {text}"
            );
            assert_eq!(api.written(), [""; 0]);
        }
    }
    let api = shop();
    let text = client(&api, of(Mode::NonDestructive, false))
        .await
        .refused(web("undo"))
        .await;
    assert!(text.contains("mode non-destructive"), "{text}");
}

#[tokio::test]
async fn a_server_that_only_shows_plans_applies_none_whoever_made_it() {
    let api = shop();
    let key = mk8s_mcp_core::plan::PlanKey::new([7; 32]);
    let mut clients = Vec::new();
    for dry_run in [false, true] {
        let options = mk8s_mcp_core::server::Options {
            plan_key: key.clone(),
            ..Default::default()
        };
        let anna = crate::support::identity("anna", &["devs"]);
        let client = Client::with(api.clone(), of(Mode::Full, dry_run), options, anna);
        let mut client = client.hello(json!({"elicitation": {}})).await;
        client.says = Some("accept");
        clients.push(client);
    }
    let [does, shows] = &mut *clients else {
        panic!("two")
    };
    let text = shows.plan(scale(5)).await;
    assert!(
        text.contains("2 -> 5") && text.contains("only shows plans"),
        "{text}"
    );
    let plan = plan_in(&does.plan(scale(5)).await);
    let text = shows.refused(json!({"plan": plan})).await;
    assert!(text.contains("only shows plans"), "{text}");
    assert_eq!((api.written().len(), shows.questions.len()), (0, 0));
    // The plan is good: another replica takes it.
    let (is_error, text) = does.call("change", json!({"plan": plan})).await;
    assert!(!is_error, "{text}");
    assert_eq!(api.object(WEB).expect("web")["spec"]["replicas"], 5);
}
