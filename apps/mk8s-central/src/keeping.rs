//! What central keeps in its data directory: the CA, the token keys, the audit journal.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use jiff::Timestamp;
use mk8s_audit::{AuditSink, SinkError};
use mk8s_authn::SigningKeys;
use mk8s_model::AuditEvent;
use mk8s_store::Store;
use mk8s_tls::{CertificateAuthority, ReloadingCertificate};

use crate::config::Config;

/// How long a self-issued server certificate is good for. It is issued anew at every start, and while running.
pub(crate) const SERVER_VALIDITY: Duration = Duration::from_secs(90 * 24 * 3600);

/// The CA that signs the agents' certificates and, if the operator gave none, central's own. Made if it isn't there.
pub(crate) fn authority(config: &Config) -> anyhow::Result<CertificateAuthority> {
    private_dir(&config.data_dir)?;
    Ok(CertificateAuthority::load_or_create(
        &config.data_dir.join("ca"),
        "mk8s-central CA",
        Timestamp::now(),
    )?)
}

/// The keys that sign access tokens. Made if there are none.
pub(crate) fn signing_keys(config: &Config) -> anyhow::Result<SigningKeys> {
    private_dir(&config.data_dir)?;
    Ok(SigningKeys::load_or_create(&config.data_dir.join("jwt"))?)
}

/// The certificate that both ports show.
pub(crate) fn server_certificate(
    config: &Config,
    authority: &CertificateAuthority,
) -> anyhow::Result<Arc<ReloadingCertificate>> {
    match config.certificate_files() {
        Some((certificate, key)) => Ok(ReloadingCertificate::from_files(certificate, key)?),
        None => {
            let issued = authority.issue_server(&config.server.names, SERVER_VALIDITY, Timestamp::now())?;
            Ok(ReloadingCertificate::from_issued(&issued)?)
        }
    }
}

/// The database, made or brought to this program's schema.
pub(crate) async fn store(config: &Config) -> anyhow::Result<Store> {
    private_dir(&config.data_dir)?;
    Ok(Store::open(&config.database()?).await?)
}

/// Where the audit journal is.
pub(crate) fn audit_dir(config: &Config) -> PathBuf {
    config.data_dir.join("audit")
}

fn private_dir(path: &PathBuf) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("can't make the data directory {} (data_dir)", path.display()))
}

/// The audit's way into the database.
pub(crate) struct StoredAudit(pub(crate) Store);

#[async_trait]
impl AuditSink for StoredAudit {
    async fn append(&self, events: &[AuditEvent<'_>]) -> Result<(), SinkError> {
        Ok(self.0.append_audit(events).await?)
    }
}
