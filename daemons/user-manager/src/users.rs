//! The directory: who exists, whose token this is, who may do what.
//!
//! Everything is in memory for reading and in the store before it counts, so a request costs no
//! disk access and a revocation holds from the moment its call returns. One process owns the store.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bcs_kit::{Redacted, clock};
use bcs_store::{Coordination, StoreError, Transaction};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};

use crate::UserError;
use crate::records::{
    Action, GrantRecord, Resource, Role, UserKind, UserRecord, check_name, check_resource,
};
use crate::token::{self, TokenRecord};

/// Tokens that one user may have.
const MAX_TOKENS: usize = 32;
/// Users in all.
const MAX_USERS: usize = 100_000;

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
struct State {
    users: BTreeMap<String, UserRecord>,
    tokens: BTreeMap<String, TokenRecord>,
    grants: BTreeMap<String, BTreeMap<Resource, GrantRecord>>,
}

/// The directory of users.
pub struct Users {
    store: Arc<dyn Coordination>,
    state: RwLock<State>,
    /// One change at a time, so that memory and store agree.
    writing: Mutex<()>,
    changed: watch::Sender<()>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Users").finish_non_exhaustive()
    }
}

fn user_key(name: &str) -> String {
    format!("user/{name}")
}
fn token_key(id: &str) -> String {
    format!("token/{id}")
}
fn grant_key(user: &str, resource: &Resource) -> String {
    format!(
        "grant/{user}/{}/{}",
        resource.resource_type, resource.resource
    )
}

