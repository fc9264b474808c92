//! Watches through the gateway: every change in order, resumed from a revision, told when it is too
//! late; and a reader that does not read costs neither the others time nor the system memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bcs_e2e::{
    Api, CLUSTER, Mode, STORAGE, Stream, System, WORKLOADS, base64, in_both_layouts,
    resident_bytes, wait,
};
use serde_json::{Value, json};

in_both_layouts!(changes_come_in_order_and_are_resumed);

const SOON: Duration = Duration::from_secs(10);

fn list() -> String {
    format!("{STORAGE}/mesos/dynamic/all_resources/clusters/{CLUSTER}/configmap")
}

fn configmap(name: &str, content: &str) -> Value {
    json!({"apiVersion": "v4", "kind": "configmap", "metadata": {"name": name, "namespace": "test"},
        "datas": {"a": {"type": "file", "content": base64(content)}}})
}

fn put(api: &Api, name: &str, content: &str) {
    let path = format!("{WORKLOADS}/namespaces/test/configmaps");
    let reply = api.json("PUT", &path, &configmap(name, content));
    if reply.status != 200 {
        api.json("POST", &path, &configmap(name, content)).ok();
    }
}

fn delete(api: &Api, name: &str) {
    api.send(
        "DELETE",
        &format!("{WORKLOADS}/namespaces/test/configmaps/{name}"),
        &[],
        "",
    )
    .ok();
}

fn revision(api: &Api) -> u64 {
    let reply = api.get(&list()).ok().json();
    let version = &reply["resourceVersion"];
    version
        .as_u64()
        .or_else(|| version.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("no version: {reply}"))
}

/// The next event that is none of the regular signs of life: type, name, content, revision.
#[track_caller]
fn next(stream: &mut Stream<'_>) -> (String, String, String, u64) {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        let Some(event) = stream.next(SOON) else {
            break;
        };
        let kind = event["type"].as_str().unwrap().to_owned();
        if kind == "BOOKMARK" {
            continue;
        }
        let object = &event["object"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = text(&object["resourceVersion"]).parse().unwrap_or_default();
        return (
            kind,
            text(&object["resourceName"]),
            text(&object["data"]["datas"]["a"]["content"]),
            version,
        );
    }
    panic!("no event within {SOON:?}");
}

