//! The README's first command: the demo starts, answers, and cleans up after itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use bcs_e2e::{executable, free_port, http_get, processes_naming, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn the_demo_answers_and_removes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let first = 18_000 + u16::try_from(std::process::id() % 1_000).unwrap();
    let mut demo = Command::new(executable("bcs"))
        .args(["standalone", "--demo", "--data-dir"])
        .arg(folder.path().join("data"))
        .args(["--listen", &format!("127.0.0.1:{}", free_port())])
        .args(["--ports", &format!("{first}-{}", first + 20)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("ready https://127.0.0.1:")
    );
    let ports: Vec<u16> = lines
        .filter_map(|line| {
            line.split_once("http://127.0.0.1:")?
                .1
                .trim_end_matches('/')
                .parse()
                .ok()
        })
        .take(3)
        .collect();
    for port in &ports {
        assert!(http_get(*port, "GET", "/").unwrap().contains("200 OK"));
    }
    kill(
        Pid::from_raw(i32::try_from(demo.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let status = demo.wait().unwrap();
    let servers = || -> Vec<u32> {
        let name =
            |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        processes_naming(folder.path())
            .into_iter()
            .filter(|pid| name(pid).trim() == "bcs")
            .collect()
    };
    let left = wait::until("the servers end", Duration::from_secs(10), || {
        let left = servers();
        if left.is_empty() {
            Ok(left)
        } else {
            Err(format!("{left:?}"))
        }
    });
    // Only the keeper is left, which this test ends.
    for pid in processes_naming(folder.path()) {
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    }
    assert_eq!(ports.len(), 3);
    assert!(left.is_empty() && status.success(), "{status:?}");
}
