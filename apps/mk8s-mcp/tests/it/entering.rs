//! Commands in containers and ports of pods, on a real cluster with a node.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use mk8s_testkit::{Cluster, Namespace, eventually};
use serde_json::{Value, json};

use crate::client::Client;

/// A pod that answers on a port, and runs what it is told to.
pub(crate) fn pod() -> Namespace {
    let namespace = Cluster::shared().namespace();
    let serve =
        "mkdir -p /tmp/www; echo from the pod > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";
    namespace.apply(
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
            "terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "localhost/mk8s/busybox:dev",
            "imagePullPolicy": "Never", "command": ["sh", "-c", serve]}]}})
        .to_string(),
    );
    eventually("the pod to run", || {
        let phase = namespace
            .kubectl()
            .run(["get", "pod", "p", "-o", "jsonpath={.status.phase}"]);
        (phase.text() == "Running").then_some(())
    });
    namespace
}

fn start(arguments: &[&str]) -> Client {
    let mut client = Client::start(Cluster::shared().kubeconfig(), arguments);
    client.says = Some("accept");
    client
}

fn exec(namespace: &Namespace, command: Value) -> Value {
    json!({"pod": "p", "namespace": namespace.name(), "command": command})
}

#[test]
fn a_command_runs_in_its_container_and_its_secrets_stay_there() {
    let namespace = pod();
    let mut client = start(&["--mode", "full"]);
    let hidden = uuid::Uuid::new_v4().simple().to_string();
    let script = format!("echo $HOSTNAME; echo password={hidden}; echo a complaint >&2; exit 3");
    let text = client.read("exec", exec(&namespace, json!(["sh", "-c", script])));
    assert!(text.contains("exit code 3"), "{text}");
    assert!(
        !text.contains(&hidden) && text.contains("password=<redacted>"),
        "{text}"
    );
    let (out, errors) = (
        text.find("stdout").expect("stdout"),
        text.find("stderr").expect("stderr"),
    );
    assert!(
        text[out..errors].contains("\np\n") && text[errors..].contains("a complaint"),
        "{text}"
    );

    // No shell reads it.
    let text = client.read(
        "exec",
        exec(&namespace, json!(["echo", "$HOSTNAME; id", "--help && ls"])),
    );
    assert!(
        text.contains("$HOSTNAME; id --help && ls") && text.contains("exit code 0"),
        "{text}"
    );
    let text = client.read("exec", exec(&namespace, json!(["/no/such/program"])));
    assert!(
        text.contains("without an exit code") || text.contains("exit code 1"),
        "{text}"
    );
    let text = client.read(
        "exec",
        exec(
            &namespace,
            json!(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"]),
        ),
    );
    assert!(
        text.contains("were left out") && text.len() < 60_000,
        "{} bytes",
        text.len()
    );
    let mut slow = exec(&namespace, json!(["sleep", "60"]));
    slow["timeout"] = 1.into();
    let text = client.read("exec", slow);
    assert!(text.contains("left alone after 1 s"), "{text}");
    assert_eq!(client.questions.len(), 5);

    // The requests are written down, too.
    let entered = |event: &&Value| event["stage"] == "open" && event.to_string().contains("/pods/p/exec");
    assert_eq!(client.audit().iter().filter(entered).count(), 5);

    client.says = Some("decline");
    let text = client.refused("exec", exec(&namespace, json!(["touch", "/tmp/declined"])));
    assert!(text.contains("your user declined"), "{text}");
    let listed = namespace.kubectl().run(["exec", "p", "--", "ls", "/tmp"]);
    assert!(!listed.text().contains("declined"), "{}", listed.text());
}

#[test]
fn a_port_leads_into_the_pod_until_it_is_stopped() {
    let namespace = pod();
    let mut client = start(&["--mode", "full"]);
    let start = json!({"action": "start", "pod": "p", "namespace": namespace.name(), "port": 8080});
    let text = client.read("port_forward", start);
    let local = text.split(' ').next().expect("an address").to_owned();
    let session = text.rsplit("session ").next().expect("an id").trim().to_owned();
    let fetch = || {
        let mut stream = TcpStream::connect(&local).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    // httpd may begin after its container.
    eventually("an answer from the pod", || {
        fetch().contains("from the pod").then_some(())
    });
    assert!(fetch().starts_with("HTTP/1."));
    let text = client.read("port_forward", json!({"action": "stop", "session": session}));
    assert!(text.starts_with("stopped: "), "{text}");
    assert!(TcpStream::connect(&local).is_err());
}
