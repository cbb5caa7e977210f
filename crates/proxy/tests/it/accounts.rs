//! Every request is written down before it leaves, and once when it ended, with how.

use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use mk8s_model::Outcome;
use mk8s_net::Body;
use tokio::sync::{mpsc, watch};

use crate::support::{
    ApiServer, Gateway, HTTP1, HTTP2, Way, Written, answer, body_text, get, handler, pipe, post, request,
    status_json,
};

#[tokio::test]
async fn an_event_is_written_down_before_the_cluster_sees_anything() {
    for way in Way::BOTH {
        let api = ApiServer::start(answer("ok")).await;
        let gateway = Gateway::on(&api, way).await;
        let mut client = gateway.client(HTTP2).await;
        for _ in 0..3 {
            body_text(client.send(get("/api/v1/pods")).await).await;
        }
        gateway.log.closed(3).await;
        let seen_by_then: Vec<_> = gateway
            .log
            .written()
            .iter()
            .filter_map(|entry| match entry {
                Written::Open { cluster_had_seen, .. } => Some(*cluster_had_seen),
                Written::Close(_) => None,
            })
            .collect();
        assert_eq!(seen_by_then, [0, 1, 2]);
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    for alpn in [HTTP1, HTTP2] {
        let api = ApiServer::start(answer("never")).await;
        let gateway = Gateway::before(&api).await;
        gateway.log.refuse();
        for method in [Method::GET, Method::POST] {
            let asked = request(method, "/api/v1/namespaces/n/pods", Body::full("{}"));
            let response = gateway.client(alpn).await.send(asked).await;
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
            let status = status_json(response).await;
            assert!(
                status["message"]
                    .as_str()
                    .expect("text")
                    .contains("the disk is full"),
                "{status}"
            );
        }
        assert_eq!(api.connections(), 0);
    }
}

#[tokio::test]
async fn the_first_half_says_who_what_and_why() {
    let api = ApiServer::start(answer("ok")).await;
    let gateway = Gateway::before(&api).await;
    body_text(
        gateway
            .client(HTTP2)
            .await
            .send(get("/apis/apps/v1/namespaces/n/deployments/d/scale"))
            .await,
    )
    .await;
    let (open, _) = gateway.log.only().await;
    assert_eq!(open.user, "jane@example.com");
    assert_eq!(open.groups, ["mk8s:dev", "mk8s:ops"]);
    assert_eq!(open.source, "192.0.2.1");
    assert_eq!(open.cluster.as_deref(), Some("prod"));
    assert_eq!((open.method.as_ref(), open.verb.as_ref()), ("GET", "get"));
    assert_eq!(open.uri, "/apis/apps/v1/namespaces/n/deployments/d/scale");
    assert_eq!(open.resource, "deployments/scale");
    assert_eq!(open.api_group.as_deref(), Some("apps"));
    assert_eq!(
        (open.namespace.as_deref(), open.name.as_deref()),
        (Some("n"), Some("d"))
    );
    assert_eq!((open.rule.as_deref(), open.denied), (Some("test/rule"), None));
}

/// Whole answers: the method, the status, the body as sent, and what counts as sent.
#[tokio::test]
async fn a_whole_answer_is_complete_with_its_bytes() {
    let rows = [
        (Method::GET, StatusCode::OK, "twelve bytes", 12),
        (Method::HEAD, StatusCode::OK, "", 0),
        (Method::DELETE, StatusCode::NO_CONTENT, "", 0),
        (Method::GET, StatusCode::NOT_MODIFIED, "", 0),
        (Method::GET, StatusCode::NOT_FOUND, "no such", 7),
        (Method::POST, StatusCode::CONFLICT, "exists", 6),
    ];
    for way in Way::BOTH {
        for (method, status, body, bytes) in rows.clone() {
            for alpn in [HTTP1, HTTP2] {
                let api = ApiServer::start(handler(move |_| async move {
                    let mut response = Response::new(Body::full(body));
                    *response.status_mut() = status;
                    response
                }))
                .await;
                let gateway = Gateway::on(&api, way).await;
                let asked = request(method.clone(), "/api/v1/namespaces/n/pods/p", Body::empty());
                let response = gateway.client(alpn).await.send(asked).await;
                assert_eq!(response.status(), status);
                assert_eq!(body_text(response).await, body);
                let (open, close) = gateway.log.only().await;
                assert_eq!(
                    (
                        open.method.as_ref(),
                        close.status,
                        close.outcome,
                        close.bytes_sent
                    ),
                    (method.as_str(), status.as_u16(), Outcome::Complete, bytes),
                    "{way:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_head_request_says_how_long_the_body_would_be() {
    let api = ApiServer::start(handler(|_| async {
        let mut response = Response::new(Body::empty());
        response
            .headers_mut()
            .insert("content-length", "1234".parse().expect("a value"));
        response
    }))
    .await;
    for way in Way::BOTH {
        let gateway = Gateway::on(&api, way).await;
        for alpn in [HTTP1, HTTP2] {
            let asked = request(Method::HEAD, "/api/v1/namespaces/n/pods/p", Body::empty());
            let response = gateway.client(alpn).await.send(asked).await;
            assert_eq!(response.headers()["content-length"], "1234");
        }
        for (_, close) in gateway.log.closed(2).await {
            assert_eq!((close.outcome, close.bytes_sent), (Outcome::Complete, 0));
        }
    }
}

#[tokio::test]
async fn a_streamed_answer_counts_every_piece() {
    for way in Way::BOTH {
        let api = ApiServer::start(handler(|_| async {
            let (pipe, body) = pipe();
            tokio::spawn(async move {
                for _ in 0..10 {
                    pipe.send(vec![b'a'; 10_000]).await;
                }
            });
            Response::new(body)
        }))
        .await;
        for alpn in [HTTP1, HTTP2] {
            let gateway = Gateway::on(&api, way).await;
            let response = gateway
                .client(alpn)
                .await
                .send(get("/api/v1/namespaces/n/pods/p/log"))
                .await;
            assert_eq!(body_text(response).await.len(), 100_000);
            let (_, close) = gateway.log.only().await;
            assert_eq!((close.outcome, close.bytes_sent), (Outcome::Complete, 100_000));
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_gone() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let (abandon, mut abandoned) = mpsc::unbounded_channel();
            let api = ApiServer::start(handler(move |_| {
                // Dropped with the request.
                let dropped = abandon.clone();
                async move {
                    let _told = Told(dropped);
                    std::future::pending().await
                }
            }))
            .await;
            let gateway = Gateway::on(&api, way).await;
            let mut client = gateway.client(alpn).await;
            let asking = async { client.try_send(get("/api/v1/pods")).await.map(drop) };
            tokio::select! {
                _ = asking => panic!("nobody answers"),
                () = api.saw(1) => {}
            }
            client.vanish();
            let (_, close) = gateway.log.only().await;
            assert_eq!(
                (close.status, close.outcome, close.bytes_sent),
                (0, Outcome::ClientGone, 0)
            );
            abandoned.recv().await.expect("the cluster is told, too");
            mk8s_testkit::soon("all streams to be closed", || {
                (gateway.counters.opened() == gateway.counters.closed()).then_some(())
            })
            .await;
        }
    }
}

struct Told(mpsc::UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_is_gone_and_the_cluster_is_told() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let (abandon, mut abandoned) = mpsc::unbounded_channel();
            let api = ApiServer::start(handler(move |_| {
                let abandon = abandon.clone();
                async move {
                    let (pipe, body) = pipe();
                    tokio::spawn(async move {
                        pipe.send("a piece").await;
                        pipe.abandoned().await;
                        let _ = abandon.send(());
                    });
                    Response::new(body)
                }
            }))
            .await;
            let gateway = Gateway::on(&api, way).await;
            let mut client = gateway.client(alpn).await;
            let mut response = client.send(get("/api/v1/pods?watch=1")).await;
            response
                .body_mut()
                .frame()
                .await
                .expect("a frame")
                .expect("a piece");
            drop(response);
            client.vanish();
            let (_, close) = gateway.log.only().await;
            assert_eq!(
                (close.status, close.outcome, close.bytes_sent),
                (200, Outcome::ClientGone, 7)
            );
            abandoned.recv().await.expect("told");
            mk8s_testkit::soon("all streams to be closed", || {
                (gateway.counters.opened() == gateway.counters.closed()).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_the_cluster_breaks_off_has_failed() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let (break_off, told) = watch::channel(false);
            let api = ApiServer::start(handler(move |_| {
                let mut told = told.clone();
                async move {
                    let (pipe, body) = pipe();
                    tokio::spawn(async move {
                        pipe.send("a piece").await;
                        told.wait_for(|told| *told).await.expect("alive");
                        pipe.fail().await;
                    });
                    Response::new(body)
                }
            }))
            .await;
            let gateway = Gateway::on(&api, way).await;
            let mut response = gateway.client(alpn).await.send(get("/api/v1/pods")).await;
            response
                .body_mut()
                .frame()
                .await
                .expect("a frame")
                .expect("a piece");
            break_off.send_replace(true);
            assert!(
                response.into_body().collect().await.is_err(),
                "it never looks complete"
            );
            let (_, close) = gateway.log.only().await;
            assert_eq!(
                (close.status, close.outcome, close.bytes_sent),
                (200, Outcome::UpstreamFailed, 7)
            );
        }
    }
}

#[tokio::test]
async fn a_cluster_that_is_not_there_has_failed() {
    let mut api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    api.stop().await;
    let response = gateway.client(HTTP2).await.send(get("/api/v1/pods")).await;
    assert_eq!(response.status(), 503);
    let (_, close) = gateway.log.only().await;
    assert_eq!((close.status, close.outcome), (503, Outcome::UpstreamFailed));
}

#[tokio::test]
async fn an_upload_that_the_client_breaks_off_is_the_clients_doing() {
    let api = ApiServer::start(handler(|request| async {
        let _ = request.into_body().collect().await;
        Response::new(Body::empty())
    }))
    .await;
    let gateway = Gateway::before(&api).await;
    let mut asked = post("/api/v1/namespaces/n/pods", "");
    let (pipe, body) = pipe();
    *asked.body_mut() = body;
    asked
        .headers_mut()
        .insert("content-length", "100".parse().expect("a value"));
    let mut client = gateway.client(HTTP1).await;
    pipe.send("not a hundred bytes").await;
    let asking = tokio::spawn(async move { client.try_send(asked).await.map(drop) });
    pipe.fail().await;
    assert!(asking.await.expect("no panic").is_err());
    let (_, close) = gateway.log.only().await;
    assert_eq!(close.outcome, Outcome::ClientGone);
    assert_eq!(
        api.seen().len(),
        0,
        "a small body is there before anything is sent"
    );
}
