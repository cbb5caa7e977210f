//! Real certificates, real files, and real handshakes over in-memory streams.

mod authority;
mod handshake;
mod issuing;
mod ocsp;
mod openssl;
mod overdue;
mod pin;
mod reload;
mod requests;
mod revocation;
mod support;
