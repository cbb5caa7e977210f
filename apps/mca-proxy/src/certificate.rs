//! The certificate that the containers see: by all the names that clients call the API server in a pod.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_tls::{AuthorityError, CertificateAuthority, Issued, ReloadingCertificate};
use tracing::{error, info};

/// How long a certificate is valid. Its authority outlives the pod.
const VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);
/// It is replaced when less than this is left.
const RENEW_BEFORE: Duration = Duration::from_secs(20 * 24 * 3600);
/// How often that is looked at. A clock may be set, too, or the machine have slept.
const LOOK: Duration = Duration::from_secs(3600);

/// Every name that a client in the pod may have for the API server: by the variables, by DNS, by habit.
pub(crate) fn names(cluster_domain: &str, more: &[String]) -> Vec<String> {
    let fixed = [
        "localhost",
        "127.0.0.1",
        "::1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    let mut names: Vec<String> = fixed.map(str::to_owned).into();
    names.push(format!("kubernetes.default.svc.{cluster_domain}"));
    names.extend(
        more.iter()
            .filter(|name| !fixed.contains(&name.as_str()))
            .cloned(),
    );
    names
}

/// One that is valid from now on.
pub(crate) fn issue(
    authority: &CertificateAuthority,
    names: &[String],
    now: Timestamp,
) -> Result<Issued, AuthorityError> {
    authority.issue_server(names, VALIDITY, now)
}

/// Renews it for as long as the sidecar runs.
pub(crate) async fn keep_valid(
    certificate: Arc<ReloadingCertificate>,
    authority: CertificateAuthority,
    names: Vec<String>,
) {
    loop {
        tokio::time::sleep(LOOK).await;
        renew_if_due(&certificate, &authority, &names, Timestamp::now());
    }
}

fn renew_if_due(
    certificate: &ReloadingCertificate,
    authority: &CertificateAuthority,
    names: &[String],
    now: Timestamp,
) {
    let left = certificate.not_after().as_second() - now.as_second();
    if left > RENEW_BEFORE.as_secs().cast_signed() {
        return;
    }
    let renewed = issue(authority, names, now)
        .map_err(|why| why.to_string())
        .and_then(|issued| certificate.replace(&issued).map_err(|why| why.to_string()));
    match renewed {
        Ok(()) => info!(not_after = %certificate.not_after(), "renewed the certificate"),
        Err(why) => error!(error = why, "can't renew the certificate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_in_time_and_not_before() {
        let now = Timestamp::now();
        let days = |days: i64| now + jiff::SignedDuration::from_hours(24 * days);
        let authority = CertificateAuthority::generate("mca-proxy", now).expect("authority");
        let names = names("cluster.local", &[]);
        let issued = issue(&authority, &names, now).expect("issued");
        let certificate = ReloadingCertificate::from_issued(&issued).expect("usable");
        let first = certificate.chain().fingerprint();
        renew_if_due(&certificate, &authority, &names, days(9));
        assert_eq!(certificate.chain().fingerprint(), first);
        renew_if_due(&certificate, &authority, &names, days(11));
        assert_ne!(certificate.chain().fingerprint(), first);
        assert!(certificate.not_after() > days(40));
    }
}
