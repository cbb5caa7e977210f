//! Who holds a connection by which certificate, and whether it still counts: a certificate that is revoked, or whose
//! authority is no longer trusted, ends its holder's requests, running ones included.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use mk8s_model::{ClusterName, Decision, Denial, Grant, KubeRequest};
use mk8s_proxy::{Authorizer, Caller};
use mk8s_tls::{
    CertificateDer, Fingerprint, ReloadingClientAuth, pki_types::UnixTime,
    rustls::server::danger::ClientCertVerifier as _,
};
use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

/// What the audit log has for a rule: the API server's RBAC decides.
const RULE: &str = "certificate";

/// The holders of all open connections.
pub struct Holders {
    trust: Arc<ReloadingClientAuth>,
    present: Mutex<HashMap<Uuid, Holder>>,
    /// Of those who are here, whose certificates count no longer, and why. What each request asks, without a lock.
    refused: ArcSwap<HashMap<Uuid, Arc<str>>>,
    grant: Grant,
    /// Moves whenever a certificate may no longer count.
    changes: watch::Sender<u64>,
}

/// A certificate and what came with it: the leaf first, as the client showed it.
pub(crate) type Chain = Arc<[CertificateDer<'static>]>;

/// Who holds one certificate.
struct Holder {
    chain: Chain,
    connections: usize,
    /// Why it counts no longer.
    refused: Option<Arc<str>>,
    /// Why it doesn't by its authority's responder.
    refused_by_responder: Option<Arc<str>>,
}

/// One connection of a holder.
pub(crate) struct Held {
    holders: Arc<Holders>,
    /// The certificate's, for [`Caller::session`].
    pub(crate) id: Uuid,
}

impl Holders {
    pub(crate) fn new(trust: Arc<ReloadingClientAuth>) -> Arc<Self> {
        Arc::new(Self {
            trust,
            present: Mutex::default(),
            refused: ArcSwap::default(),
            grant: Grant {
                rule: RULE.into(),
                // Rules of ours have no part in it.
                policy_version: 0,
            },
            changes: watch::Sender::new(0),
        })
    }

    /// Notes a connection by the chain that its handshake verified.
    pub(crate) fn enter(self: &Arc<Self>, chain: &[CertificateDer<'_>]) -> Held {
        let id = id(chain);
        let mut present = self.present();
        let holder = present.entry(id).or_insert_with(|| Holder {
            chain: chain
                .iter()
                .map(|c| c.clone().into_owned())
                .collect::<Vec<_>>()
                .into(),
            connections: 0,
            refused: None,
            refused_by_responder: None,
        });
        holder.connections += 1;
        // What changed between the handshake and now.
        holder.refused = self.refusal(&holder.chain);
        self.publish(&present);
        drop(present);
        Held {
            holders: self.clone(),
            id,
        }
    }

    /// Verifies everybody's certificate again whenever authorities or revocation lists change.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut lists = self.trust.subscribe();
        while lists.changed().await.is_ok() {
            self.verify_again();
        }
    }

    /// Takes over what a responder says of a certificate: why it doesn't count, or nothing.
    pub(crate) fn heard(&self, id: Uuid, refused: Option<Arc<str>>) {
        let mut present = self.present();
        let Some(holder) = present.get_mut(&id) else {
            return;
        };
        let moved = holder.refused_by_responder != refused;
        if moved && let Some(why) = &refused {
            info!(%why, connections = holder.connections, "a certificate is refused by what its responder says");
        }
        holder.refused_by_responder = refused;
        self.publish(&present);
        drop(present);
        if moved {
            self.changes.send_modify(|version| *version += 1);
        }
    }

    /// Everybody who is here.
    pub(crate) fn ids(&self) -> HashSet<Uuid> {
        self.present().keys().copied().collect()
    }

    /// The chain of one who is here.
    pub(crate) fn chain(&self, id: Uuid) -> Option<Chain> {
        self.present().get(&id).map(|holder| holder.chain.clone())
    }

    fn verify_again(&self) {
        let mut moved = false;
        let mut present = self.present();
        for holder in present.values_mut() {
            let refused = self.refusal(&holder.chain);
            if holder.refused != refused {
                if let Some(why) = &refused {
                    info!(%why, connections = holder.connections, "a certificate in use counts no longer");
                }
                holder.refused = refused;
                moved = true;
            }
        }
        self.publish(&present);
        drop(present);
        if moved {
            self.changes.send_modify(|version| *version += 1);
        }
    }

    /// Makes what is known of those who are here what requests are answered by.
    fn publish(&self, present: &HashMap<Uuid, Holder>) {
        let refused: HashMap<Uuid, Arc<str>> = present
            .iter()
            .filter_map(|(id, holder)| Some((*id, holder.why_refused()?.clone())))
            .collect();
        // Nobody is, nearly always.
        if !(refused.is_empty() && self.refused.load().is_empty()) {
            self.refused.store(Arc::new(refused));
        }
    }

    fn refusal(&self, chain: &[CertificateDer<'static>]) -> Option<Arc<str>> {
        let Some((leaf, rest)) = chain.split_first() else {
            return Some("there is no certificate".into());
        };
        if let Some(revoked) = self.trust.lists().revoked(chain) {
            return Some(format!("the certificate {} was revoked at {}", revoked.serial, revoked.at).into());
        }
        let verified = self.trust.verify_client_cert(leaf, rest, UnixTime::now());
        verified
            .err()
            .map(|why| format!("the certificate doesn't count any more: {why}").into())
    }

    fn present(&self) -> MutexGuard<'_, HashMap<Uuid, Holder>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// Why its certificate counts no longer, by whoever's word.
    fn why_refused(&self) -> Option<&Arc<str>> {
        self.refused.as_ref().or(self.refused_by_responder.as_ref())
    }
}

impl Authorizer for Holders {
    /// Whoever asks holds their connection ([`Caller::held`]), and so is here.
    fn decide(&self, caller: &Caller, _: &ClusterName, _: &KubeRequest<'_>) -> Decision {
        let deny = |reason: &str| {
            Decision::Deny(Denial {
                reason: reason.to_owned(),
                policy_version: 0,
            })
        };
        let Some(id) = caller.session else {
            return deny("no certificate was shown");
        };
        match self.refused.load().get(&id) {
            Some(why) => deny(why),
            None => Decision::Allow(self.grant.clone()),
        }
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut present = self.holders.present();
        if let Some(holder) = present.get_mut(&self.id) {
            holder.connections -= 1;
            if holder.connections == 0 {
                present.remove(&self.id);
                self.holders.publish(&present);
            }
        }
    }
}

/// A certificate's own id: of its fingerprint, as much as fits.
fn id(chain: &[CertificateDer<'_>]) -> Uuid {
    let fingerprint = Fingerprint::of(chain.first().map_or(&[][..], |leaf| leaf.as_ref()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&fingerprint.as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
