//! The session at central, kept fresh by however many processes at once.
//!
//! A refresh token works once (twice within 30 s), so only one process at a time may use it: whoever finds the token old
//! takes the lock and looks again, because by then somebody else may have brought a new one.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    central_url::CentralUrl,
    client::{CentralClient, CentralError},
    clock::Moment,
    context::Context,
    credentials::Session,
    error::{Failure, Result},
    trust,
};

/// What a caller of central gets: its answer, or why not.
pub(crate) type Answer<T> = std::result::Result<T, CentralError>;

/// The session of this user at one central.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    context: &'a Context<'a>,
    central: CentralUrl,
}

impl<'a> Access<'a> {
    /// The session at `central`.
    pub(crate) fn new(context: &'a Context<'a>, central: CentralUrl) -> Self {
        Self { context, central }
    }

    /// The session as it is, without the network: `None` if its token is due for renewal.
    pub(crate) fn fresh(&self) -> Result<Option<Session>> {
        let session = self.load()?;
        Ok((!session.fresh_for(&Moment::now()).is_zero()).then_some(session))
    }

    /// The session with a token that is good for a while.
    pub(crate) async fn session(&self) -> Result<Session> {
        match self.fresh()? {
            Some(session) => Ok(session),
            None => self.renew(None).await,
        }
    }

    /// Asks central with the session's token; once more with a new one if central doesn't take it.
    pub(crate) async fn ask<T>(
        &self,
        client: &CentralClient,
        ask: impl AsyncFn(&CentralClient, &SecretString) -> Answer<T>,
    ) -> Result<T> {
        let session = self.session().await?;
        let answer = match ask(client, &session.token).await {
            Err(CentralError::Unauthorized(_)) => {
                let session = self.renew(Some(&session.token)).await?;
                ask(client, &session.token).await
            }
            answer => answer,
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(CentralError::Unauthorized(_)) => Err(expired()),
            Err(error) => Err(explain(client, error).await),
        }
    }

    /// Brings a new token, unless another process has meanwhile. `refused` is one that central doesn't take.
    async fn renew(&self, refused: Option<&SecretString>) -> Result<Session> {
        let store = self.context.credentials();
        let lock = store.lock()?;
        let session = self.load()?;
        let now = Moment::now();
        let refused = refused.is_some_and(|refused| refused.expose_secret() == session.token.expose_secret());
        if !refused && !session.fresh_for(&now).is_zero() {
            return Ok(session);
        }
        let client = self.context.client(&self.central)?;
        match client.refresh(&session.refresh_token).await {
            Ok(tokens) => {
                let session = Session::new(&session.email, tokens, Moment::now());
                store.save(&lock, &self.central, &session)?;
                Ok(session)
            }
            Err(CentralError::Unauthorized(_)) => Err(expired()),
            // The token in hand is old, not dead: good enough while central can't give a new one.
            Err(error) if error.is_passing() && !refused && session.remaining(&now) > Duration::ZERO => {
                Ok(session)
            }
            Err(error) => Err(explain(&client, error).await),
        }
    }

    fn load(&self) -> Result<Session> {
        let session = self.context.credentials().load(&self.central)?;
        session.ok_or_else(|| Failure::new(format!("not logged in to {}", self.central)).hint("mk8s login"))
    }
}

/// What went wrong, with a look at central's certificate if that was it.
pub(crate) async fn explain(client: &CentralClient, error: CentralError) -> Failure {
    match error {
        CentralError::Certificate { central, reason } => {
            trust::explain_refusal(&central, client.trust(), &reason, Moment::now().timestamp()).await
        }
        error => error.into(),
    }
}

fn expired() -> Failure {
    Failure::new("session expired: run `mk8s login`")
}
