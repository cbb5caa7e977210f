//! `mk8s kubectl`: the user's own kubectl, in place of this process, on the chosen cluster.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use mk8s_model::ClusterName;

use crate::{
    cluster_cache,
    context::{Context, DEPTH_VARIABLE, block_on},
    contract::Cluster,
    error::{Failure, Result},
    home, kubeconfig, kubectl_args,
    output::plain,
    selection::Selection,
    session::Access,
};

/// A kubeconfig with nothing in it: a kubectl without a cluster must not find the user's other ones.
const NO_KUBECONFIG: &str = "/dev/null";

/// Becomes kubectl; comes back only with what kept it from that.
pub(crate) fn run(
    context: &Context<'_>,
    cluster: Option<&ClusterName>,
    arguments: &[OsString],
) -> Result<()> {
    kubectl_args::check(arguments)?;
    context.environment.refuse_endless_depth()?;
    let program = find(context)?;
    let kubeconfig = if kubectl_args::needs_no_cluster(arguments) {
        PathBuf::from(NO_KUBECONFIG)
    } else {
        let selection = Selection::resolve(context, cluster)?;
        make_ready(context, &selection)?;
        kubeconfig::write_for_run(context, &selection)?
    };
    let error = command(context, &program, &kubeconfig).args(arguments).exec();
    Err(Failure::new(format!(
        "can't run {}: {}",
        program.display(),
        home::reason(&error)
    ))
    .hint(REMEDY))
}

/// A kubectl for purposes of our own: on this cluster through central, else as the user's own kubeconfig says.
pub(crate) fn tool(context: &Context<'_>, cluster: Option<&ClusterName>) -> Result<Command> {
    context.environment.refuse_endless_depth()?;
    let program = find(context)?;
    let Some(cluster) = cluster else {
        let mut own = Command::new(program);
        own.env(DEPTH_VARIABLE, (context.environment.depth + 1).to_string());
        return Ok(own);
    };
    let selection = Selection::resolve(context, Some(cluster))?;
    make_ready(context, &selection)?;
    let kubeconfig = kubeconfig::write_for_run(context, &selection)?;
    Ok(command(context, &program, &kubeconfig))
}

/// Runs a [`tool`] to its end, with this on its standard input.
pub(crate) fn finish(mut command: Command, input: Option<&str>) -> io::Result<Output> {
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // One that ends without reading says why by itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// The last line of what one said that failed.
pub(crate) fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    plain(last.unwrap_or("it said nothing"))
}

/// What kubectl says to `__complete` and these words; nothing if there is no kubectl.
pub(crate) fn completions(
    context: &Context<'_>,
    cluster: Option<&ClusterName>,
    words: &[OsString],
) -> Result<Vec<u8>> {
    context.environment.refuse_endless_depth()?;
    let program = find(context)?;
    let kubeconfig = match Selection::find(context, cluster)? {
        Some(selection) => kubeconfig::write_for_run(context, &selection)?,
        None => PathBuf::from(NO_KUBECONFIG),
    };
    let output = command(context, &program, &kubeconfig)
        .arg("__complete")
        .args(words)
        .output();
    output
        .map(|output| output.stdout)
        .map_err(|error| Failure::new(home::reason(&error)))
}

const REMEDY: &str = "install kubectl (https://kubernetes.io/docs/tasks/tools/), or name one in ~/.mk8s/config.yaml: `kubectl: /path/to/kubectl`";

/// A good token, and a cluster that is there and connected, before kubectl asks for either: a failure then is one line,
/// where kubectl would try for a minute and say less.
fn make_ready(context: &Context<'_>, selection: &Selection) -> Result<()> {
    let access = Access::new(context, selection.central.clone());
    let is_fresh = access.fresh()?.is_some();
    let chosen = |clusters: Vec<Cluster>| {
        clusters
            .into_iter()
            .find(|cluster| cluster.name == selection.cluster)
    };
    let recent = cluster_cache::recent(context, &selection.central).and_then(chosen);
    if is_fresh && recent.is_some_and(|cluster| cluster.is_connected()) {
        return Ok(());
    }
    let clusters = block_on(cluster_cache::fetch(context, &selection.central))?;
    let names: Vec<ClusterName> = clusters.iter().map(|cluster| cluster.name.clone()).collect();
    match chosen(clusters) {
        Some(cluster) if cluster.is_connected() => Ok(()),
        Some(cluster) => Err(cluster_cache::disconnected(&cluster)),
        None => Err(cluster_cache::unknown(&selection.cluster, names.iter())),
    }
}

fn command(context: &Context<'_>, program: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("KUBECONFIG", kubeconfig)
        .env(DEPTH_VARIABLE, (context.environment.depth + 1).to_string());
    command
}

/// The program that the configuration names, else the first kubectl on the PATH.
fn find(context: &Context<'_>) -> Result<PathBuf> {
    let named = context.config.kubectl.as_deref();
    let name = named.unwrap_or(Path::new("kubectl"));
    if name.as_os_str().as_bytes().contains(&b'/') {
        let path = context.environment.absolute(name);
        return if is_program(&path) {
            Ok(path)
        } else {
            let config = context.home.config_file();
            Err(Failure::new(format!(
                "{} isn't a program, and {} names it as kubectl",
                path.display(),
                config.display()
            ))
            .hint(REMEDY))
        };
    }
    let path = context.environment.path.clone().unwrap_or_default();
    let ourselves = context.environment.executable.as_deref();
    search(name.as_os_str(), &path, ourselves)
        .ok_or_else(|| Failure::new(format!("there is no {} on the PATH", name.display())).hint(REMEDY))
}

/// The first program of this name on the PATH that isn't this one under another name.
pub(super) fn search(name: &OsStr, path: &OsStr, ourselves: Option<&Path>) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| is_program(candidate) && fs::canonicalize(candidate).ok().as_deref() != ourselves)
}

pub(super) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
