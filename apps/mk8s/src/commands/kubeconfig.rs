//! `mk8s kubeconfig`.

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
    let Some(path) = command.output else {
        return output::print(&text);
    };
    home::write_private(&path, text.as_bytes())?;
    output::note(&format!(
        "Wrote {}; use it with: export KUBECONFIG={}",
        path.display(),
        path.display()
    ));
    Ok(())
}

fn all(context: &Context<'_>, flag: Option<&ClusterName>) -> Result<String> {
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
