//! Changes of the directory: users, tokens, grants. Each is in the store before it is in memory.

use std::collections::BTreeMap;

use bcs_kit::{Redacted, clock};
use bcs_store::{StoreError, Transaction};

use crate::UserError;
use crate::records::{
    GrantRecord, Resource, Role, UserKind, UserRecord, check_name, check_resource,
};
use crate::token::TokenRecord;
use crate::users::Users;

/// Tokens that one user may have.
const MAX_TOKENS: usize = 32;
/// Users in all.
const MAX_USERS: usize = 100_000;

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
