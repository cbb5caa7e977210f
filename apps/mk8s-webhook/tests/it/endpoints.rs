//! What is at the port besides reviews.

use std::time::Duration;

use mk8s_testkit::eventually;

use crate::support::{Setup, Webhook, answer, message, pod, review};

#[test]
fn who_asks_whether_it_lives_is_told() {
    let webhook = Webhook::start();
    for path in ["/healthz", "/readyz"] {
        let response = webhook.get(path);
        assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{path}");
    }
}

#[test]
fn other_methods_and_paths_are_refused() {
    let webhook = Webhook::start();
    let ask = |method, path| {
        webhook
            .endpoint
            .request(method, path, &[], b"")
            .expect("an answer")
    };
    for (method, path, allow) in [
        ("GET", "/mutate", "POST"),
        ("PUT", "/mutate", "POST"),
        ("POST", "/readyz", "GET"),
    ] {
        let response = ask(method, path);
        assert_eq!((response.status, response.header("allow")), (405, Some(allow)));
        message(&response);
    }
    for path in ["/", "/validate", "/mutate/", "//mutate"] {
        assert_eq!(ask("GET", path).status, 404, "{path}");
    }
}

#[test]
fn answers_are_counted_by_what_became_of_the_pod() {
    let webhook = Webhook::start();
    let count =
        |result: &str| webhook.metric(&format!("mk8s_webhook_admissions_total{{result=\"{result}\"}}"));
    for result in ["injected", "unchanged", "skipped", "refused", "error"] {
        assert_eq!(count(result), 0.0, "{result}");
    }
    answer(&webhook.review(&review(&pod())));
    answer(&webhook.review(&review(&pod())));
    let mut plain = pod();
    plain["metadata"]["labels"] = serde_json::json!({});
    answer(&webhook.review(&review(&plain)));
    let mut refused = pod();
    refused["spec"]["containers"] = serde_json::json!([]);
    answer(&webhook.review(&review(&refused)));
    webhook.post(b"no review");
    assert_eq!((count("injected"), count("unchanged")), (2.0, 1.0));
    assert_eq!((count("refused"), count("error")), (1.0, 1.0));
    assert_eq!(
        webhook.metric("mk8s_webhook_admission_duration_seconds_count"),
        5.0
    );
    assert_eq!(webhook.metric("mk8s_webhook_leader"), 0.0);
    let not_after = webhook.metric("mk8s_webhook_certificate_not_after_seconds");
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let left = not_after - jiff::Timestamp::now().as_second() as f64;
    assert!((23.0 * 3600.0..24.5 * 3600.0).contains(&left), "{left}");
    let page = webhook.get("/metrics").text();
    for told in ["app\"", "default", "jane"] {
        assert!(!page.contains(told), "{told} is nobody's business:\n{page}");
    }
}

#[test]
fn it_stops_in_order_and_answers_until_it_is_out_of_use() {
    let mut webhook = Setup::new().start("shutdown: {pause: 2s, drain: 5s}");
    webhook.program.terminate();
    let unready = eventually("it to be unready", || {
        let response = webhook.get("/readyz");
        (response.status == 503).then_some(response)
    });
    assert!(message(&unready).contains("stopping"));
    assert_eq!(webhook.get("/healthz").status, 200);
    assert_eq!(
        answer(&webhook.review(&review(&pod())))["allowed"],
        true,
        "whoever hasn't heard"
    );
    let status = webhook.program.wait(Duration::from_secs(20));
    assert!(status.success(), "{status}");
    assert!(webhook.endpoint.connect().is_err());
}
