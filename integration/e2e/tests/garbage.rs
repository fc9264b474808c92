//! More than 10,000 garbage requests and event streams, spread over every listener that the system
//! has: the gateway, the roles (without, and with a valid certificate), the unix sockets of agent,
//! executor and keeper. Afterwards every process is the same as before, every listener answers, what
//! ran still runs, and an application still deploys.
//!
//! The seed is printed; `BCS_GARBAGE_SEED=N` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bcs_e2e::objects::process;
use bcs_e2e::{
    Address, Authority, CLUSTER, Connection, Listening, System, Tls, in_both_layouts, listeners,
    pid_of, processes_naming, resident_bytes, start_time,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

in_both_layouts!(garbage_at_every_listener_breaks_nothing);

/// In each layout; the two together are the 10,000.
const SENDS: usize = 5_200;
const SENDERS: usize = 4;
/// Long enough for a loaded machine, short enough for thousands.
const LIMIT: Duration = Duration::from_millis(300);

/// The paths that somebody serves, so that garbage gets behind the route tables.
const PATHS: &[&str] = &[
    "/",
    "/livez",
    "/healthz",
    "/metrics",
    "/api/v1",
    "/api/v1/scheduler",
    "/api/v1/executor",
    "/master/v1/agents",
    "/v1/executors",
    "/v1/watch?from=99999999999999999999",
    "/v1/apps",
    "/v1/apps/test/web",
    "/v1/logs?framework_id=../..&executor_id=%00&task_id=..&stream=../../etc/passwd",
    "/mesosdriver/v4/namespaces/test/processes",
    "/mesosdriver/v4/namespaces/test/taskgroups/x/logs",
    "/mesosdriver/v4/agentsettings",
    "/bcsstorage/v1/mesos/dynamic/all_resources/clusters/BCS-MESOS-10000/taskgroup?labelSelector=((&limit=-1&extra=!!",
    "/bcsstorage/v1/mesos/dynamic/namespace_resources/clusters/%ff/namespaces/%fe/taskgroup/%00",
    "/bcsstorage/v2/batch",
    "/bcsstorage/v2/digests/clusters/x/y",
    "/bcsapi/v4/scheduler/mesos/namespaces/test/processes",
    "/bcsapi/v4/storage/query/mesos/dynamic/clusters/x/taskgroup",
    "/bcsapi/v4/usermanager/v1/users/plain/%2e%2e",
];

const KINDS: &[&str] = &[
    "application/json",
    "application/x-protobuf",
    "application/recordio",
    "text/html",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "\u{1}nonsense/",
];

fn noise(random: &mut StdRng, most: usize) -> Vec<u8> {
    let length = random.random_range(0..most.max(1));
    (0..length).map(|_| random.random()).collect()
}

/// JSON that is almost what somebody expects.
fn almost_json(random: &mut StdRng) -> Vec<u8> {
    let whole = [
        r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"x","id":{"value":"../x"}}}}"#,
        r#"{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"LAUNCH"}]}}"#,
        r#"{"type":"UPDATE","executor_id":{"value":"e"},"framework_id":{"value":"f"},"update":{"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING","uuid":"AAAA"}}}"#,
        r#"{"type":"GET_AGENTS"}"#,
        r#"{"environment":{"MESOS_EXECUTOR_ID":"../../x","MESOS_FRAMEWORK_ID":"f","MESOS_DIRECTORY":"/"}}"#,
        r#"{"operations":[{"op":"put","clusterId":"c","namespace":"n","resourceType":"taskgroup","resourceName":"x","data":{}}]}"#,
        r#"{"apiVersion":"v4","kind":"process","metadata":{"name":"x","namespace":"test"},"spec":{"instance":9999999999999999999}}"#,
        r#"{"type":-1e999,"a":[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]],"\ud800":null}"#,
        r#"[1,2,3]"#,
    ];
    let mut text = whole[random.random_range(0..whole.len())]
        .as_bytes()
        .to_vec();
    for _ in 0..random.random_range(0..4) {
        let at = random.random_range(0..text.len());
        match random.random_range(0..3) {
            0 => text[at] = random.random(),
            1 => text.truncate(at.max(1)),
            _ => text.insert(at, random.random()),
        }
    }
    if random.random_range(0..40) == 0 {
        text = vec![b'['; 200_000];
    }
    text
}

