//! Accounts of the host. Lookups go through the name service and may block: call from a thread
//! that may.

use std::ffi::CString;

use nix::unistd::{Group, Uid, User, geteuid, getgrouplist};

/// Whom a task runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// Why a task may not run as somebody.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such account.
    #[error("user {0:?} does not exist on this host; create it or name another")]
    Unknown(String),
    /// Not root.
    #[error("user {wanted:?} needs a process executor that runs as root; this one runs as {own:?}")]
    NotRoot {
        /// The account asked for.
        wanted: String,
        /// Our own.
        own: String,
    },
    /// The settings forbid it.
    #[error("user {0:?} is not among allow_users of the process executor")]
    Forbidden(String),
    /// The name service failed.
    #[error("user {name:?} cannot be looked up: {source}")]
    Lookup {
        /// The account.
        name: String,
        /// Why.
        source: nix::errno::Errno,
    },
}

/// Looks an account up by name or number; an empty name is our own account.
///
/// # Errors
/// When it does not exist, or we may not become it.
pub fn resolve(name: &str, allowed: &[String]) -> Result<Account, UserError> {
    let own = geteuid();
    let looked = |result: nix::Result<Option<User>>| {
        result.map_err(|source| UserError::Lookup {
            name: name.to_owned(),
            source,
        })
    };
    let user = match name {
        "" => looked(User::from_uid(own))?,
        _ => match looked(User::from_name(name))? {
            Some(user) => Some(user),
            None => match name.parse() {
                Ok(uid) => looked(User::from_uid(Uid::from_raw(uid)))?,
                Err(_) => None,
            },
        },
    };
    let Some(user) = user else {
        if name.is_empty() {
            // A container may run under a number without a name.
            return Ok(nameless(own.as_raw(), nix::unistd::getegid().as_raw()));
        }
        return Err(UserError::Unknown(name.to_owned()));
    };
    if !own.is_root() && user.uid != own {
        let own = User::from_uid(own)
            .ok()
            .flatten()
            .map_or(own.to_string(), |user| user.name);
        return Err(UserError::NotRoot {
            wanted: name.to_owned(),
            own,
        });
    }
    if !name.is_empty() && !allowed.is_empty() && !allowed.contains(&user.name) {
        return Err(UserError::Forbidden(user.name));
    }
    let groups = match CString::new(user.name.as_str()) {
        Ok(name) => getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]),
        Err(_) => vec![user.gid],
    };
    Ok(Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        home: user.dir.display().to_string(),
        shell: user.shell.display().to_string(),
        name: user.name,
    })
}

fn nameless(uid: u32, gid: u32) -> Account {
    Account {
        name: uid.to_string(),
        uid,
        gid,
        groups: vec![gid],
        home: "/".to_owned(),
        shell: "/bin/sh".to_owned(),
    }
}

/// The owner of a file item: `user` or `user:group`.
///
/// # Errors
/// When either does not exist.
pub fn owner(text: &str) -> Result<(u32, u32), UserError> {
    let (name, group) = text.split_once(':').unwrap_or((text, ""));
    let account = resolve(name, &[])?;
    if group.is_empty() {
        return Ok((account.uid, account.gid));
    }
    let lookup = Group::from_name(group).map_err(|source| UserError::Lookup {
        name: group.to_owned(),
        source,
    })?;
    match (lookup, group.parse()) {
        (Some(group), _) => Ok((account.uid, group.gid.as_raw())),
        (None, Ok(gid)) => Ok((account.uid, gid)),
        (None, Err(_)) => Err(UserError::Unknown(group.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_or_refused_clearly() {
        let own = resolve("", &[]).unwrap();
        assert_eq!(own.uid, geteuid().as_raw());
        let error = resolve("no-such-user-here", &[]).unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{error}");
        if geteuid().is_root() {
            assert_eq!(resolve("nobody", &[]).unwrap().uid, 65534);
            assert_eq!(resolve("65534", &[]).unwrap().name, "nobody");
            let error = resolve("nobody", &["daemon".to_owned()]).unwrap_err();
            assert!(error.to_string().contains("allow_users"), "{error}");
            assert_eq!(owner("nobody:root").unwrap(), (65534, 0));
        } else {
            assert!(resolve("root", &[]).is_err());
        }
    }
}