fn encode<T: serde::Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|error| StoreError::Corrupt {
        operation: "encode",
        reason: error.to_string(),
    })
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

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, apply: impl FnOnce(&mut State)) {
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

    /// Makes a user and their first token, whose text is returned here and never again.
    ///
    /// # Errors
    /// `Exists` when the name is taken, whatever its kind.
    pub async fn create(
        &self,
        kind: UserKind,
        name: &str,
    ) -> Result<(UserRecord, TokenRecord, Redacted<String>), UserError> {
        check_name("name", name)?;
        let _writing = self.writing.lock().await;
        if self.state().users.contains_key(name) {
            return Err(UserError::Exists {
                name: name.to_owned(),
            });
        }
        if self.state().users.len() >= MAX_USERS {
            return Err(UserError::invalid(
                "users",
                &MAX_USERS.to_string(),
                "remove some first",
            ));
        }
        let now = clock::unix_seconds();
        let user = UserRecord {
            name: name.to_owned(),
            kind,
            created: now,
        };
        let (token, text) = TokenRecord::issue(name, now, now + kind.validity())?;
        let transaction = Transaction::new()
            .require_absent(user_key(name))
            .put(user_key(name), encode(&user)?)
            .put(token_key(&token.id), encode(&token)?);
        self.store.transact(transaction).await?;
        self.change(|state| {
            state.users.insert(user.name.clone(), user.clone());
            state.tokens.insert(token.id.clone(), token.clone());
        });
        Ok((user, token, text))
    }

    /// One more token for a user, valid for `seconds`.
    ///
    /// # Errors
    /// `Missing` when there is no such user.
    pub async fn issue_token(
        &self,
        name: &str,
        seconds: i64,
    ) -> Result<(TokenRecord, Redacted<String>), UserError> {
        let _writing = self.writing.lock().await;
        let user = self.state().users.get(name).cloned();
        let Some(user) = user else {
            return Err(UserError::missing("user", name));
        };
        let now = clock::unix_seconds();
        let (live, dead): (Vec<_>, Vec<_>) = self
            .tokens(name)
            .into_iter()
            .partition(|token| token.expires > now);
        if live.len() >= MAX_TOKENS {
            return Err(UserError::invalid(
                "tokens",
                &live.len().to_string(),
                format!("at most {MAX_TOKENS} for a user; revoke some first"),
            ));
        }
        let (token, text) = TokenRecord::issue(&user.name, now, now.saturating_add(seconds))?;
        let mut transaction = Transaction::new().put(token_key(&token.id), encode(&token)?);
        for old in &dead {
            transaction = transaction.delete(token_key(&old.id));
        }
        self.store.transact(transaction).await?;
        self.change(|state| {
            for old in &dead {
                state.tokens.remove(&old.id);
            }
            state.tokens.insert(token.id.clone(), token.clone());
        });
        Ok((token, text))
    }

    /// Moves the end of the newest valid token; makes a new one when none is valid.
    ///
    /// # Errors
    /// `Missing` when there is no such user.
    pub async fn refresh(
        &self,
        name: &str,
        seconds: i64,
    ) -> Result<(TokenRecord, Option<Redacted<String>>), UserError> {
        let now = clock::unix_seconds();
        {
            let _writing = self.writing.lock().await;
            let newest = self
                .user(name)
                .ok_or_else(|| UserError::missing("user", name))?
                .1;
            if let Some(mut token) = newest.filter(|token| token.expires > now) {
                token.expires = now.saturating_add(seconds);
                let put = Transaction::new().put(token_key(&token.id), encode(&token)?);
                self.store.transact(put).await?;
                self.change(|state| {
                    state.tokens.insert(token.id.clone(), token.clone());
                });
                return Ok((token, None));
            }
        }
        let (token, text) = self.issue_token(name, seconds).await?;
        Ok((token, Some(text)))
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// `Missing` when the user has no such token.
    pub async fn revoke(&self, name: &str, id: &str) -> Result<(), UserError> {
        let _writing = self.writing.lock().await;
        if self
            .state()
            .tokens
            .get(id)
            .is_none_or(|token| token.user != name)
        {
            return Err(UserError::missing("token", id));
        }
        self.store
            .transact(Transaction::new().delete(token_key(id)))
            .await?;
        self.change(|state| {
            state.tokens.remove(id);
        });
        Ok(())
    }

    /// Removes a user with their tokens and grants.
    ///
    /// # Errors
    /// `Missing` when there is no such user; `Invalid` for the last administrator.
    pub async fn remove(&self, name: &str) -> Result<(), UserError> {
        let _writing = self.writing.lock().await;
        let user = self
            .user(name)
            .ok_or_else(|| UserError::missing("user", name))?
            .0;
        let admins = self
            .users()
            .iter()
            .filter(|user| user.kind == UserKind::Admin)
            .count();
        if user.kind == UserKind::Admin && admins == 1 {
            return Err(UserError::invalid(
                "name",
                name,
                "not the last administrator",
            ));
        }
        let mut transaction = Transaction::new().delete(user_key(name));
        for token in self.tokens(name) {
            transaction = transaction.delete(token_key(&token.id));
        }
        for grant in self.grants(name) {
            transaction = transaction.delete(grant_key(name, &grant.resource));
        }
        self.store.transact(transaction).await?;
        self.change(|state| {
            state.users.remove(name);
            state.tokens.retain(|_, token| token.user != name);
            state.grants.remove(name);
        });
        Ok(())
    }

    /// Grants all or none.
    ///
    /// # Errors
    /// `Missing` for an unknown user, `Invalid` for an odd resource.
    pub async fn grant(
        &self,
        by: &str,
        grants: Vec<(String, Resource, Role)>,
    ) -> Result<(), UserError> {
        let _writing = self.writing.lock().await;
        let created = clock::unix_seconds();
        let mut records = BTreeMap::new();
        for (user, resource, role) in grants {
            check_resource(&resource)?;
            if !self.state().users.contains_key(&user) {
                return Err(UserError::missing("user", &user));
            }
            let key = grant_key(&user, &resource);
            let record = GrantRecord {
                user,
                resource,
                role,
                by: by.to_owned(),
                created,
            };
            records.insert(key, record);
        }
        let mut transaction = Transaction::new();
        for (key, record) in &records {
            transaction = transaction.put(key.clone(), encode(record)?);
        }
        self.store.transact(transaction).await?;
        self.change(|state| {
            for record in records.into_values() {
                let of_user = state.grants.entry(record.user.clone()).or_default();
                of_user.insert(record.resource.clone(), record);
            }
        });
        Ok(())
    }

    /// Takes grants back; one that does not exist is no error.
    ///
    /// # Errors
    /// The store's.
    pub async fn withdraw(&self, grants: Vec<(String, Resource)>) -> Result<(), UserError> {
        let _writing = self.writing.lock().await;
        let keys: std::collections::BTreeSet<String> = grants
            .iter()
            .map(|(user, resource)| grant_key(user, resource))
            .collect();
        let transaction = keys
            .into_iter()
            .fold(Transaction::new(), Transaction::delete);
        self.store.transact(transaction).await?;
        self.change(|state| {
            for (user, resource) in grants {
                if let Some(of_user) = state.grants.get_mut(&user) {
                    of_user.remove(&resource);
                }
            }
        });
        Ok(())
    }
}

/// Makes the first administrator. Returns the token's text when one was made: show it once; `None`
/// when an administrator with a valid token exists already.
///
/// # Errors
/// [`UserError`].
pub async fn ensure_admin(
    users: &Users,
    name: &str,
) -> Result<Option<Redacted<String>>, UserError> {
    let now = clock::unix_seconds();
    let administrators = users
        .users()
        .into_iter()
        .filter(|user| user.kind == UserKind::Admin);
    let mut exists = false;
    for user in administrators {
        exists |= user.name == name;
        if users
            .tokens(&user.name)
            .iter()
            .any(|token| token.expires > now)
        {
            return Ok(None);
        }
    }
    if exists {
        let (_, text) = users.issue_token(name, UserKind::Admin.validity()).await?;
        return Ok(Some(text));
    }
    let (_, _, text) = users.create(UserKind::Admin, name).await?;
    Ok(Some(text))
}
