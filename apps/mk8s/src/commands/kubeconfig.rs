//! `mk8s kubeconfig`.

use std::{fs, path::Path};

use mk8s_model::ClusterName;

use crate::{
    cli::Kubeconfig,
    cluster_cache,
    context::{Context, block_on},
    error::{Failure, Result},
    home, kubeconfig, output,
    selection::Selection,
};

/// Writes a kubeconfig for the chosen cluster, or for all.
pub(crate) fn run(context: &Context<'_>, flag: Option<&ClusterName>, command: Kubeconfig) -> Result<()> {
    let flag = command.cluster.as_ref().or(flag);
    let text = if command.all {
        all(context, flag)?
    } else {
        let selection = Selection::resolve(context, flag)?;
        kubeconfig::render(
            context,
            std::slice::from_ref(&selection),
            Some(&selection.cluster),
        )?
    };
    match command.output {
        Some(path) if path.as_os_str() != "-" => write(&path, &text),
        _ => output::print(&text),
    }
}

/// Writes a kubeconfig where it was asked for.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    // A pipe or a device is written to; only a file is replaced.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, text).map_err(|error| {
            Failure::new(format!(
                "can't write {}: {}",
                path.display(),
                home::reason(&error)
            ))
        });
    }
    home::write_private(path, text.as_bytes())?;
    output::note(&format!(
        "Wrote {0}; use it with: export KUBECONFIG={0}",
        path.display()
    ));
    Ok(())
}

/// A kubeconfig with a context for each cluster that the user can reach.
pub(super) fn all(context: &Context<'_>, flag: Option<&ClusterName>) -> Result<String> {
    let central = context.central()?;
    let chosen = Selection::find(context, flag)?;
    let mut clusters = block_on(cluster_cache::fetch(context, &central))?;
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    if clusters.is_empty() {
        return Err(Failure::new("your roles reach no cluster").hint("ask your administrator for a role"));
    }
    let selections: Vec<Selection> = clusters
        .into_iter()
        .map(|cluster| {
            let chosen = chosen.clone().filter(|chosen| chosen.cluster == cluster.name);
            chosen.unwrap_or_else(|| Selection {
                central: central.clone(),
                cluster: cluster.name,
                namespace: None,
            })
        })
        .collect();
    let current = chosen.map(|chosen| chosen.cluster);
    let current = current.filter(|current| selections.iter().any(|selection| selection.cluster == *current));
    kubeconfig::render(context, &selections, current.as_ref())
}
