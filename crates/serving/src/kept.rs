//! What the replicas share: an authority, the certificate of it that all of them serve, the next authority before it is
//! relied on, and those before whose certificates may still be in use.
//!
//! An authority goes through three steps. It is made, and put into the caBundle; once it has been there for a while, a
//! certificate of it is served; once another has taken its place, it stays in the caBundle until it expires. So at every
//! moment all that any replica serves is believed, whatever API servers and replicas have heard of yet.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use mk8s_tls::{
    AuthorityError, CertificateAuthority, CertificateChain, Issued, MaterialError, pki_types::CertificateDer,
};

use crate::settings::Lifetimes;

/// The keys of the Secret. The first two are what every Secret of type kubernetes.io/tls has.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITY: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const NEXT: &str = "next-ca.crt";
const NEXT_KEY: &str = "next-ca.key";
const PREVIOUS: &str = "previous-ca.crt";
/// For whom the certificate is.
const NAMES: &str = "names";

/// The content of the Secret.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    current: Option<Current>,
    next: Option<CertificateAuthority>,
    previous: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
struct Current {
    authority: CertificateAuthority,
    serving: Issued,
    names: String,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the next authority.
    Prepare,
    /// Serve a certificate of the next authority, which must be in the caBundle for long enough.
    Promote,
    /// Issue another certificate of the same authority.
    Renew,
    /// Nothing, for this long.
    Rest(Duration),
}

impl Kept {
    /// Reads the Secret. What can't be read is as good as not there; the second part says what that is.
    pub(crate) fn read(data: &BTreeMap<String, ByteString>) -> (Self, Vec<String>) {
        let mut complaints = Vec::new();
        let mut complain = |what: &str, error: &MaterialError| complaints.push(format!("{what}: {error}"));
        let mut authority = |certificate: &str, key: &str| {
            let (pem, key) = (data.get(certificate)?, data.get(key)?);
            let read = CertificateAuthority::from_pem(&pem.0, &key.0);
            read.inspect_err(|error| complain(certificate, error)).ok()
        };
        let (current, next) = (authority(AUTHORITY, AUTHORITY_KEY), authority(NEXT, NEXT_KEY));
        let serving =
            serving(data).and_then(|read| read.inspect_err(|error| complain(CERTIFICATE, error)).ok());
        let names = data.get(NAMES).map_or_else(String::new, |names| {
            String::from_utf8_lossy(&names.0).into_owned()
        });
        let previous = data.get(PREVIOUS).filter(|pem| !pem.0.is_empty());
        let previous = previous.and_then(|pem| {
            let read = CertificateChain::from_pem(&pem.0);
            read.inspect_err(|error| complain(PREVIOUS, error)).ok()
        });
        let kept = Self {
            current: current.zip(serving).map(|(authority, serving)| Current {
                authority,
                serving,
                names,
            }),
            next,
            previous: previous.map_or_else(Vec::new, |chain| chain.der().to_vec()),
        };
        (kept, complaints)
    }

