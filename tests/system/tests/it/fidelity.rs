//! The same bytes: what the API server answers, in every form that clients ask for, comes out of the gateway unchanged.

use mk8s_testkit::{
    Cluster, Gateway,
    gateway::{ADMIN, MAIN},
    raw::{Endpoint, Response},
};
use serde_json::json;

/// The two ways to ask one API server in one person's name.
struct Doors {
    direct: Endpoint,
    direct_token: String,
    gateway: Gateway,
    gateway_token: String,
}

impl Doors {
    fn open() -> Self {
        let gateway = Gateway::start();
        let cluster = Cluster::shared();
        let admin = cluster.kubectl().in_namespace("mk8s-system");
        let direct_token = admin
            .run(["create", "token", "mk8s-agent"])
            .ok()
            .text()
            .to_owned();
        let gateway_token = gateway.admin().token();
        Self {
            direct: direct(cluster),
            direct_token,
            gateway,
            gateway_token,
        }
    }

    fn directly(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let authorization = format!("Bearer {}", self.direct_token);
        let impersonation = [
            ("Authorization", authorization.as_str()),
            ("Impersonate-User", ADMIN),
            ("Impersonate-Group", "mk8s:admin"),
        ];
        let answer = self
            .direct
            .request(method, path, &[headers, &impersonation].concat(), body);
        answer.expect("an answer of the API server")
    }

    fn through(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let authorization = format!("Bearer {}", self.gateway_token);
        let headers = [headers, &[("Authorization", authorization.as_str())]].concat();
        let answer =
            self.gateway
                .endpoint()
                .request(method, &self.gateway.kube_path(MAIN, path), &headers, body);
        answer.expect("an answer of the gateway")
    }
}

/// The API server's own address.
fn direct(cluster: &Cluster) -> Endpoint {
    let authority = cluster.server().trim_start_matches("https://");
    let address: std::net::SocketAddr = authority.parse().expect("an address");
    Endpoint {
        address,
        name: address.ip().to_string(),
        ca_pem: cluster.ca_pem().into_bytes(),
    }
}

/// Method, path, headers, and the status that both answer.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

/// Headers that are about this one request or this one connection.
fn comparable(response: &Response) -> Vec<(String, String)> {
    let own = [
        "audit-id",
        "date",
        "connection",
        "transfer-encoding",
        "content-length",
    ];
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| !own.contains(&name.as_str()));
    headers.sort();
    headers
}

#[test]
fn every_form_of_an_answer_is_the_same() {
    let doors = Doors::open();
    let namespace = Cluster::shared().namespace();
    let text = "x".repeat(300_000);
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"text": text}});
    namespace.apply(&body.to_string());
    let core = format!("/api/v1/namespaces/{}", namespace.name());
    let configmaps = format!("{core}/configmaps");
    // At one version, which what happens elsewhere in the cluster doesn't change.
    let now = doors.directly("GET", &configmaps, &[], b"").json();
    let version = now["metadata"]["resourceVersion"]
        .as_str()
        .expect("a list has a version");
    let list = format!("{configmaps}?resourceVersion={version}&resourceVersionMatch=Exact");
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let rows: &[Row<'_>] = &[
        ("GET", &list, &[("Accept", "application/json")], 200),
        ("GET", &list, &[("Accept", "application/yaml")], 200),
        ("GET", &list, &[("Accept", "application/cbor")], 406),
        (
            "GET",
            &list,
            &[("Accept", "application/vnd.kubernetes.protobuf")],
            200,
        ),
        ("GET", &list, &[("Accept", table)], 200),
        ("GET", &list, &[("Accept", partial)], 200),
        (
            "GET",
            &list,
            &[("Accept", "application/json"), ("Accept-Encoding", "gzip")],
            200,
        ),
        ("GET", &list, &[("Accept", "image/png")], 406),
        ("HEAD", &format!("{configmaps}/large"), &[], 405),
        ("GET", &format!("{configmaps}/none"), &[], 404),
        (
            "GET",
            &format!("{configmaps}?limit=1&continue=nonsense"),
            &[],
            400,
        ),
        (
            "POST",
            &format!("{configmaps}/large"),
            &[("Content-Type", "application/json")],
            405,
        ),
        (
            "PUT",
            &format!("{configmaps}/large"),
            &[("Content-Type", "image/png")],
            415,
        ),
        ("GET", "/apis/none.example.com/v1/things", &[], 404),
        ("GET", "/api/v1/nonsense", &[], 404),
        ("GET", "/openapi/v3/api/v1", &[("Accept-Encoding", "gzip")], 200),
        (
            "GET",
            "/openapi/v2",
            &[(
                "Accept",
                "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
            )],
            200,
        ),
        ("GET", "/metrics", &[], 200),
        ("GET", "/livez?verbose", &[], 200),
        ("GET", "/version", &[], 200),
    ];
    for (method, path, headers, status) in rows {
        let (direct, through) = (
            doors.directly(method, path, headers, b""),
            doors.through(method, path, headers, b""),
        );
        let what = format!("{method} {path} {headers:?}");
        assert_eq!(direct.status, *status, "directly: {what}: {}", direct.text());
        assert_eq!(through.status, direct.status, "{what}: {}", through.text());
        assert_eq!(comparable(&through), comparable(&direct), "{what}");
        // The API server counts between the two questions.
        if *path != "/metrics" {
            assert!(
                through.body == direct.body,
                "{what}: the bodies differ: {} {}",
                direct.text(),
                through.text()
            );
        }
    }
}

