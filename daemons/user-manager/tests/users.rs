//! The directory of users over the embedded store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::path::Path;
use std::sync::Arc;

use bcs_store_sqlite::{CoordinationOptions, SqliteCoordination};
use bcs_user_manager::{Action, Resource, Role, TokenError, UserKind, Users, ensure_admin};

async fn open(folder: &Path) -> Users {
    let options = CoordinationOptions::default();
    let store = SqliteCoordination::open(&folder.join("users.db"), options).unwrap();
    Users::open(Arc::new(store)).await.unwrap()
}

fn cluster(id: &str) -> Resource {
    Resource {
        resource_type: "cluster".into(),
        resource: id.into(),
    }
}

#[tokio::test]
async fn everything_survives_a_restart_and_no_token_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let users = open(folder.path()).await;
    let admin = ensure_admin(&users, "admin").await.unwrap().unwrap();
    assert!(ensure_admin(&users, "admin").await.unwrap().is_none());
    let (_, _, token) = users.create(UserKind::Plain, "ann").await.unwrap();
    users
        .grant("admin", vec![("ann".into(), cluster("c1"), Role::Viewer)])
        .await
        .unwrap();
    let (revoked, old) = users.issue_token("ann", 60).await.unwrap();
    users.revoke("ann", &revoked.id).await.unwrap();
    drop(users);

    let users = open(folder.path()).await;
    assert_eq!(
        users.authenticate(admin.expose()).unwrap().kind,
        UserKind::Admin
    );
    let ann = users.authenticate(token.expose()).unwrap();
    assert!(users.allows(&ann, &cluster("c1"), Action::Read));
    assert!(!users.allows(&ann, &cluster("c1"), Action::Write));
    assert_eq!(users.authenticate(old.expose()), Err(TokenError::Unknown));
    let secret = token.expose().rsplit('_').next().unwrap().to_owned();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        let found = content
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{} holds a token", path.display());
    }
    // Only now: closing removes files that are being looked at.
    drop(users);
}

#[tokio::test]
async fn an_empty_resource_is_never_any() {
    let folder = tempfile::tempdir().unwrap();
    let users = open(folder.path()).await;
    users.create(UserKind::Plain, "ann").await.unwrap();
    let ann = users.caller("ann").unwrap();
    let grant = |resource: Resource, role| users.grant("x", vec![("ann".into(), resource, role)]);
    assert!(grant(cluster(""), Role::Viewer).await.is_err());
    grant(cluster("c1"), Role::Manager).await.unwrap();
    assert!(users.allows(&ann, &cluster("c1"), Action::Write));
    assert!(!users.allows(&ann, &cluster(""), Action::Read));
    assert!(!users.allows(&ann, &cluster("c2"), Action::Read));
    let storage = Resource {
        resource_type: "storage".into(),
        resource: "c1".into(),
    };
    assert!(!users.allows(&ann, &storage, Action::Read));
    assert_eq!(users.readable(&ann, "cluster"), Some(vec!["c1".to_owned()]));
    grant(cluster("*"), Role::Viewer).await.unwrap();
    assert!(users.allows(&ann, &cluster("c2"), Action::Read));
    assert!(!users.allows(&ann, &cluster("c2"), Action::Write));
    assert_eq!(users.readable(&ann, "cluster"), None);
    users
        .withdraw(vec![("ann".into(), cluster("*"))])
        .await
        .unwrap();
    assert!(!users.allows(&ann, &cluster("c2"), Action::Read));
}

#[tokio::test]
async fn tokens_end_refresh_and_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let users = open(folder.path()).await;
    let (_, first, text) = users.create(UserKind::Plain, "ann").await.unwrap();
    let (refreshed, new) = users.refresh("ann", 7 * 86_400).await.unwrap();
    assert!(new.is_none() && refreshed.id == first.id && refreshed.expires > first.expires);
    assert!(users.authenticate(text.expose()).is_ok());
    users.revoke("ann", &first.id).await.unwrap();
    let (_, new) = users.refresh("ann", 60).await.unwrap();
    assert!(users.authenticate(new.unwrap().expose()).is_ok());
    let (_, ended) = users.issue_token("ann", 0).await.unwrap();
    assert_eq!(users.authenticate(ended.expose()), Err(TokenError::Expired));
    while users.issue_token("ann", 60).await.is_ok() {}
    assert_eq!(users.tokens("ann").len(), 32);
    assert!(users.revoke("bob", "x").await.is_err());
    for bad in ["", "a b", "-a", "a/b", &"x".repeat(65)] {
        assert!(users.create(UserKind::Plain, bad).await.is_err(), "{bad}");
    }
}
