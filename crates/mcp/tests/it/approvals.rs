//! Plans that come back, and whether somebody approved: in both eras, and whatever is tried with them.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
use mk8s_mcp_core::{plan::PlanKey, server::Options, settings::Settings};
use serde_json::{Value, json};

use crate::{
    api::Api,
    changes::{MAP, WEB, client, full, plan_in, scale, shop},
    support::{Client, identity},
};

/// A clock that goes when it is told to.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn options(&self) -> Options {
        let clock = self.clone();
        Options {
            plan_key: PlanKey::new([7; 32]),
            clock: Arc::new(move || {
                Timestamp::from_second(1_800_000_000 + clock.0.load(Ordering::SeqCst)).expect("a time")
            }),
            ..Options::default()
        }
    }
}

/// A client of the newer revision, which makes calls again with answers.
struct Rounds(Client);

impl Rounds {
    fn of(api: &Arc<Api>, options: Options, user: &str, groups: &[&str]) -> Self {
        Self(Client::with(api.clone(), full(), options, identity(user, groups)))
    }

    async fn call(&mut self, arguments: &Value, capabilities: Value, more: Value) -> Value {
        let mut params = json!({"name": "change", "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities}});
        for (key, value) in more.as_object().into_iter().flatten() {
            params[key] = value.clone();
        }
        let answer = self.0.ask("tools/call", params).await;
        answer["result"].clone()
    }

    async fn plan(&mut self, arguments: Value) -> Value {
        let result = self.call(&arguments, json!({}), json!({})).await;
        json!({"plan": plan_in(result["content"][0]["text"].as_str().expect("text"))})
    }

    /// The question about a plan.
    async fn question(&mut self, plan: &Value) -> Value {
        let result = self.call(plan, json!({"elicitation": {}}), json!({})).await;
        assert_eq!(result["resultType"], "input_required", "{result}");
        result
    }

    async fn answer(&mut self, plan: &Value, state: &Value, action: &str) -> (bool, String) {
        let more =
            json!({"requestState": state, "inputResponses": {"approve": {"action": action, "content": {}}}});
        let result = self.call(plan, json!({"elicitation": {}}), more).await;
        let text = result["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("no text: {result}")).to_owned();
        (result["isError"] == true, text)
    }
}

#[tokio::test]
async fn in_the_newer_revision_the_call_is_made_again_with_the_answer() {
    let api = shop();
    let mut rounds = Rounds::of(&api, Clock::default().options(), "anna", &[]);
    let plan = rounds.plan(scale(5)).await;
    let question = rounds.question(&plan).await;
    let asked = &question["inputRequests"]["approve"];
    assert_eq!(asked["method"], "elicitation/create", "{question}");
    let message = asked["params"]["message"].as_str().expect("a message");
    assert!(
        message.contains("An agent wants to scale") && message.contains("2 -> 5"),
        "{message}"
    );
    assert_eq!(asked["params"]["requestedSchema"]["type"], "object");
    assert_eq!(api.written(), [""; 0]);
    let (is_error, text) = rounds.answer(&plan, &question["requestState"], "accept").await;
    assert!(!is_error, "{text}");
    assert_eq!(api.object(WEB).expect("web")["spec"]["replicas"], 5);
    let said: Vec<_> = rounds
        .0
        .records
        .all()
        .iter()
        .map(|record| record.change.clone().expect("a change"))
        .collect();
    assert!(said.iter().all(|change| change.plan == said[0].plan));
    let approvals =
        serde_json::to_value(said.iter().map(|change| change.approval).collect::<Vec<_>>()).expect("JSON");
    assert_eq!(approvals, json!([null, "asked", "approved"]));
    // Neither the plan nor the answer is good twice.
    let (is_error, text) = rounds.answer(&plan, &question["requestState"], "accept").await;
    assert!(is_error && text.contains("used or refused already"), "{text}");
}

#[tokio::test]
async fn an_answer_is_to_one_question_of_one_user_alone() {
    let api = shop();
    let clock = Clock::default();
    let mut anna = Rounds::of(&api, clock.options(), "anna", &["devs"]);
    let [first, second] = [anna.plan(scale(5)).await, anna.plan(scale(7)).await];
    let question = anna.question(&first).await;
    let state = &question["requestState"];
    let (is_error, text) = anna.answer(&second, state, "accept").await;
    assert!(
        is_error && text.contains("isn't to a question about this"),
        "{text}"
    );
    for forged in [
        json!(""),
        json!("AAAA"),
        second["plan"].clone(),
        first["plan"].clone(),
    ] {
        let (is_error, text) = anna.answer(&first, &forged, "accept").await;
        assert!(
            is_error && text.contains("isn't to a question about this"),
            "{text}"
        );
    }
    // Somebody else, and herself with other groups, have neither plan nor answer.
    for (user, groups) in [
        ("berta", &["devs"][..]),
        ("anna", &[]),
        ("anna", &["devs", "ops"]),
    ] {
        let mut other = Rounds::of(&api, clock.options(), user, groups);
        let (is_error, text) = other.answer(&first, state, "accept").await;
        assert!(is_error && text.contains("no plan of yours"), "{text}");
        let own = other.plan(scale(5)).await;
        let (is_error, text) = other.answer(&own, state, "accept").await;
        assert!(
            is_error && text.contains("isn't to a question about this"),
            "{text}"
        );
    }
    // An answer that says nothing is no approval.
    let more = json!({"requestState": state, "inputResponses": {"other": {"action": "accept"}}});
    let result = anna.call(&first, json!({"elicitation": {}}), more).await;
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(api.written(), [""; 0]);
}

#[tokio::test]
async fn a_plan_that_was_declined_is_spent() {
    for action in ["decline", "cancel"] {
        let api = shop();
        let mut rounds = Rounds::of(&api, Clock::default().options(), "anna", &[]);
        let plan = rounds.plan(scale(5)).await;
        let question = rounds.question(&plan).await;
        let (is_error, text) = rounds.answer(&plan, &question["requestState"], action).await;
        assert!(is_error && text.contains("your user "), "{text}");
        let (is_error, text) = rounds.answer(&plan, &question["requestState"], "accept").await;
        assert!(is_error && text.contains("used or refused already"), "{text}");

        let mut older = client(&api, full()).await;
        older.says = Some(action);
        let plan = plan_in(&older.plan(scale(5)).await);
        assert!(older.refused(json!({"plan": plan})).await.contains("your user "));
        older.says = Some("accept");
        assert!(
            older
                .refused(json!({"plan": plan}))
                .await
                .contains("used or refused already")
        );
        assert_eq!((api.written().len(), older.questions.len()), (0, 1));
    }
}

#[tokio::test]
async fn who_cant_be_asked_hasnt_approved() {
    let api = shop();
    let anna = || identity("anna", &["devs"]);
    for capabilities in [
        json!({}),
        json!({"elicitation": {"url": {}}}),
        json!({"sampling": {}}),
    ] {
        let older = Client::with(api.clone(), full(), Options::default(), anna());
        let mut older = older.hello(capabilities.clone()).await;
        older.says = Some("accept");
        let plan = plan_in(&older.plan(scale(5)).await);
        let text = older.refused(json!({"plan": plan})).await;
        assert!(
            text.contains("can't ask them") && text.contains("kubectl"),
            "{text}"
        );
        let records = older.records.all();
        let change = serde_json::to_value(&records[1]).expect("JSON")["change"].clone();
        assert_eq!(change["approval"], "unasked");

        let mut newer = Rounds::of(&api, Options::default(), "anna", &["devs"]);
        let plan = newer.plan(scale(5)).await;
        // Not even with an answer.
        let more = json!({"requestState": "x", "inputResponses": {"approve": {"action": "accept"}}});
        let result = newer.call(&plan, capabilities, more).await;
        assert!(result.to_string().contains("can't ask them"), "{result}");
    }
    assert_eq!(api.written(), [""; 0]);
}

#[tokio::test]
async fn plans_and_questions_expire() {
    let api = shop();
    let clock = Clock::default();
    let mut rounds = Rounds::of(&api, clock.options(), "anna", &[]);
    let plan = rounds.plan(scale(5)).await;
    clock.pass(299);
    let question = rounds.question(&plan).await;
    clock.pass(1);
    let result = rounds.call(&plan, json!({"elicitation": {}}), json!({})).await;
    assert!(result.to_string().contains("the plan has expired"), "{result}");
    // Who was asked in time has time of their own.
    clock.pass(298);
    let (is_error, text) = rounds.answer(&plan, &question["requestState"], "accept").await;
    assert!(!is_error, "{text}");

    let plan = rounds.plan(scale(6)).await;
    let question = rounds.question(&plan).await;
    clock.pass(300);
    let (is_error, text) = rounds.answer(&plan, &question["requestState"], "accept").await;
    assert!(is_error && text.contains("came too late"), "{text}");
    assert_eq!(api.object(WEB).expect("web")["spec"]["replicas"], 5);
}

#[tokio::test]
async fn a_plan_that_was_changed_or_is_of_another_key_is_none() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let plan = plan_in(&client.plan(scale(5)).await);
    let mut changed = plan.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("text");
    for forged in [changed.as_str(), &plan[..plan.len() - 4], &format!("{plan}AAAA")] {
        assert!(
            client
                .refused(json!({"plan": forged}))
                .await
                .contains("no plan of yours")
        );
    }
    // Keys are random where nobody says one.
    let mut other = crate::changes::client(&api, full()).await;
    assert!(
        other
            .refused(json!({"plan": plan}))
            .await
            .contains("no plan of yours")
    );
    assert_eq!((api.written().len(), client.questions.len()), (0, 0));
}

#[tokio::test]
async fn a_plan_is_for_its_own_cluster() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let mut away = scale(5);
    away["cluster"] = "away".into();
    let plan = plan_in(&client.plan(away).await);
    let text = client.refused(json!({"plan": plan, "cluster": "home"})).await;
    assert!(
        text.contains("give \"operation\"") || text.contains("alone"),
        "{text}"
    );
    let (is_error, text) = client.call("change", json!({"plan": plan})).await;
    assert!(!is_error && text.contains("of cluster away"), "{text}");
}

#[tokio::test]
async fn an_object_that_changed_since_is_left_alone() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let touch = |api: &Api| {
        let mut web = api.object(WEB).expect("web");
        let version = web["metadata"]["resourceVersion"].clone();
        web["metadata"]["labels"] = json!({"touched": version});
        api.put(WEB, web);
    };
    let plan = plan_in(&client.plan(scale(5)).await);
    touch(&api);
    assert!(
        client
            .refused(json!({"plan": plan}))
            .await
            .contains("has changed since it was planned")
    );

