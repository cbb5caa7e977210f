//! Passwords, tokens and sessions, as whoever uses the crate sees them.

mod agent_tokens;
mod keys;
mod logins;
mod memory;
mod support;
mod tokens;
