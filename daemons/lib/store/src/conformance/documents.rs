//! What every [`Documents`] must do.

#![allow(
    clippy::unwrap_used,
    reason = "a check of a test suite fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::{
    Change, ChangeKind, Class, DocumentKey, Documents, Expect, Field, Outcome, Query, Revision,
    Scalar, Scope, Selector, StoreError, Test, Write, content_digest, instant,
};

type Store = Arc<dyn Documents>;

/// Runs every check, each on a fresh store made by `open(kept_changes)`.
pub async fn documents<F: Fn(u64) -> Store>(open: F) {
    puts_gets_and_deletes(open(1000)).await;
    the_same_content_is_no_change(open(1000)).await;
    a_batch_is_all_or_nothing(open(1000)).await;
    lists_page_in_order_and_never_cut_silently(open(1000)).await;
    filters_select_exactly(open(1000)).await;
    selectors_know_dotted_keys(open(1000)).await;
    a_batch_delete_stays_in_its_scope(open(1000)).await;
    digests_and_namespaces(open(1000)).await;
    a_watch_resumes_exactly(open(1000)).await;
    a_watch_reports_what_leaves_its_selection(open(1000)).await;
    a_late_watch_is_told(open(10)).await;
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn key(namespace: &str, name: &str) -> DocumentKey {
    DocumentKey::new("c1", namespace, "taskgroup", name)
}

async fn put(store: &Store, key: DocumentKey, value: Value) -> Outcome {
    store
        .write(vec![Write::put(key, raw(&value))])
        .await
        .unwrap()[0]
}

async fn names(store: &Store, query: &Query) -> Vec<String> {
    let page = store.list(query).await.unwrap();
    assert_eq!(page.total, page.documents.len() as u64);
    page.documents
        .into_iter()
        .map(|document| document.key.name)
        .collect()
}

async fn puts_gets_and_deletes(store: Store) {
    assert!(store.get(&key("n", "a")).await.unwrap().is_none());
    let before = instant::now();
    let Outcome::Created(first) = put(&store, key("n", "a"), json!({"v": 1})).await else {
        unreachable!("the first put creates")
    };
    let document = store.get(&key("n", "a")).await.unwrap().unwrap();
    assert_eq!(
        (document.data.get(), document.revision),
        (r#"{"v":1}"#, first)
    );
    assert!(document.created >= before - 1000 && document.created == document.updated);
    let Outcome::Changed(second) = put(&store, key("n", "a"), json!({"v": 2})).await else {
        unreachable!("the second put changes")
    };
    assert!(second > first);
    let changed = store.get(&key("n", "a")).await.unwrap().unwrap();
    assert_eq!(changed.created, document.created);
    let deleted = store
        .write(vec![Write::delete(key("n", "a"))])
        .await
        .unwrap();
    assert!(matches!(deleted[..], [Outcome::Deleted(1, revision)] if revision > second));
    assert!(store.get(&key("n", "a")).await.unwrap().is_none());
    let again = store
        .write(vec![Write::delete(key("n", "a"))])
        .await
        .unwrap();
    assert_eq!(again, [Outcome::Absent]);
    for bad in [
        key("n", ""),
        key("n", "a/b"),
        key("\n", "a"),
        key("n", &"x".repeat(600)),
    ] {
        let refused = store
            .write(vec![Write::put(bad, raw(&json!({})))])
            .await
            .unwrap_err();
        assert_eq!(refused.class(), Class::Invalid);
    }
}

async fn the_same_content_is_no_change(store: Store) {
    let Outcome::Created(first) = put(&store, key("n", "a"), json!({"v": 1})).await else {
        unreachable!("the first put creates")
    };
    assert_eq!(
        put(&store, key("n", "a"), json!({"v": 1})).await,
        Outcome::Unchanged(first)
    );
    assert_eq!(store.revision().await.unwrap(), first);
}

async fn a_batch_is_all_or_nothing(store: Store) {
    put(&store, key("n", "a"), json!(1)).await;
    let revision = store.revision().await.unwrap();
    let refused = store
        .write(vec![
            Write::put(key("n", "b"), raw(&json!(1))),
            Write::delete(key("n", "a")),
            Write::Put {
                key: key("n", "a"),
                data: raw(&json!(2)),
                expect: Some(Expect::Revision(revision)),
            },
        ])
        .await
        .unwrap_err();
    assert_eq!(refused.class(), Class::Conflict);
    assert_eq!(names(&store, &Query::default()).await, ["a"]);
    assert_eq!(store.revision().await.unwrap(), revision);
    let create = |value| Write::Put {
        key: key("n", "b"),
        data: raw(&value),
        expect: Some(Expect::Absent),
    };
    store.write(vec![create(json!(1))]).await.unwrap();
    assert!(store.write(vec![create(json!(2))]).await.is_err());
    let outcomes = store
        .write(vec![
            Write::put(key("n", "c"), raw(&json!(1))),
            Write::delete(key("n", "c")),
        ])
        .await
        .unwrap();
    assert!(matches!(outcomes[..], [Outcome::Created(a), Outcome::Deleted(1, b)] if b > a));
}

async fn lists_page_in_order_and_never_cut_silently(store: Store) {
    let mut expected = Vec::new();
    for namespace in ["b", "a", ""] {
        for index in (0..7).rev() {
            for kind in ["taskgroup", "application"] {
                let key = DocumentKey::new("c1", namespace, kind, format!("x{index}"));
                put(&store, key.clone(), json!({"i": index})).await;
                expected.push(key);
            }
        }
    }
    expected.sort();
    let all = store.list(&Query::default()).await.unwrap();
    let found: Vec<DocumentKey> = all.documents.iter().map(|d| d.key.clone()).collect();
    assert_eq!(found, expected);
    assert!(all.next.is_none());
    for kind in [None, Some("taskgroup".to_owned())] {
        let expected: Vec<&DocumentKey> = expected
            .iter()
            .filter(|key| kind.as_ref().is_none_or(|kind| *kind == key.kind))
            .collect();
        let mut query = Query {
            limit: 4,
            ..Query::default()
        };
        query.scope.kind = kind;
        let mut paged = Vec::new();
        loop {
            let page = store.list(&query).await.unwrap();
            assert_eq!(page.total, expected.len() as u64);
            assert_eq!(
                page.revision, all.revision,
                "all pages show the first page's revision"
            );
            paged.extend(page.documents.into_iter().map(|document| document.key));
            match page.next {
                Some(token) => query.after = Some(token),
                None => break,
            }
        }
        assert_eq!(paged.iter().collect::<Vec<_>>(), expected);
    }
    let foreign = crate::ContinueToken {
        key: expected[0].clone(),
        revision: 1,
    };
    let mut query = Query::of_kind("other", "taskgroup");
    query.after = Some(foreign);
    assert_eq!(
        store.list(&query).await.unwrap_err().class(),
        Class::Invalid
    );
    let skipped = store
        .list(&Query {
            offset: 40,
            limit: 10,
            ..Query::default()
        })
        .await
        .unwrap();
    assert_eq!(skipped.documents.len(), 2);
    assert_eq!(skipped.total, 42);
}

async fn filters_select_exactly(store: Store) {
    let documents = [
        (
            "a",
            json!({"s": "x", "n": 1, "b": true, "t": "2021-05-06T10:00:00+08:00", "k.d": 1}),
        ),
        (
            "b",
            json!({"s": "xy", "n": 1.5, "b": false, "t": "2021-05-06T03:00:00Z", "z": null}),
        ),
        ("c", json!({"s": "1", "n": "1", "b": 1, "t": 1_620_270_000})),
        (
            "d",
            json!({"o": {"s": "x", "l": ["x"]}, "t": "soon", "s": "a'b%_\""}),
        ),
    ];
    for (name, value) in documents {
        put(&store, key("n", name), value).await;
    }
    let text = |texts: &[&str]| {
        Test::In(
            texts
                .iter()
                .map(|text| Scalar::Text((*text).to_owned()))
                .collect(),
        )
    };
    let noon = instant::parse("2021-05-06T02:30:00Z").unwrap();
    let checks: Vec<(Field, Test, &[&str])> = vec![
        (Field::data(["s"]), text(&["x", "1"]), &["a", "c"]),
        (Field::data(["s"]), text(&["a'b%_\""]), &["d"]),
        (Field::data(["n"]), text(&["1"]), &["c"]),
        (
            Field::data(["n"]),
            Test::In(vec![Scalar::Number(1.0)]),
            &["a"],
        ),
        (
            Field::data(["n"]),
            Test::In(vec![Scalar::Number(1.5)]),
            &["b"],
        ),
        (
            Field::data(["b"]),
            Test::In(vec![Scalar::Bool(true)]),
            &["a"],
        ),
        (
            Field::data(["b"]),
            Test::In(vec![Scalar::Number(1.0)]),
            &["c"],
        ),
        (Field::data(["z"]), Test::In(vec![Scalar::Null]), &["b"]),
        (Field::data(["z"]), Test::Exists(true), &["b"]),
        (Field::data(["z"]), Test::Exists(false), &["a", "c", "d"]),
        (Field::data(["k.d"]), Test::Exists(true), &["a"]),
        (Field::data(["o", "s"]), text(&["x"]), &["d"]),
        (Field::data(["o", "l"]), text(&["[\"x\"]"]), &[]),
        (Field::data(["s"]), Test::Prefix("x".into()), &["a", "b"]),
        (
            Field::data(["s"]),
            Test::Prefix(String::new()),
            &["a", "b", "c", "d"],
        ),
        (Field::data(["n"]), Test::Prefix("1".into()), &["c"]),
        (Field::data(["s"]), Test::Contains("b%".into()), &["d"]),
        (Field::data(["t"]), Test::Before(noon), &["a"]),
        (Field::data(["t"]), Test::After(noon), &["b", "c"]),
        (Field::Name, text(&["b", "d", "e"]), &["b", "d"]),
        (Field::Name, Test::Exists(true), &["a", "b", "c", "d"]),
        (Field::Cluster, text(&["c2"]), &[]),
        (Field::Updated, Test::Before(instant::now() - 60_000), &[]),
        (
            Field::Updated,
            Test::Before(instant::now() + 60_000),
            &["a", "b", "c", "d"],
        ),
        (
            Field::Created,
            Test::After(instant::now() - 60_000),
            &["a", "b", "c", "d"],
        ),
        (Field::data(["s"]), Test::In(vec![]), &[]),
        (
            Field::data(["s"]),
            Test::NotIn(vec![]),
            &["a", "b", "c", "d"],
        ),
        (
            Field::data(["n"]),
            Test::NotIn(vec![Scalar::Number(1.0)]),
            &["b", "c", "d"],
        ),
        (
            Field::Name,
            Test::NotIn(vec![Scalar::Text("a".into())]),
            &["b", "c", "d"],
        ),
    ];
    for (field, test, expected) in checks {
        let query = Query::of_kind("c1", "taskgroup").filter(field.clone(), test.clone());
        assert_eq!(names(&store, &query).await, expected, "{field:?} {test:?}");
    }
    let both = Query::default()
        .filter(Field::data(["s"]), Test::Prefix("x".into()))
        .filter(Field::data(["b"]), Test::In(vec![Scalar::Bool(false)]));
    assert_eq!(names(&store, &both).await, ["b"]);
}

async fn selectors_know_dotted_keys(store: Store) {
    let labels = [
        (
            "a",
            json!({"app.kubernetes.io/name": "web", "tier": "front", "n": "5"}),
        ),
        (
            "b",
            json!({"app": {"kubernetes": {"io/name": "web"}}, "tier": "back", "n": "x5"}),
        ),
        ("c", json!({})),
    ];
    for (name, labels) in labels {
        put(
            &store,
            key("n", name),
            json!({"metadata": {"labels": labels}}),
        )
        .await;
    }
    put(&store, key("n", "d"), json!({"metadata": 1})).await;
    for (text, expected) in [
        ("app.kubernetes.io/name=web", &["a"][..]),
        ("app.kubernetes.io/name", &["a"]),
        ("!tier", &["c", "d"]),
        ("tier!=front", &["b", "c", "d"]),
        ("tier in (front,back)", &["a", "b"]),
        ("tier+notin+(front)", &["b", "c", "d"]),
        ("n>4", &["a"]),
        ("n<6,tier", &["a"]),
        ("", &["a", "b", "c", "d"]),
    ] {
        let selector = Selector::parse(text).unwrap();
        let query = Query {
            selector,
            ..Query::of_kind("c1", "taskgroup")
        };
        assert_eq!(names(&store, &query).await, expected, "{text}");
    }
}

async fn a_batch_delete_stays_in_its_scope(store: Store) {
    for (cluster, namespace, name) in [
        ("c1", "n", "a"),
        ("c1", "n", "b"),
        ("c1", "m", "a"),
        ("c2", "n", "a"),
    ] {
        put(
            &store,
            DocumentKey::new(cluster, namespace, "taskgroup", name),
            json!({}),
        )
        .await;
    }
    let scope = Scope {
        namespace: Some("n".into()),
        ..Query::of_kind("c1", "taskgroup").scope
    };
    let query = Query {
        scope,
        ..Query::default()
    };
    let outcomes = store
        .write(vec![Write::DeleteMatching {
            query: Box::new(query.clone()),
        }])
        .await
        .unwrap();
    assert!(matches!(outcomes[..], [Outcome::Deleted(2, _)]));
    assert_eq!(store.list(&Query::default()).await.unwrap().total, 2);
    let again = store
        .write(vec![Write::DeleteMatching {
            query: Box::new(query),
        }])
        .await
        .unwrap();
    assert_eq!(again, [Outcome::Absent]);
}

async fn digests_and_namespaces(store: Store) {
    put(&store, key("n", "a"), json!({"v": 1})).await;
    put(&store, key("m", "b"), json!({"v": 2})).await;
    put(&store, DocumentKey::new("c1", "", "node", "h"), json!({})).await;
    put(
        &store,
        DocumentKey::new("c1", "o", "service", "s"),
        json!({}),
    )
    .await;
    let (entries, revision) = store.digests("c1", "taskgroup").await.unwrap();
    let mut found: Vec<(String, String)> = entries
        .into_iter()
        .map(|entry| (entry.name, entry.digest))
        .collect();
    found.sort();
    let expected = [
        ("a".to_owned(), content_digest(r#"{"v":1}"#)),
        ("b".to_owned(), content_digest(r#"{"v":2}"#)),
    ];
    assert_eq!(found, expected);
    assert_eq!(revision, store.revision().await.unwrap());
    let namespaces = store
        .namespaces("c1", &["taskgroup", "node", "service"])
        .await
        .unwrap();
    assert_eq!(namespaces, ["m", "n", "o"]);
    assert!(store.namespaces("c1", &[]).await.unwrap().is_empty());
}

async fn collect(store: &Store, query: &Query, after: Revision, until: Revision) -> Vec<Change> {
    let mut watch = store.watch(query, after).await.unwrap();
    let mut seen = Vec::new();
    let mut position = after;
    while position < until {
        let batch = tokio::time::timeout(Duration::from_secs(20), watch.next())
            .await
            .unwrap()
            .unwrap();
        assert!(batch.revision > position);
        position = batch.revision;
        seen.extend(batch.changes);
    }
    seen
}

fn told(changes: &[Change]) -> Vec<(ChangeKind, String)> {
    changes
        .iter()
        .map(|change| (change.kind, change.document.key.name.clone()))
        .collect()
}

async fn a_watch_resumes_exactly(store: Store) {
    let mut all = Vec::new();
    for index in 0..12 {
        let name = format!("k{}", index % 4);
        if index % 5 == 4 {
            store
                .write(vec![Write::delete(key("n", &name))])
                .await
                .unwrap();
        } else {
            put(&store, key("n", &name), json!({"i": index})).await;
        }
        put(
            &store,
            DocumentKey::new("c2", "n", "taskgroup", "noise"),
            json!(index),
        )
        .await;
    }
    let last = store.revision().await.unwrap();
    let query = Query::of_kind("c1", "taskgroup");
    all.extend(collect(&store, &query, 0, last).await);
    assert_eq!(all.len(), 12);
    assert!(
        all.windows(2)
            .all(|pair| pair[0].document.revision < pair[1].document.revision)
    );
    for (done, change) in all.iter().enumerate() {
        let rest = collect(&store, &query, change.document.revision, last).await;
        assert_eq!(told(&rest), told(&all[done + 1..]));
    }
    let future = store.watch(&query, last + 1).await.err().unwrap();
    assert_eq!(future.class(), Class::Gone);
}

async fn a_watch_reports_what_leaves_its_selection(store: Store) {
    let query = Query {
        selector: Selector::parse("a=1").unwrap(),
        ..Query::default()
    };
    let labelled = |value: &str| json!({"metadata": {"labels": {"a": value}}});
    put(&store, key("n", "x"), labelled("1")).await;
    put(&store, key("n", "x"), labelled("2")).await;
    put(&store, key("n", "y"), labelled("2")).await;
    store
        .write(vec![Write::delete(key("n", "y"))])
        .await
        .unwrap();
    put(&store, key("n", "x"), labelled("1")).await;
    store
        .write(vec![Write::delete(key("n", "x"))])
        .await
        .unwrap();
    let last = store.revision().await.unwrap();
    let seen = collect(&store, &query, 0, last).await;
    let x = "x".to_owned();
    assert_eq!(
        told(&seen),
        [
            (ChangeKind::Added, x.clone()),
            (ChangeKind::Deleted, x.clone()),
            (ChangeKind::Modified, x.clone()),
            (ChangeKind::Deleted, x),
        ]
    );
}

async fn a_late_watch_is_told(store: Store) {
    let mut early = store.watch(&Query::default(), 0).await.unwrap();
    for index in 0..200 {
        put(&store, key("n", "a"), json!(index)).await;
    }
    store.compact().await.unwrap();
    let refused = store.watch(&Query::default(), 0).await.err().unwrap();
    assert!(
        matches!(refused, StoreError::Compacted { requested: 0, .. }),
        "{refused}"
    );
    let lagging = tokio::time::timeout(Duration::from_secs(20), early.next())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(lagging.class(), Class::Gone);
    let newest = store.revision().await.unwrap();
    assert_eq!(
        collect(&store, &Query::default(), newest - 5, newest)
            .await
            .len(),
        5
    );
}
