//! The Keeper Secrets Manager server: against two official SDKs, byte by byte, and misbehaving.

mod client;
mod faults;
mod official;
mod official_rust;
mod program;
mod protocol;
mod venv;

use mk8s_testkit::ksm::{Served, Settings};

/// An empty server on the loopback address.
fn served() -> Served {
    served_with(Settings::new("127.0.0.1:0".parse().expect("an address")))
}

fn served_with(settings: Settings) -> Served {
    Served::start(settings).expect("a server")
}