    /// The Secret's content.
    pub(crate) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, value: &str| {
            data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        };
        if let Some(current) = &self.current {
            put(AUTHORITY, &current.authority.certificate_pem());
            put(AUTHORITY_KEY, &current.authority.key_pem());
            put(CERTIFICATE, &current.serving.chain.pem());
            put(KEY, &current.serving.key.pem());
            put(NAMES, &current.names);
        }
        if let Some(next) = &self.next {
            put(NEXT, &next.certificate_pem());
            put(NEXT_KEY, &next.key_pem());
        }
        if !self.previous.is_empty() {
            put(PREVIOUS, &pem(&self.previous));
        }
        data
    }

    /// What is due now. A next authority is always promoted: how long it must stand before, the caller knows.
    pub(crate) fn due(&self, now: Timestamp, lifetimes: &Lifetimes, names: &[String]) -> Step {
        if self.next.is_some() {
            return Step::Promote;
        }
        let Some(current) = &self.current else {
            return Step::Prepare;
        };
        let (authority, serving) = (&current.authority, &current.serving.chain);
        let replace = renewal(authority.not_after(), lifetimes.authority);
        let renew = renewal(serving.not_after(), lifetimes.certificate);
        // At the end of an authority's life a new certificate of it would be no better than the old one.
        let would_be = after(now.max(renew), lifetimes.certificate).min(authority.not_after());
        let is_worth_it = would_be.duration_since(serving.not_after()) > SignedDuration::from_secs(1);
        if now >= replace {
            Step::Prepare
        } else if current.names != joined(names) || (now >= renew && is_worth_it) {
            Step::Renew
        } else {
            let next = if is_worth_it { replace.min(renew) } else { replace };
            Step::Rest(Duration::try_from(next.duration_since(now)).unwrap_or_default())
        }
    }

    /// Makes the next authority, with this common name.
    pub(crate) fn prepare(
        &mut self,
        common_name: &str,
        now: Timestamp,
        lifetimes: &Lifetimes,
    ) -> Result<(), AuthorityError> {
        let next = CertificateAuthority::generate_for(common_name, lifetimes.authority, now)?;
        self.next = Some(next);
        Ok(())
    }

    /// Puts the next authority in place of the current one, which joins the previous ones.
    pub(crate) fn promote(
        &mut self,
        now: Timestamp,
        lifetimes: &Lifetimes,
        names: &[String],
    ) -> Result<(), AuthorityError> {
        let Some(authority) = self.next.take() else {
            return Ok(());
        };
        let serving = authority.issue_server(names, lifetimes.certificate, now)?;
        let before = self.current.replace(Current {
            authority,
            serving,
            names: joined(names),
        });
        if let Some(before) = before {
            self.previous.push(before.authority.certificate().clone());
        }
        Ok(())
    }

    /// Issues another certificate of the current authority.
    pub(crate) fn renew(
        &mut self,
        now: Timestamp,
        lifetimes: &Lifetimes,
        names: &[String],
    ) -> Result<(), AuthorityError> {
        if let Some(current) = &mut self.current {
            current.serving = current
                .authority
                .issue_server(names, lifetimes.certificate, now)?;
            current.names = joined(names);
        }
        Ok(())
    }

    /// Forgets authorities that have expired. Whether there were any.
    pub(crate) fn forget(&mut self, now: Timestamp) -> bool {
        let before = (self.previous.len(), self.current.is_some(), self.next.is_some());
        self.previous.retain(|certificate| expiry(certificate) > now);
        self.current
            .take_if(|current| current.authority.not_after() <= now);
        self.next.take_if(|next| next.not_after() <= now);
        before != (self.previous.len(), self.current.is_some(), self.next.is_some())
    }

    /// Goes on believing authorities that we don't know, if there is nothing of our own yet: the Secret was lost, and
    /// other replicas may still serve certificates of them. Whether there were any.
    pub(crate) fn adopt(
        &mut self,
        believed: impl Iterator<Item = CertificateDer<'static>>,
        now: Timestamp,
    ) -> bool {
        if self.current.is_some() {
            return false;
        }
        let before = self.previous.len();
        for certificate in believed {
            let is_next = self
                .next
                .as_ref()
                .is_some_and(|next| *next.certificate() == certificate);
            if !is_next && !self.previous.contains(&certificate) && expiry(&certificate) > now {
                self.previous.push(certificate);
            }
        }
        before != self.previous.len()
    }

    /// All authorities that are to be believed, PEM.
    pub(crate) fn bundle(&self) -> String {
        let current = self.current.as_ref().map(|current| &current.authority);
        let ours = [current, self.next.as_ref()].into_iter().flatten();
        let ours: String = ours.map(CertificateAuthority::certificate_pem).collect();
        ours + &pem(&self.previous)
    }
}

/// The certificate that is to be served, if the Secret has one.
pub(crate) fn serving(data: &BTreeMap<String, ByteString>) -> Option<Result<Issued, MaterialError>> {
    let (certificate, key) = (data.get(CERTIFICATE)?, data.get(KEY)?);
    // An empty one is what somebody made beforehand, to be filled.
    (!certificate.0.is_empty()).then(|| Issued::from_pem(&certificate.0, &key.0))
}

/// The key of the authority, PEM: what all replicas know and nobody else.
pub(crate) fn authority_key(data: &BTreeMap<String, ByteString>) -> Option<&[u8]> {
    data.get(AUTHORITY_KEY)
        .map(|key| &key.0[..])
        .filter(|key| !key.is_empty())
}

/// When what ends then and lives for so long is to be renewed: with a third of its time left for trying again.
fn renewal(end: Timestamp, lifetime: Duration) -> Timestamp {
    let third = SignedDuration::try_from(lifetime / 3).unwrap_or(SignedDuration::MAX);
    end.checked_sub(third).unwrap_or(Timestamp::MIN)
}

