//! The agent's connection with the roles reversed: the agent dials central over TLS 1.3 and then *serves* HTTP/2 on that
//! connection. Each Kubernetes API request is one stream with flow control of its own; upgrades are extended-CONNECT
//! streams. Nothing listens in the cluster.
//!
//! * [`agent`]: dial, serve, dial again;
//! * [`central`]: take such a connection as a link to send requests on;
//! * [`grpc`]: gRPC calls over a link, in either direction;
//! * [`proto`]: the control calls.
//!
//! A tunnel says what it is by ALPN ([`ALPN`]), so that it shares a port with the control calls (`h2`).

pub mod agent;
pub mod central;
pub mod grpc;

/// The control calls, generated from `proto/mk8s/agent/v1/agent.proto`.
#[expect(missing_docs, reason = "generated; documented in the .proto file")]
pub mod proto {
    tonic::include_proto!("mk8s.agent.v1");
}

/// The ALPN name of a reversed connection.
pub const ALPN: &[u8] = b"mk8s-tunnel/1";
/// The ALPN name of the control calls.
pub const GRPC_ALPN: &[u8] = b"h2";
/// `:authority` of calls to the agent itself on its reversed connection; anything else there is for the API server.
pub const CONTROL_AUTHORITY: &str = "agent.mk8s.internal";
/// Answered by the agent with 200 on [`CONTROL_AUTHORITY`]: the data path works in both directions.
pub const HEALTH_PATH: &str = "/healthz";
