//! The built program, run as a process of its own against a small central that speaks the contract over TLS.
//!
//! These are the behaviours of the command line alone; the whole system (a real central, agent and cluster) is tested
//! elsewhere.

mod clusters;
mod completion;
mod configuration;
mod fake_central;
mod fake_state;
mod help;
mod inject;
mod kubeconfig;
mod kubectl;
mod login;
mod proxy;
mod sandbox;
mod session;
mod trust;
