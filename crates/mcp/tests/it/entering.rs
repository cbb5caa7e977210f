//! Commands in containers and ports of pods: who may, what comes out, and when it ends.

use std::sync::{Arc, Mutex};

use mk8s_mcp_core::{
    principal::Principal,
    server::{Door, Options},
    settings::{Mode, Settings},
};
use mk8s_model::Identity;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    api::{Api, Within},
    changes::{client, full},
    support::{Client, Waiting, identity},
};

const POD: &str = "/api/v1/namespaces/shop/pods/p";

fn pods() -> Arc<Api> {
    let api = Api::new();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"containers": [{"name": "main"}, {"name": "side"}]}});
    api.put(POD, pod);
    api
}

fn exec(command: Value) -> Value {
    json!({"pod": "p", "namespace": "shop", "command": command})
}

fn ended(code: u8) -> (u8, Vec<u8>) {
    let status = match code {
        0 => json!({"status": "Success"}),
        code => json!({"status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
    };
    (3, status.to_string().into_bytes())
}

#[tokio::test]
async fn a_command_is_run_as_it_is_after_its_user_approved() {
    let api = pods();
    let hidden = format!("{:016x}", rand::random::<u64>());
    let out = format!("first\npassword={hidden}\nlast\n");
    api.within(Within::Says(vec![
        (1, out[..14].into()),
        (2, b"a complaint\n".into()),
        (1, out[14..].into()),
        ended(7),
    ]));
    let mut client = client(&api, full()).await;
    let (is_error, text) = client
        .call("exec", exec(json!(["sh", "-c", "a && b; c=d&container=side"])))
        .await;
    assert!(!is_error, "{text}");
    assert!(
        text.contains("container main") && text.contains("exit code 7"),
        "{text}"
    );
    assert!(
        !text.contains(&hidden) && text.contains("password=<redacted>"),
        "{text}"
    );
    let (out, errors) = (
        text.find("stdout").expect("stdout"),
        text.find("stderr").expect("stderr"),
    );
    assert!(
        text[out..errors].contains("first") && text[out..errors].contains("last"),
        "{text}"
    );
    assert!(text[errors..].contains("a complaint"), "{text}");
    let question = &client.questions[0];
    assert!(
        question.contains("An agent wants to run a command in pod p, container main")
            && question.contains("a && b"),
        "{question}"
    );
    assert_eq!(
        api.written(),
        [format!(
            "GET {POD}/exec?command=sh&command=-c&command=a%20%26%26%20b%3B%20c%3Dd%26container%3Dside&container=main&stdout=true&stderr=true"
        )]
    );
    let record = serde_json::to_value(&client.records.all()[0]).expect("JSON");
    assert_eq!(
        (&record["change"]["operation"], &record["change"]["approval"]),
        (&json!("exec"), &json!("approved"))
    );
}

#[tokio::test]
async fn each_command_is_approved_by_itself_or_not_run() {
    let api = pods();
    api.within(Within::Says(vec![ended(0)]));
    let mut client = client(&api, full()).await;
    for _ in 0..2 {
        assert!(!client.call("exec", exec(json!(["ls"]))).await.0);
    }
    assert_eq!((client.questions.len(), api.written().len()), (2, 2));
    for says in ["decline", "cancel"] {
        client.says = Some(says);
        let (is_error, text) = client.call("exec", exec(json!(["ls"]))).await;
        assert!(is_error && text.contains("your user "), "{text}");
    }
    assert_eq!(api.written().len(), 2);

    // In rounds: the answer to one command is none to another.
    let mut rounds = Client::with(api.clone(), full(), Options::default(), identity("anna", &[]));
    let call = |arguments: Value, state: Option<&Value>| {
        let mut params = json!({"name": "exec", "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}});
        if let Some(state) = state {
            params["requestState"] = state.clone();
            params["inputResponses"] = json!({"approve": {"action": "accept"}});
        }
        params
    };
    let asked = rounds.ask("tools/call", call(exec(json!(["ls"])), None)).await;
    let state = &asked["result"]["requestState"];
    assert!(state.is_string(), "{asked}");
    let other = rounds
        .ask("tools/call", call(exec(json!(["rm", "-r", "/"])), Some(state)))
        .await;
    assert!(other.to_string().contains("has changed since"), "{other}");
    let asked = rounds.ask("tools/call", call(exec(json!(["ls"])), None)).await;
    let state = &asked["result"]["requestState"];
    let ran = rounds
        .ask("tools/call", call(exec(json!(["ls"])), Some(state)))
        .await;
    assert!(ran.to_string().contains("exit code 0"), "{ran}");
    let again = rounds
        .ask("tools/call", call(exec(json!(["ls"])), Some(state)))
        .await;
    assert!(again.to_string().contains("used or refused already"), "{again}");
    // Another pod of that name has come.
    let asked = rounds.ask("tools/call", call(exec(json!(["ls"])), None)).await;
    let pod = api.object(POD).expect("the pod");
    api.remove(POD);
    api.put(POD, pod);
    let late = rounds
        .ask(
            "tools/call",
            call(exec(json!(["ls"])), Some(&asked["result"]["requestState"])),
        )
        .await;
    assert!(late.to_string().contains("has changed since"), "{late}");
    assert_eq!(api.written().len(), 3);
}

#[tokio::test]
async fn pods_are_entered_in_full_mode_alone() {
    for (mode, dry_run, said) in [
        (Mode::NonDestructive, false, "mode non-destructive"),
        (Mode::NonDestructive, true, "dryRun"),
        (Mode::Full, true, "dryRun"),
    ] {
        let api = pods();
        let settings = Settings {
            mode,
            dry_run,
            ..Settings::default()
        };
        let options = Options {
            is_local: true,
            ..Options::default()
        };
        let mut client = Client::with(api.clone(), settings, options, identity("anna", &[]));
        client = client.hello(json!({"elicitation": {}})).await;
        client.says = Some("accept");
        let forward = json!({"action": "start", "pod": "p", "namespace": "shop", "port": 80});
        for (tool, arguments) in [("exec", exec(json!(["ls"]))), ("port_forward", forward)] {
            let (is_error, text) = client.call(tool, arguments).await;
            assert!(
                is_error && text.contains(said),
                "{tool} {mode:?} {dry_run}: {text}"
            );
        }
        assert_eq!((api.written().len(), client.questions.len()), (0, 0));
    }
}

#[tokio::test]
async fn what_cant_be_a_command_is_refused_before_anybody_is_asked() {
    let api = pods();
    let mut client = client(&api, full()).await;
    let with = |key: &str, value: Value| {
        let mut arguments = exec(json!(["ls"]));
        arguments[key] = value;
        arguments
    };
    for (arguments, said) in [
        (exec(json!([])), "command is empty"),
        (exec(json!([""])), "command is empty"),
        (exec(json!("ls -l")), "expected a sequence"),
        (exec(json!(["a\0b"])), "NUL"),
        (exec(json!(vec!["x"; 65])), "more than 64 parts"),
        (exec(json!(["x".repeat(5_000)])), "or 4096 bytes"),
        (with("timeout", json!(0)), "give 1 to 300"),
        (with("timeout", json!(301)), "give 1 to 300"),
        (
            with("container", json!("other")),
            "no such container, but main, side",
        ),
        (with("stdin", json!(true)), "unknown field"),
        (with("pod", json!("p/exec?x=")), "no object's name"),
        (with("pod", json!("absent")), "NotFound"),
    ] {
        let (is_error, text) = client.call("exec", arguments.clone()).await;
        assert!(is_error && text.contains(said), "{arguments}: {text}");
    }
    api.withhold("get");
    api.withhold("create");
    let (is_error, text) = client.call("exec", exec(json!(["ls"]))).await;
    assert!(is_error && text.contains("pods/exec of p"), "{text}");
    assert_eq!((api.written().len(), client.questions.len()), (0, 0));
}

#[tokio::test]
async fn a_cancelled_command_is_left_at_once() {
    let api = pods();
    let waiting = Arc::new(Waiting::default());
    api.within(Within::Stays(waiting.clone()));
    let mut client = Client::with(api, full(), Options::default(), identity("anna", &[]));
    let mut params = json!({"name": "exec", "arguments": exec(json!(["sleep", "9999"])), "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}});
    let asked = client.ask("tools/call", params.clone()).await;
    params["requestState"] = asked["result"]["requestState"].clone();
    params["inputResponses"] = json!({"approve": {"action": "accept"}});
    let id = client.begin("tools/call", params).await;
    waiting.reach(1).await;
    client
        .tell("notifications/cancelled", json!({"requestId": id}))
        .await;
    waiting.reach(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_doesnt_end_is_left_after_its_time_and_not_the_calls() {
    let api = pods();
    let waiting = Arc::new(Waiting::default());
    api.within(Within::Stays(waiting.clone()));
    let settings = Settings {
        call_seconds: 2,
        ..full()
    };
    let mut client = client(&api, settings).await;
    let mut arguments = exec(json!(["sleep", "9999"]));
    arguments["timeout"] = 20.into();
    let (is_error, text) = client.call("exec", arguments).await;
    assert!(!is_error && text.contains("left alone after 20 s"), "{text}");
    waiting.reach(0).await;
}

/// Whoever it is told.
struct Somebody(Mutex<Identity>);

impl Door for Somebody {
    fn principal(&self, _: &rmcp::model::Extensions) -> Option<Principal> {
        Some(Principal::local(self.0.lock().expect("not poisoned").clone()))
    }
}

#[tokio::test]
async fn a_ports_session_is_its_users_alone_and_ends_when_it_is_stopped() {
    let api = pods();
    let door = Arc::new(Somebody(Mutex::new(identity("anna", &[]))));
    let options = Options {
        is_local: true,
        ..Options::default()
    };
    let client = Client::at(door.clone(), api.clone(), full(), options);
    let mut client = client.hello(json!({"elicitation": {}})).await;
    client.says = Some("accept");
    let start = json!({"action": "start", "pod": "p", "namespace": "shop", "port": 80});
    let (is_error, text) = client.call("port_forward", start.clone()).await;
    assert!(!is_error && text.contains("leads to port 80 of pod p"), "{text}");
    assert!(
        client.questions[0].contains("An agent wants a port of this machine"),
        "{:?}",
        client.questions
    );
    let local = text.split(' ').next().expect("an address").to_owned();
    assert!(local.starts_with("127.0.0.1:"), "{local}");
    let session = text.rsplit("session ").next().expect("an id").trim().to_owned();
    let mut buffer = [0; 5];
    let mut stream = TcpStream::connect(&local).await.expect("a connection");
    for said in [b"hello", b"again"] {
        stream.write_all(said).await.expect("written");
        stream.read_exact(&mut buffer).await.expect("read");
        assert_eq!(&buffer, said);
    }

    let stop = json!({"action": "stop", "session": session});
    *door.0.lock().expect("not poisoned") = identity("berta", &[]);
    let (_, text) = client.call("port_forward", json!({"action": "list"})).await;
    assert!(text.contains("0 sessions") && !text.contains(&local), "{text}");
    let (is_error, text) = client.call("port_forward", stop.clone()).await;
    assert!(is_error && text.contains("no such session of yours"), "{text}");
    stream.write_all(b"still").await.expect("written");
    stream.read_exact(&mut buffer).await.expect("read");

    *door.0.lock().expect("not poisoned") = identity("anna", &[]);
    let (_, text) = client.call("port_forward", json!({"action": "list"})).await;
    assert!(text.contains("1 session") && text.contains(&local), "{text}");
    let (is_error, text) = client.call("port_forward", stop).await;
    assert!(!is_error && text.starts_with("stopped: "), "{text}");
    assert_eq!(
        stream.read(&mut buffer).await.unwrap_or(0),
        0,
        "its connections end"
    );
    assert!(TcpStream::connect(&local).await.is_err());

    for _ in 0..8 {
        assert!(!client.call("port_forward", start.clone()).await.0);
    }
    let (is_error, text) = client.call("port_forward", start).await;
    assert!(is_error && text.contains("8 sessions"), "{text}");
}

#[tokio::test]
async fn a_session_leads_to_no_other_pod_of_that_name() {
    let api = pods();
    let options = Options {
        is_local: true,
        ..Options::default()
    };
    let client = Client::with(api.clone(), full(), options, identity("anna", &[]));
    let mut client = client.hello(json!({"elicitation": {}})).await;
    client.says = Some("accept");
    let start = json!({"action": "start", "pod": "p", "namespace": "shop", "port": 80});
    let (_, text) = client.call("port_forward", start.clone()).await;
    let local = text.split(' ').next().expect("an address").to_owned();
    let pod = api.object(POD).expect("the pod");
    api.remove(POD);
    api.put(POD, pod);
    let mut stream = TcpStream::connect(&local).await.expect("a connection");
    assert_eq!(stream.read(&mut [0; 5]).await.unwrap_or(0), 0);
    assert_eq!(api.written(), [""; 0]);
    let (_, text) = client.call("port_forward", json!({"action": "list"})).await;
    assert!(text.contains("0 sessions"), "{text}");
    for odd in [
        json!({"action": "start", "pod": "p", "namespace": "shop", "port": 0}),
        json!({"action": "start", "pod": "p", "namespace": "shop", "port": 70_000}),
        json!({"action": "start", "pod": "p", "namespace": "shop", "port": 80, "minutes": 9_999}),
        json!({"action": "start", "pod": "p", "namespace": "shop", "port": 80, "address": "0.0.0.0"}),
        json!({"action": "start"}),
        json!({"action": "stop"}),
        json!({"action": "restart"}),
    ] {
        let (is_error, text) = client.call("port_forward", odd.clone()).await;
        assert!(is_error, "{odd}: {text}");
    }
}
