//! Injection over whole pods.

mod everyday;