    // It went, and another of its name came.
    let plan = plan_in(&client.plan(scale(5)).await);
    let web = api.object(WEB).expect("web");
    api.remove(WEB);
    assert!(
        client
            .refused(json!({"plan": plan}))
            .await
            .contains("has changed since")
    );
    api.put(WEB, web);
    assert!(
        client
            .refused(json!({"plan": plan}))
            .await
            .contains("has changed since")
    );

    // What was to be made is there by now.
    let create = json!({"operation": "create", "namespace": "shop", "manifest":
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"a": "b"}}});
    let plan = plan_in(&client.plan(create).await);
    api.put(
        "/api/v1/namespaces/shop/configmaps/new",
        api.object(MAP).expect("the map"),
    );
    assert!(
        client
            .refused(json!({"plan": plan}))
            .await
            .contains("has changed since")
    );
    assert_eq!((api.written().len(), client.questions.len()), (0, 0));

    // And while the user thinks about it.
    let mut rounds = Rounds::of(&api, Options::default(), "anna", &[]);
    let plan = rounds.plan(scale(5)).await;
    let question = rounds.question(&plan).await;
    touch(&api);
    let (is_error, text) = rounds.answer(&plan, &question["requestState"], "accept").await;
    assert!(is_error && text.contains("has changed since"), "{text}");
    assert_eq!(api.written(), [""; 0]);
}

