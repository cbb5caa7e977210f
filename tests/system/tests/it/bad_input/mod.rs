//! What must be refused, and how: with an answer that says what was wrong and what to do, and with nothing else happening.

mod agents;
mod configuration;
mod people;
mod requests;

use mk8s_testkit::{Gateway, Ran, gateway::MAIN, raw::Response};

/// Asks for something small of the main cluster with this `Authorization`.
fn ask(gateway: &Gateway, authorization: &str) -> Response {
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default");
    gateway
        .endpoint()
        .request("GET", &path, &[("Authorization", authorization)], b"")
        .expect("an answer")
}

/// That the answer is a Kubernetes `Status` of this code and reason; gives its message.
#[track_caller]
fn status(response: &Response, code: u16, reason: &str) -> String {
    assert_eq!(response.status, code, "{}", response.text());
    let status = response.json();
    assert_eq!(
        (&status["kind"], &status["code"], &status["reason"]),
        (&"Status".into(), &code.into(), &reason.into())
    );
    assert_eq!(status["status"], "Failure");
    status["message"].as_str().expect("a message").to_owned()
}

/// That the answer is a problem (RFC 9457) of this code; gives its text.
#[track_caller]
fn problem(response: &Response, code: u16) -> String {
    assert_eq!(response.status, code, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!(problem["status"], code);
    response.text()
}

/// That a program failed with one line for a person; gives the line.
#[track_caller]
fn one_line(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(1), "{ran}");
    let line = ran.stderr.trim();
    assert!(
        !line.contains('\n') && !line.contains("panicked"),
        "one line: {ran}"
    );
    line.to_owned()
}
