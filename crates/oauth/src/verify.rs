//! From a bearer token to whom it is of.

use std::{fmt, sync::Arc};

use http::HeaderMap;
use jiff::Timestamp;
use mk8s_model::{AuthMethod, Identity};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{
    Algorithm, Challenge, Challenges, Issuer, Refused, Scope, Settings, bearer,
    clock::{earlier, later},
    jws::Jws,
    object::{Object, WrongType},
    settings::MappedClaim,
};

/// Whose a good token is, and what it is good for. Only a [`Verifier`] makes one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The user and groups that Kubernetes will be told.
    pub identity: Identity,
    /// What the token lets its bearer do here.
    pub scopes: Arc<[Scope]>,
    /// When it ends.
    pub expires: Timestamp,
    /// The `sub` claim: who this is to the issuer.
    pub subject: Arc<str>,
    /// The `iss` claim.
    pub issuer: Arc<str>,
    /// The `aud` claim: us, and whoever else.
    pub audiences: Arc<[Arc<str>]>,
    /// Who asked for the token (`azp`, or `client_id`), if it says.
    pub client: Option<Arc<str>>,
    /// By which the token can be told from others.
    pub token_digest: TokenDigest,
}

/// The SHA-256 of a token. It is not shown, because whoever has a list of them could look a token up in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

/// Checks tokens.
pub struct Verifier {
    issuer: Arc<Issuer>,
    settings: Settings,
    challenges: Challenges,
}

impl Verifier {
    /// Checks tokens by the settings, with the issuer's keys.
    pub fn new(settings: Settings, issuer: Arc<Issuer>) -> Self {
        Self {
            issuer,
            challenges: Challenges::new(&settings),
            settings,
        }
    }

