//! Random histories against a plain map: lists equal it, watches replay it, also after reopening.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bcs_store::{
    Change, ChangeKind, Coordination, DocumentKey, Documents, Query, Retention, Revision,
    Transaction, Write,
};
use bcs_store_sqlite::{CoordinationOptions, SqliteCoordination, SqliteDocuments};
use proptest::prelude::*;
use serde_json::value::RawValue;

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<(u8, Option<u8>)>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let operation = (0_u8..12, prop::option::weighted(0.7, 0_u8..4));
    let batch = prop::collection::vec(operation, 1..6).prop_map(Step::Batch);
    prop::collection::vec(prop_oneof![9 => batch, 1 => Just(Step::Reopen)], 1..25)
}

fn key(index: u8) -> DocumentKey {
    let kind = if index.is_multiple_of(2) {
        "taskgroup"
    } else {
        "application"
    };
    DocumentKey::new(format!("c{}", index % 3), "n", kind, format!("x{index}"))
}

fn raw(value: u8) -> Box<RawValue> {
    RawValue::from_string(format!("{{\"v\":{value}}}")).unwrap()
}

fn open_documents(path: &Path) -> SqliteDocuments {
    let retention = Retention {
        changes: 100_000,
        age: Duration::from_secs(3600),
    };
    SqliteDocuments::open(path, retention, 1).unwrap()
}

async fn replay(store: &SqliteDocuments, after: Revision, until: Revision) -> Vec<Change> {
    let mut watch = store.watch(&Query::default(), after).await.unwrap();
    let mut changes = Vec::new();
    let mut position = after;
    while position < until {
        let batch = watch.next().await.unwrap();
        position = batch.revision;
        changes.extend(batch.changes);
    }
    changes
}

type State = BTreeMap<DocumentKey, String>;

fn apply(state: &mut State, change: &Change) {
    let document = &change.document;
    match change.kind {
        ChangeKind::Added => {
            let former = state.insert(document.key.clone(), document.data.get().to_owned());
            assert_eq!(former, None, "added what was there");
        }
        ChangeKind::Modified => {
            let former = state.insert(document.key.clone(), document.data.get().to_owned());
            assert!(former.is_some_and(|former| former != document.data.get()));
        }
        ChangeKind::Deleted => assert!(state.remove(&document.key).is_some()),
    }
}

async fn check_documents(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.db");
    let mut store = open_documents(&path);
    let mut model = State::new();
    let mut history = vec![(0, model.clone())];
    for step in steps {
        match step {
            Step::Reopen => {
                drop(store);
                store = open_documents(&path);
            }
            Step::Batch(operations) => {
                let writes = operations
                    .iter()
                    .map(|(index, value)| match value {
                        Some(value) => Write::put(key(*index), raw(*value)),
                        None => Write::delete(key(*index)),
                    })
                    .collect();
                store.write(writes).await.unwrap();
                for (index, value) in operations {
                    match value {
                        Some(value) => model.insert(key(index), raw(value).get().to_owned()),
                        None => model.remove(&key(index)),
                    };
                }
                history.push((store.revision().await.unwrap(), model.clone()));
            }
        }
        let page = store.list(&Query::default()).await.unwrap();
        let listed: State = page
            .documents
            .into_iter()
            .map(|document| (document.key, document.data.get().to_owned()))
            .collect();
        assert_eq!(listed, model);
    }
    drop(store);
    let store = open_documents(&path);
    let last = store.revision().await.unwrap();
    for (revision, mut state) in history {
        for change in replay(&store, revision, last).await {
            apply(&mut state, &change);
        }
        assert_eq!(state, model, "from revision {revision}");
    }
}

async fn check_coordination(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coordination.db");
    let open = || SqliteCoordination::open(&path, CoordinationOptions::default()).unwrap();
    let mut store = open();
    let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut history = vec![(0, model.clone())];
    for step in steps {
        match step {
            Step::Reopen => {
                drop(store);
                store = open();
            }
            Step::Batch(operations) => {
                let mut transaction = Transaction::new();
                // A key may be touched once in a transaction.
                let operations: BTreeMap<u8, Option<u8>> = operations.into_iter().collect();
                for (index, value) in operations {
                    let key = format!("k/{index}");
                    match value {
                        Some(value) => {
                            model.insert(key.clone(), vec![value]);
                            transaction = transaction.put(key, vec![value]);
                        }
                        None => {
                            model.remove(&key);
                            transaction = transaction.delete(key);
                        }
                    }
                }
                let revision = store.transact(transaction).await.unwrap();
                history.push((revision, model.clone()));
            }
        }
        let range = store.range("k/", 0, None).await.unwrap();
        let listed: BTreeMap<String, Vec<u8>> = range
            .entries
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect();
        assert_eq!(listed, model);
    }
    drop(store);
    let store = open();
    let last = store.revision().await.unwrap();
    for (revision, mut state) in history {
        let mut watch = store.watch("k/", revision).await.unwrap();
        let mut position = revision;
        while position < last {
            let batch = watch.next().await.unwrap();
            position = batch.revision;
            for change in batch.changes {
                match change.value {
                    Some(value) => state.insert(change.key, value),
                    None => state.remove(&change.key),
                };
            }
        }
        assert_eq!(state, model, "from revision {revision}");
    }
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn documents_equal_their_model(steps in steps()) {
        run(check_documents(steps));
    }

    #[test]
    fn coordination_equals_its_model(steps in steps()) {
        run(check_coordination(steps));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_mixed_writes_keep_the_list_equal_to_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open_documents(&folder.path().join("documents.db")));
    let mut model = State::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..100 {
        let mut writes = Vec::with_capacity(1000);
        for _ in 0..1000 {
            // xorshift: the same history in each run.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let name = format!("x{}", random % 3000);
            let key = DocumentKey::new("c", "n", "taskgroup", name);
            if random.is_multiple_of(5) {
                model.remove(&key);
                writes.push(Write::delete(key));
            } else {
                let text = format!("{{\"v\":{}}}", random % 17);
                model.insert(key.clone(), text.clone());
                writes.push(Write::put(key, RawValue::from_string(text).unwrap()));
            }
        }
        store.write(writes).await.unwrap();
    }
    let page = store.list(&Query::of_kind("c", "taskgroup")).await.unwrap();
    let listed: State = page
        .documents
        .into_iter()
        .map(|d| (d.key, d.data.get().to_owned()))
        .collect();
    assert_eq!(listed, model);
}
