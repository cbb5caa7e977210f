//! gRPC over a link, with the roles reversed.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mk8s_net::{
    Body,
    link::{Link, StreamCounters},
};
use mk8s_tunnel::{
    CONTROL_AUTHORITY,
    grpc::{self, Channel},
    proto::{
        CommandRequest, CommandResponse,
        command_service_client::CommandServiceClient,
        command_service_server::{CommandService, CommandServiceServer},
    },
};
use tonic::{Code, Status};

/// Says what it was asked; refuses `delete`.
#[derive(Clone)]
struct Parrot;

#[tonic::async_trait]
impl CommandService for Parrot {
    async fn execute_command(
        &self,
        request: tonic::Request<CommandRequest>,
    ) -> Result<tonic::Response<CommandResponse>, Status> {
        let CommandRequest { arguments, user, .. } = request.into_inner();
        if arguments.first().is_some_and(|verb| verb == "delete") {
            return Err(Status::permission_denied("not that"));
        }
        let output = format!("{user}: {}", arguments.join(" "));
        Ok(tonic::Response::new(CommandResponse {
            output,
            exit_code: 3,
            truncated: false,
        }))
    }
}

async fn link_to_parrot() -> (Link, Arc<StreamCounters>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let service = service_fn(|request: Request<Incoming>| async {
        assert_eq!(
            request.uri().authority().expect("an authority").as_str(),
            CONTROL_AUTHORITY
        );
        let response: Response<Body> = grpc::serve(CommandServiceServer::new(Parrot), request).await;
        Ok::<_, Infallible>(response)
    });
    tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(far), service));
    let counters = Arc::new(StreamCounters::default());
    (
        Link::handshake(near, counters.clone(), || {})
            .await
            .expect("a link"),
        counters,
    )
}

fn client(link: Link) -> CommandServiceClient<Channel> {
    let origin = format!("https://{CONTROL_AUTHORITY}").parse().expect("an origin");
    CommandServiceClient::with_origin(Channel::new(link), origin)
}

fn command(arguments: &[&str]) -> CommandRequest {
    CommandRequest {
        arguments: arguments.iter().map(ToString::to_string).collect(),
        user: "jane@example.com".to_owned(),
        ..CommandRequest::default()
    }
}

#[tokio::test]
async fn a_call_is_answered() {
    let (link, counters) = link_to_parrot().await;
    let answer = client(link)
        .execute_command(command(&["get", "pods"]))
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(
        (answer.output.as_str(), answer.exit_code),
        ("jane@example.com: get pods", 3)
    );
    mk8s_testkit::soon("all streams to be closed", || {
        (counters.opened() == counters.closed()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refusal_arrives_as_what_it_is() {
    let (link, _) = link_to_parrot().await;
    let refusal = client(link)
        .execute_command(command(&["delete", "pods"]))
        .await
        .expect_err("refused");
    assert_eq!(
        (refusal.code(), refusal.message()),
        (Code::PermissionDenied, "not that")
    );
}

#[tokio::test]
async fn a_call_on_a_link_that_is_gone_is_an_error() {
    let (link, _) = link_to_parrot().await;
    link.cut();
    let error = client(link)
        .execute_command(command(&["get", "pods"]))
        .await
        .expect_err("gone");
    assert!(
        matches!(error.code(), Code::Unavailable | Code::Unknown | Code::Internal),
        "{error}"
    );
}
