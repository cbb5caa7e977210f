//! Asks the service.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use zeroize::Zeroizing;

use crate::{
    Config, FetchError, FileRef, KeyProblem, Malformed, Transport, Vault,
    crypto::Unsealable,
    refusal::{self, Refusal},
    reply, request,
    server_key::ServerKey,
};

/// The longest reply that is taken, in bytes.
pub const REPLY_LIMIT: usize = 32 << 20;
/// The longest file that is taken, in bytes as it travels.
pub const FILE_LIMIT: usize = 64 << 20;
/// How often a request is made again because the server wants another of its keys.
const MOST_SWITCHES: usize = 2;

/// A client of one application.
pub struct Client {
    config: Config,
    transport: Box<dyn Transport>,
    /// The one that worked last.
    server_key: Mutex<ServerKey>,
}

impl Client {
    /// A client with this configuration. Nothing is asked yet.
    pub fn new(config: Config, transport: impl Transport + 'static) -> Self {
        Self {
            server_key: Mutex::new(config.server_key.clone()),
            transport: Box::new(transport),
            config,
        }
    }

    /// What it is configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Gets all records in one request, and with one more, if they are asked for, all folders.
    ///
    /// # Errors
    /// [`FetchError`] if there is no answer, or one that can't be read as a whole. Single parts that can't be read are in
    /// [`Vault::damaged`].
    pub async fn fetch(&self, with_folders: bool) -> Result<Vault, FetchError> {
        let secrets = self.ask("get_secret").await?;
        let mut vault = reply::read_secrets(&secrets, &self.config.app_key)?;
        drop(secrets);
        if with_folders {
            let folders = self.ask("get_folders").await?;
            reply::read_folders(&folders, &self.config.app_key, &mut vault)?;
        }
        Ok(vault)
    }

    /// Gets a file. Its address, which came with its record, works for a limited time.
    ///
    /// # Errors
    /// [`FetchError`] if there is no answer, or the answer isn't this file.
    pub async fn download(&self, file: &FileRef) -> Result<Zeroizing<Vec<u8>>, FetchError> {
        let reply = self.transport.get(&file.url, FILE_LIMIT).await?;
        if reply.status != 200 {
            let status = reply.status;
            return Err(FetchError::File { status });
        }
        Ok(file.key.open(&reply.body).map_err(|_| Malformed::File)?)
    }

    /// The reply of an endpoint, decrypted.
    async fn ask(&self, endpoint: &str) -> Result<Zeroizing<Vec<u8>>, FetchError> {
        let url = format!("https://{}/api/rest/sm/v1/{endpoint}", self.config.authority());
        let mut server_key = self.last_key().clone();
        let mut switches = 0;
        loop {
            let sealed = request::seal(&self.config, &server_key)?;
            let sent = self
                .transport
                .post(&url, &sealed.headers, sealed.body, REPLY_LIMIT);
            let reply = sent.await?;
            if reply.status == 200 {
                *self.last_key() = server_key;
                if reply.body.is_empty() {
                    return Err(Malformed::Empty.into());
                }
                return Ok(sealed
                    .key
                    .open(&reply.body)
                    .map_err(|_| Malformed::Undecryptable)?);
            }
            match refusal::read(&reply) {
                Refusal::Error(error) => return Err(error),
                Refusal::OtherKey(id) if switches == MOST_SWITCHES => {
                    let problem = KeyProblem::TooManySwitches;
                    return Err(FetchError::ServerKey { id, problem });
                }
                Refusal::OtherKey(id) => server_key = self.other_key(id)?,
            }
            switches += 1;
        }
    }

    /// The key of this id. A server that isn't Keeper's own has one key, whatever it calls it.
    fn other_key(&self, id: String) -> Result<ServerKey, FetchError> {
        let is_id = !id.is_empty() && id.len() <= 20 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let key = if self.config.has_own_key && is_id {
            let point = self.config.server_key.point.clone();
            let id = id.clone();
            Some(ServerKey { id, point })
        } else {
            ServerKey::production(&id)
        };
        let problem = KeyProblem::Unknown;
        key.ok_or(FetchError::ServerKey { id, problem })
    }

    fn last_key(&self) -> MutexGuard<'_, ServerKey> {
        // What is in it is whole at any time.
        self.server_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl From<Unsealable> for FetchError {
    fn from(Unsealable: Unsealable) -> Self {
        Self::Unsealable
    }
}
