//! The issuer, as far as we speak to it.

use std::sync::Arc;

use crate::{Clock, FetchError, Settings, SetupError, discovery::Discovery, fetch::Client, keys::Keys};

/// An issuer's description and keys, kept. One for a program: what others need of it is behind an [`Arc`].
pub struct Issuer {
    pub(crate) discovery: Arc<Discovery>,
    pub(crate) keys: Keys,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
}

impl Issuer {
    /// Nothing is fetched before it is needed, or [`Issuer::ready`] is asked.
    ///
    /// # Errors
    /// [`SetupError`] if the authorities to trust can't be read.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, SetupError> {
        let client = Client::new(settings)?;
        let discovery = Arc::new(Discovery::new(settings, client.clone(), Arc::clone(&clock)));
        Ok(Self {
            keys: Keys::new(
                settings,
                Arc::clone(&discovery),
                client.clone(),
                Arc::clone(&clock),
            ),
            discovery,
            client,
            clock,
        })
    }

    /// Whether tokens could be checked now; fetches the keys if there are none.
    ///
    /// # Errors
    /// [`FetchError`] if they can't be fetched.
    pub async fn ready(&self) -> Result<(), FetchError> {
        self.keys.ready().await
    }
}
