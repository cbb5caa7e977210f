//! The program, as a desktop client runs it, on a real cluster.

mod changes;
mod client;
mod clients;
mod entering;
mod federation;
mod http;
mod judges;
mod planted;
mod reading;
mod resources;
mod rights;
mod served;
mod starting;
