//! What every [`Coordination`] must do.

#![allow(
    clippy::unwrap_used,
    reason = "a check of a test suite fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use crate::{Class, Coordination, KeyChange, Revision, StoreError, Transaction};

type Store = Arc<dyn Coordination>;

/// Runs every check, each on a fresh store made by `open(keep_revisions)`.
pub async fn coordination<F: Fn(u64) -> Store>(open: F) {
    reads_what_was_written(open(100)).await;
    conditions_guard_the_whole_transaction(open(100)).await;
    ranges_page_in_byte_order(open(100)).await;
    an_older_term_is_refused(open(100)).await;
    a_watch_sees_whole_transactions_once(open(100)).await;
    a_watch_resumes_exactly(open(100)).await;
    a_watch_that_is_too_old_says_so(open(10)).await;
    a_dropped_next_loses_nothing(open(100)).await;
    concurrent_swaps_have_one_winner_each(open(10_000)).await;
}

async fn put(store: &Store, key: &str, value: &str) -> Revision {
    store
        .transact(Transaction::new().put(key, value))
        .await
        .unwrap()
}

async fn reads_what_was_written(store: Store) {
    assert_eq!(store.get("a").await.unwrap(), None);
    assert_eq!(store.revision().await.unwrap(), 0);
    let first = put(&store, "a", "1").await;
    let second = put(&store, "b", "2").await;
    assert!(second > first);
    let entry = store.get("a").await.unwrap().unwrap();
    assert_eq!((entry.value.as_slice(), entry.revision), (&b"1"[..], first));
    let third = store
        .transact(Transaction::new().put("a", "3").delete("b"))
        .await
        .unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().revision, third);
    assert_eq!(store.get("b").await.unwrap(), None);
    let same = store
        .transact(Transaction::new().delete("b"))
        .await
        .unwrap();
    assert_eq!(
        same, third,
        "a transaction without effect does not advance the revision"
    );
    let twice = store
        .transact(Transaction::new().put("x", "1").delete("x"))
        .await;
    assert_eq!(twice.unwrap_err().class(), Class::Invalid);
}

async fn conditions_guard_the_whole_transaction(store: Store) {
    let first = put(&store, "a", "1").await;
    let refused = store
        .transact(
            Transaction::new()
                .require_absent("a")
                .put("a", "2")
                .put("z", "2"),
        )
        .await
        .unwrap_err();
    assert_eq!(refused.class(), Class::Conflict);
    assert_eq!(store.get("z").await.unwrap(), None);
    assert_eq!(store.revision().await.unwrap(), first);
    let second = store
        .transact(
            Transaction::new()
                .require_revision("a", first)
                .require_absent("z")
                .put("a", "2"),
        )
        .await
        .unwrap();
    let stale = store
        .transact(Transaction::new().require_revision("a", first).delete("a"))
        .await;
    assert!(
        matches!(stale, Err(StoreError::Conflict { .. })),
        "{stale:?}"
    );
    let missing = store
        .transact(Transaction::new().require_revision("no", 1).put("b", ""))
        .await;
    assert!(
        matches!(missing, Err(StoreError::Conflict { .. })),
        "{missing:?}"
    );
    assert_eq!(store.get("a").await.unwrap().unwrap().revision, second);
}

async fn ranges_page_in_byte_order(store: Store) {
    let names = [
        "p/",
        "p/a",
        "p/b",
        "p/b/1",
        "p/é",
        "p/\u{10FFFF}",
        "p0",
        "o",
        "q",
    ];
    for name in names {
        put(&store, name, name).await;
    }
    let mut expected: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| name.starts_with("p/"))
        .collect();
    expected.sort_unstable();
    let all = store.range("p/", 0, None).await.unwrap();
    assert_eq!(keys(&all.entries), expected);
    assert!(!all.more);
    assert_eq!(all.revision, store.revision().await.unwrap());
    let mut paged = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.range("p/", 2, after.as_deref()).await.unwrap();
        assert!(page.entries.len() <= 2);
        paged.extend(page.entries.iter().map(|entry| entry.key.clone()));
        after = paged.last().cloned();
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, expected);
    assert_eq!(
        store.range("", 0, None).await.unwrap().entries.len(),
        names.len()
    );
}

fn keys(entries: &[crate::Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

async fn an_older_term_is_refused(store: Store) {
    let old = store.acquire_term("scheduler", "one").await.unwrap();
    assert_eq!(old.number, 1);
    store
        .transact(Transaction::new().put("a", "1").fenced(&old))
        .await
        .unwrap();
    let new = store.acquire_term("scheduler", "two").await.unwrap();
    assert!(new.number > old.number);
    let refused = store
        .transact(Transaction::new().put("a", "2").fenced(&old))
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Fenced { current, .. } if current == new.number));
    store
        .transact(Transaction::new().put("a", "3").fenced(&new))
        .await
        .unwrap();
    let other = store.acquire_term("driver", "one").await.unwrap();
    assert_eq!(other.number, 1, "roles do not disturb each other");
    store
        .transact(Transaction::new().put("a", "4").fenced(&new))
        .await
        .unwrap();
}

