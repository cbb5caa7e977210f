//! Asks the responders that certificates name whether they still hold (OCSP, RFC 6960).
//!
//! The first request of a connection waits for the answer, which is kept until it ends and asked for again as long as its
//! holder is here. Only certificates that a handshake has verified are asked about: a responder's address is the word of a
//! trusted authority, and what comes back from there is shown to nobody.

mod known;
mod post;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use mk8s_tls::{
    CertificateChain,
    ocsp::{self, IdHash, Nonce, Request},
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use tokio::sync::{Mutex, Semaphore};
use tracing::{debug, warn};
use uuid::Uuid;

use self::known::{Known, Word};
use crate::{
    holders::{Chain, Holders},
    settings::Ocsp,
};

/// Questions to responders, by what became of them: `outcome` is `good`, `revoked`, `unknown` or `none`.
pub type Questions = Family<[(&'static str, &'static str); 1], Counter>;

/// How long a responder has for an answer, from looking up its name to the last byte.
const LIMIT: Duration = Duration::from_secs(3);
/// How often to look whose answer ends.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many are asked again at the same time.
const AT_ONCE: usize = 16;

/// What responders said, and how they are asked.
pub(crate) struct Responders {
    ocsp: Ocsp,
    /// Where the authorities are whose certificates no client shows.
    authorities: Vec<PathBuf>,
    holders: Arc<Holders>,
    questions: Questions,
    kept: StdMutex<HashMap<Uuid, Place>>,
}

/// What is known of one certificate. Locked while its responder is asked, so that there is one question at a time.
type Place = Arc<Mutex<Option<Known>>>;

/// When what is known has to be asked again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Only when it has ended.
    Ended,
    /// Some time before, so that nobody waits for it.
    Ending,
}

impl Responders {
    /// `authorities` are files of the authorities that let somebody in.
    pub(crate) fn new(
        ocsp: Ocsp,
        authorities: Vec<PathBuf>,
        holders: Arc<Holders>,
        questions: Questions,
    ) -> Arc<Self> {
        Arc::new(Self {
            ocsp,
            authorities,
            holders,
            questions,
            kept: StdMutex::default(),
        })
    }

    /// Makes sure that `holders` know what the responder of one who is here says.
    pub(crate) async fn settle_first(self: &Arc<Self>, id: Uuid) {
        if self.ocsp == Ocsp::Off {
            return;
        }
        let Some(chain) = self.holders.chain(id) else {
            return;
        };
        // A client that goes away leaves the answer for when it comes again.
        let settling = tokio::spawn(self.clone().settle(id, chain, When::Ended));
        if settling.await.is_err() && self.ocsp == Ocsp::Hard {
            self.holders.heard(id, Some(NO_ANSWER.into()));
        }
    }

    /// Asks again about those who are here, whenever what is known of them ends.
    pub(crate) async fn follow(self: Arc<Self>) {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        if self.ocsp == Ocsp::Off {
            return;
        }
        loop {
            tokio::time::sleep(INTERVAL).await;
            for (id, chain) in self.due(Timestamp::now()) {
                let Ok(turn) = turns.clone().acquire_owned().await else {
                    return;
                };
                let responders = self.clone();
                tokio::spawn(async move {
                    responders.settle(id, chain, When::Ending).await;
                    drop(turn);
                });
            }
        }
    }

    /// Those who are here and have to be asked about, after forgetting what nobody needs.
    fn due(&self, now: Timestamp) -> Vec<(Uuid, Chain)> {
        let here = self.holders.ids();
        let mut kept = self.kept();
        kept.retain(|id, place| {
            // One that is held elsewhere is about to be filled.
            here.contains(id)
                || Arc::strong_count(place) > 1
                || place
                    .try_lock()
                    .is_ok_and(|known| known.as_ref().is_some_and(|known| known.outlives(now)))
        });
        let is_due = |place: &Place| {
            let known = place.try_lock();
            known.is_ok_and(|known| known.as_ref().is_some_and(|known| known.again <= now))
        };
        kept.iter()
            .filter(|(_, place)| is_due(place))
            .filter_map(|(id, _)| Some((*id, self.holders.chain(*id)?)))
            .collect()
    }

