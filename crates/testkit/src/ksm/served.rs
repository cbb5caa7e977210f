//! The server on threads of its own, for tests that aren't async.

use std::ops::Deref;

use tokio::runtime::{Builder, Runtime};

use super::{KsmServer, Settings, StartError};

/// A server that runs while the test's own thread waits for clients. It ends when it is dropped, which must not be within an async
/// runtime.
#[derive(Debug)]
pub struct Served {
    /// Dropped first: its task ends before its runtime does.
    server: KsmServer,
    runtime: Runtime,
}

impl Served {
    /// As [`KsmServer::start_with`].
    ///
    /// # Errors
    /// [`StartError`] if it can't.
    ///
    /// # Panics
    /// If the system gives no threads.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ksm-server")
            .enable_all()
            .build()
            .expect("threads for a server");
        let server = runtime.block_on(KsmServer::start_with(settings))?;
        Ok(Self { server, runtime })
    }

    /// As [`KsmServer::stop`].
    pub fn stop(self) {
        let Self { server, runtime } = self;
        runtime.block_on(server.stop());
    }
}

impl Deref for Served {
    type Target = KsmServer;

    fn deref(&self) -> &KsmServer {
        &self.server
    }
}