/// A stream of records whose frames lie.
fn broken_records(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..6) {
        let record = almost_json(random);
        let length = match random.random_range(0..5) {
            0 => "-1".to_owned(),
            1 => "99999999999999999999999".to_owned(),
            2 => "abc".to_owned(),
            3 => (record.len() + 7).to_string(),
            _ => record.len().to_string(),
        };
        bytes.extend_from_slice(length.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(&record);
    }
    bytes
}

/// The bytes of one send: from pure noise to requests that are wrong in one thing.
fn garbage(random: &mut StdRng) -> Vec<u8> {
    let path = PATHS[random.random_range(0..PATHS.len())];
    let kind = KINDS[random.random_range(0..KINDS.len())];
    let method = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "CONNECT", "\u{0}", "POST",
    ][random.random_range(0..8)];
    match random.random_range(0..10) {
        0 => noise(random, 4096),
        1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            .iter()
            .copied()
            .chain(noise(random, 512))
            .collect(),
        2 => format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Len").into_bytes(),
        3 => {
            let huge = "h".repeat(random.random_range(1_000..300_000));
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nX-Huge: {huge}\r\n\r\n").into_bytes()
        }
        4 => format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
            .into_bytes(),
        5 => {
            let mut bytes =
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n")
                    .into_bytes();
            bytes.extend(noise(random, 1024));
            bytes
        }
        6 => (0..random.random_range(1..400))
            .fold(
                format!("GET {path} HTTP/1.1\r\nHost: x\r\n"),
                |text, number| format!("{text}A{number}: b\r\n"),
            )
            .into_bytes(),
        choice => {
            let body = match choice {
                7 => almost_json(random),
                8 => broken_records(random),
                _ => noise(random, 2048),
            };
            let mut bytes = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nAccept: {kind}\r\nMesos-Stream-Id: ../{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                random.random::<u64>(),
                body.len()
            )
            .into_bytes();
            bytes.extend(body);
            bytes
        }
    }
}

/// What every process of the system is, to be compared.
fn processes(system: &System) -> BTreeMap<u32, Option<u64>> {
    let mut all: BTreeMap<u32, Option<u64>> = system
        .parts()
        .iter()
        .map(|part| system.pid(part))
        .map(|pid| (pid, start_time(pid)))
        .collect();
    for pid in processes_naming(system.folder()) {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.contains("bcs-keeper") {
            all.insert(pid, start_time(pid));
        }
    }
    all
}

