//! A certificate that somebody else keeps in files, and whose authority the webhook makes known.

use std::time::Duration;

use jiff::Timestamp;
use mk8s_testkit::eventually;
use mk8s_tls::CertificateAuthority;

use super::{Webhook, is_injected, pod};

fn authority() -> CertificateAuthority {
    CertificateAuthority::generate("given", Timestamp::now()).expect("an authority")
}

impl Webhook {
    fn issue(&self, authority: &CertificateAuthority) {
        let names = [format!("{}.{}.svc", super::NAME, self.namespace.name())];
        let issued = authority.issue_server(&names, Duration::from_secs(3600), Timestamp::now());
        let issued = issued.expect("a certificate");
        let directory = self.directory.path();
        issued
            .save(&directory.join("tls.crt"), &directory.join("tls.key"))
            .expect("written");
    }

    fn believe(&self, authorities: &[&CertificateAuthority]) -> String {
        let pem: String = authorities.iter().map(|a| a.certificate_pem()).collect();
        std::fs::write(self.directory.path().join("ca.crt"), &pem).expect("written");
        pem
    }
}

#[test]
fn files_and_their_authority_are_exchanged_without_a_restart() {
    let mut webhook = Webhook::prepare("{}");
    let (first, second) = (authority(), authority());
    webhook.issue(&first);
    webhook.believe(&[&first]);
    let directory = webhook.directory.path().display().to_string();
    webhook.settings = webhook.settings.replace(
        "tls: {}",
        &format!(
            "tls: {{mode: given, certificateFile: {directory}/tls.crt, keyFile: {directory}/tls.key, caFile: {directory}/ca.crt}}"
        ),
    );
    webhook.namespace.apply(&webhook.manifest("webhook.yaml"));
    webhook.add("a");
    webhook.add("b");
    eventually("the API server to reach the webhook", || {
        let ran = webhook.try_create(&pod("first"), &[]);
        (ran.code == Some(0)).then(|| assert!(is_injected(&ran.json())))
    });
    assert_eq!(webhook.bundle(), first.certificate_pem());

    // As docs/webhook.md has it: believe both, exchange, believe the new one.
    let both = webhook.believe(&[&first, &second]);
    eventually("both to be believed", || (webhook.bundle() == both).then_some(()));
    webhook.issue(&second);
    for replica in &webhook.replicas {
        eventually("the new certificate", || {
            webhook
                .endpoint(replica, &second.certificate_pem())
                .connect()
                .ok()
                .map(drop)
        });
    }
    let new = webhook.believe(&[&second]);
    eventually("the new one alone to be believed", || {
        (webhook.bundle() == new).then_some(())
    });
    assert!(is_injected(&webhook.create(&pod("second"), &[])));
}
