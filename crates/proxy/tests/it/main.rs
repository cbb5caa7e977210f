//! The whole path, from a client's socket to an API server in this process and back: straight, and through an agent.

mod accounts;
mod decisions;
mod headers;
mod lifetime;
mod replay;
mod servers;
mod streams;
mod support;
mod truncation;
mod upgrades;
