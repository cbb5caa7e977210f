//! The client against a server that speaks the service's own protocol.

mod configs;
mod damages;
mod faults;
mod paths;
mod reading;
mod secrecy;
mod server_keys;
mod support;
