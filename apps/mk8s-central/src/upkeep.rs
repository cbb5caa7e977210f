//! What happens by the clock: taking over what changed elsewhere, renewing, sweeping.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_store::{Store, StoreError};
use mk8s_tls::{CertificateAuthority, ReloadingCertificate};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::{access::Access, keeping, registry::Registry};

/// How soon a change that another replica or command wrote is acted on.
const REFRESH: Duration = Duration::from_secs(2);
/// Rounds of [`REFRESH`] after which certificate files are read again: a minute.
const CERTIFICATE_ROUNDS: u64 = 30;
/// Rounds after which sessions and tokens that are long over are deleted: an hour.
const SWEEP_ROUNDS: u64 = 1800;
/// A database that says nothing for this long is away; the connection to it may be dead without a sign.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that is kept up.
pub(crate) struct Upkeep {
    pub(crate) access: Arc<Access>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Store,
    pub(crate) certificate: Arc<ReloadingCertificate>,
    pub(crate) authority: Arc<CertificateAuthority>,
    /// The names to issue for, where the certificate is our own.
    pub(crate) names: Option<Vec<String>>,
}

/// Goes on until it is aborted.
pub(crate) async fn run(upkeep: Upkeep) {
    for round in 1_u64.. {
        tokio::time::sleep(REFRESH).await;
        if !matches!(timeout(PATIENCE, upkeep.take_over()).await, Ok(Ok(()))) {
            warn!("the database does not answer; going on with the users, roles and clusters known");
        }
        if round.is_multiple_of(CERTIFICATE_ROUNDS) {
            upkeep.renew_certificate();
        }
        if round.is_multiple_of(SWEEP_ROUNDS)
            && let Ok(Err(error)) = timeout(PATIENCE, upkeep.store.sweep(Timestamp::now())).await
        {
            warn!(%error, "can't delete what is long over");
        }
    }
}

impl Upkeep {
    async fn take_over(&self) -> Result<(), StoreError> {
        if self.access.refresh().await? {
            self.registry.refresh().await?;
        }
        Ok(())
    }

    fn renew_certificate(&self) {
        let Some(names) = &self.names else {
            if let Err(error) = self.certificate.refresh() {
                warn!(%error, "keeping the previous certificate");
            }
            return;
        };
        let now = Timestamp::now();
        let left = self.certificate.not_after().as_second() - now.as_second();
        if u64::try_from(left).unwrap_or(0) > keeping::SERVER_VALIDITY.as_secs() / 3 {
            return;
        }
        let renewed = self
            .authority
            .issue_server(names, keeping::SERVER_VALIDITY, now)
            .map_err(anyhow::Error::from)
            .and_then(|issued| self.certificate.replace(&issued).map_err(anyhow::Error::from));
        match renewed {
            Ok(()) => info!("server certificate renewed"),
            Err(error) => error!(%error, "can't renew the server certificate"),
        }
    }
}
