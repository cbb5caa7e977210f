//! Google: the metadata server's token, then AccessSecretVersion.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    internet::{Answer, Asked, Internet},
    program::Program,
};

const SECRETS: &str = "secretmanager.googleapis.com";
const TOKEN: &str = "ya29.a-token-that-is-none";
const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const UNIVERSE_PATH: &str = "/computeMetadata/v1/universe/universe-domain";

fn auth() -> Value {
    json!({"method": "gcp-secret-manager", "secretId": "projects/a-project/secrets/keeper"})
}

fn program(auth: &Value) -> Program {
    let mut program = Program::new(auth);
    program.hide(TOKEN);
    // Nobody is there until a test says who.
    program.set("GCE_METADATA_HOST", &Internet::nowhere());
    program
}

/// On a node with a metadata server.
fn connect(program: &mut Program, internet: &Internet) {
    program.trust(&internet.authority);
    program.set("HTTPS_PROXY", &format!("http://{}", internet.address));
    program.set("GCE_METADATA_HOST", &internet.address.to_string());
}

/// The metadata server, if it is asked rightly.
fn metadata(asked: &Asked) -> Answer {
    if asked.header("metadata-flavor") != "Google" {
        return Answer::text(403, "text/html", "who are you?");
    }
    match asked.path.as_str() {
        TOKEN_PATH => Answer::json(
            200,
            &json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}),
        ),
        _ => Answer::text(404, "text/html", "not here"),
    }
}

fn payload(value: &str) -> Answer {
    let body = json!({
        "name": "projects/1/secrets/keeper/versions/3",
        "payload": {"data": BASE64_STANDARD.encode(value)},
    });
    Answer::json(200, &body)
}

fn refusal(status: u16, code: &str) -> Answer {
    let message = format!("a message that may quote {TOKEN}");
    Answer::json(
        status,
        &json!({"error": {"code": status, "message": message, "status": code}}),
    )
}

