//! What goes wrong in a list.

use std::sync::Arc;

use http::{Response, StatusCode};
use mk8s_net::Body;
use serde_json::{Value, json};

use crate::support::{
    Clusters, Store, breaking, broken, get, json_answer, names, object, refused, status, unreachable,
};

const AB: &[&str] = &["a", "b"];

async fn listed(b: Response<Body>) -> Response<Body> {
    let clusters = Clusters::default()
        .with("a", Store::new(1, &["x"]).answers())
        .scripted("b", [b]);
    mk8s_fleet::list(Arc::new(clusters), names(AB), get("/api/v1/pods")).await
}

#[tokio::test]
async fn a_failure_before_the_first_byte_is_the_answer() {
    let response = listed(unreachable("b")).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let (code, said) = refused(response).await;
    assert_eq!(
        (code, &said["message"]),
        (503, &json!("cluster b is disconnected"))
    );
    assert_eq!(said["reason"], "ServiceUnavailable");

    for (code, reason) in [
        (403, "Forbidden"),
        (404, "NotFound"),
        (410, "Expired"),
        (504, "Timeout"),
    ] {
        let (said_code, said) = refused(listed(status(code, reason, "no", &json!({}))).await).await;
        assert_eq!((said_code, &said["reason"]), (code, &json!(reason)));
        assert_eq!(said["message"], "cluster b: no");
        assert_eq!(
            said["details"]["causes"][0]["reason"], "x",
            "clients look at the causes"
        );
    }
}

#[tokio::test]
async fn a_failure_that_is_no_status_becomes_one() {
    let mut response = Response::new(Body::full("upstream connect error\n\0"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let (code, said) = refused(listed(response).await).await;
    assert_eq!(code, 503);
    let message = "cluster b answered 503 Service Unavailable: upstream connect error";
    assert_eq!(said["message"], message);

    let mut response = json_answer(breaking("{\"kind\":"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let (code, said) = refused(listed(response).await).await;
    assert_eq!(code, 500);
    assert!(
        said["message"]
            .as_str()
            .expect("message")
            .starts_with("cluster b answered 500")
    );
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_a_bad_gateway() {
    let redirect = Response::builder()
        .status(302)
        .body(Body::empty())
        .expect("response");
    let html = Response::new(Body::full("<html>"));
    let mut packed = json_answer(Body::full("\x1f\u{8b}"));
    packed
        .headers_mut()
        .insert("content-encoding", "gzip".parse().expect("value"));
    let odd = [
        redirect,
        html,
        packed,
        json_answer(Body::full("{}")),
        json_answer(Body::full("")),
        json_answer(Body::full("[]")),
        json_answer(Body::full(r#"{"kind":"Pod","metadata":{"name":"x"}}"#)),
        json_answer(Body::full(r#"{"kind":tru,"items":[]}"#)),
        json_answer(Body::full(
            r#"{"kind":"PodList","metadata":{"resourceVersion":7},"items":[]}"#,
        )),
        json_answer(Body::full(r#"{"kind":"PodList","rows":[]}"#)),
        json_answer(Body::full(r#"{"kind":"OtherList","items":[]}"#)),
        json_answer(breaking(r#"{"kind":"PodList","#)),
        json_answer(Body::full(format!(
            r#"{{"x":"{}","items":[]}}"#,
            "x".repeat(2 << 20)
        ))),
    ];
    for response in odd {
        let shown = format!("{response:?}");
        let (code, said) = refused(listed(response).await).await;
        assert_eq!(code, 502, "{shown}");
        let message = said["message"].as_str().expect("message");
        assert!(message.starts_with("cluster b"), "{message}");
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_later_never_looks_complete() {
    let x = object("x", "1");
    let head = r#"{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":["#;
    let odd = [
        breaking(&format!("{head}{x},")),
        breaking(&format!("{head}{x}]}}")),
        Body::full(format!("{head}{x}")),
        Body::full(format!("{head}{x}]")),
        Body::full(format!("{head}{x},]}}")),
        Body::full(format!("{head}{x} {x}]}}")),
        Body::full(format!("{head}{x}]}}{{")),
        Body::full(format!("{head}{x},7]}}")),
        Body::full(format!("{head}{x},{{\"metadata\":[]}}]}}")),
        Body::full(format!("{head}{x},{{\"a\":nul}}]}}")),
        Body::full(format!("{head}{x},{{\"a\":[}}]]}}")),
        Body::full(format!("{head}{x}],\"items\":[]}}")),
        Body::full([head.as_bytes(), b"{\"a\":\"\xff\"}]}"].concat()),
    ];
    for body in odd {
        let shown = format!("{body:?}");
        let response = listed(json_answer(body)).await;
        assert_eq!(response.status(), StatusCode::OK, "{shown}");
        let (text, why) = broken(response).await;
        assert!(why.starts_with("cluster b's list broke off"), "{why}");
        assert!(serde_json::from_slice::<Value>(&text).is_err(), "{shown}");
    }
}

#[tokio::test]
async fn no_cluster_is_no_list() {
    let clusters = Arc::new(Clusters::default());
    let (code, _) = refused(mk8s_fleet::list(clusters.clone(), vec![], get("/api/v1/pods")).await).await;
    assert_eq!(code, 404);
    let request = get("/api/v1/pods?watch=1");
    let (code, _) = refused(mk8s_fleet::watch(clusters, vec![], request).await).await;
    assert_eq!(code, 404);
}
