//! What stands for an API server: a process of its own that answers from memory, so that it costs little and always the
//! same.

use std::{
    convert::Infallible,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mk8s_net::{drain::Drain, listen, workers::Workers};
use mk8s_tls::{ReloadingCertificate, TlsAcceptor, server::ClientAuth};

use crate::fixtures;

/// Says on its first line where it listens.
pub(crate) const LISTENING: &str = "listening on ";
/// Answers with the number of connections that were ever made.
pub(crate) const CONNECTIONS_PATH: &str = "/bench/connections";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    key: PathBuf,
    /// Refuse whoever comes with another token
    #[arg(long)]
    token: Option<String>,
}

/// Serves until it is ended.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let certificate = ReloadingCertificate::from_files(&arguments.certificate, &arguments.key)?;
    let tls = mk8s_tls::server::config(certificate, &ClientAuth::None, &[b"h2", b"http/1.1"])?;
    let listener = listen::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{LISTENING}{}", listener.local_addr()?)?;
    stdout.flush()?;

    let answers = Arc::new(Answers::new(arguments.token.as_deref()));
    let workers = Arc::new(Workers::per_core("upstream")?);
    let drain = Drain::new();
    listen::accept(listener, workers, drain.watch(), move |stream, _| {
        let (tls, answers) = (tls.clone(), answers.clone());
        async move {
            answers.connections.fetch_add(1, Ordering::Relaxed);
            let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
                return;
            };
            let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = service_fn(move |request| {
                let response = answers.to(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            if !speaks_http2 {
                let mut http1 = http1::Builder::new();
                let _ = http1
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                return;
            }
            let mut http2 = http2::Builder::new(TokioExecutor::new());
            // As many streams a connection as a Kubernetes API server allows.
            http2.timer(TokioTimer::new()).max_concurrent_streams(100);
            let _ = http2.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
    .context("can't accept connections")
}

/// All answers, made beforehand.
struct Answers {
    small: Bytes,
    list: Bytes,
    event: Bytes,
    connections: AtomicU64,
    authorization: Option<String>,
}

impl Answers {
    fn new(token: Option<&str>) -> Self {
        Self {
            authorization: token.map(|token| format!("Bearer {token}")),
            small: fixtures::small().into(),
            list: fixtures::list().into(),
            event: fixtures::event().into(),
            connections: AtomicU64::new(0),
        }
    }

    fn to(&self, request: &Request<Incoming>) -> Response<Answer> {
        let watches = request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair == "watch=1"));
        let is_known = self.authorization.as_ref().is_none_or(|expected| {
            let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
            values.next().is_some_and(|value| value == expected.as_str()) && values.next().is_none()
        });
        let body = match request.uri().path() {
            CONNECTIONS_PATH => Answer::whole(self.connections.load(Ordering::Relaxed).to_string().into()),
            _ if !is_known => {
                let mut response = Response::new(Answer::whole(Bytes::from_static(b"another token")));
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                return response;
            }
            fixtures::SMALL_PATH => Answer::whole(self.small.clone()),
            fixtures::LIST_PATH if watches => Answer {
                data: Some(self.event.clone()),
                goes_on: true,
            },
            fixtures::LIST_PATH => Answer::whole(self.list.clone()),
            fixtures::VERSION_PATH => Answer::whole(Bytes::from_static(fixtures::VERSION)),
            _ => {
                let mut response = Response::new(Answer::whole(Bytes::new()));
                *response.status_mut() = StatusCode::NOT_FOUND;
                return response;
            }
        };
        let mut response = Response::new(body);
        // hyper adds the date.
        let headers = response.headers_mut();
        for (name, value) in fixtures::HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// A body: some data, and then its end or an endless silence.
struct Answer {
    data: Option<Bytes>,
    goes_on: bool,
}

impl Answer {
    fn whole(data: Bytes) -> Self {
        Self {
            data: Some(data),
            goes_on: false,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            // Nobody wakes it: the stream ends when the other side resets it.
            None if self.goes_on => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.goes_on
    }

    fn size_hint(&self) -> SizeHint {
        match &self.data {
            _ if self.goes_on => SizeHint::default(),
            Some(data) => SizeHint::with_exact(data.len() as u64),
            None => SizeHint::with_exact(0),
        }
    }
}

/// How long starting may take.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(10);
