//! `mk8s doctor front-proxy`, against TLS servers of this machine.

use std::{fs, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use mk8s_tls::{CertificateAuthority, ClientSubject, Issued, Roots, Terms, server::ClientAuth};
use serde_json::{Value, json};

use crate::{
    doctor::{Row, rows},
    fake_front_proxy::{Answers, Standing},
    sandbox::{Run, Sandbox},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOURS_OF_A_MONTH: i64 = 30 * 24;

/// An operator, and the authority of all certificates.
struct Operator {
    sandbox: Sandbox,
    authority: CertificateAuthority,
}

impl Operator {
    fn new() -> Self {
        let operator = Self {
            sandbox: Sandbox::new(),
            authority: CertificateAuthority::generate("operators", Timestamp::now()).expect("an authority"),
        };
        let pem = operator.authority.certificate_pem();
        fs::write(operator.sandbox.root().join("ca.crt"), pem).expect("written");
        let groups = ["dev".to_owned()];
        let now = Timestamp::now();
        let jane = operator
            .authority
            .issue_user("jane", &groups, &Terms::of(DAY * 30), now);
        operator.holds(&jane.expect("a certificate"));
        operator
    }

    fn holds(&self, issued: &Issued) {
        let file = |name: &str| self.sandbox.root().join(name);
        issued.save(&file("me.crt"), &file("me.key")).expect("written");
    }

    fn server(&self) -> Issued {
        let names = ["localhost".to_owned()];
        let issued = self.authority.issue_server(&names, DAY * 30, Timestamp::now());
        issued.expect("a certificate")
    }

    fn required(&self) -> ClientAuth {
        ClientAuth::Required(Roots::Certificates(vec![self.authority.certificate().clone()]))
    }

    fn healthy(&self, answers: Answers) -> Standing {
        Standing::start(&self.server(), &self.required(), answers)
    }

    fn doctor(&self, port: u16, host: &str) -> Run {
        let server = format!("https://{host}:{port}");
        self.sandbox.run(&[
            "doctor",
            "front-proxy",
            "--server",
            &server,
            "--ca",
            "ca.crt",
            "--certificate",
            "me.crt",
            "--key",
            "me.key",
            "-o",
            "json",
        ])
    }

    #[track_caller]
    fn findings(&self, standing: &Standing) -> Vec<Row> {
        findings(self.doctor(standing.port, "localhost"))
    }

    #[track_caller]
    fn finding(&self, standing: &Standing, status: &str, name: &str) -> Row {
        let mut findings = self.findings(standing);
        assert_eq!(findings.len(), 1, "{findings:?}");
        let row = findings.remove(0);
        assert_eq!(
            (row.status.as_str(), row.name.as_str()),
            (status, name),
            "{row:?}"
        );
        row
    }
}

#[track_caller]
fn findings(run: Run) -> Vec<Row> {
    rows(run).into_iter().filter(|row| row.status != "ok").collect()
}

fn who(user: &str, groups: &[&str]) -> (&'static str, u16, Value) {
    let info = json!({"username": user, "groups": groups});
    (
        "/apis/custom.api.local/v1/whoami",
        200,
        json!({"items": [{"userInfo": info}]}),
    )
}

fn namespaces(count: usize) -> (&'static str, u16, Value) {
    (
        "/api/v1/namespaces",
        200,
        json!({"items": vec![json!({}); count]}),
    )
}

fn fine() -> Answers {
    vec![who("jane", &["dev", "system:authenticated"]), namespaces(3)]
}

fn refusing(status: u16, message: &str) -> Answers {
    vec![("/", status, json!({"kind": "Status", "message": message}))]
}

#[test]
fn a_healthy_front_proxy_passes() {
    let operator = Operator::new();
    let standing = operator.healthy(fine());
    let rows = rows(operator.doctor(standing.port, "localhost"));
    assert!(rows.iter().all(|row| row.status == "ok"), "{rows:?}");
    let seen = |name: &str| rows.iter().find(|row| row.name == name).expect(name).seen.clone();
    assert_eq!(seen("client certificate"), "user jane, groups dev");
    assert!(seen("without a certificate").contains("refused"));
    assert!(seen("identity").contains("jane, in dev, system:authenticated"));
    assert_eq!(seen("namespaces"), "you see 3");
    assert_eq!(
        standing.asked(),
        ["GET /apis/custom.api.local/v1/whoami", "GET /api/v1/namespaces"]
    );
}

#[test]
fn server_and_certificate_are_found_in_a_context() {
    let operator = Operator::new();
    let standing = operator.healthy(fine());
    let data = |name: &str| STANDARD.encode(fs::read(operator.sandbox.root().join(name)).expect("there"));
    let view = |server: String, user: Value| {
        let config = json!({
            "clusters": [{"cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
            "users": [{"user": user}],
        });
        operator
            .sandbox
            .stub_kubectl(&format!("cat <<'JSON'\n{config}\nJSON"));
        operator
            .sandbox
            .run(&["doctor", "front-proxy", "--context", "proxy", "-o", "json"])
    };
    let user = json!({"client-certificate-data": data("me.crt"), "client-key-data": data("me.key")});
    let url = format!("https://localhost:{}", standing.port);
    let run = view(url.clone(), user.clone());
    assert!(rows(run).iter().all(|row| row.status == "ok"));
    let arguments = operator.sandbox.noted("arguments");
    assert_eq!(
        arguments,
        "--context=proxy\nconfig\nview\n--raw\n--minify\n--flatten\n-o\njson\n"
    );
    for (server, user, word) in [
        (url.clone(), json!({"token": "x"}), "no client certificate"),
        ("http://localhost:1".to_owned(), user.clone(), "no front proxy"),
        (format!("{url}/k8s/clusters/x"), user, "no front proxy"),
    ] {
        let found = findings(view(server, user));
        assert!(found.len() == 1 && found[0].seen.contains(word), "{found:?}");
    }
    operator
        .sandbox
        .stub_kubectl("echo 'error: context \"proxy\" does not exist' >&2; exit 1");
    let run = operator
        .sandbox
        .run(&["doctor", "front-proxy", "--context", "proxy", "-o", "json"]);
    assert!(findings(run)[0].seen.contains("does not exist"));
}

#[test]
fn nobody_listens_there() {
    let operator = Operator::new();
    let port = operator.healthy(Vec::new()).port;
    let found = findings(operator.doctor(port, "localhost"));
    assert!(found.len() == 1 && found[0].name == "server", "{found:?}");
}

#[test]
fn a_server_certificate_must_have_the_name_be_trusted_and_last() {
    let operator = Operator::new();
    let standing = operator.healthy(fine());
    let found = findings(operator.doctor(standing.port, "127.0.0.1"));
    assert!(
        found.len() == 1 && found[0].seen.contains("not for 127.0.0.1"),
        "{found:?}"
    );
    assert!(found[0].remedy.contains("--dns 127.0.0.1"), "{found:?}");

    let now = Timestamp::now();
    let other = CertificateAuthority::generate("operators", now).expect("an authority");
    let names = ["localhost".to_owned()];
    let foreign = other.issue_server(&names, DAY, now).expect("a certificate");
    let standing = Standing::start(&foreign, &operator.required(), fine());
    assert!(
        operator
            .finding(&standing, "fail", "server certificate")
            .seen
            .contains("no authority")
    );

    let issue = |from: Timestamp| {
        operator
            .authority
            .issue_server(&names, DAY * 30, from)
            .expect("a certificate")
    };
    let old = issue(now - SignedDuration::from_hours(HOURS_OF_A_MONTH + 1));
    let standing = Standing::start(&old, &operator.required(), fine());
    assert!(
        operator
            .finding(&standing, "fail", "server certificate")
            .seen
            .contains("expired")
    );
    let ending = issue(now - SignedDuration::from_hours(HOURS_OF_A_MONTH - 24));
    let standing = Standing::start(&ending, &operator.required(), fine());
    assert!(
        operator
            .finding(&standing, "warn", "server certificate")
            .seen
            .contains("ends soon")
    );
}

#[test]
fn a_server_that_lets_everybody_in_is_none() {
    let operator = Operator::new();
    let standing = Standing::start(&operator.server(), &ClientAuth::None, fine());
    let row = operator.finding(&standing, "fail", "without a certificate");
    assert!(row.seen.contains("404"), "{row:?}");
}

#[test]
fn a_certificate_that_isnt_let_in_is_told_by_the_servers_word() {
    let (operator, now) = (Operator::new(), Timestamp::now());
    let other = CertificateAuthority::generate("others", now).expect("an authority");
    let foreign = other.issue_user("jane", &[], &Terms::of(DAY * 30), now);
    operator.holds(&foreign.expect("a certificate"));
    let standing = operator.healthy(fine());
    let row = operator.finding(&standing, "fail", "with the certificate");
    assert!(
        row.seen.contains("alert") && row.remedy.contains("clients.ca_files"),
        "{row:?}"
    );
    assert!(standing.asked().is_empty());
}

#[test]
fn a_certificate_is_looked_at_before_it_is_shown() {
    let (operator, now) = (Operator::new(), Timestamp::now());
    let standing = operator.healthy(fine());
    let names = |row: &[Row]| row.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
    let user = |from: Timestamp| {
        operator
            .authority
            .issue_user("jane", &["dev".to_owned()], &Terms::of(DAY * 30), from)
    };

    operator.holds(&user(now - SignedDuration::from_hours(HOURS_OF_A_MONTH + 1)).expect("a certificate"));
    let found = operator.findings(&standing);
    assert_eq!(
        names(&found),
        ["its validity", "with the certificate"],
        "{found:?}"
    );
    operator.holds(&user(now - SignedDuration::from_hours(HOURS_OF_A_MONTH - 24)).expect("a certificate"));
    assert_eq!(names(&operator.findings(&standing)), ["its validity"]);

    let used = operator
        .authority
        .issue_server(&["jane".to_owned()], DAY * 30, now);
    operator.holds(&used.expect("a certificate"));
    let found = operator.findings(&standing);
    assert_eq!(names(&found)[..1], ["its use"], "{found:?}");

    let subject = |common_name: &str, organization: &str| ClientSubject {
        common_name: common_name.to_owned(),
        organizations: vec![organization.to_owned()],
        uri_sans: Vec::new(),
    };
    for (name, group) in [("system:admin", "dev"), ("jane", "system:masters")] {
        let reserved = operator
            .authority
            .issue_client(&subject(name, group), DAY * 30, now);
        operator.holds(&reserved.expect("a certificate"));
        let found = operator.findings(&standing);
        assert!(
            found[0].name == "client certificate" && found[0].seen.contains("reserved"),
            "{found:?}"
        );
    }

    fs::copy(
        operator.sandbox.root().join("ca.crt"),
        operator.sandbox.root().join("me.crt"),
    )
    .expect("copied");
    let found = operator.findings(&standing);
    assert!(
        found.len() == 1 && found[0].seen.contains("doesn't belong"),
        "{found:?}"
    );
}

#[test]
fn refusals_of_the_cluster_are_told_apart() {
    let operator = Operator::new();
    for (status, message, name, remedy) in [
        (
            403,
            "users \"jane\" is forbidden: User \"system:serviceaccount:mk8s-system:mk8s-front-proxy\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            "impersonation",
            "deploy/front-proxy/rbac.yaml",
        ),
        (
            403,
            "the certificate 01 was revoked at 2026-01-01T00:00:00Z",
            "with the certificate",
            "pki issue",
        ),
        (401, "Unauthorized", "with the certificate", "token"),
        (
            502,
            "the API server can't be reached",
            "with the certificate",
            "kubernetes",
        ),
    ] {
        let standing = operator.healthy(refusing(status, message));
        let row = operator.finding(&standing, "fail", name);
        assert!(
            row.seen.contains(message) && row.remedy.contains(remedy),
            "{row:?}"
        );
    }
}

#[test]
fn without_the_aggregated_api_the_cluster_says_who_one_is() {
    let operator = Operator::new();
    let review = (
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        201,
        json!({"status": {"userInfo": {"username": "jane", "groups": ["dev"]}}}),
    );
    let standing = operator.healthy(vec![review, namespaces(1)]);
    let row = operator.finding(&standing, "warn", "custom.api.local");
    assert!(row.remedy.contains("doctor apiserver"), "{row:?}");
    // RBAC refuses somebody with an odd name.
    let review = (
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        201,
        json!({"status": {"userInfo": {"username": "jane", "groups": ["dev"]}}}),
    );
    let forbidden =
        "whoami.custom.api.local is forbidden: User \"certificate-bot\" cannot list resource \"whoami\"";
    let whoami = (
        "/apis/custom.api.local/v1/whoami",
        403,
        json!({"message": forbidden}),
    );
    let standing = operator.healthy(vec![whoami, review, namespaces(1)]);
    let row = operator.finding(&standing, "warn", "custom.api.local");
    assert!(row.seen.contains("cannot list"), "{row:?}");
    // Somebody else in between.
    let standing = operator.healthy(vec![who("joe", &["dev"]), namespaces(1)]);
    operator.finding(&standing, "fail", "identity");
    let standing = operator.healthy(vec![who("jane", &[]), namespaces(0)]);
    let found = operator.findings(&standing);
    assert!(
        found[0].name == "identity" && found[1].seen == "you see none",
        "{found:?}"
    );
}

#[test]
fn answers_that_are_none_are_told_and_never_a_panic() {
    let operator = Operator::new();
    for body in [
        json!(null),
        json!([]),
        json!("x"),
        json!({"items": 7}),
        json!({"items": [{"userInfo": []}]}),
    ] {
        for status in [200, 201, 204, 301, 403, 500] {
            let standing = operator.healthy(vec![("/", status, body.clone())]);
            let run = operator.doctor(standing.port, "localhost");
            assert!(!findings(run).is_empty(), "{status} {body}");
        }
    }
}

#[test]
fn what_cant_be_meant_is_a_usage_error() {
    let operator = Operator::new();
    for more in [
        &["--server", "https://localhost:1"][..],
        &["--certificate", "me.crt", "--key", "me.key"],
        &["--server", "https://localhost:1", "--certificate", "me.crt"],
        &["--ca", "ca.crt"],
        &["--group", "dev"],
        &[
            "--server",
            "http://localhost:1",
            "--certificate",
            "me.crt",
            "--key",
            "me.key",
        ],
    ] {
        let run = operator.sandbox.run(&[&["doctor"], more].concat());
        assert_eq!(run.code, Some(2), "{more:?}: {run:?}");
    }
    let server = [
        "--server",
        "https://localhost:1",
        "--certificate",
        "me.crt",
        "--key",
        "nothing.key",
    ];
    operator
        .sandbox
        .run(&[&["doctor", "front-proxy"], &server[..]].concat())
        .fails(1)
        .says("nothing.key isn't there");
}
