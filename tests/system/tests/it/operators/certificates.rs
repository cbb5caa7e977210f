//! Whose certificate lets whom in, and for how long.

use std::{process::Command, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mk8s_testkit::{Cluster, FrontProxy, Kubectl, Program, front_proxy::ClientFiles, raw::Response, within};
use mk8s_tls::{CertificateAuthority, ReloadingCertificate, Roots, authority::Terms};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A front proxy that sends nothing elsewhere, and the rights to look at namespaces for "anna".
struct Door {
    directory: tempfile::TempDir,
    proxy: FrontProxy,
}

impl Door {
    fn open() -> Self {
        let cluster = Cluster::for_one_at_a_time();
        let directory = tempfile::tempdir().expect("a directory");
        let account = FrontProxy::account(cluster, directory.path());
        cluster.kubectl().apply(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: front-proxy-viewers}\n\
             roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\n\
             subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: front-proxy-viewers}]\n",
        );
        Self {
            proxy: FrontProxy::start(&account, "reroutes: []"),
            directory,
        }
    }

    fn watch(&self, kubectl: &Kubectl) -> Program {
        let log = self.directory.path().join("watch.log");
        let watch = Program::start(
            "kubectl",
            &kubectl.command(["get", "namespaces", "--watch"]),
            &log,
        );
        within(Duration::from_secs(30), "the watch to have begun", || {
            watch.log().contains("kube-system").then_some(())
        });
        watch
    }

    fn wrote_that_a_watch_was_ended(&self) {
        within(Duration::from_secs(5), "the watch's end in the audit", || {
            let events = self.proxy.audit();
            events
                .iter()
                .any(|event| event["outcome"] == "ended")
                .then_some(())
        });
    }

    /// What becomes of somebody who shows this certificate: kubectl's error.
    #[track_caller]
    fn refused(&self, client: &ClientFiles) -> String {
        let ran = self
            .proxy
            .kubectl(client)
            .run(["get", "--raw", "/api/v1/namespaces"])
            .failed();
        ran.stderr
    }
}

