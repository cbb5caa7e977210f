//! The whole system: real clusters, real programs, real kubectl.

mod agent_in_a_pod;
mod architecture;
mod bad_input;
mod big_list;
mod can_i;
mod clients;
mod drain;
mod fidelity;
mod helm;
mod http;
mod identity;
mod kubectl_table;
mod many_watches;
mod mcp;
mod operators;
mod secrets;
mod sidecar;
mod slow_reader;
mod two_clusters;
mod webhook;
