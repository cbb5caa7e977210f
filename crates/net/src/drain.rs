//! Stopping in two steps: *drain* (no new connections, no new requests, let the running ones end) and *cut* (end what
//! still runs). A program makes one [`Drain`], hands its [`Watch`] to every connection, and waits.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// The side that decides to stop.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    /// Closed once every [`Watch`] is dropped.
    all_gone: mpsc::Receiver<()>,
    member: mpsc::Sender<()>,
}

/// The side that is told to. Holding one keeps [`Drain::finish`] waiting.
#[derive(Clone, Debug)]
pub struct Watch {
    stage: watch::Receiver<Stage>,
    _member: mpsc::Sender<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    Running,
    Draining,
    Cut,
}

impl Drain {
    /// A running program.
    pub fn new() -> Self {
        let (stage, _) = watch::channel(Stage::Running);
        let (member, all_gone) = mpsc::channel(1);
        Self {
            stage,
            all_gone,
            member,
        }
    }

    /// A handle for a listener or connection.
    pub fn watch(&self) -> Watch {
        Watch {
            stage: self.stage.subscribe(),
            _member: self.member.clone(),
        }
    }

    /// Drains for at most `grace`, then cuts, and waits at most five seconds more for everything to let go.
    /// Returns whether everything ended by itself within the grace.
    pub async fn finish(self, grace: Duration) -> bool {
        let Self {
            stage,
            mut all_gone,
            member,
        } = self;
        drop(member);
        stage.send_replace(Stage::Draining);
        if tokio::time::timeout(grace, all_gone.recv()).await.is_ok() {
            return true;
        }
        stage.send_replace(Stage::Cut);
        let _ = tokio::time::timeout(Duration::from_secs(5), all_gone.recv()).await;
        false
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    /// Resolves when the program begins to stop.
    pub async fn draining(&mut self) {
        // An error means that the sender is gone, which is as good as draining.
        let _ = self.stage.wait_for(|s| *s >= Stage::Draining).await;
    }

    /// Resolves when what still runs must end at once.
    pub async fn cut(&mut self) {
        let _ = self.stage.wait_for(|s| *s >= Stage::Cut).await;
    }

    /// Whether the program is stopping.
    pub fn is_draining(&self) -> bool {
        *self.stage.borrow() >= Stage::Draining
    }
}

/// Resolves when the program is asked to end: by SIGTERM, as Kubernetes does, or by Ctrl-C.
///
/// # Errors
/// If the signals can't be listened for.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_is_not_cut() {
        let drain = Drain::new();
        let mut watch = drain.watch();
        tokio::spawn(async move {
            watch.draining().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        });
        assert!(drain.finish(Duration::from_secs(10)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_cut_after_the_grace() {
        let drain = Drain::new();
        let mut watch = drain.watch();
        let hung = tokio::spawn(async move { watch.cut().await });
        assert!(!drain.finish(Duration::from_secs(10)).await);
        hung.await.expect("cut");
    }
}
