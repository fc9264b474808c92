//! What was acknowledged survives kill -9 and a full disk, and what was refused left no trace.
//!
//! The writer is this test program again, started with an environment variable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bcs_store::{Coordination, StoreError, Transaction};
use bcs_store_sqlite::{CoordinationOptions, SqliteCoordination};

const FOLDER: &str = "BCS_CRASH_TEST_FOLDER";

fn open(folder: &Path) -> SqliteCoordination {
    let options = CoordinationOptions {
        keep_revisions: 200,
        readers: 1,
    };
    SqliteCoordination::open(&folder.join("crash.db"), options).unwrap()
}

fn child(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped());
    command
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Not a test by itself: writes numbered pairs and prints each that is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let store = Arc::new(open(&folder));
    let start = store.revision().await.unwrap();
    let workers = (0..4).map(|worker| {
        let store = Arc::clone(&store);
        async move {
            for number in 0..1_000_000_u64 {
                let value = format!("{start}-{number}");
                let pair = Transaction::new()
                    .put(format!("a/{worker}"), value.clone())
                    .put(format!("b/{worker}"), value);
                let revision = store.transact(pair).await.unwrap();
                let line = format!("\nACK {worker} {start}-{number} {revision}\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        }
    });
    let mut set = tokio::task::JoinSet::new();
    for worker in workers {
        set.spawn(worker);
    }
    while set.join_next().await.is_some() {}
}

#[tokio::test]
async fn every_acknowledged_write_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..8_u64 {
        let mut writer = Killed(
            child("child_that_writes_until_killed", folder.path())
                .spawn()
                .unwrap(),
        );
        let output = BufReader::new(writer.0.stdout.take().unwrap());
        let mut acknowledged: [Option<(u64, u64)>; 4] = [None; 4];
        let lines = output.lines().map_while(Result::ok);
        let mut count = 0;
        let stop_after = 20 + round * 37;
        // After the kill, what is still in the pipe was acknowledged too.
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["ACK", worker, value, revision] = words.as_slice() {
                let worker: usize = worker.parse().unwrap();
                let number = value.split('-').nth(1).unwrap().parse().unwrap();
                acknowledged[worker] = Some((number, revision.parse().unwrap()));
                count += 1;
                if count == stop_after {
                    writer.0.kill().unwrap();
                }
            }
        }
        assert!(count >= stop_after);
        drop(writer);
        let store = open(folder.path());
        for (worker, told) in acknowledged.iter().enumerate() {
            let Some((number, revision)) = told else {
                continue;
            };
            let a = store.get(&format!("a/{worker}")).await.unwrap().unwrap();
            let b = store.get(&format!("b/{worker}")).await.unwrap().unwrap();
            assert_eq!(a.value, b.value, "half a transaction");
            assert_eq!(a.revision, b.revision);
            let text = String::from_utf8(a.value).unwrap();
            let found: u64 = text.split('-').nth(1).unwrap().parse().unwrap();
            assert!(
                found >= *number && a.revision >= *revision,
                "lost: {text} < {number}"
            );
        }
    }
}

/// Not a test by itself: fills a small file system, then makes room again.
#[tokio::test]
async fn child_that_fills_the_disk() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let store = open(&folder);
    let first = store
        .transact(Transaction::new().put("keep", "1"))
        .await
        .unwrap();
    // Leaves the database a little room, so that it is the one to hit the end.
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1_u8; 2 << 20]).unwrap();
    let mut written = first;
    let refused = loop {
        let value = vec![b'x'; 100_000];
        let pair = Transaction::new()
            .put(format!("p/{written}"), value.clone())
            .put("last", value);
        match store.transact(pair).await {
            Ok(revision) => written = revision,
            Err(error) => break error,
        }
        assert!(written < 10_000, "the disk was never full");
    };
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert_eq!(store.revision().await.unwrap(), written);
    assert_eq!(
        store.get(&format!("p/{written}")).await.unwrap(),
        None,
        "half a transaction"
    );
    assert_eq!(
        store.get("keep").await.unwrap().unwrap().revision,
        first,
        "reads go on"
    );
    std::fs::remove_file(&ballast).unwrap();
    let after = store
        .transact(Transaction::new().put("keep", "2"))
        .await
        .unwrap();
    assert_eq!(after, written + 1, "no revision was lost");
    println!("\nFILLED AND RECOVERED");
}

#[test]
fn a_full_disk_is_a_passing_error_and_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let own = child("child_that_fills_the_disk", folder.path());
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o size=6m tmpfs '{}' || exit 77; exec \"$0\" \"$@\"",
            folder.path().display()
        ))
        .arg(own.get_program())
        .args(own.get_args())
        .env(FOLDER, folder.path());
    let output = match command.output() {
        Ok(output) if output.status.code() != Some(77) => output,
        _ => {
            assert!(
                std::env::var_os("REQUIRE").is_none(),
                "cannot mount a small file system"
            );
            eprintln!("SKIPPED: a small file system cannot be mounted here (needs root)");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("Operation not permitted") && std::env::var_os("REQUIRE").is_none() {
        eprintln!("SKIPPED: mount namespaces are not permitted here");
        return;
    }
    assert!(text.contains("FILLED AND RECOVERED"), "{text}{errors}");
}

#[tokio::test]
async fn a_store_without_history_keeps_none() {
    let folder = tempfile::tempdir().unwrap();
    let with_history = open(folder.path());
    for index in 0..10 {
        with_history
            .transact(Transaction::new().put("k", format!("{index}")))
            .await
            .unwrap();
    }
    drop(with_history);
    let options = CoordinationOptions {
        keep_revisions: 0,
        readers: 1,
    };
    let path = folder.path().join("crash.db");
    let store = SqliteCoordination::open(&path, options).unwrap();
    assert!(
        store.watch("", 0).await.is_ok(),
        "the former history is there until the next write"
    );
    let revision = store
        .transact(Transaction::new().put("k", "last"))
        .await
        .unwrap();
    assert_eq!(revision, 11);
    assert!(matches!(
        store.watch("", 10).await.err().unwrap(),
        StoreError::Compacted { .. }
    ));
    store
        .transact(Transaction::new().put("k", "really"))
        .await
        .unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.get("k").await.unwrap().unwrap().value, b"really");
    let mut watch = store.watch("", 12).await.unwrap();
    store
        .transact(Transaction::new().put("k", "again"))
        .await
        .unwrap();
    assert_eq!(watch.next().await.unwrap().changes.len(), 1);
}
