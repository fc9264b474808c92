//! The directory: who exists, whose token this is, who may do what.
//!
//! Everything is in memory for reading and in the store before it counts, so a request costs no
//! disk access and a revocation holds from the moment its call returns. One process owns the store.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bcs_kit::clock;
use bcs_store::{Coordination, StoreError};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};

use crate::records::{Action, GrantRecord, Resource, UserKind, UserRecord};
use crate::token::{self, TokenRecord};

/// A user whose token or certificate was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's name.
    pub name: String,
    /// What sort of user.
    pub kind: UserKind,
    /// The token's public part and its end in unix seconds; absent with a certificate.
    pub token: Option<(String, i64)>,
}

/// Why a token was not accepted. The texts do not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the form of a token, or nobody's.
    #[error("the token is not known here; ask an administrator for a new one")]
    Unknown,
    /// Was valid.
    #[error("the token has expired; refresh it or ask for a new one")]
    Expired,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) users: BTreeMap<String, UserRecord>,
    pub(crate) tokens: BTreeMap<String, TokenRecord>,
    pub(crate) grants: BTreeMap<String, BTreeMap<Resource, GrantRecord>>,
}

/// The directory of users.
pub struct Users {
    pub(crate) store: Arc<dyn Coordination>,
    state: RwLock<State>,
    /// One change at a time, so that memory and store agree.
    pub(crate) writing: Mutex<()>,
    changed: watch::Sender<()>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Users").finish_non_exhaustive()
    }
}

impl Users {
    /// Reads the directory from its store.
    ///
    /// # Errors
    /// The store's error, or `Corrupt` for a record that cannot be read.
    pub async fn open(store: Arc<dyn Coordination>) -> Result<Self, StoreError> {
        async fn load<T: DeserializeOwned>(
            store: &Arc<dyn Coordination>,
            prefix: &str,
        ) -> Result<Vec<T>, StoreError> {
            let range = store.range(prefix, 0, None).await?;
            let read = |entry: &bcs_store::Entry| {
                serde_json::from_slice(&entry.value).map_err(|error| StoreError::Corrupt {
                    operation: "load users",
                    reason: format!("{}: {error}", entry.key),
                })
            };
            range.entries.iter().map(read).collect()
        }
        let mut state = State::default();
        for user in load::<UserRecord>(&store, "user/").await? {
            state.users.insert(user.name.clone(), user);
        }
        for token in load::<TokenRecord>(&store, "token/").await? {
            state.tokens.insert(token.id.clone(), token);
        }
        for grant in load::<GrantRecord>(&store, "grant/").await? {
            let of_user = state.grants.entry(grant.user.clone()).or_default();
            of_user.insert(grant.resource.clone(), grant);
        }
        let (changed, _) = watch::channel(());
        Ok(Self {
            store,
            state: RwLock::new(state),
            writing: Mutex::new(()),
            changed,
        })
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, apply: impl FnOnce(&mut State)) {
        apply(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
    }

    /// Tells of every change, for requests that last.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether the caller is still who they were: the user exists and the token was not revoked.
    pub fn stands(&self, caller: &Caller) -> bool {
        let state = self.state();
        let user = state
            .users
            .get(&caller.name)
            .is_some_and(|user| user.kind == caller.kind);
        user && caller.token.as_ref().is_none_or(|(id, _)| {
            let now = clock::unix_seconds();
            state
                .tokens
                .get(id)
                .is_some_and(|token| token.expires > now)
        })
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// [`TokenError`] when it is nobody's, or no longer valid.
    pub fn authenticate(&self, text: &str) -> Result<Caller, TokenError> {
        let (id, secret) = token::split(text).ok_or(TokenError::Unknown)?;
        let state = self.state();
        let record = state.tokens.get(id).ok_or(TokenError::Unknown)?;
        if !record.accepts(secret) {
            return Err(TokenError::Unknown);
        }
        if record.expires <= clock::unix_seconds() {
            return Err(TokenError::Expired);
        }
        let user = state.users.get(&record.user).ok_or(TokenError::Unknown)?;
        let token = Some((record.id.clone(), record.expires));
        Ok(Caller {
            name: user.name.clone(),
            kind: user.kind,
            token,
        })
    }

    /// The user of that name, for callers that were verified by certificate.
    pub fn caller(&self, name: &str) -> Option<Caller> {
        let state = self.state();
        let user = state.users.get(name)?;
        Some(Caller {
            name: user.name.clone(),
            kind: user.kind,
            token: None,
        })
    }

    /// Whether the caller may do this. Administrators may; others need a grant on exactly this
    /// resource or on `*`. An empty resource is covered by `*` only.
    pub fn allows(&self, caller: &Caller, resource: &Resource, action: Action) -> bool {
        if caller.kind == UserKind::Admin {
            return true;
        }
        let state = self.state();
        let Some(grants) = state.grants.get(&caller.name) else {
            return false;
        };
        let every = Resource {
            resource: "*".to_owned(),
            ..resource.clone()
        };
        [resource, &every]
            .into_iter()
            .filter_map(|wanted| grants.get(wanted))
            .any(|grant| grant.role.allows(action))
    }

    /// The resources of a type that the caller may read; `None` is all of them.
    pub fn readable(&self, caller: &Caller, resource_type: &str) -> Option<Vec<String>> {
        if caller.kind == UserKind::Admin {
            return None;
        }
        let state = self.state();
        let mut found = Vec::new();
        for resource in state
            .grants
            .get(&caller.name)
            .into_iter()
            .flat_map(BTreeMap::keys)
        {
            if resource.resource_type == resource_type {
                if resource.resource == "*" {
                    return None;
                }
                found.push(resource.resource.clone());
            }
        }
        Some(found)
    }

    /// One user with the newest of their tokens.
    pub fn user(&self, name: &str) -> Option<(UserRecord, Option<TokenRecord>)> {
        let state = self.state();
        let user = state.users.get(name)?.clone();
        let newest = state
            .tokens
            .values()
            .filter(|token| token.user == name)
            .max_by_key(|token| (token.expires, token.created));
        Some((user, newest.cloned()))
    }

    /// All users.
    pub fn users(&self) -> Vec<UserRecord> {
        self.state().users.values().cloned().collect()
    }

    /// A user's tokens.
    pub fn tokens(&self, name: &str) -> Vec<TokenRecord> {
        self.state()
            .tokens
            .values()
            .filter(|token| token.user == name)
            .cloned()
            .collect()
    }

    /// A user's grants.
    pub fn grants(&self, name: &str) -> Vec<GrantRecord> {
        let state = self.state();
        state
            .grants
            .get(name)
            .into_iter()
            .flat_map(|grants| grants.values().cloned())
            .collect()
    }
}
