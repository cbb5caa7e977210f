//! `~/.mk8s/credentials.json`: a session for each central, and the lock under which they change.
//!
//! A session is kept under the central that gave it, so that its token can't be sent to another one. The file is replaced
//! in one step and read without the lock; the lock is for those who are about to change it.

use std::{collections::BTreeMap, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    central_url::CentralUrl,
    clock::Moment,
    contract::{Tokens, exposed},
    error::{Failure, Result},
    home::{self, Home},
    lock::Lock,
};

/// How long to wait for another process of ours: longer than one request to central may take.
const LOCK_LIMIT: Duration = Duration::from_secs(45);
/// The format written; a file of another one is not ours to change.
const VERSION: u32 = 1;

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// By central's origin.
    sessions: BTreeMap<String, Session>,
}

/// What a login gave, and each refresh since.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Who logged in.
    pub(crate) email: String,
    /// The bearer token.
    #[serde(serialize_with = "exposed")]
    pub(crate) token: SecretString,
    /// Buys the next tokens.
    #[serde(serialize_with = "exposed")]
    pub(crate) refresh_token: SecretString,
    /// When the tokens came, by our clocks.
    received: Moment,
    /// Seconds that the token lives from then.
    expires_in: u64,
    /// When the session ends unless it is refreshed, by central's clock; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_expires_at: Option<String>,
}

impl Session {
    /// A session from central's answer, received now.
    pub(crate) fn new(email: &str, tokens: Tokens, now: Moment) -> Self {
        Self {
            email: email.to_owned(),
            token: tokens.token,
            refresh_token: tokens.refresh_token,
            received: now,
            expires_in: tokens.expires_in,
            refresh_expires_at: tokens.refresh_expires_at,
        }
    }

    /// How long the token lives yet; zero when it is past its time or its age can't be told.
    pub(crate) fn remaining(&self, now: &Moment) -> Duration {
        let age = now.since(&self.received).unwrap_or(Duration::MAX);
        Duration::from_secs(self.expires_in).saturating_sub(age)
    }

    /// How long the token may be used before it is time for a new one: until a fifth of its life is left, or a minute if
    /// that is more, but never less than half of its life.
    pub(crate) fn fresh_for(&self, now: &Moment) -> Duration {
        let margin = (self.expires_in / 5).max(60).min(self.expires_in / 2);
        self.remaining(now).saturating_sub(Duration::from_secs(margin))
    }
}

/// The credentials file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CredentialStore<'a> {
    home: &'a Home,
}

impl<'a> CredentialStore<'a> {
    /// The file in this directory.
    pub(crate) fn new(home: &'a Home) -> Self {
        Self { home }
    }

    /// The session at this central.
    pub(crate) fn load(&self, central: &CentralUrl) -> Result<Option<Session>> {
        Ok(self.read()?.sessions.remove(central.as_str()))
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Result<Lock> {
        self.home.ensure()?;
        Lock::acquire(&self.home.credentials_lock(), LOCK_LIMIT)
    }

    /// Replaces the session at this central.
    pub(crate) fn save(&self, _lock: &Lock, central: &CentralUrl, session: &Session) -> Result<()> {
        let mut stored = self.read()?;
        stored
            .sessions
            .insert(central.as_str().to_owned(), session.clone());
        self.write(&stored)
    }

    /// As [`Self::save`], for a login: a file that can't be read as credentials is of no use to anybody and is replaced.
    pub(crate) fn save_login(&self, _lock: &Lock, central: &CentralUrl, session: &Session) -> Result<()> {
        let path = self.home.credentials_file();
        let mut stored = match home::read_private(&path)? {
            Some(content) => serde_json::from_slice(&content).unwrap_or_default(),
            None => Stored::default(),
        };
        if stored.version != VERSION {
            stored = Stored::default();
        }
        stored
            .sessions
            .insert(central.as_str().to_owned(), session.clone());
        self.write(&stored)
    }

    /// Forgets the session at this central.
    pub(crate) fn remove(&self, _lock: &Lock, central: &CentralUrl) -> Result<()> {
        let mut stored = self.read()?;
        if stored.sessions.remove(central.as_str()).is_some() {
            self.write(&stored)?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Stored> {
        let path = self.home.credentials_file();
        let Some(content) = home::read_private(&path)? else {
            return Ok(Stored::default());
        };
        let unreadable = |why: String| {
            Failure::new(format!("{} can't be read: {why}", path.display()))
                .hint("run `mk8s login`: it writes the file anew")
        };
        // Not the parser's own words: they quote what they found, and that may be a token.
        let stored: Stored = serde_json::from_slice(&content)
            .map_err(|error| unreadable(format!("line {}, column {}", error.line(), error.column())))?;
        if stored.version != VERSION {
            return Err(unreadable(format!(
                "it is of version {}, this program knows {VERSION}",
                stored.version
            )));
        }
        Ok(stored)
    }

    fn write(&self, stored: &Stored) -> Result<()> {
        self.home.ensure()?;
        let mut json = serde_json::to_vec_pretty(stored)
            .map_err(|error| Failure::new(format!("can't write the credentials: {error}")))?;
        json.push(b'\n');
        home::write_private(&self.home.credentials_file(), &json)
    }
}

impl Default for Stored {
    fn default() -> Self {
        Self {
            version: VERSION,
            sessions: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn session(token: &str, received: Moment, expires_in: u64) -> Session {
        let tokens = Tokens {
            token: token.to_owned().into(),
            expires_in,
            refresh_token: "r".to_owned().into(),
            refresh_expires_at: None,
        };
        Session::new("a@b", tokens, received)
    }

    #[test]
    fn a_token_is_renewed_in_the_last_fifth_of_its_life() {
        let at = |seconds: u64| Moment::at(1_000_000 + seconds, None);
        let day = session("t", at(0), 86_400);
        assert!(!day.fresh_for(&at(69_000)).is_zero());
        assert!(day.fresh_for(&at(69_120)).is_zero());
        let minutes = session("t", at(0), 240);
        assert!(!minutes.fresh_for(&at(179)).is_zero());
        assert!(minutes.fresh_for(&at(180)).is_zero());
        let seconds = session("t", at(0), 20);
        assert!(
            !seconds.fresh_for(&at(9)).is_zero(),
            "a short-lived token isn't renewed at every use"
        );
        assert!(seconds.fresh_for(&at(10)).is_zero());
    }

    #[test]
    fn an_age_that_cannot_be_told_asks_for_a_new_token() {
        let session = session("t", Moment::at(1_000, None), 3_600);
        assert!(session.fresh_for(&Moment::at(500, None)).is_zero());
    }

    #[test]
    fn sessions_are_kept_by_central() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::at(directory.path().join("h"));
        let store = CredentialStore::new(&home);
        let one: CentralUrl = "https://one".parse().expect("valid");
        let two: CentralUrl = "https://two".parse().expect("valid");
        let lock = store.lock().expect("locked");
        store
            .save(&lock, &one, &session("t1", Moment::at(1, None), 60))
            .expect("saved");
        store
            .save(&lock, &two, &session("t2", Moment::at(1, None), 60))
            .expect("saved");
        store.remove(&lock, &one).expect("removed");
        assert!(store.load(&one).expect("read").is_none());
        let kept = store.load(&two).expect("read").expect("kept");
        assert_eq!(kept.token.expose_secret(), "t2");
        assert!(
            !format!("{kept:?}").contains("t2"),
            "a session in a message shows no token"
        );
    }
}