fn changes_come_in_order_and_are_resumed(system: System) {
    let api = Api::of(&system);
    put(&api, "old", "there before");
    wait::until("the first is listed", SOON, || {
        let reply = api.get(&list());
        if reply.text.contains("\"old\"") {
            Ok(())
        } else {
            Err(format!("{reply:?}"))
        }
    });
    let start = revision(&api);
    let watch = |from: u64| {
        let stream = api.stream(&format!("{}?watch=true&resourceVersion={from}", list()));
        assert_eq!(stream.status, 200);
        stream
    };
    let mut first = watch(start);
    put(&api, "one", "1");
    let (kind, name, content, created) = next(&mut first);
    assert_eq!(
        (kind.as_str(), name.as_str(), content),
        ("ADDED", "one", base64("1"))
    );
    put(&api, "one", "2");
    let (kind, name, content, changed) = next(&mut first);
    assert_eq!(
        (kind.as_str(), name.as_str(), content),
        ("MODIFIED", "one", base64("2"))
    );
    put(&api, "two", "1");
    assert_eq!(next(&mut first).1, "two");
    delete(&api, "one");
    let (kind, name, _, deleted) = next(&mut first);
    assert_eq!((kind.as_str(), name.as_str()), ("DELETED", "one"));
    assert!(
        start < created && created < changed && changed < deleted,
        "{start} {created} {changed} {deleted}"
    );

    // Resumed in the middle: exactly what came after, though the object is gone by now.
    let mut second = watch(created);
    let events: Vec<(String, String)> = (0..3)
        .map(|_| next(&mut second))
        .map(|(kind, name, ..)| (kind, name))
        .collect();
    let wanted = [("MODIFIED", "one"), ("ADDED", "two"), ("DELETED", "one")];
    assert_eq!(
        events,
        wanted.map(|(kind, name)| (kind.to_owned(), name.to_owned()))
    );
    // Both go on with what is new.
    put(&api, "three", "1");
    for stream in [&mut first, &mut second] {
        assert_eq!(next(stream).1, "three");
    }
    // Without a revision: what is there, then what comes.
    let mut fresh = api.stream(&format!("{}?watch=true", list()));
    let mut there: Vec<String> = (0..3)
        .map(|_| next(&mut fresh))
        .map(|(kind, name, ..)| format!("{kind} {name}"))
        .collect();
    there.sort();
    assert_eq!(there, ["ADDED old", "ADDED three", "ADDED two"]);
    put(&api, "two", "2");
    assert_eq!(next(&mut fresh).0, "MODIFIED");
    // A namespace's watch sees only its own, a selector only what fits.
    let narrow = format!(
        "{STORAGE}/mesos/dynamic/namespace_resources/clusters/{CLUSTER}/namespaces/nowhere/configmap"
    );
    let mut other = api.stream(&format!("{narrow}?watch=true&resourceVersion={start}"));
    put(&api, "four", "1");
    assert_eq!(next(&mut fresh).1, "four");
    if let Some(event) = other.next(Duration::from_millis(500)) {
        assert_eq!(event["type"], "BOOKMARK", "{event}");
    }
    // Nonsense is refused, not waited for.
    for odd in ["-1", "soon", "99999999999999999999999"] {
        let reply = api.get(&format!("{}?watch=true&resourceVersion={odd}", list()));
        assert_eq!(reply.status, 400, "{odd}: {reply:?}");
    }
    let future = api.stream(&format!(
        "{}?watch=true&resourceVersion={}",
        list(),
        deleted + 1_000_000
    ));
    let refused = future.status >= 400;
    let told = { future }
        .next(SOON)
        .is_some_and(|event| event["type"] == "ERROR" || event["code"].as_i64() > Some(0));
    assert!(
        refused || told,
        "a revision of the future is told, or a watcher would wait for ever"
    );
}

#[test]
fn a_watcher_that_comes_too_late_is_told_to_list_again() {
    let mut system = System::start(Mode::Roles);
    system.configure(
        "storage",
        "keep_changes = 5\nwatch_backlog = 5\nkeep_seconds = 1",
    );
    let api = Api::of(&system);
    put(&api, "many", "0");
    wait::until("it is listed", SOON, || {
        let reply = api.get(&list());
        if reply.text.contains("\"many\"") {
            Ok(())
        } else {
            Err(format!("{reply:?}"))
        }
    });
    let start = revision(&api);
    for number in 1..=40 {
        put(&api, "many", &number.to_string());
        wait::until("the change arrives", SOON, || {
            let reply = api.get(&list());
            if reply.text.contains(&base64(&number.to_string())) {
                Ok(())
            } else {
                Err(format!("{reply:?}"))
            }
        });
    }
    let mut late = api.stream(&format!("{}?watch=true&resourceVersion={start}", list()));
    let answer = late.next(SOON).expect("an answer");
    let code = if late.status == 410 {
        410
    } else {
        answer["object"]["code"].as_i64().unwrap_or_default()
    };
    assert_eq!(code, 410, "status {} {answer}", late.status);
    assert!(late.next(Duration::from_secs(2)).is_none(), "and it ends");
    // Listing again and watching from there works.
    let mut good = api.stream(&format!(
        "{}?watch=true&resourceVersion={}",
        list(),
        revision(&api)
    ));
    put(&api, "many", "last");
    assert_eq!(next(&mut good).2, base64("last"));
    // The command does that by itself: it goes on after the stream was cut.
    system.bcs(&["get", "configmap", "many", "-n", "test"]).ok();
}

