//! Everything is wired here, in the order in which it starts.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use mk8s_audit::AuditFile;
use mk8s_mcp_core::{
    principal::Principal,
    server::{Options, Server, Starter},
};
use mk8s_model::{AuthMethod, Identity};
use rmcp::{ServiceExt as _, service::ServerInitializeError};
use tracing::info;

use crate::{calls::Calls, config::Config, contexts::Kubeconfig};

/// Serves until standard input ends.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    if let Some(directory) = config.audit_file.parent() {
        make(directory).with_context(|| format!("can't make {} for the audit file", directory.display()))?;
    }
    let audit = AuditFile::open(&config.audit_file)?;
    let clusters = Kubeconfig::open(&config.kubeconfig, &config.contexts, audit.clone())?;
    let door = Starter(Principal::local(starter()?));
    let server = Server::with(
        Arc::new(door),
        Arc::new(clusters),
        Arc::new(Calls(audit)),
        config.settings,
        Options {
            // It is its user's own machine, and nobody else speaks with us.
            is_local: true,
            ..Options::default()
        },
    );
    info!(kubeconfig = %config.kubeconfig.display(), audit = %config.audit_file.display(), "ready");
    let (from, to) = rmcp::transport::stdio();
    let from = server.hearing(from);
    // Boxed, because it is large, and only the beginning.
    match Box::pin(server.serve((from, to))).await {
        Ok(running) => {
            running.waiting().await?;
            Ok(())
        }
        // It went before it asked for anything: a look at what there is.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(error).context("the client didn't begin"),
    }
}

/// Whoever started us, as this machine knows them. Clusters know them by the kubeconfig's credentials.
fn starter() -> anyhow::Result<Identity> {
    let uid = rustix::process::getuid().as_raw();
    let name = std::env::var("USER").ok().filter(|name| !name.is_empty());
    let identity = name.and_then(|name| Identity::new(&name, [""; 0], AuthMethod::Starter).ok());
    match identity {
        Some(identity) => Ok(identity),
        None => Ok(Identity::new(
            &format!("uid-{uid}"),
            [""; 0],
            AuthMethod::Starter,
        )?),
    }
}

/// For nobody else's eyes.
fn make(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}