#[tokio::test]
async fn whoever_writes_while_the_user_thinks_or_after_wins() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let touched = api.clone();
    client.meanwhile = Some(Box::new(move || {
        let mut web = touched.object(WEB).expect("web");
        web["spec"]["paused"] = true.into();
        touched.put(WEB, web);
    }));
    let plan = plan_in(&client.plan(scale(5)).await);
    let text = client.refused(json!({"plan": plan})).await;
    assert!(text.contains("has changed since it was planned"), "{text}");
    client.meanwhile = None;
    let create = json!({"operation": "create", "namespace": "shop", "manifest":
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"a": "b"}}});
    for arguments in [
        scale(6),
        json!({"operation": "patch", "kind": "deploy", "name": "web", "namespace": "shop",
            "patch": {"spec": {"replicas": 6}}}),
        json!({"operation": "delete", "kind": "deploy", "name": "web", "namespace": "shop"}),
        create,
    ] {
        let plan = plan_in(&client.plan(arguments.clone()).await);
        api.race();
        let text = client.refused(json!({"plan": plan})).await;
        assert!(
            text.contains("isn't as it was planned for"),
            "{arguments}: {text}"
        );
    }
    let web = api.object(WEB).expect("web");
    assert_eq!(
        (&web["spec"]["replicas"], &web["metadata"]["labels"]["theirs"]),
        (&json!(2), &json!("yes"))
    );
    // A JSON Patch has its own way to say that.
    let patch = json!({"operation": "patch", "kind": "deploy", "name": "web", "namespace": "shop",
        "patch": [{"op": "replace", "path": "/spec/replicas", "value": 6}]});
    let plan = plan_in(&client.plan(patch).await);
    api.race();
    client.refused(json!({"plan": plan})).await;
    assert_eq!(api.object(WEB).expect("web")["spec"]["replicas"], 2);
}

