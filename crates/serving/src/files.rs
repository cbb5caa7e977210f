//! A certificate that somebody else keeps in files.

use std::{sync::Arc, time::Duration};

use mk8s_tls::{Refresh, ReloadingCertificate};
use tracing::{info, warn};

/// How often the files are looked at. A mounted Secret is up to a minute late anyway.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// Uses what the files say from the next handshake on, whenever it changes. What is no certificate is warned about once.
pub(crate) async fn follow(certificate: Arc<ReloadingCertificate>) {
    let mut complaint = String::new();
    loop {
        tokio::time::sleep(LOOK).await;
        match certificate.refresh() {
            Ok(Refresh::Changed) => {
                info!(not_after = %certificate.not_after(), "the certificate's files changed; they are in use");
                complaint.clear();
            }
            Ok(Refresh::Unchanged) => complaint.clear(),
            Err(error) => {
                let text = error.to_string();
                if text != complaint {
                    warn!(error = %text, "the certificate's files changed and can't be used; the old ones stay in use");
                    complaint = text;
                }
            }
        }
    }
}