async fn collect(store: &Store, prefix: &str, after: Revision, until: Revision) -> Vec<KeyChange> {
    let mut watch = store.watch(prefix, after).await.unwrap();
    let mut seen = Vec::new();
    let mut position = after;
    while position < until {
        let batch = within(watch.next()).await.unwrap();
        assert!(batch.revision > position, "a watch moves forward");
        position = batch.revision;
        seen.extend(batch.changes);
    }
    seen
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap()
}

async fn a_watch_sees_whole_transactions_once(store: Store) {
    let mut watch = store.watch("a/", 0).await.unwrap();
    let mut batch = Transaction::new().put("other", "");
    for index in 0..1500 {
        batch = batch.put(format!("a/{index:04}"), "x");
    }
    let revision = store.transact(batch).await.unwrap();
    let news = within(watch.next()).await.unwrap();
    assert_eq!(news.revision, revision);
    assert_eq!(news.changes.len(), 1500);
    assert!(
        news.changes
            .iter()
            .all(|change| change.revision == revision)
    );
    put(&store, "other", "2").await;
    let last = store
        .transact(Transaction::new().delete("a/0000"))
        .await
        .unwrap();
    let mut seen = Vec::new();
    loop {
        let news = within(watch.next()).await.unwrap();
        seen.extend(news.changes);
        if news.revision == last {
            break;
        }
    }
    assert_eq!(
        seen,
        [KeyChange {
            key: "a/0000".into(),
            value: None,
            revision: last
        }]
    );
}

async fn a_watch_resumes_exactly(store: Store) {
    let mut revisions = vec![0];
    for index in 0..20 {
        let key = format!("k{}", index % 3);
        revisions.push(put(&store, &key, &index.to_string()).await);
    }
    let last = *revisions.last().unwrap();
    for (done, after) in revisions.iter().enumerate() {
        let seen = collect(&store, "k", *after, last).await;
        let values: Vec<String> = seen
            .iter()
            .map(|change| String::from_utf8(change.value.clone().unwrap()).unwrap())
            .collect();
        let expected: Vec<String> = (done..20).map(|index| index.to_string()).collect();
        assert_eq!(values, expected);
    }
    let future = store.watch("k", last + 1).await.err().unwrap();
    assert_eq!(future.class(), Class::Gone);
}

async fn a_watch_that_is_too_old_says_so(store: Store) {
    let mut early = store.watch("", 0).await.unwrap();
    for index in 0..200 {
        put(&store, "k", &index.to_string()).await;
    }
    let refused = store.watch("", 0).await.err().unwrap();
    assert_eq!(refused.class(), Class::Gone, "{refused}");
    let lagging = within(early.next()).await.unwrap_err();
    assert_eq!(lagging.class(), Class::Gone);
    let newest = store.revision().await.unwrap();
    assert_eq!(collect(&store, "", newest - 5, newest).await.len(), 5);
}

async fn a_dropped_next_loses_nothing(store: Store) {
    let mut watch = store.watch("", 0).await.unwrap();
    for index in 0..30_u64 {
        let writer = Arc::clone(&store);
        // The write and the waiting race; whichever wins, the change must be seen exactly once.
        let (written, early) = tokio::join!(
            async move { put(&writer, "k", &index.to_string()).await },
            tokio::time::timeout(Duration::from_micros(index * 20), watch.next()),
        );
        let news = match early {
            Ok(news) => news.unwrap(),
            Err(_) => within(watch.next()).await.unwrap(),
        };
        assert_eq!(news.revision, written);
        assert_eq!(news.changes.len(), 1);
    }
}

async fn concurrent_swaps_have_one_winner_each(store: Store) {
    put(&store, "counter", "0").await;
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            async move {
                let mut wins = 0_u64;
                while wins < 25 {
                    let entry = store.get("counter").await.unwrap().unwrap();
                    let value: u64 = String::from_utf8(entry.value).unwrap().parse().unwrap();
                    let swap = Transaction::new()
                        .require_revision("counter", entry.revision)
                        .put("counter", (value + 1).to_string());
                    match store.transact(swap).await {
                        Ok(_) => wins += 1,
                        Err(error) => assert_eq!(error.class(), Class::Conflict),
                    }
                }
            }
        })
        .collect();
    futures_util::future::join_all(workers).await;
    let entry = store.get("counter").await.unwrap().unwrap();
    assert_eq!(entry.value, b"200");
}