    async fn settle(self: Arc<Self>, id: Uuid, chain: Chain, when: When) {
        let url = match chain.first().map(ocsp::responder) {
            Some(Ok(Some(url))) => url,
            Some(Err(error)) => {
                // The handshake has read it, and this can't be.
                warn!(%error, "a certificate's responder can't be read");
                return;
            }
            Some(Ok(None)) | None => return,
        };
        let place = self.kept().entry(id).or_default().clone();
        let mut known = place.lock().await;
        let now = Timestamp::now();
        let is_over = |known: &Known| match when {
            When::Ended => known.until <= now,
            When::Ending => known.again <= now,
        };
        if known.as_ref().is_none_or(is_over) {
            let outcome = self.ask(&url, &chain).await;
            self.tell(&url, &outcome, known.as_ref());
            *known = Some(Known::after(known.take(), outcome.ok(), Timestamp::now()));
        }
        if let Some(known) = known.as_ref() {
            self.holders.heard(id, refusal(self.ocsp, &known.word));
        }
    }

    /// One question. The error says why there is no answer that counts.
    async fn ask(&self, url: &str, chain: &Chain) -> Result<ocsp::Answer, String> {
        let asking = async {
            let (leaf, rest) = chain.split_first().ok_or("there is no certificate")?;
            let authorities = self.read_authorities().await;
            let among = rest.iter().chain(&authorities);
            let issuer =
                ocsp::issuer(leaf, among).ok_or("the certificate's authority isn't among those known")?;
            // A responder that has no new answers for each question leaves the nonce out, and that is taken.
            let request =
                Request::new(leaf, issuer, IdHash::Sha1, Nonce::Offered).map_err(|e| e.to_string())?;
            let answer = post::post(url, request.der().to_vec()).await;
            let answer = answer.map_err(|e| e.to_string())?;
            request
                .check(&answer, Timestamp::now())
                .map_err(|e| e.to_string())
        };
        let limited = tokio::time::timeout(LIMIT, asking).await;
        limited.unwrap_or_else(|_| Err(format!("there was no answer within {} s", LIMIT.as_secs())))
    }

    /// The authorities' certificates: what of them can be read, as they are at this moment.
    async fn read_authorities(&self) -> Vec<mk8s_tls::CertificateDer<'static>> {
        let mut all = Vec::new();
        for file in &self.authorities {
            let pem = tokio::fs::read(file).await.unwrap_or_default();
            if let Ok(chain) = CertificateChain::from_pem(&pem) {
                all.extend_from_slice(chain.der());
            }
        }
        all
    }

    /// Counts what came of a question, and logs what somebody should know; that there is still no answer once only.
    fn tell(&self, url: &str, outcome: &Result<ocsp::Answer, String>, before: Option<&Known>) {
        let counted = match outcome {
            Ok(answer) => Word::from(&answer.status).outcome(),
            Err(_) => Word::None.outcome(),
        };
        self.questions.get_or_create(&[("outcome", counted)]).inc();
        let is_new = before.is_none_or(|known| known.word.outcome() != counted);
        let refused = self.ocsp == Ocsp::Hard;
        match outcome {
            Err(error) if is_new => {
                warn!(responder = url, %error, refused, "a responder gives no answer about a certificate");
            }
            Err(error) => debug!(responder = url, %error, "a responder still gives no answer"),
            Ok(answer) if answer.status == ocsp::Status::Unknown => {
                warn!(responder = url, refused, "a responder doesn't know a certificate");
            }
            Ok(answer) => {
                debug!(responder = url, status = counted, until = %answer.until, "a responder answered");
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Uuid, Place>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NO_ANSWER: &str = "the responder of the certificate's authority can't be heard; try again in a minute";

/// Why a certificate doesn't count by its responder's word. What kept the responder from answering isn't said: the address
/// may be one that the holder can't reach.
fn refusal(ocsp: Ocsp, word: &Word) -> Option<Arc<str>> {
    match (word, ocsp) {
        (Word::Revoked { at }, _) => {
            Some(format!("the certificate was revoked at {at}, says its authority's responder").into())
        }
        (Word::Unknown, Ocsp::Hard) => {
            Some("the responder of the certificate's authority doesn't know it".into())
        }
        (Word::None, Ocsp::Hard) => Some(NO_ANSWER.into()),
        (Word::Good | Word::Unknown | Word::None, _) => None,
    }
}

#[cfg(test)]
mod tests;
