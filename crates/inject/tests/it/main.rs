//! Injection over whole pods.

mod admission;
mod annotations;
mod corpus;
mod everyday;
mod hostile;
mod properties;
mod refusals;
mod secrets;
mod settings;
mod support;
mod tokens;
mod workloads;
