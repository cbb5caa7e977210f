//! The authorities whose certificates the API server may show.

use std::{sync::Arc, time::Duration};

use mk8s_net::serve;
use mk8s_tls::{Fingerprint, ReloadingCertificate, Roots, ServerConfig, server::ClientAuth};
use tracing::{info, warn};

use crate::{
    config::Clients,
    door::{ClientRule, Door},
};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// TLS with the authorities as the file has them now. Probes come without a certificate, so nobody is sent away by the
/// handshake for having none.
pub(crate) fn server_config(
    clients: &Clients,
    certificate: Arc<ReloadingCertificate>,
) -> anyhow::Result<Arc<ServerConfig>> {
    let authorities = clients.ca_file.clone();
    let auth = authorities.map_or(ClientAuth::None, |file| {
        ClientAuth::Optional(Roots::Files(vec![file]))
    });
    mk8s_tls::server::config(certificate, &auth, serve::ALPN)
        .map_err(|error| anyhow::anyhow!("clients.clientCAFile: {error}"))
}

/// Whose reviews are answered.
pub(crate) fn rule(clients: &Clients) -> ClientRule {
    match &clients.ca_file {
        None => ClientRule::Anybody,
        Some(_) => ClientRule::Certified {
            names: clients.names.clone(),
        },
    }
}

/// Uses what the file says from the next handshake on, whenever it changes.
pub(crate) async fn follow(clients: Clients, certificate: Arc<ReloadingCertificate>, door: Arc<Door>) {
    let Some(file) = &clients.ca_file else {
        return;
    };
    let content = || std::fs::read(file).ok().map(|pem| Fingerprint::of(&pem));
    let mut known = content();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = content();
        if now == known {
            continue;
        }
        match server_config(&clients, certificate.clone()) {
            Ok(tls) => {
                door.tls.store(tls);
                info!("the authorities for clients changed; they are in use");
            }
            Err(error) => warn!(
                error = format!("{error:#}"),
                "the authorities for clients changed and can't be used; the old ones stay in use"
            ),
        }
        known = now;
    }
}
