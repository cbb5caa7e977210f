//! One single-threaded runtime per core. A connection is handed to one worker and stays there, with its TLS, its
//! streams and the upstream links it uses first: no task moves between cores, and no lock is contended on the path.

use std::{
    cell::Cell,
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The index of the worker that runs the calling task; none outside of any.
pub fn current() -> Option<usize> {
    CURRENT.get()
}

/// The threads. They stop when this is dropped.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// Dropping it ends the thread's `block_on`.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// Starts `count` threads (at least one) named `{name}-{index}`.
    ///
    /// # Errors
    /// If the system refuses a thread or an event queue.
    pub fn start(name: &str, count: usize) -> io::Result<Self> {
        let workers = (0..count.max(1))
            .map(|index| Worker::start(name, index))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            workers,
            next: AtomicUsize::new(0),
        })
    }

    /// One worker per core that this process may use.
    ///
    /// # Errors
    /// As [`Workers::start`].
    pub fn per_core(name: &str) -> io::Result<Self> {
        Self::start(name, thread::available_parallelism().map_or(1, usize::from))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// The next worker in turn.
    pub fn next(&self) -> &Handle {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        &self.workers[at].handle
    }

    /// The worker with this index, modulo their number.
    pub fn nth(&self, index: usize) -> &Handle {
        &self.workers[index % self.workers.len()].handle
    }
}

impl Worker {
    fn start(name: &str, index: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name(format!("{name}-{index}"))
            .spawn(move || {
                CURRENT.set(Some(index));
                let _ = runtime.block_on(stopped);
                // Connections that outlived the drain are dropped with the runtime; blocking work isn't waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self { handle, _stop: stop })
    }
}
