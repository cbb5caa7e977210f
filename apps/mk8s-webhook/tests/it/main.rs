//! The built program, run as a process of its own with a certificate in files, and asked over TLS as the API server asks.
//!
//! What it does in a cluster (its own certificate, the caBundle, several replicas) is tested against real ones elsewhere.

mod bad_input;
mod callers;
mod certificate;
mod configuration;
mod endpoints;
mod reviews;
mod support;
