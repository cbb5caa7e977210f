//! The certificate that is served, in each of the modes, and who is told to believe it.

mod files;
mod keeper;
mod kept;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use jiff::Timestamp;
use kube::Client;
use mk8s_net::drain::Watch;
use mk8s_tls::{CertificateAuthority, ReloadingCertificate};
use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::{
    cluster,
    config::{Config, SelfMade, Tls},
    election::Candidate,
    readiness::Readiness,
    statuses::Statuses,
};

/// What runs beside the door.
pub(crate) struct Keeping {
    /// End when they are dropped.
    pub(crate) tasks: JoinSet<()>,
    /// Ends by itself when the program stops, and lets go of the Lease.
    pub(crate) candidate: Option<tokio::task::JoinHandle<()>>,
}

/// The certificate to begin with. In the mode `self` it is one that nobody believes, so that probes are answered until the
/// real one is there.
pub(crate) fn first(tls: &Tls) -> anyhow::Result<Arc<ReloadingCertificate>> {
    match tls {
        Tls::SelfMade(_) => {
            let now = Timestamp::now();
            let authority = CertificateAuthority::generate("mk8s-webhook, not ready", now)?;
            let names = ["mk8s-webhook.invalid".to_owned()];
            let issued = authority.issue_server(&names, Duration::from_secs(24 * 3600), now)?;
            Ok(ReloadingCertificate::from_issued(&issued)?)
        }
        Tls::Files { certificate, key, .. } => {
            ReloadingCertificate::from_files(certificate, key).context("tls.certificateFile and tls.keyFile")
        }
    }
}

/// Begins to keep the certificate, and the caBundle where that is ours to do.
pub(crate) async fn keep(
    config: &Config,
    certificate: Arc<ReloadingCertificate>,
    readiness: Arc<Readiness>,
    leader: Gauge,
    stop: Watch,
) -> anyhow::Result<Keeping> {
    let mut tasks = JoinSet::new();
    let place = match &config.tls {
        Tls::SelfMade(own) => &own.place,
        Tls::Files { bundle, .. } => {
            readiness.certificate_is_there();
            tasks.spawn(files::follow(certificate.clone()));
            match bundle {
                Some((_, place)) => place,
                None => {
                    if config.custom_resources.status {
                        let client = cluster::connect(&config.kubernetes).await?;
                        tasks.spawn(Statuses::new(client).run(None));
                    }
                    return Ok(Keeping {
                        tasks,
                        candidate: None,
                    });
                }
            }
        }
    };
    let client = cluster::connect(&config.kubernetes).await?;
    cluster::check_version(&client).await?;
    let (candidate, leading) = Candidate::new(client.clone(), place, leader);
    if config.custom_resources.status {
        tasks.spawn(Statuses::new(client.clone()).run(Some(leading.clone())));
    }
    match &config.tls {
        Tls::SelfMade(own) => {
            let keeper = keeper::Keeper::new(client.clone(), own.clone());
            tasks.spawn(keeper.run(client.clone(), leading));
            tasks.spawn(follow(client, own.clone(), certificate, readiness));
        }
        Tls::Files { bundle, .. } => {
            if let Some((ca_file, place)) = bundle.clone() {
                tasks.spawn(keeper::keep_bundle(client, place, ca_file, leading));
            }
        }
    }
    Ok(Keeping {
        tasks,
        candidate: Some(tokio::spawn(candidate.run(stop))),
    })
}

/// Serves what is in the Secret.
async fn follow(
    client: Client,
    own: SelfMade,
    certificate: Arc<ReloadingCertificate>,
    readiness: Arc<Readiness>,
) {
    let secret = own.secret.clone();
    let use_it = |data: &_| match kept::serving(data) {
        None => {}
        Some(Ok(issued)) if issued.chain == certificate.chain() => readiness.certificate_is_there(),
        Some(Ok(issued)) => match certificate.replace(&issued) {
            Ok(()) => {
                info!(not_after = %certificate.not_after(), "serving the certificate in the Secret");
                readiness.certificate_is_there();
            }
            Err(error) => warn!(%secret, %error, "the Secret's certificate can't be used"),
        },
        Some(Err(error)) => warn!(%secret, %error, "the Secret's certificate can't be used"),
    };
    keeper::follow(client, own, use_it).await;
}
