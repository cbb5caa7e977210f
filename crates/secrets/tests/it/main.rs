//! From annotations to files, as the webhook and the program in the pod use it.

mod annotations;
mod config;
mod kubernetes;
mod outputs;
mod properties;
mod security;
mod support;
