//! Injection over whole pods.

mod everyday;
mod properties;
mod support;