fn after(now: Timestamp, lifetime: Duration) -> Timestamp {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    now.checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

fn expiry(certificate: &CertificateDer<'static>) -> Timestamp {
    // One that can't be read is of no use, and as good as expired.
    CertificateChain::from_der(vec![certificate.clone()]).map_or(Timestamp::MIN, |chain| chain.not_after())
}

fn pem(certificates: &[CertificateDer<'static>]) -> String {
    CertificateChain::from_der(certificates.to_vec()).map_or_else(|_| String::new(), |chain| chain.pem())
}

fn joined(names: &[String]) -> String {
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        authority: Duration::from_secs(3000),
        certificate: Duration::from_secs(600),
        settle: Duration::ZERO,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn names() -> Vec<String> {
        vec!["mk8s-webhook.mk8s-system.svc".to_owned()]
    }

    fn through_the_secret(kept: &Kept) -> Kept {
        let (kept, complaints) = Kept::read(&kept.to_data());
        assert_eq!(complaints, [""; 0]);
        kept
    }

    /// Does what is due until there is nothing more at that time; every state goes through the Secret.
    fn reconciled(mut kept: Kept, now: Timestamp) -> (Kept, Vec<&'static str>) {
        let mut done = Vec::new();
        loop {
            if kept.forget(now) {
                done.push("forget");
            }
            match kept.due(now, &LIFETIMES, &names()) {
                Step::Prepare => {
                    kept.prepare("mk8s-webhook", now, &LIFETIMES).expect("made");
                    done.push("prepare");
                }
                Step::Promote => {
                    let before = kept.bundle();
                    kept.promote(now, &LIFETIMES, &names()).expect("promoted");
                    done.push("promote");
                    let promoted = kept.current.as_ref().expect("current");
                    assert!(
                        before.contains(&promoted.authority.certificate_pem()),
                        "it was believed before"
                    );
                }
                Step::Renew => {
                    kept.renew(now, &LIFETIMES, &names()).expect("renewed");
                    done.push("renew");
                }
                Step::Rest(pause) => {
                    assert!(!pause.is_zero());
                    return (kept, done);
                }
            }
            kept = through_the_secret(&kept);
        }
    }

    fn count(bundle: &str) -> usize {
        bundle.matches("BEGIN CERTIFICATE").count()
    }

    #[test]
    fn a_life_from_nothing_to_the_second_authority() {
        let (kept, done) = reconciled(Kept::default(), at(0));
        assert_eq!(done, ["prepare", "promote"]);
        assert_eq!(count(&kept.bundle()), 1);
        assert_eq!(
            kept.due(at(0), &LIFETIMES, &names()),
            Step::Rest(Duration::from_secs(400)),
            "until the certificate is to be renewed"
        );
        let (kept, done) = reconciled(kept, at(399));
        assert!(done.is_empty(), "{done:?}");
        let (kept, done) = reconciled(kept, at(401));
        assert_eq!(done, ["renew"]);
        assert_eq!(count(&kept.bundle()), 1, "of the same authority");
        let (kept, done) = reconciled(kept, at(2001));
        assert_eq!(done, ["prepare", "promote"]);
        assert_eq!(count(&kept.bundle()), 2, "the previous one is still believed");
        let (kept, done) = reconciled(kept, at(3001));
        assert_eq!(done, ["forget", "renew"]);
        assert_eq!(count(&kept.bundle()), 1, "once it has expired it is not");
    }

    #[test]
    fn a_certificate_at_its_authoritys_end_is_not_renewed_again_and_again() {
        let (mut kept, _) = reconciled(Kept::default(), at(0));
        kept.renew(at(2500), &LIFETIMES, &names()).expect("renewed");
        let current = kept.current.as_ref().expect("current");
        assert_eq!(current.serving.chain.not_after(), at(3000));
        assert_eq!(kept.due(at(2900), &LIFETIMES, &names()), Step::Prepare);
        let longer = Lifetimes {
            authority: Duration::from_secs(30),
            ..LIFETIMES
        };
        let due = kept.due(at(2900), &longer, &names());
        assert_eq!(due, Step::Rest(Duration::from_secs(90)));
    }

    #[test]
    fn another_name_needs_another_certificate() {
        let (kept, _) = reconciled(Kept::default(), at(0));
        let others = ["mk8s-webhook.elsewhere.svc".to_owned()];
        assert_eq!(kept.due(at(1), &LIFETIMES, &others), Step::Renew);
    }

    #[test]
    fn an_expired_authority_is_begun_anew() {
        let (kept, _) = reconciled(Kept::default(), at(0));
        let (kept, done) = reconciled(kept, at(5000));
        assert_eq!(done, ["forget", "prepare", "promote"]);
        assert!(kept.current.is_some() && count(&kept.bundle()) == 1);
    }

    #[test]
    fn what_others_may_still_serve_is_believed_when_the_secret_was_lost() {
        let (lost, _) = reconciled(Kept::default(), at(0));
        let believed: Vec<_> = lost
            .current
            .iter()
            .map(|c| c.authority.certificate().clone())
            .collect();
        let mut kept = Kept::default();
        assert!(kept.adopt(believed.iter().cloned(), at(10)));
        assert!(!kept.adopt(believed.iter().cloned(), at(10)), "once is enough");
        let (mut kept, _) = reconciled(kept, at(10));
        assert_eq!(count(&kept.bundle()), 2);
        assert!(!kept.adopt(lost.previous.into_iter(), at(10)));
        let mut late = Kept::default();
        assert!(
            !late.adopt(believed.into_iter(), at(4000)),
            "what has expired is left"
        );
    }

    #[test]
    fn a_damaged_secret_is_begun_anew_and_complained_about() {
        let (kept, _) = reconciled(Kept::default(), at(0));
        let mut data = kept.to_data();
        data.insert(CERTIFICATE.to_owned(), ByteString(b"no PEM".to_vec()));
        let (kept, complaints) = Kept::read(&data);
        assert!(
            complaints.len() == 1 && complaints[0].starts_with("tls.crt"),
            "{complaints:?}"
        );
        assert_eq!(kept.due(at(1), &LIFETIMES, &names()), Step::Prepare);
        let (kept, complaints) = Kept::read(&BTreeMap::new());
        assert!(complaints.is_empty() && kept.current.is_none());
    }
}
