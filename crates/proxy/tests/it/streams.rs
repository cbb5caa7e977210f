//! Bodies on their way: many at once, large ones, slow readers, trailers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use http_body_util::BodyExt as _;
use mk8s_net::Body;
use tokio::sync::mpsc;

use crate::support::{
    ApiServer, Gateway, HTTP1, HTTP2, Settings, Way, body_text, get, handler, pipe, post, request,
};

/// Answers a watch with one piece and then nothing, for as long as somebody reads; anything else at once.
async fn server_with_watches(settings: Settings) -> ApiServer {
    ApiServer::with(
        settings,
        handler(|request| async move {
            if request.uri().query() != Some("watch=1") {
                return Response::new(Body::full("at once"));
            }
            let (pipe, body) = pipe();
            tokio::spawn(async move {
                pipe.send("begun\n").await;
                pipe.abandoned().await;
            });
            Response::new(body)
        }),
    )
    .await
}

#[tokio::test]
async fn watches_beyond_what_one_connection_takes_starve_nobody() {
    const WATCHES: usize = 120;
    let api = server_with_watches(Settings {
        max_concurrent_streams: 10,
        ..Settings::default()
    })
    .await;
    let gateway = Gateway::before(&api).await;
    let mut client = gateway.client(HTTP2).await;
    // All at once, on a gateway that has no connection yet.
    let mut asking = Vec::new();
    for _ in 0..WATCHES {
        let mut client = gateway.client(HTTP2).await;
        asking.push(tokio::spawn(async move {
            let mut response = client.send(get("/api/v1/pods?watch=1")).await;
            let frame = response
                .body_mut()
                .frame()
                .await
                .expect("a frame")
                .expect("a piece");
            assert_eq!(frame.into_data().expect("data"), "begun\n");
            (client, response)
        }));
    }
    let mut watches = Vec::new();
    for asked in asking {
        watches.push(asked.await.expect("no panic"));
    }
    assert_eq!(body_text(client.send(get("/api/v1/pods")).await).await, "at once");
    let connections = api.connections();
    assert!(
        (WATCHES / 10..=WATCHES / 10 + 2).contains(&connections),
        "{connections} connections"
    );
    drop(watches);
    gateway.log.closed(WATCHES + 1).await;
    mk8s_testkit::soon("all streams to be closed", || {
        (gateway.counters.opened() == gateway.counters.closed()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn watches_over_a_tunnel_starve_nobody_either() {
    let api = server_with_watches(Settings {
        max_concurrent_streams: 10,
        ..Settings::default()
    })
    .await;
    let gateway = Gateway::on(&api, Way::Agent).await;
    let mut client = gateway.client(HTTP2).await;
    let mut watches = Vec::new();
    for _ in 0..60 {
        let mut response = client.send(get("/api/v1/pods?watch=1")).await;
        response
            .body_mut()
            .frame()
            .await
            .expect("a frame")
            .expect("a piece");
        watches.push(response);
    }
    assert_eq!(body_text(client.send(get("/api/v1/pods")).await).await, "at once");
}

#[tokio::test]
async fn streams_that_nobody_reads_hold_up_no_other() {
    const STALLED: usize = 50;
    for way in Way::BOTH {
        let api = ApiServer::start(handler(|request| async move {
            if request.uri().path() == "/version" {
                return Response::new(Body::full("at once"));
            }
            let (pipe, body) = pipe();
            tokio::spawn(async move { while pipe.send(vec![0; 64 * 1024]).await {} });
            Response::new(body)
        }))
        .await;
        let gateway = Gateway::on(&api, way).await;
        let mut stalled = Vec::new();
        for _ in 0..STALLED {
            // Each on a connection of its own, as fifty people would be.
            let mut client = gateway.client(HTTP2).await;
            let mut response = client
                .send(get("/api/v1/namespaces/n/pods/p/log?follow=true"))
                .await;
            response
                .body_mut()
                .frame()
                .await
                .expect("a frame")
                .expect("a piece");
            stalled.push((client, response));
        }
        let mut client = gateway.client(HTTP2).await;
        for _ in 0..20 {
            assert_eq!(body_text(client.send(get("/version")).await).await, "at once");
        }
        assert!(api.connections() <= 2, "they share one: {}", api.connections());
    }
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_cluster_too() {
    for way in Way::BOTH {
        let written = Arc::new(AtomicUsize::new(0));
        let count = written.clone();
        let api = ApiServer::start(handler(move |_| {
            let count = count.clone();
            async move {
                let (pipe, body) = pipe();
                tokio::spawn(async move {
                    let piece = Bytes::from(vec![0; 16 * 1024]);
                    while pipe.send(piece.clone()).await {
                        count.fetch_add(piece.len(), Ordering::SeqCst);
                    }
                });
                Response::new(body)
            }
        }))
        .await;
        let gateway = Gateway::on(&api, way).await;
        let mut client = gateway.client(HTTP1).await;
        let mut response = client
            .send(get("/api/v1/namespaces/n/pods/p/log?follow=true"))
            .await;
        response
            .body_mut()
            .frame()
            .await
            .expect("a frame")
            .expect("a piece");
        // It stands still once all windows and buffers are full: nothing moves for as long as anything else does.
        let mut before = 0;
        let mut still = 0;
        while still < 100 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            let now = written.load(Ordering::SeqCst);
            still = if now == before { still + 1 } else { 0 };
            before = now;
        }
        // Kernel buffers of up to 6 MB a socket, and our own of less than 2 MB a hop.
        assert!(
            before < 40 << 20,
            "{way:?}: {before} bytes are held for a reader that has stopped"
        );
        // It goes on where it stopped.
        let mut read = 0;
        while read < before + (1 << 20) {
            let frame = response
                .body_mut()
                .frame()
                .await
                .expect("a frame")
                .expect("a piece");
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }
}

#[tokio::test]
async fn a_large_list_arrives_as_it_was_sent() {
    const PIECES: usize = 400;
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let api = ApiServer::start(handler(|_| async {
                let (pipe, body) = pipe();
                tokio::spawn(async move {
                    for number in 0..PIECES {
                        pipe.send(vec![u8::try_from(number % 251).expect("a byte"); 50_000])
                            .await;
                    }
                });
                Response::new(body)
            }))
            .await;
            let gateway = Gateway::on(&api, way).await;
            let response = gateway.client(alpn).await.send(get("/api/v1/pods")).await;
            let bytes = response
                .into_body()
                .collect()
                .await
                .expect("a whole body")
                .to_bytes();
            assert_eq!(bytes.len(), PIECES * 50_000);
            let as_sent =
                |(number, piece): (usize, &[u8])| piece.iter().all(|b| usize::from(*b) == number % 251);
            assert!(bytes.chunks(50_000).enumerate().all(as_sent));
        }
    }
}

#[tokio::test]
async fn a_compressed_answer_is_not_touched() {
    // Not even a valid gzip stream: nobody here looks.
    const COMPRESSED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00\x01\x02\xfe\xff";
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let api = ApiServer::start(handler(|request| async move {
                assert_eq!(request.headers()["accept-encoding"], "gzip");
                let mut response = Response::new(Body::full(COMPRESSED));
                response
                    .headers_mut()
                    .insert(header::CONTENT_ENCODING, "gzip".parse().expect("a value"));
                response
            }))
            .await;
            let gateway = Gateway::on(&api, way).await;
            let mut asked = get("/api/v1/pods");
            asked
                .headers_mut()
                .insert(header::ACCEPT_ENCODING, "gzip".parse().expect("a value"));
            let response = gateway.client(alpn).await.send(asked).await;
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
            assert_eq!(
                response.into_body().collect().await.expect("a body").to_bytes(),
                COMPRESSED
            );
        }
    }
}

fn trailers(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        "x-checksum".parse().expect("a name"),
        value.parse().expect("a value"),
    )])
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    for way in Way::BOTH {
        let (tell, mut told) = mpsc::unbounded_channel();
        let api = ApiServer::start(handler(move |request| {
            let tell = tell.clone();
            async move {
                let collected = request.into_body().collect().await.expect("a body");
                let _ = tell.send((collected.trailers().cloned(), collected.to_bytes()));
                let (pipe, body) = pipe();
                tokio::spawn(async move {
                    pipe.send("an answer").await;
                    pipe.finish_with(trailers("downwards")).await;
                });
                Response::new(body)
            }
        }))
        .await;
        let gateway = Gateway::on(&api, way).await;
        let mut client = gateway.client(HTTP2).await;
        // One that is streamed, and one that is kept for another try.
        for length in [None, Some("8")] {
            let (pipe, body) = pipe();
            let mut asked = request(Method::POST, "/api/v1/namespaces/n/pods", body);
            if let Some(length) = length {
                asked
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length.parse().expect("a value"));
            }
            tokio::spawn(async move {
                pipe.send("a sketch").await;
                pipe.finish_with(trailers("upwards")).await;
            });
            let response = client.send(asked).await;
            let collected = response.into_body().collect().await.expect("a body");
            assert_eq!(collected.trailers(), Some(&trailers("downwards")));
            assert_eq!(collected.to_bytes(), "an answer");
            let (up, body) = told.recv().await.expect("told");
            assert_eq!(
                (up, body),
                (Some(trailers("upwards")), "a sketch".into()),
                "{way:?} {length:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_upload_in_chunks_arrives_over_http2() {
    for way in Way::BOTH {
        let api = ApiServer::start(handler(|request| async {
            let version = request.version();
            let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            Response::new(Body::full(format!("{version:?} {chunked} {}", body.len())))
        }))
        .await;
        let gateway = Gateway::on(&api, way).await;
        let (pipe, body) = pipe();
        tokio::spawn(async move {
            for _ in 0..50 {
                pipe.send(vec![b'a'; 3000]).await;
            }
        });
        let asked = request(Method::POST, "/api/v1/namespaces/n/pods", body);
        let response = gateway.client(HTTP1).await.send(asked).await;
        assert_eq!(body_text(response).await, "HTTP/2.0 false 150000");
    }
}

#[tokio::test]
async fn an_answer_streams_while_its_request_still_does() {
    // As `kubectl` never does, but workloads behind `proxy` may.
    for way in Way::BOTH {
        let api = ApiServer::start(handler(|request| async move {
            Response::new(Body::from_request(request).into_body())
        }))
        .await;
        let gateway = Gateway::on(&api, way).await;
        let (pipe, body) = pipe();
        let mut client = gateway.client(HTTP2).await;
        let asked = request(Method::POST, "/api/v1/namespaces/n/services/s/proxy/echo", body);
        pipe.send("one").await;
        let mut response = client.send(asked).await;
        for text in ["one", "two", "three"] {
            if text != "one" {
                pipe.send(text).await;
            }
            let frame = response
                .body_mut()
                .frame()
                .await
                .expect("a frame")
                .expect("a piece");
            assert_eq!(frame.into_data().expect("data"), text);
        }
        drop(pipe);
        assert!(
            response
                .body_mut()
                .frame()
                .await
                .is_none_or(|last| last.expect("no error").data_ref().is_some_and(Bytes::is_empty))
        );
    }
}

#[tokio::test]
async fn many_clients_at_once_get_their_own_answers() {
    for way in Way::BOTH {
        let api = ApiServer::start(handler(|request| async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            Response::new(Body::full(format!("{path} {}", String::from_utf8_lossy(&body))))
        }))
        .await;
        let gateway = Arc::new(Gateway::on(&api, way).await);
        let mut asking = Vec::new();
        for number in 0..200 {
            let gateway = gateway.clone();
            asking.push(tokio::spawn(async move {
                let path = format!("/api/v1/namespaces/n{number}/pods");
                let mut client = gateway.client(if number % 2 == 0 { HTTP1 } else { HTTP2 }).await;
                let response = client.send(post(&path, number.to_string())).await;
                assert_eq!(body_text(response).await, format!("{path} {number}"));
            }));
        }
        for asked in asking {
            asked.await.expect("no panic");
        }
        gateway.log.closed(200).await;
    }
}
