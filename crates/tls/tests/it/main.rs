//! Real certificates, real files, and real handshakes over in-memory streams.

mod authority;
mod handshake;
mod pin;
mod reload;
mod requests;
mod support;
