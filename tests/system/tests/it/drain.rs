//! Central ends and comes back.

use std::time::{Duration, Instant};

use mk8s_testkit::{Cluster, Gateway, gateway::MAIN, raw::Connection, within};

/// Opens a watch and waits for its first event.
fn watch(gateway: &Gateway, namespace: &str) -> Connection {
    let path = gateway.kube_path(
        MAIN,
        &format!("/api/v1/namespaces/{namespace}/configmaps?watch=1"),
    );
    let token = gateway.admin().token();
    let mut connection = gateway.endpoint().connect().expect("central listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    connection.send(request.as_bytes()).expect("sent");
    let head = connection.head().expect("an answer");
    assert_eq!(head.status, 200);
    assert!(!connection.chunk().expect("an event").is_empty());
    connection
}

#[test]
fn asked_to_end_central_lets_requests_finish_and_cuts_what_never_would() {
    let (cluster, mut gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    let mut watch = watch(&gateway, namespace.name());
    // A request whose body is still on its way when the end is asked for.
    let path = gateway.kube_path(
        MAIN,
        &format!("/api/v1/namespaces/{}/configmaps", namespace.name()),
    );
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"late"}}"#;
    let token = gateway.admin().token();
    let mut request = gateway.endpoint().connect().expect("central listens");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    request.send(head.as_bytes()).expect("sent");
    request.send(&body.as_bytes()[..10]).expect("sent");
    std::thread::sleep(Duration::from_millis(300));

    gateway.central().terminate();
    let endpoint = gateway.endpoint();
    within(Duration::from_secs(10), "nobody new to be let in", || {
        let answer = endpoint.request("GET", "/readyz", &[], b"");
        answer.map_or(true, |answer| answer.status == 503).then_some(())
    });
    request
        .send(&body.as_bytes()[10..])
        .expect("the request may go on");
    let answer = request.response().expect("the request is answered");
    assert_eq!(answer.status, 201, "{}", answer.text());

    let asked = Instant::now();
    while watch.chunk().is_ok_and(|chunk| !chunk.is_empty()) {}
    let status = gateway.central().wait(Duration::from_secs(60));
    assert!(status.success(), "{status}");
    eprintln!("ended {:.1?} after the last request", asked.elapsed());
}

#[test]
fn a_new_central_has_its_agents_back_by_itself() {
    let mut gateway = Gateway::start();
    gateway.stop_central();
    gateway
        .admin()
        .kubectl(MAIN)
        .run(["get", "namespaces", "--request-timeout=5s"])
        .failed();
    gateway.start_central();
    gateway.connected(MAIN);
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();

    // A power cut is no different, and nobody has to log in again.
    gateway.kill_central();
    gateway.start_central();
    gateway.connected(MAIN);
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
}

#[test]
fn an_api_server_that_restarts_is_found_again() {
    let cluster = Cluster::own("restart", &[]);
    let mut gateway = Gateway::without_agents(mk8s_testkit::gateway::Settings::default());
    gateway.connect(MAIN, &cluster);
    let pid = i32::try_from(cluster.process("kube-apiserver"))
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a process id"), rustix::process::Signal::KILL)
        .expect("it runs");
    cluster.ready();
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
}
