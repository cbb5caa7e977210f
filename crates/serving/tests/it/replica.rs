//! A replica: what it serves, and what keeps that.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_net::drain::Drain;
use mk8s_serving::{BundlesIn, Keeping, LeaseSettings, Place, ServedCertificate, Tls, TlsSettings, keep};
use prometheus_client::metrics::gauge::Gauge;

use crate::fake::Fake;

pub(crate) struct Replica {
    pub(crate) served: Arc<ServedCertificate>,
    pub(crate) keeping: Keeping,
    pub(crate) leader: Gauge,
    drain: Drain,
}

/// Where all of them are. The lease is as short as it can be.
fn place() -> Place {
    let lease: LeaseSettings = serde_saphyr::from_str("{duration: 1s}").expect("valid");
    Place {
        program: "mk8s-extension",
        namespace: "n".to_owned(),
        service: "mk8s-extension".to_owned(),
        bundles: BundlesIn::ApiServices(vec!["v1.example.com".to_owned()]),
        lease: lease.checked("mk8s-extension").expect("valid"),
    }
}

impl Replica {
    /// One with these settings of `tls`.
    pub(crate) async fn start(fake: &Fake, tls: &str) -> Self {
        let settings: TlsSettings = serde_saphyr::from_str(tls).expect("valid");
        Self::with(fake, &settings.checked(|| Ok(place())).expect("valid")).await
    }

    async fn with(fake: &Fake, tls: &Tls) -> Self {
        let served = ServedCertificate::first(tls).expect("a certificate");
        let (drain, leader) = (Drain::new(), Gauge::default());
        let connect = async || Ok(fake.client());
        let keeping = keep(tls, served.clone(), connect, leader.clone(), drain.watch())
            .await
            .expect("begun");
        Self {
            served,
            keeping,
            leader,
            drain,
        }
    }

    pub(crate) fn objection(&self) -> Option<String> {
        self.served.objection(Timestamp::now())
    }

    pub(crate) fn leads(&self) -> bool {
        self.leader.get() == 1
    }

    /// Until it has a certificate that is believed.
    pub(crate) async fn ready(&self) {
        eventually("a certificate", || self.objection().is_none()).await;
    }

    /// Ends as a program does that is told to.
    pub(crate) async fn stop(self) {
        assert!(
            self.drain.finish(Duration::from_secs(5)).await,
            "it ends by itself"
        );
        if let Some(candidate) = self.keeping.candidate {
            candidate.await.expect("no panic");
        }
    }

    /// Ends at once, and lets go of nothing.
    pub(crate) fn kill(mut self) {
        self.keeping.tasks.abort_all();
        if let Some(candidate) = &self.keeping.candidate {
            candidate.abort();
        }
    }
}

/// Waits until it is so, for ten seconds at most.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    let message = format!("{what} didn't come");
    async move {
        for _ in 0..1000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{message}");
    }
}
