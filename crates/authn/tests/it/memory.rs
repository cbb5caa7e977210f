//! What must be stored, in memory.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use jiff::Timestamp;
use mk8s_authn::{
    AgentTokenRecord, AgentTokenStore, Email, NewSession, PasswordHash, RefreshRecord, Rotation, SecretHash,
    SessionStore, StorageError, UserRecord, UserStore,
};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Memory {
    state: Mutex<State>,
    /// So many of the next rotations find that somebody else was faster.
    pub(crate) races: AtomicU32,
}

#[derive(Default)]
struct State {
    users: HashMap<Uuid, UserRecord>,
    sessions: HashMap<Uuid, (NewSession, Option<Timestamp>)>,
    refreshes: HashMap<SecretHash, (Uuid, Timestamp, Option<Timestamp>)>,
    agent_tokens: HashMap<Uuid, AgentTokenRecord>,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub(crate) fn add_user(&self, email: Email, password: PasswordHash) -> Uuid {
        let id = Uuid::now_v7();
        self.state().users.insert(
            id,
            UserRecord {
                id,
                email,
                password,
                disabled: false,
            },
        );
        id
    }

    pub(crate) fn change_user(&self, id: Uuid, change: impl FnOnce(&mut UserRecord)) {
        change(self.state().users.get_mut(&id).expect("the user"));
    }

    pub(crate) fn password_of(&self, id: Uuid) -> PasswordHash {
        self.state().users[&id].password.clone()
    }

    pub(crate) fn revoked_sessions(&self) -> usize {
        self.state()
            .sessions
            .values()
            .filter(|(_, revoked)| revoked.is_some())
            .count()
    }

    pub(crate) fn change_agent_token(&self, id: Uuid, change: impl FnOnce(&mut AgentTokenRecord)) {
        change(self.state().agent_tokens.get_mut(&id).expect("the token"));
    }
}

#[async_trait]
impl UserStore for Memory {
    async fn user_by_email(&self, email: &Email) -> Result<Option<UserRecord>, StorageError> {
        Ok(self
            .state()
            .users
            .values()
            .find(|user| user.email == *email)
            .cloned())
    }

    async fn user_by_id(&self, id: Uuid) -> Result<Option<UserRecord>, StorageError> {
        Ok(self.state().users.get(&id).cloned())
    }

    async fn rehash_password(
        &self,
        id: Uuid,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<(), StorageError> {
        self.change_user(id, |user| {
            if user.password == *old {
                user.password = new.clone();
            }
        });
        Ok(())
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn create_session(&self, session: &NewSession) -> Result<(), StorageError> {
        let mut state = self.state();
        state.refreshes.insert(
            session.refresh_hash,
            (session.id, session.refresh_expires_at, None),
        );
        state.sessions.insert(session.id, (session.clone(), None));
        Ok(())
    }

    async fn find_refresh(&self, hash: &SecretHash) -> Result<Option<RefreshRecord>, StorageError> {
        let state = self.state();
        let Some((session_id, expires_at, rotated_at)) = state.refreshes.get(hash).copied() else {
            return Ok(None);
        };
        let (session, revoked) = &state.sessions[&session_id];
        Ok(Some(RefreshRecord {
            session_id,
            user_id: session.user_id,
            expires_at,
            rotated_at,
            session_expires_at: session.expires_at,
            revoked: revoked.is_some(),
        }))
    }

    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<bool, StorageError> {
        let mut state = self.state();
        let raced = self
            .races
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let old = state.refreshes.get_mut(&rotation.old_hash).expect("found before");
        if raced.is_ok() {
            old.2.get_or_insert(rotation.at);
            return Ok(false);
        }
        if rotation.first_use && old.2.is_some() {
            return Ok(false);
        }
        old.2.get_or_insert(rotation.at);
        if state.sessions[&rotation.session_id].1.is_some() {
            return Ok(false);
        }
        state.refreshes.insert(
            rotation.new_hash,
            (rotation.session_id, rotation.new_expires_at, None),
        );
        Ok(true)
    }

    async fn revoke_session(&self, id: Uuid, at: Timestamp) -> Result<(), StorageError> {
        if let Some((_, revoked)) = self.state().sessions.get_mut(&id) {
            revoked.get_or_insert(at);
        }
        Ok(())
    }
}

#[async_trait]
impl AgentTokenStore for Memory {
    async fn create_agent_token(&self, token: &AgentTokenRecord) -> Result<(), StorageError> {
        self.state().agent_tokens.insert(token.id, token.clone());
        Ok(())
    }

    async fn find_agent_token(&self, id: Uuid) -> Result<Option<AgentTokenRecord>, StorageError> {
        Ok(self.state().agent_tokens.get(&id).cloned())
    }

    async fn consume_agent_token(
        &self,
        id: Uuid,
        used_by: &str,
        at: Timestamp,
    ) -> Result<bool, StorageError> {
        let mut state = self.state();
        let token = state.agent_tokens.get_mut(&id).expect("found before");
        if token.used_at.is_some() || token.revoked_at.is_some() || at >= token.expires_at {
            return Ok(false);
        }
        token.used_at = Some(at);
        token.used_by = Some(used_by.to_owned());
        Ok(true)
    }
}
