//! The built program, run as a process of its own between clients with certificates and an API server that says yes to
//! everything, with OpenSSL's responder beside it.

mod ocsp;
mod stage;
