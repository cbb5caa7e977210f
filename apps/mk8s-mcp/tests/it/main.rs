//! The program, as a desktop client runs it, on a real cluster.

mod changes;
mod client;
mod clients;
mod entering;
mod planted;
mod reading;
mod rights;
mod starting;
