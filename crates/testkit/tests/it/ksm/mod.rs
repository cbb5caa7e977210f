//! The Keeper Secrets Manager server: against the official SDK, byte by byte, and misbehaving.

mod client;
mod faults;
mod official;
mod program;
mod protocol;
mod venv;

use std::ops::Deref;

use mk8s_testkit::ksm::{KsmServer, Settings};
use tokio::runtime::Runtime;

/// A server that runs while the test's own thread waits for clients.
struct Served {
    server: Option<KsmServer>,
    runtime: Runtime,
}

/// An empty one on the loopback address.
fn served() -> Served {
    served_with(Settings::new("127.0.0.1:0".parse().expect("an address")))
}

fn served_with(settings: Settings) -> Served {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime
        .block_on(KsmServer::start_with(settings))
        .expect("a server");
    Served {
        server: Some(server),
        runtime,
    }
}

impl Served {
    /// Ends the server and waits for it.
    fn stop(&mut self) {
        let server = self.server.take().expect("it is stopped once");
        self.runtime.block_on(server.stop());
    }
}

impl Deref for Served {
    type Target = KsmServer;

    fn deref(&self) -> &KsmServer {
        self.server.as_ref().expect("it runs")
    }
}
