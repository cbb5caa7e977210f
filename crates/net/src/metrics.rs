//! A page of metrics, in the clear, to whoever reaches its port: no label on it may name an object, a namespace or a person.

use std::{convert::Infallible, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::service_fn};
use tokio::net::TcpListener;

use crate::{
    Body,
    drain::Watch,
    serve::{self, Protocol},
};

/// The pause when a connection can't be accepted: out of descriptors, say.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `/metrics`, made anew by `page` for each who asks, and `/healthz`, until nobody waits for it any more.
pub async fn serve<F>(listener: TcpListener, drain: Watch, content_type: &'static str, page: F)
where
    F: Fn() -> String + Clone + Send + Sync + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (page, drain) = (page.clone(), drain.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, content_type, &page);
                async move { Ok::<_, Infallible>(response) }
            });
            serve::connection(stream, Protocol::Http1, service, drain).await;
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    content_type: &'static str,
    page: &impl Fn() -> String,
) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let mut response = Response::new(Body::full(page()));
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            response
        }
        (&Method::GET, "/healthz") => Response::new(Body::full("ok")),
        _ => {
            let mut response = Response::new(Body::full("see /metrics\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}
