//! What stands where a front proxy should: TLS that asks for a client certificate or doesn't, and answers made up beforehand.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mk8s_tls::{
    Issued, ReloadingCertificate, TlsAcceptor,
    server::{self, ClientAuth},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

/// What the cluster behind the proxy answers, by a path's beginning.
pub(crate) type Answers = Vec<(&'static str, u16, Value)>;

/// Something that stands where a front proxy should; dropped, it stops listening.
pub(crate) struct Standing {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Standing {
    pub(crate) fn start(certificate: &Issued, clients: &ClientAuth, answers: Answers) -> Self {
        let certificate = ReloadingCertificate::from_issued(certificate).expect("a pair");
        let acceptor = TlsAcceptor::from(server::config(certificate, clients, &[b"http/1.1"]).expect("TLS"));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let port = listener.local_addr().expect("an address").port();
        let (stop, stopped) = oneshot::channel();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let answers = Arc::new(answers);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let accepting = async {
                    loop {
                        let Ok((stream, _)) = listener.accept().await else {
                            continue;
                        };
                        let (acceptor, answers, noted) = (acceptor.clone(), answers.clone(), noted.clone());
                        tokio::spawn(async move {
                            let Ok(stream) = acceptor.accept(stream).await else {
                                return;
                            };
                            let answer = service_fn(move |request: Request<Incoming>| {
                                let response = answer(&answers, &noted, &request);
                                async move { Ok::<_, Infallible>(response) }
                            });
                            let _ = http1::Builder::new()
                                .serve_connection(TokioIo::new(stream), answer)
                                .await;
                        });
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            asked,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unpoisoned").clone()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(
    answers: &Answers,
    noted: &Mutex<Vec<String>>,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    noted
        .lock()
        .expect("unpoisoned")
        .push(format!("{} {path}", request.method()));
    let found = answers.iter().find(|(start, ..)| path.starts_with(start));
    let (status, body) = found.map_or((404, json!({"message": "not found"})), |(_, status, body)| {
        (*status, body.clone())
    });
    let response = Response::builder()
        .status(status)
        .body(Full::from(body.to_string()));
    response.expect("a response")
}