    /// Whose the request is, and the token that says so; otherwise the answer to it.
    ///
    /// # Errors
    /// The [`Challenge`] to answer with.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<(SecretString, Verified), Challenge> {
        let answer = |refused| self.challenges.of(&refused);
        let token = bearer(headers).map_err(answer)?;
        let verified = self.verify(&token).await.map_err(answer)?;
        Ok((token, verified))
    }

    /// What the token says, if it is good now.
    ///
    /// # Errors
    /// [`Refused`] says what is wrong with it.
    pub async fn verify(&self, token: &SecretString) -> Result<Verified, Refused> {
        let token = token.expose_secret();
        let jws = Jws::read(token).map_err(Refused::Malformed)?;
        let algorithm = self.algorithm(&jws.header)?;
        let says_access_token = self.check_type(&jws.header)?;
        // Before the keys are asked for, lest another issuer's tokens have them fetched again and again.
        let issuer = jws.claims.text("iss")?.unwrap_or_default();
        if issuer != &*self.settings.issuer.text {
            return Err(Refused::WrongIssuer);
        }
        let key = self
            .issuer
            .keys
            .find(jws.header.text("kid")?, algorithm)
            .await
            .map_err(Refused::KeysUnavailable)?
            .ok_or(Refused::Untrusted)?;
        if !jws.is_signed_by(&key, algorithm) {
            return Err(Refused::Untrusted);
        }
        if !says_access_token {
            self.check_no_id_token(&jws.claims)?;
        }
        self.judge(&jws.claims, TokenDigest::of(token), (self.issuer.clock)())
    }

    /// Whether the token lets its bearer do what needs these scopes, beside those that every token must have.
    ///
    /// # Errors
    /// [`Refused::InsufficientScope`] with all that are needed.
    pub fn require(&self, user: &Verified, scopes: &[Scope]) -> Result<(), Refused> {
        let mut needed = self.settings.required_scopes.to_vec();
        needed.extend(
            scopes
                .iter()
                .filter(|scope| !self.settings.required_scopes.contains(scope))
                .cloned(),
        );
        if needed.iter().all(|scope| user.scopes.contains(scope)) {
            return Ok(());
        }
        Err(Refused::InsufficientScope {
            needed: needed.into(),
        })
    }

    /// Makes answers to what is refused, by [`Verifier::require`] or elsewhere.
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    fn algorithm(&self, header: &Object) -> Result<Algorithm, Refused> {
        let named = Algorithm::from_name(header.text("alg")?.unwrap_or_default());
        named
            .filter(|algorithm| self.settings.algorithms.contains(algorithm))
            .ok_or(Refused::Malformed("its algorithm is not among those allowed"))
    }

    /// Whether the header says that it is an access token (RFC 9068 section 2.1). `JWT`, or nothing, says neither yes nor no.
    fn check_type(&self, header: &Object) -> Result<bool, Refused> {
        let said = header.text("typ")?.unwrap_or("jwt").to_ascii_lowercase();
        match said.strip_prefix("application/").unwrap_or(&said) {
            "at+jwt" => Ok(true),
            "jwt" if !self.settings.rules.require_at_jwt => Ok(false),
            _ => Err(Refused::Malformed("its type is not that of an access token")),
        }
    }

    /// An id token tells a client who signed in; it lets nobody do anything. Some issuers say so in a claim.
    fn check_no_id_token(&self, claims: &Object) -> Result<(), Refused> {
        let says = claims.text("typ").ok().flatten() == Some("ID");
        let shows = self
            .settings
            .rules
            .id_token_claims
            .iter()
            .any(|name| claims.has(name));
        if says || shows {
            return Err(Refused::Malformed("it is an id token and not an access token"));
        }
        Ok(())
    }

    /// What signed claims of our issuer are worth now.
    fn judge(&self, claims: &Object, token_digest: TokenDigest, now: Timestamp) -> Result<Verified, Refused> {
        let expires = self.check_times(claims, now)?;
        let audiences = claims.texts("aud")?;
        if !audiences.contains(&&*self.settings.resource.text) {
            return Err(Refused::WrongAudience);
        }
        // Bound to a key of its holder's (RFC 9449, RFC 8705), which would have to be shown; as a mere bearer token it may be stolen.
        if claims.has("cnf") {
            return Err(Refused::Malformed(
                "it is bound to a key, and only bearer tokens are taken",
            ));
        }
        let client = match claims.text("azp")? {
            Some(party) => Some(party),
            None => claims.text("client_id")?,
        };
        let parties = &self.settings.rules.authorized_parties;
        if !parties.is_empty() && !client.is_some_and(|client| parties.iter().any(|party| party == client)) {
            return Err(Refused::WrongClient);
        }
        let subject = claims
            .text("sub")?
            .filter(|subject| !subject.is_empty())
            .ok_or(Refused::Malformed("it has no subject"))?;
        let verified = Verified {
            identity: self.identity(claims)?,
            scopes: scopes(claims)?,
            expires,
            subject: subject.into(),
            issuer: Arc::clone(&self.settings.issuer.text),
            audiences: audiences.into_iter().map(Arc::from).collect(),
            client: client.map(Arc::from),
            token_digest,
        };
        self.require(&verified, &[])?;
        Ok(verified)
    }

    fn check_times(&self, claims: &Object, now: Timestamp) -> Result<Timestamp, Refused> {
        let rules = &self.settings.rules;
        let expires = claims
            .time("exp")?
            .ok_or(Refused::Malformed("it has no expiry"))?;
        if earlier(now, rules.leeway) >= expires {
            return Err(Refused::Expired);
        }
        let latest = later(now, rules.leeway);
        let issued = claims.time("iat")?;
        for begins in [claims.time("nbf")?, issued].into_iter().flatten() {
            if begins > latest {
                return Err(Refused::NotYetValid);
            }
        }
        // What doesn't say since when is taken to be new.
        let since = issued.unwrap_or(latest);
        if expires > later(since, rules.max_lifetime) {
            return Err(Refused::TooLong);
        }
        Ok(expires)
    }

    fn identity(&self, claims: &Object) -> Result<Identity, Refused> {
        let MappedClaim { claim, prefix } = &self.settings.username;
        let name = claims
            .text(claim)?
            .filter(|name| !name.is_empty())
            .ok_or(Refused::Malformed("it lacks the claim that names its user"))?;
        // As the API server does: an address that nobody proved to be theirs is nobody's name.
        if claim == "email" && claims.truth("email_verified")? == Some(false) {
            return Err(Refused::Malformed("its e-mail address is not verified"));
        }
        let groups = match &self.settings.groups {
            None => Vec::new(),
            Some(MappedClaim { claim, prefix }) => {
                let named = claims.texts(claim)?;
                if named.iter().any(|group| group.is_empty()) {
                    return Err(Refused::Malformed("one of its groups has no name"));
                }
                named.iter().map(|group| format!("{prefix}{group}")).collect()
            }
        };
        Ok(Identity::new(
            &format!("{prefix}{name}"),
            groups,
            AuthMethod::Token,
        )?)
    }
}

/// One text with spaces between (RFC 9068 section 2.2.3); some issuers call it `scp`, and some write a list.
fn scopes(claims: &Object) -> Result<Arc<[Scope]>, Refused> {
    let name = if claims.has("scope") { "scope" } else { "scp" };
    let words = claims.texts(name)?.into_iter().flat_map(|text| text.split(' '));
    words
        .filter(|word| !word.is_empty())
        .map(|word| Scope::new(word).map_err(|_| Refused::Malformed("its scope is none")))
        .collect()
}

impl TokenDigest {
    /// Of a token's text.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// The digest itself, to keep something under.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

impl From<WrongType> for Refused {
    fn from(_: WrongType) -> Self {
        Self::Malformed("a claim is of another type than it must be")
    }
}