fn garbage_at_every_listener_breaks_nothing(system: System) {
    let seed = std::env::var("BCS_GARBAGE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("seed {seed}: BCS_GARBAGE_SEED={seed} repeats this");
    system.apply(&process("before", 2, "sleep", "/bin/sleep 100089", &[]));
    let running = system.running("test", "before", 2);
    let before = processes(&system);
    assert!(
        before.len() > system.parts().len(),
        "the keeper is among them: {before:?}"
    );
    let memory: u64 = before.keys().map(|pid| resident_bytes(*pid)).sum();

    let mut targets: Vec<Listening> = before.keys().flat_map(|pid| listeners(*pid)).collect();
    targets.sort_by(|left, right| left.address.cmp(&right.address));
    targets.dedup_by(|left, right| left.address == right.address);
    let count = |unix: bool| {
        targets
            .iter()
            .filter(|target| matches!(target.address, Address::Unix(_)) == unix)
            .count()
    };
    assert!(
        count(false) >= 5,
        "gateway, driver, scheduler, storage, master, agent: {targets:#?}"
    );
    assert!(count(true) >= 3, "agent, executor, keeper: {targets:#?}");

    let own = Authority::of(system.folder());
    let roles = [
        "scheduler",
        "agent",
        "driver",
        "gateway",
        "mesos-watch",
        "master",
    ];
    let members: Vec<Tls> = roles
        .iter()
        .map(|role| {
            Tls::new(Some(
                &own.issue(role, &system.folder().join(format!("as-{role}"))),
            ))
        })
        .collect();
    let bare = Tls::new(None);
    let sent = AtomicUsize::new(0);
    let reached = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (targets, members, bare) = (&targets, &members, &bare);
            let (sent, reached, next) = (&sent, &reached, &next);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed.wrapping_add(sender as u64));
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= SENDS {
                        break;
                    }
                    let target = &targets[number % targets.len()];
                    let tls = match random.random_range(0..10) {
                        0 => None,
                        1 => Some(bare),
                        _ => Some(&members[random.random_range(0..members.len())]),
                    };
                    // A refused handshake is an answer too.
                    sent.fetch_add(1, Ordering::Relaxed);
                    let Ok(mut connection) = Connection::open(&target.address, tls, LIMIT) else {
                        continue;
                    };
                    if connection
                        .write_all(&garbage(&mut random))
                        .and_then(|()| connection.flush())
                        .is_ok()
                    {
                        reached.fetch_add(1, Ordering::Relaxed);
                    }
                    if random.random_range(0..4) == 0 {
                        let _ = connection.read(&mut [0; 1024]);
                    }
                }
            });
        }
    });
    let (sent, reached) = (sent.into_inner(), reached.into_inner());
    println!(
        "{sent} sent, {reached} got through, {} listeners, {:?}",
        targets.len(),
        started.elapsed()
    );
    assert_eq!(sent, SENDS);
    assert!(
        reached > SENDS / 2,
        "most of it got behind the handshake: {reached}"
    );

    assert_eq!(processes(&system), before, "nobody was started again");
    for target in &targets {
        let keeper = !system
            .parts()
            .iter()
            .any(|part| system.pid(part) == target.pid);
        if keeper {
            continue;
        }
        let mut connection =
            Connection::open(&target.address, Some(&members[3]), Duration::from_secs(5))
                .unwrap_or_else(|error| panic!("{target:?} does not answer any more: {error}"));
        let answer = connection
            .get("/livez")
            .unwrap_or_else(|error| panic!("{target:?} is silent: {error}"));
        assert!(answer.starts_with("HTTP/1.1 "), "{target:?}: {answer}");
    }
    let again = system.running("test", "before", 2);
    let pids = |list: &[serde_json::Value]| {
        list.iter()
            .map(pid_of)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(pids(&again), pids(&running));
    system.apply(&process("after", 2, "sleep", "/bin/sleep 100091", &[]));
    system.running("test", "after", 2);
    // Nothing that was invented came into being.
    let names = system.bcs(&["get", "process", "-A", "-o", "name"]).ok().out;
    assert_eq!(names.lines().count(), 2, "{names}");
    let resources = bcs_e2e::Api::of(&system)
        .get(&format!("{}/cluster/resources", bcs_e2e::WORKLOADS))
        .ok()
        .json();
    assert_eq!(
        resources["data"]["agents"].as_array().map(Vec::len),
        Some(1),
        "one host in {CLUSTER}: {resources}"
    );
    let now: u64 = before.keys().map(|pid| resident_bytes(*pid)).sum();
    assert!(
        now < memory + (150 << 20),
        "memory went from {memory} to {now}"
    );
    for part in system.parts() {
        let log = system.log(part);
        assert!(!log.contains("panicked"), "{part} panicked: {log}");
        assert!(
            log.len() < 20 << 20,
            "{part} wrote {} bytes of log",
            log.len()
        );
    }
}
