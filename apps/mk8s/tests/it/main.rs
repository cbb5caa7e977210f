//! The built program, run as a process of its own against a small central that speaks the contract over TLS.
//!
//! These are the behaviours of the command line alone; the whole system (a real central, agent and cluster) is tested
//! elsewhere.

mod clusters;
mod completion;
mod configuration;
mod doctor;
mod doctor_apiserver;
mod doctor_front_proxy;
mod fake_central;
mod fake_front_proxy;
mod fake_state;
mod front_proxy_kubeconfig;
mod help;
mod inject;
mod kubeconfig;
mod kubectl;
mod login;
mod mcp;
mod patient;
mod pki;
mod pki_cluster;
mod pki_refusals;
mod proxy;
mod sandbox;
mod session;
mod trust;
