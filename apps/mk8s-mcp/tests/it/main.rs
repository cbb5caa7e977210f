//! The program, as a desktop client runs it, on a real cluster.

mod client;
mod clients;
mod federation;
mod http;
mod judges;
mod planted;
mod reading;
mod resources;
mod rights;
mod served;
mod starting;