#[tokio::test]
async fn what_controllers_say_of_an_object_makes_no_plan_stale() {
    let api = shop();
    let mut client = client(&api, full()).await;
    let status = api.clone();
    let number = std::sync::atomic::AtomicU64::new(0);
    let churn = move || {
        let mut web = status.object(WEB).expect("web");
        web["status"] = json!({"readyReplicas": number.fetch_add(1, Ordering::SeqCst)});
        web["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "3"});
        status.put(WEB, web);
    };
    let plan = plan_in(&client.plan(scale(5)).await);
    churn();
    client.meanwhile = Some(Box::new(churn));
    let (is_error, text) = client.call("change", json!({"plan": plan})).await;
    assert!(!is_error, "{text}");
    assert_eq!(api.object(WEB).expect("web")["spec"]["replicas"], 5);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_has_minutes_and_the_call_has_not_less_time_for_it() {
    let api = shop();
    let settings = Settings {
        call_seconds: 5,
        approval_seconds: 40,
        ..full()
    };
    let mut client = client(&api, settings).await;
    client.says = None;
    let plan = plan_in(&client.plan(scale(5)).await);
    let begun = tokio::time::Instant::now();
    let text = client.refused(json!({"plan": plan})).await;
    assert!(text.contains("no answer in time"), "{text}");
    assert!(begun.elapsed().as_secs() >= 40, "{:?}", begun.elapsed());
    assert!(
        client
            .refused(json!({"plan": plan}))
            .await
            .contains("used or refused already")
    );
}
