//! A gateway with a door of the simplest kind, in front of an API server that does as a test wishes.

mod api_server;
mod client;
mod doubles;
mod gateway;
mod pipe;

pub(crate) use api_server::{ApiServer, Settings, answer, handler};
pub(crate) use client::{Client, body_text, get, post, request, status_json};
pub(crate) use doubles::{Log, Policy, Written};
pub(crate) use gateway::{Gateway, Options, Way};
pub(crate) use pipe::pipe;

/// The protocols, by ALPN.
pub(crate) const HTTP1: &[u8] = b"http/1.1";
pub(crate) const HTTP2: &[u8] = b"h2";
