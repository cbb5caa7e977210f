//! Real sockets, real TLS, and peers that misbehave.

mod draining;
mod handshakes;
mod limits;
mod link_sets;
mod links;
mod support;
mod truncation;
mod workers;
