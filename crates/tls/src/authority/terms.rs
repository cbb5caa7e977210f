//! Certificates for people and servers, with word of where to ask whether they still hold.

use std::time::Duration;

use jiff::Timestamp;
use mk8s_model::{AuthMethod, Identity};

use super::{AuthorityError, CertificateAuthority, Leaf, check_text, new_key, server_subject};
use crate::{
    CertificateChain, Issued,
    csr::{ProvenKey, proven_key},
    der::{self, Purpose, Status},
};

/// What a certificate says beside its holder's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it is valid; never longer than its authority.
    pub validity: Duration,
    /// The URL of an OCSP responder (authority information access).
    pub ocsp: Option<String>,
    /// The URL of the revocation list (CRL distribution point).
    pub crl: Option<String>,
}

impl Terms {
    /// A validity, and nothing else.
    pub fn of(validity: Duration) -> Self {
        Self {
            validity,
            ocsp: None,
            crl: None,
        }
    }

    fn status(&self) -> Result<Status<'_>, AuthorityError> {
        check_url(self.ocsp.as_deref())?;
        check_url(self.crl.as_deref())?;
        Ok(Status {
            ocsp: self.ocsp.as_deref(),
            crl: self.crl.as_deref(),
        })
    }
}

impl CertificateAuthority {
    /// A person's certificate with a new P-256 key: the user as common name, each group as an organization, for clients
    /// alone.
    ///
    /// # Errors
    /// [`AuthorityError::Identity`] for a name that no client may have, such as those in `system:`; otherwise as
    /// [`CertificateAuthority::issue_client`].
    pub fn issue_user(
        &self,
        user: &str,
        groups: &[String],
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let (key, proven) = new_key()?;
        let chain = self.user_chain(&proven, user, groups, terms, now)?;
        Ok(Issued { chain, key })
    }

    /// A person's certificate for the key of a request, in PEM or DER. Nothing else of the request is used.
    ///
    /// # Errors
    /// As [`CertificateAuthority::issue_user`] and [`CertificateAuthority::sign_csr`].
    pub fn sign_user(
        &self,
        request: &[u8],
        user: &str,
        groups: &[String],
        terms: &Terms,
        now: Timestamp,
    ) -> Result<CertificateChain, AuthorityError> {
        self.user_chain(&proven_key(request)?, user, groups, terms, now)
    }

    /// As [`CertificateAuthority::issue_server`], on terms.
    ///
    /// # Errors
    /// As [`CertificateAuthority::issue_server`]; or if a URL can't stand in a certificate.
    pub fn issue_server_on(
        &self,
        names: &[String],
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let (key, proven) = new_key()?;
        let chain = self.server_chain(&proven, names, terms, now)?;
        Ok(Issued { chain, key })
    }

    /// A server's certificate for the key of a request, in PEM or DER. Nothing else of the request is used, its names
    /// neither.
    ///
    /// # Errors
    /// As [`CertificateAuthority::issue_server_on`] and [`CertificateAuthority::sign_csr`].
    pub fn sign_server(
        &self,
        request: &[u8],
        names: &[String],
        terms: &Terms,
        now: Timestamp,
    ) -> Result<CertificateChain, AuthorityError> {
        self.server_chain(&proven_key(request)?, names, terms, now)
    }

    fn server_chain(
        &self,
        key: &ProvenKey,
        names: &[String],
        terms: &Terms,
        now: Timestamp,
    ) -> Result<CertificateChain, AuthorityError> {
        let (subject, names) = server_subject(names)?;
        let leaf = Leaf {
            subject: &subject,
            purpose: Purpose::Server,
            alternative_names: &names,
            status: terms.status()?,
        };
        let leaf = self.issue(key, &leaf, terms.validity, now)?;
        super::chain(vec![leaf, self.certificate.clone()])
    }

    fn user_chain(
        &self,
        key: &ProvenKey,
        user: &str,
        groups: &[String],
        terms: &Terms,
        now: Timestamp,
    ) -> Result<CertificateChain, AuthorityError> {
        let identity = Identity::new(user, groups, AuthMethod::Certificate)?;
        let groups: Vec<String> = identity.groups().map(str::to_owned).collect();
        let leaf = Leaf {
            subject: &der::name(identity.user(), &groups),
            purpose: Purpose::Client,
            alternative_names: &[],
            status: terms.status()?,
        };
        let leaf = self.issue(key, &leaf, terms.validity, now)?;
        super::chain(vec![leaf])
    }
}

fn check_url(url: Option<&str>) -> Result<(), AuthorityError> {
    let Some(url) = url else { return Ok(()) };
    check_text(url)?;
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    match rest {
        Some(rest) if plain && !rest.is_empty() => Ok(()),
        _ => Err(AuthorityError::BadName(
            url.chars().take(64).collect(),
            "it isn't a URL with http:// or https://",
        )),
    }
}