#[test]
fn a_reader_that_does_not_read_costs_nobody_anything() {
    // More for each reader than the kernel's buffers on the way hold (about 20 MB).
    const READERS: usize = 6;
    const CHANGES: usize = 32;
    const BYTES: usize = 700_000;
    let system = System::start(Mode::Standalone);
    let api = Api::of(&system);
    let big = |number: usize| format!("{number:08}{}", "x".repeat(BYTES));
    put(&api, "big", &big(0));
    wait::until("it is listed", SOON, || {
        let reply = api.get(&format!("{}?field=resourceName", list()));
        if reply.text.contains("\"big\"") {
            Ok(())
        } else {
            Err(format!("{reply:?}"))
        }
    });
    let mut quick = api.stream(&format!(
        "{}?watch=true&resourceVersion={}",
        list(),
        revision(&api)
    ));
    let writer = Api::of(&system);
    let mut worst = Duration::ZERO;
    let mut change = |number: usize| {
        let begun = Instant::now();
        put(&writer, "big", &big(number));
        let (_, name, content, _) = next(&mut quick);
        assert_eq!(
            (name.as_str(), &content[..12]),
            ("big", &base64(&big(number))[..12]),
            "in order"
        );
        worst = worst.max(begun.elapsed());
    };
    let memory = || resident_bytes(system.pid("standalone"));
    // What such changes cost anyway: caches, the history for those who resume.
    let first = memory();
    (1..=CHANGES).for_each(&mut change);
    let alone = memory().saturating_sub(first);
    let start = revision(&api);
    let token = Api::token_of(&system);
    let address = bcs_e2e::Address::Tcp(([127, 0, 0, 1], system.port()).into());
    let head = format!(
        "GET {}?watch=true&resourceVersion={start} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
        list()
    );
    let tls = bcs_e2e::Tls::new(None);
    let mut slow: Vec<bcs_e2e::Connection> = (0..READERS)
        .map(|_| {
            let mut connection = bcs_e2e::Connection::open(&address, Some(&tls), SOON).unwrap();
            connection.write_all(head.as_bytes()).unwrap();
            connection.flush().unwrap();
            let mut answer = [0; 12];
            connection.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            connection
        })
        .collect();
    let second = memory();
    (CHANGES + 1..=2 * CHANGES).for_each(&mut change);
    let grown = memory().saturating_sub(second);
    let buffered = (READERS * CHANGES * BYTES) as u64;
    println!(
        "memory grew by {alone} alone, {grown} with slow readers (all of it buffered: {buffered}); slowest change {worst:?}"
    );
    assert!(
        grown < alone + buffered / 3,
        "{grown} bytes more with {READERS} readers that do not read, {alone} without"
    );
    assert!(
        worst < Duration::from_secs(3),
        "a quick reader waited {worst:?}"
    );
    // A slow reader that goes on reading misses nothing: each change, or the news that it must list again.
    let mut one = slow.pop().unwrap();
    let mut text = Vec::new();
    let mut part = vec![0; 1 << 20];
    let newest = base64(&big(2 * CHANGES));
    let deadline = Instant::now() + Duration::from_secs(30);
    let has = |text: &[u8], needle: &str| {
        text.windows(needle.len())
            .any(|part| part == needle.as_bytes())
    };
    loop {
        let length = one.read(&mut part).unwrap();
        assert!(
            length > 0 && Instant::now() < deadline,
            "neither the newest change nor an error came"
        );
        // Only the end is looked at, with as much of what was before as a mark may have.
        text.drain(..text.len().saturating_sub(32));
        text.extend_from_slice(&part[..length]);
        if has(&text, &newest[..12]) || has(&text, "\"ERROR\"") {
            break;
        }
    }
    drop(slow);
    assert_eq!(system.bcs(&["doctor"]).code, 0);
}