#[test]
fn an_unchanged_document_is_not_sent_again() {
    let doors = Doors::open();
    let first = doors.through("GET", "/openapi/v2", &[], b"");
    let tag = first.header("etag").expect("the document has a tag").to_owned();
    let unless = [("If-None-Match", tag.as_str())];
    for answer in [
        doors.directly("GET", "/openapi/v2", &unless, b""),
        doors.through("GET", "/openapi/v2", &unless, b""),
    ] {
        assert_eq!(answer.status, 304);
        assert!(answer.body.is_empty());
    }
}

#[test]
fn warnings_conflicts_and_retry_after_come_through() {
    let doors = Doors::open();
    let cluster = Cluster::shared();
    let (ours, theirs) = (cluster.namespace(), cluster.namespace());
    // An eviction that a disruption budget forbids is answered 429.
    for namespace in [&ours, &theirs] {
        namespace.apply(
            "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: keep}\n\
             spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\n\
             spec: {terminationGracePeriodSeconds: 1, containers: [{name: web, image: localhost/mk8s/busybox:dev, imagePullPolicy: Never}]}",
        );
        namespace
            .kubectl()
            .run(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"])
            .ok();
        mk8s_testkit::eventually("the budget to have counted the pod", || {
            let healthy = "jsonpath={.status.currentHealthy}";
            (namespace
                .kubectl()
                .run(["get", "poddisruptionbudget", "keep", "-o", healthy])
                .text()
                == "1")
                .then_some(())
        });
    }
    let json = [("Content-Type", "application/json")];
    let ask = |path: &str, headers: &[(&str, &str)], body: &serde_json::Value| {
        let body = body.to_string().into_bytes();
        let direct = doors.directly("POST", &path.replace("NAMESPACE", ours.name()), headers, &body);
        let through = doors.through("POST", &path.replace("NAMESPACE", theirs.name()), headers, &body);
        (direct, through)
    };
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}});
    let pods = "/api/v1/namespaces/NAMESPACE/pods";
    let warned =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "colour": "green"});
    let invalid = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "no_name"}, "spec": {"containers": []}});
    let rows = [
        (format!("{pods}/web/eviction"), &eviction, 429),
        (pods.to_owned(), &invalid, 422),
        (
            "/api/v1/namespaces/NAMESPACE/configmaps?fieldValidation=Warn".to_owned(),
            &warned,
            201,
        ),
        ("/api/v1/namespaces/NAMESPACE/configmaps".to_owned(), &warned, 409),
    ];
    for (path, body, status) in rows {
        let (direct, through) = ask(&path, &json, body);
        assert_eq!(
            (direct.status, through.status),
            (status, status),
            "{path}: {} {}",
            direct.text(),
            through.text()
        );
        assert_eq!(comparable(&through), comparable(&direct), "{path}");
        if status >= 400 {
            assert_eq!(
                through.text().replace(theirs.name(), "N"),
                direct.text().replace(ours.name(), "N"),
                "{path}"
            );
        } else {
            assert!(
                through
                    .header("warning")
                    .is_some_and(|warning| warning.contains("colour")),
                "{:?}",
                through.headers
            );
        }
    }
}
