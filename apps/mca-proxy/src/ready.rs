//! The probe. The kubelet can't reach a pod's loopback, so it runs this program once more in the container, and that asks
//! by a socket in the state directory: served from when the door is open until the sidecar stops.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use mk8s_net::drain::Watch;
use tokio::{io::AsyncWriteExt as _, net::UnixListener};

const READY: &str = "ready\n";
const STOPPING: &str = "stopping\n";

/// Answers those who ask whether we are ready.
pub(crate) struct Answering(UnixListener);

impl Answering {
    /// From now on. What a sidecar that was killed has left behind is taken away.
    pub(crate) fn begin(state: &Path) -> anyhow::Result<Self> {
        let path = socket(state);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't replace {}", path.display()));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).with_context(|| format!("can't make {}", path.display()))?;
        Ok(Self(listener))
    }

    /// Goes on until it is aborted.
    pub(crate) async fn answer(self, drain: Watch) {
        loop {
            let Ok((mut asking, _)) = self.0.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let word = if drain.is_draining() { STOPPING } else { READY };
            // Whoever asks and leaves has no need of the answer.
            let _ = asking.write_all(word.as_bytes()).await;
        }
    }
}

/// Asks a sidecar that runs on the same state directory.
pub(crate) fn ask(state: &Path, timeout: Duration) -> anyhow::Result<()> {
    let path = socket(state);
    let mut answer = String::new();
    let asked = UnixStream::connect(&path).and_then(|mut stream| {
        stream.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        stream.read_to_string(&mut answer)
    });
    asked.with_context(|| format!("not ready: nobody answers at {}", path.display()))?;
    if answer != READY {
        bail!("not ready: {}", answer.trim());
    }
    Ok(())
}

fn socket(state: &Path) -> PathBuf {
    state.join("ready.sock")
}
