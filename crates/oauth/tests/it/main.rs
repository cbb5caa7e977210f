//! Tokens good and forged, an issuer that fails in every way, and a real provider.

mod challenges;
mod exchange;
mod forged;
mod keys;
mod provider;
mod settings;
mod support;