/// The metadata server as it should be, and Secret Manager with that answer.
fn cloud(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Internet {
    Internet::new(&[SECRETS], move |asked| match asked.host.as_str() {
        SECRETS => answer(),
        _ => metadata(asked),
    })
}

/// What was asked of Secret Manager.
fn calls(internet: &Internet) -> Vec<Asked> {
    let mut asked = internet.asked();
    asked.retain(|asked| asked.host == SECRETS);
    asked
}

#[test]
fn the_pods_identity_reads_the_newest_version() {
    let mut program = program(&auth());
    let config = program.configuration();
    let internet = cloud(move || payload(&config));
    connect(&mut program, &internet);
    program.run().is_right();

    let calls = calls(&internet);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(
        calls[0].path,
        "/v1/projects/a-project/secrets/keeper/versions/latest:access"
    );
    assert_eq!(calls[0].method, "GET");
    assert_eq!(calls[0].header("authorization"), format!("Bearer {TOKEN}"));
    for asked in internet.asked().iter().filter(|asked| asked.host != SECRETS) {
        assert!(
            [TOKEN_PATH, UNIVERSE_PATH].contains(&asked.path.as_str()),
            "{asked:?}"
        );
    }
}

#[test]
fn a_version_that_the_pod_names_is_that_which_is_read() {
    let id = "projects/a-project/secrets/keeper/versions/7";
    let mut program = program(&json!({"method": "gcp-secret-manager", "secretId": id}));
    let config = program.configuration();
    let internet = cloud(move || payload(&config));
    connect(&mut program, &internet);
    program.run().is_right();
    assert_eq!(calls(&internet)[0].path, format!("/v1/{id}:access"));
}

#[test]
fn what_secret_manager_refuses_is_said_by_its_code() {
    for (status, code, expected) in [
        (404, "NOT_FOUND", "check keeper.security/gcp-secret-id"),
        (403, "PERMISSION_DENIED", "roles/secretmanager.secretAccessor"),
        (401, "UNAUTHENTICATED", "doesn't take the pod's identity"),
        (400, "FAILED_PRECONDITION", "(FAILED_PRECONDITION)"),
        (418, "no code of theirs", "refuses"),
    ] {
        let mut program = program(&auth());
        let internet = cloud(move || refusal(status, code));
        connect(&mut program, &internet);
        program.run().says(&["Google's Secret Manager", expected]);
        assert_eq!(calls(&internet).len(), 1, "{code} is asked for again");
    }
}

#[test]
fn what_passes_is_tried_again() {
    for (status, code) in [(503, "UNAVAILABLE"), (429, "RESOURCE_EXHAUSTED")] {
        let mut program = program(&auth());
        let internet = cloud(move || refusal(status, code));
        connect(&mut program, &internet);
        program.run().says(&[code]);
        assert_eq!(calls(&internet).len(), 4, "{code}");
    }
}

#[test]
fn an_empty_secret_is_an_error() {
    let mut program = program(&auth());
    let internet = cloud(|| payload(""));
    connect(&mut program, &internet);
    program
        .run()
        .says(&["versions/latest in Google's Secret Manager is empty"]);
}

#[test]
fn an_answer_that_is_no_secret_is_not_shown() {
    for body in [TOKEN, "<html>", "{\"payload\": 7}", ""] {
        let mut program = program(&auth());
        let internet = cloud(move || Answer::text(200, "application/json", body));
        connect(&mut program, &internet);
        program.run().says(&["Google's Secret Manager"]);
    }
}

#[test]
fn a_metadata_server_without_an_identity_is_said() {
    for status in [403, 404] {
        let mut program = program(&auth());
        let internet = Internet::new(&[SECRETS], move |_| {
            Answer::text(status, "text/html", format!("no {TOKEN}"))
        });
        connect(&mut program, &internet);
        program.run().says(&[
            "the pod has no identity for Google's Secret Manager",
            &format!("HTTP {status}"),
        ]);
        assert!(calls(&internet).is_empty());
    }
}

#[test]
fn without_a_metadata_server_there_is_no_identity() {
    let program = program(&auth());
    program.run().says(&[
        "the pod has no identity for Google's Secret Manager",
        "the metadata server can't be reached (Connection refused)",
        "Workload Identity Federation",
    ]);
}

#[test]
fn an_unreachable_cloud_is_said() {
    let mut program = program(&auth());
    let internet = cloud(|| Answer::Silence);
    connect(&mut program, &internet);
    program.set("HTTPS_PROXY", &format!("http://{}", Internet::nowhere()));
    program
        .run()
        .says(&["can't reach Google's Secret Manager", "Connection refused"]);
}

#[test]
fn an_authority_that_the_pod_brings_is_believed() {
    let mut program = program(&auth());
    let config = program.configuration();
    let internet = cloud(move || payload(&config));
    connect(&mut program, &internet);
    program.bring(&internet.authority);
    program.run().is_right();
}

#[test]
fn an_untrusted_certificate_gets_no_token() {
    let mut program = program(&auth());
    let internet = cloud(|| Answer::Silence);
    program.set("HTTPS_PROXY", &format!("http://{}", internet.address));
    program.set("GCE_METADATA_HOST", &internet.address.to_string());
    program
        .run()
        .says(&["can't reach Google's Secret Manager", "certificate"]);
    assert!(calls(&internet).is_empty());
}

#[test]
fn a_cloud_that_hangs_is_left_after_ten_seconds() {
    let mut program = program(&auth());
    let internet = cloud(|| Answer::Silence);
    connect(&mut program, &internet);
    let ran = program.run();
    ran.says(&["Google's Secret Manager gave no whole answer within 10 s"]);
    assert!(ran.took.as_secs() >= 10, "{:?}", ran.took);
}

#[test]
fn a_metadata_server_that_hangs_is_left_after_ten_seconds() {
    let mut program = program(&auth());
    let internet = Internet::new(&[SECRETS], |_| Answer::Silence);
    connect(&mut program, &internet);
    program.run().says(&["gave no whole answer within 10 s"]);
}