/// One request with a certificate.
pub(super) fn request(
    proxy: &FrontProxy,
    client: &ClientFiles,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response {
    let certificate = ReloadingCertificate::from_files(&client.certificate, &client.key)
        .expect("a certificate and its key");
    let roots = Roots::Pem(proxy.authority().certificate_pem().into_bytes());
    let config =
        mk8s_tls::client::config(&roots, Some(certificate), &[b"http/1.1"]).expect("a configuration");
    let mut connection = proxy.endpoint().connect_with(config).expect("a connection");
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.send(format!("{text}\r\n").as_bytes()).expect("sent");
    connection.response().expect("an answer")
}

#[test]
fn common_name_and_organizations_are_user_and_groups() {
    let door = Door::open();
    let rows: &[(&str, &[&str])] = &[
        ("anna", &[]),
        ("anna", &["team-a"]),
        ("Doe, Jane", &["a, b", "Ärzte", "x=y"]),
        ("jane@example.com", &["one", "two", "three", "four"]),
    ];
    let log = Cluster::for_one_at_a_time().audit_log();
    for (user, groups) in rows {
        let kubectl = door.proxy.kubectl_as(user, groups);
        let said = kubectl.run(["auth", "whoami", "-o", "json"]).ok().json();
        let info = &said["status"]["userInfo"];
        let mut expected: Vec<&str> = groups.to_vec();
        expected.push("system:authenticated");
        assert_eq!(
            (&info["username"], &info["groups"]),
            (&(*user).into(), &serde_json::json!(expected))
        );
        let event = log.event("the person in the API server's log", |event| {
            event
                .impersonated_user
                .as_ref()
                .is_some_and(|person| person.username == *user)
        });
        assert!(event.user.username.ends_with(":mk8s-front-proxy"), "{event:?}");
    }
}

#[test]
fn a_name_of_kubernetes_own_lets_nobody_in() {
    let door = Door::open();
    // Made by hand: our own tools refuse to.
    for (at, subject) in [
        "/CN=system:admin",
        "/CN=anna/O=system:masters",
        "/CN=anna/O=team-a/O=System:Masters",
        "/O=team-a",
        "/CN=anna/CN=ben",
    ]
    .iter()
    .enumerate()
    {
        let client = by_hand(&door, at, subject);
        let before = door.proxy.metric("mk8s_certificates_refused_total");
        let error = door.refused(&client);
        assert!(error.contains("certificate"), "{subject}: {error}");
        assert!(
            door.proxy.metric("mk8s_certificates_refused_total") > before,
            "{subject}"
        );
    }
    assert!(!door.proxy.audit().iter().any(|event| event["stage"] == "open"));
}

/// A client certificate of the front proxy's authority, made with openssl.
fn by_hand(door: &Door, at: usize, subject: &str) -> ClientFiles {
    let path = |name: &str| door.directory.path().join(format!("{at}.{name}"));
    std::fs::write(path("ca.crt"), door.proxy.authority().certificate_pem()).expect("written");
    std::fs::write(path("ca.key"), door.proxy.authority().key_pem().as_bytes()).expect("written");
    std::fs::write(
        path("ext"),
        "extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n",
    )
    .expect("written");
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output();
        let output = output.expect("openssl; install it: apt-get install openssl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let text = |name: &str| path(name).display().to_string();
    run(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        &text("key"),
        "-out",
        &text("csr"),
        "-subj",
        subject,
    ]);
    run(&[
        "x509",
        "-req",
        "-in",
        &text("csr"),
        "-CA",
        &text("ca.crt"),
        "-CAkey",
        &text("ca.key"),
        "-days",
        "1",
        "-extfile",
        &text("ext"),
        "-out",
        &text("crt"),
    ]);
    ClientFiles {
        certificate: path("crt"),
        key: path("key"),
    }
}

#[test]
fn no_expired_foreign_or_wrong_certificate_lets_anybody_in() {
    let door = Door::open();
    let authority = door.proxy.authority();
    let now = Timestamp::now();
    let long_ago = now - SignedDuration::from_hours(72);
    let expired = authority.issue_user("anna", &[], &Terms::of(DAY), long_ago);
    let servers = authority.issue_server(&["anna".to_owned()], DAY, now);
    let strangers = CertificateAuthority::generate("test operators", now).expect("an authority");
    let foreign = strangers.issue_user("anna", &[], &Terms::of(DAY), now);
    for (what, issued) in [
        ("expired", expired),
        ("a server's", servers),
        ("foreign", foreign),
    ] {
        let client = door.proxy.client_files(&issued.expect("a certificate"));
        let before = door.proxy.metric("mk8s_handshakes_refused_total");
        // kubectl may have sent its request before it learns of it, and then says that the connection broke.
        door.refused(&client);
        assert!(
            door.proxy.metric("mk8s_handshakes_refused_total") > before,
            "{what}"
        );
    }
    // None at all. With TLS 1.3 a client learns of it when it reads.
    let answer = super::streams::nobody(&door.proxy).request("GET", "/version", &[], b"");
    assert!(answer.is_err(), "{answer:?}");
    let log = door.proxy.log();
    assert!(log.contains("nobody was let in"), "{log}");
}

#[test]
fn a_certificate_that_is_revoked_ends_its_holders_watches_and_lets_them_in_no_more() {
    let mut door = Door::open();
    let (anna, ben) = (
        door.proxy.certificate("anna", &["front-proxy-viewers"]),
        door.proxy.certificate("ben", &["front-proxy-viewers"]),
    );
    let mut watch = door.watch(&door.proxy.kubectl(&anna));
    door.proxy.revoke(&anna);
    within(Duration::from_secs(30), "the watch to end", || {
        (!watch.is_running()).then_some(())
    });
    let error = door.refused(&anna);
    assert!(error.contains("revoked"), "{error}");
    door.proxy.kubectl(&ben).run(["get", "namespaces"]).ok();
    door.wrote_that_a_watch_was_ended();
}

#[test]
fn a_certificates_end_is_the_end_of_its_holders_watches() {
    let door = Door::open();
    let client = door
        .proxy
        .certificate_for("anna", &["front-proxy-viewers"], Duration::from_secs(20));
    let mut watch = door.watch(&door.proxy.kubectl(&client));
    within(Duration::from_secs(40), "the watch to end", || {
        (!watch.is_running()).then_some(())
    });
    // Its last second belongs to it.
    within(Duration::from_secs(5), "its holder to be refused", || {
        let ran = door.proxy.kubectl(&client).run(["get", "--raw", "/version"]);
        (ran.code != Some(0)).then_some(())
    });
    door.wrote_that_a_watch_was_ended();
}

#[test]
fn what_a_client_says_of_itself_in_headers_counts_for_nothing() {
    let door = Door::open();
    let client = door.proxy.certificate("anna", &["team-a"]);
    let log = Cluster::for_one_at_a_time().audit_log();
    for headers in [
        &[("X-Remote-User", "root"), ("X-Remote-Group", "system:masters")][..],
        &[("Authorization", "Bearer abc")],
        &[("Connection", "Impersonate-User, Impersonate-Group")],
        &[("X-Forwarded-User", "root")],
    ] {
        let answer = request(
            &door.proxy,
            &client,
            "GET",
            "/api/v1/namespaces/default/pods",
            headers,
        );
        assert_eq!(answer.status, 403, "{headers:?}: {}", answer.text());
        assert!(
            answer.text().contains("\\\"anna\\\""),
            "{headers:?}: {}",
            answer.text()
        );
    }
    for headers in [
        &[("Impersonate-User", "root")][..],
        &[("Impersonate-Group", "system:masters")],
        &[("Impersonate-Uid", "0")],
        &[("Impersonate-Extra-Scopes", "all")],
        &[("impersonate-USER", "root")],
    ] {
        let answer = request(
            &door.proxy,
            &client,
            "GET",
            "/api/v1/namespaces/default/pods",
            headers,
        );
        assert!(
            (400..404).contains(&answer.status),
            "{headers:?}: {}",
            answer.text()
        );
    }
    let root = log.events(|event| {
        event
            .impersonated_user
            .as_ref()
            .is_some_and(|user| user.username == "root")
    });
    assert!(root.is_empty(), "{root:?}");
}
