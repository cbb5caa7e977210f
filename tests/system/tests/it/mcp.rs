//! An AI agent behind central: `mk8s mcp` with a person's own login.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Stdio},
};

use mk8s_testkit::{
    Cluster, Gateway, User,
    gateway::{MAIN, Settings},
};
use serde_json::{Value, json};

/// `mk8s mcp` as somebody, and a client of it.
struct Agent {
    child: Child,
    from: BufReader<ChildStdout>,
    next: u64,
}

impl Agent {
    fn of(user: &User, arguments: &[&str]) -> Self {
        let mut child = user
            .command(arguments)
            .env("HOME", user.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("mk8s");
        let from = BufReader::new(child.stdout.take().expect("its output"));
        let mut agent = Self { child, from, next: 0 };
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        agent.ask("initialize", &hello);
        agent.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        agent
    }

    fn write(&mut self, message: &Value) {
        let to = self.child.stdin.as_mut().expect("its input");
        writeln!(to, "{message}").expect("written");
    }

    #[track_caller]
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}));
        let mut line = String::new();
        assert!(self.from.read_line(&mut line).expect("a line") > 0, "it ended");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Whether the call failed, and what it says.
    #[track_caller]
    fn call(&mut self, tool: &str, arguments: &Value) -> (bool, String) {
        let answer = self.ask("tools/call", &json!({"name": tool, "arguments": arguments}));
        let text = answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("no text: {answer}"));
        (answer["result"]["isError"] == true, text.to_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_agent_reads_in_its_persons_name_with_their_roles() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    let log = cluster.audit_log();
    let developer = gateway.user("dev@example.com", &["developer"]);
    let mut agent = Agent::of(&developer, &["mcp"]);

    let (is_error, text) = agent.call("clusters", &json!({}));
    assert!(
        !is_error && text.contains(MAIN) && text.contains(cluster.kubernetes_version()),
        "{text}"
    );
    let (is_error, text) = agent.call("get", &json!({"kind": "pods", "namespace": namespace.name()}));
    assert!(!is_error, "{text}");
    let path = format!("/api/v1/namespaces/{}/pods?limit=500", namespace.name());
    let event = log.event("the agent's list", |event| event.request_uri == path);
    let person = event.impersonated_user.expect("in somebody's name");
    assert_eq!(person.username, "dev@example.com");
    assert!(
        person.groups.contains(&"mk8s:developer".to_owned()),
        "{:?}",
        person.groups
    );
    assert!(event.user_agent.starts_with("mk8s-mcp/"), "{}", event.user_agent);

    // Central's roles decide before the cluster's own.
    let (is_error, text) = agent.call("get", &json!({"kind": "secrets", "namespace": namespace.name()}));
    assert!(
        is_error && text.contains("403") && text.contains("your role (developer)"),
        "{text}"
    );
    let (is_error, text) = agent.call("get", &json!({"kind": "pods", "cluster": "elsewhere"}));
    assert!(is_error && text.contains("no such cluster for you"), "{text}");
}

#[test]
fn an_agent_asks_all_clusters_behind_central_at_once() {
    let (first, second) = (Cluster::shared(), Cluster::second());
    let mut gateway = Gateway::without_agents(Settings::default());
    gateway.connect("dev-first", first);
    gateway.connect("dev-second", second);
    let admin = gateway.admin();
    let mut agent = Agent::of(admin, &["mcp"]);
    let (is_error, text) = agent.call(
        "get",
        &json!({"kind": "namespaces", "cluster": "*", "output": "names"}),
    );
    assert!(
        !is_error && text.contains("cluster dev-first") && text.contains("cluster dev-second"),
        "{text}"
    );
    // Nobody chose one, and so none is guessed.
    let (is_error, text) = agent.call("get", &json!({"kind": "namespaces"}));
    assert!(is_error && text.contains("there are 2 clusters"), "{text}");
    // An agent's cluster that went away is told beside the other's answer.
    gateway.agent("dev-second").kill();
    gateway.disconnected("dev-second");
    let (is_error, text) = agent.call(
        "get",
        &json!({"kind": "namespaces", "cluster": "*", "output": "names"}),
    );
    assert!(
        !is_error && text.contains("kube-system") && text.contains("cluster dev-second is disconnected"),
        "{text}"
    );
}

#[test]
fn an_agent_outlives_its_tokens_but_not_its_login() {
    let gateway = Gateway::start();
    let developer = gateway.user("dev@example.com", &["developer"]);
    let mut agent = Agent::of(&developer, &["--cluster", MAIN, "mcp"]);
    assert!(
        !agent
            .call("get", &json!({"kind": "pods", "namespace": "default"}))
            .0
    );
    developer.mk8s(["logout"]).ok();
    // The token that was lent is revoked with the session; another isn't lent.
    let (is_error, text) = agent.call("get", &json!({"kind": "pods", "namespace": "default"}));
    assert!(is_error && text.contains("credential plugin"), "{text}");
}
