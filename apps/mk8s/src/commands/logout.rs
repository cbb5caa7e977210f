//! `mk8s logout`.

use crate::{
    cluster_cache,
    context::{Context, block_on},
    error::Result,
    output,
};

/// Ends the session at central, and forgets it here even if central can't be reached.
pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    let central = context.central()?;
    let store = context.credentials();
    if store.load(&central)?.is_none() {
        return output::print(&format!("Not logged in to {central}\n"));
    }
    let lock = store.lock()?;
    let Some(session) = store.load(&central)? else {
        return output::print(&format!("Not logged in to {central}\n"));
    };
    store.remove(&lock, &central)?;
    cluster_cache::forget(context, &central);
    drop(lock);
    let told = context.client(&central).and_then(|client| {
        block_on(async { client.logout(&session.refresh_token).await.map_err(Into::into) })
    });
    if let Err(failure) = told {
        output::note(&format!(
            "warning: the tokens are gone from this machine, but central was not told: {failure}; the session ends there by itself"
        ));
    }
    output::print(&format!("Logged out of {central}\n"))
}
