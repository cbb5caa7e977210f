//! What kubectl does with an API server works through the sidecar, and so do the details that clients depend on.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use mk8s_testkit::Cluster;

use super::{ALL, sidecar_with};

#[test]
fn a_pod_is_run_read_entered_copied_to_and_forwarded_to() {
    let (_namespace, sidecar) = sidecar_with(ALL);
    let kubectl = sidecar.kubectl();
    kubectl.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: localhost/mk8s/busybox:dev
      imagePullPolicy: Never
      command: [sh, -c, 'echo began; mkdir /www; echo page > /www/index.html; httpd -f -p 8080 -h /www']
",
    );
    kubectl
        .run(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"])
        .ok();
    assert_eq!(kubectl.run(["logs", "web"]).ok().text(), "began");
    assert_eq!(
        kubectl.run(["exec", "web", "--", "echo", "inside"]).ok().text(),
        "inside"
    );
    let piped = kubectl
        .run_with(["exec", "-i", "web", "--", "cat"], b"through\n")
        .ok();
    assert_eq!(piped.text(), "through");
    let failed = kubectl.run(["exec", "web", "--", "sh", "-c", "exit 7"]);
    assert_eq!(failed.code, Some(7));
    let file = sidecar.path("file");
    std::fs::write(&file, "copied").expect("write");
    kubectl
        .run(["cp", &file.display().to_string(), "web:/tmp/file"])
        .ok();
    assert_eq!(
        kubectl.run(["exec", "web", "--", "cat", "/tmp/file"]).ok().text(),
        "copied"
    );
    let page = format!(
        "/api/v1/namespaces/{}/pods/web:8080/proxy/index.html",
        sidecar.read("shared/namespace")
    );
    assert_eq!(sidecar.request("GET", &page, &[], b"").text().trim(), "page");
    kubectl.run(["delete", "pod", "web", "--wait=false"]).ok();
}

#[test]
fn applied_patched_scaled_and_watched_objects_are_the_api_servers_own() {
    let (namespace, sidecar) = sidecar_with(ALL);
    let kubectl = sidecar.kubectl();
    kubectl.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n");
    kubectl
        .run([
            "patch",
            "configmap",
            "c",
            "--type=merge",
            "-p",
            r#"{"data":{"a":"c"}}"#,
        ])
        .ok();
    kubectl
        .run(["create", "deployment", "d", "--image=none", "--replicas=0"])
        .ok();
    kubectl.run(["scale", "deployment", "d", "--replicas=0"]).ok();
    let here = kubectl.run(["get", "configmap", "c", "-o", "json"]).ok().json();
    let there = namespace
        .kubectl()
        .run(["get", "configmap", "c", "-o", "json"])
        .ok()
        .json();
    assert_eq!(here, there);
    let missing = kubectl.run(["get", "configmap", "none"]).failed();
    assert!(missing.stderr.contains("NotFound"), "{}", missing.stderr);
    let conflict = kubectl.run(["create", "configmap", "c"]).failed();
    assert!(conflict.stderr.contains("already exists"), "{}", conflict.stderr);
    let forbidden = kubectl.run(["get", "nodes"]).failed();
    assert!(
        forbidden.stderr.contains("system:serviceaccount"),
        "{}",
        forbidden.stderr
    );
    assert_eq!(
        kubectl.run(["auth", "can-i", "get", "configmaps"]).ok().text(),
        "yes"
    );
    assert_eq!(
        kubectl
            .run(["auth", "can-i", "get", "configmaps", "--namespace", "default"])
            .stdout
            .trim(),
        "no"
    );
}

#[test]
fn protobuf_tables_and_gzip_pass_as_they_are() {
    let (namespace, sidecar) = sidecar_with(ALL);
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let with = |name: &str, value: &str| sidecar.request("GET", &path, &[(name, value)], b"");
    let protobuf = with("Accept", "application/vnd.kubernetes.protobuf");
    assert!(protobuf.body.starts_with(b"k8s\0"));
    assert_eq!(
        protobuf.header("content-type"),
        Some("application/vnd.kubernetes.protobuf")
    );
    let table = with("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
    assert_eq!(table.json()["kind"], "Table");
    let missing = sidecar.request("GET", &format!("{path}/none"), &[], b"");
    assert_eq!(
        (missing.status, missing.json()["reason"].as_str()),
        (404, Some("NotFound"))
    );
    assert!(missing.header("audit-id").is_some());
}

#[test]
fn every_name_that_clients_have_for_the_api_server_is_in_the_certificate() {
    let (_namespace, sidecar) = sidecar_with(ALL);
    let mut endpoint = sidecar.endpoint();
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ] {
        endpoint.name = name.to_owned();
        endpoint
            .connect()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    endpoint.name = "example.com".to_owned();
    endpoint.connect().expect_err("no other name");
}

#[test]
fn nobody_reaches_it_from_the_network() {
    let (_namespace, sidecar) = sidecar_with(ALL);
    let port = sidecar.port();
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the loopback");
    let address: Ipv4Addr = Cluster::shared().host_address().parse().expect("an address");
    let refused = TcpStream::connect(SocketAddr::from((address, port))).expect_err("no other address");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn metrics_are_counted_by_method_resource_code_and_cluster() {
    let (namespace, mut sidecar) = super::prepared_with(ALL);
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    sidecar.set_variable("MCA_METRICS_PORT", &port.to_string());
    sidecar.start_again();
    let kubectl = sidecar.kubectl();
    kubectl.run(["create", "configmap", "counted"]).ok();
    kubectl.run(["get", "configmap", "none"]).failed();
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    sidecar
        .endpoint()
        .request("GET", &path, &[], b"")
        .expect("an answer");
    let page = page(port);
    for line in [
        r#"mca_requests_total{method="POST",resource="configmaps",cluster="local",code="201"} 1"#,
        r#"mca_requests_total{method="GET",resource="configmaps",cluster="local",code="404"} 1"#,
        r#"mca_request_duration_seconds_count{method="POST",resource="configmaps",cluster="local"} 1"#,
        "mca_unauthorized_total 1",
        "mca_routes_current 1",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    assert!(
        !page.contains(namespace.name()),
        "no label names a namespace or an object"
    );
    assert!(page.contains("mca_connections "));
}

#[test]
fn a_pod_that_asks_too_often_is_told_when_to_come_again() {
    let (namespace, mut sidecar) = super::prepared_with(ALL);
    sidecar.set_variable("MCA_QPS", "1");
    sidecar.set_variable("MCA_BURST", "3");
    sidecar.start_again();
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let answers: Vec<_> = (0..6).map(|_| sidecar.request("GET", &path, &[], b"")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!((2..=3).contains(&refused.len()), "{} refused", refused.len());
    assert_eq!(refused[0].header("retry-after"), Some("1"));
    assert_eq!(refused[0].json()["reason"], "TooManyRequests");
    // A client that does as it is told gets through.
    sidecar.kubectl().run(["get", "configmaps"]).ok();
}

/// A page in the clear.
fn page(port: u16) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the metrics' port");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("asked");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    page
}
