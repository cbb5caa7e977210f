//! `mk8s mcp`: mk8s-mcp in place of this process, on the clusters behind central, with the user's own login.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::Command,
};

use mk8s_model::ClusterName;

use super::{
    kubeconfig,
    kubectl::{is_program, search},
};
use crate::{
    context::{Context, DEPTH_VARIABLE},
    error::{Failure, Result},
    home,
};

const PROGRAM: &str = "mk8s-mcp";

/// Becomes mk8s-mcp; comes back only with what kept it from that.
pub(crate) fn run(
    context: &Context<'_>,
    cluster: Option<&ClusterName>,
    arguments: &[OsString],
) -> Result<()> {
    context.environment.refuse_endless_depth()?;
    let program = find(context)?;
    // It holds no secret: the token comes from `mk8s credential`, each time it is needed.
    let path = context.home.run_directory().join("mcp.kubeconfig");
    home::write_private(&path, kubeconfig::all(context, cluster)?.as_bytes())?;
    let mut command = Command::new(&program);
    command
        .env(DEPTH_VARIABLE, (context.environment.depth + 1).to_string())
        .arg("--kubeconfig")
        .arg(path);
    match cluster {
        Some(cluster) => command.args(["--context", cluster.as_str()]),
        None => command.arg("--all-contexts"),
    };
    let error = command.args(arguments).exec();
    Err(Failure::new(format!(
        "can't run {}: {}",
        program.display(),
        home::reason(&error)
    )))
}

/// The one that was installed with this program, else the first on the PATH.
fn find(context: &Context<'_>) -> Result<PathBuf> {
    let ourselves = context.environment.executable.as_deref();
    let beside = ourselves
        .map(|ourselves| ourselves.with_file_name(PROGRAM))
        .filter(|path| is_program(path));
    let path = context.environment.path.clone().unwrap_or_default();
    beside
        .or_else(|| search(OsStr::new(PROGRAM), &path, ourselves))
        .ok_or_else(|| {
            Failure::new(format!(
                "there is no {PROGRAM} beside this program or on the PATH"
            ))
            .hint("install it from where mk8s came from")
        })
}
