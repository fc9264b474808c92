//! Real groups on this host's kernel. Where a controller cannot be used, the test asserts that the
//! report says so: nothing passes silently.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bcs_cgroup::{Applied, Controller, Group, Home, Layout, Limits};

struct Own {
    layout: Layout,
    parent: String,
    group: Group,
}

impl Own {
    fn new(name: &str) -> Self {
        let parent = format!("bcs-test-{}-{name}", std::process::id());
        let layout = Layout::detect(&parent);
        let group = layout.group("task");
        group.create().unwrap();
        eprintln!("{}", layout.describe());
        Self {
            layout,
            parent,
            group,
        }
    }

    /// Starts a shell that joins the group before it runs the script.
    fn run(&self, script: &str) -> Child {
        let mut join = String::new();
        for file in self.group.procs_files() {
            join.push_str(&format!("echo 0 > {} || exit 99; ", file.display()));
        }
        Command::new("sh")
            .args(["-c", &format!("{join}{script}")])
            .spawn()
            .unwrap()
    }

    fn usable(&self, controller: Controller) -> bool {
        !matches!(self.layout.home(controller), Home::None(_))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.group.kill_all();
        let since = Instant::now();
        while self.group.remove().is_err() && since.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(2));
        }
        for controller in Controller::ALL {
            if let Home::Unified(dir) | Home::Legacy(dir) = self.layout.home(controller) {
                assert!(dir.ends_with(&self.parent));
                let _ = std::fs::remove_dir(&dir);
            }
        }
        if let Some(dir) = self.group.events_file() {
            let _ = std::fs::remove_dir(dir.parent().unwrap().parent().unwrap());
        }
    }
}

fn wait_for(what: &str, mut probe: impl FnMut() -> bool) {
    let since = Instant::now();
    while !probe() {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "waited too long for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn expect_report(own: &Own, controller: Controller, limits: &Limits) -> bool {
    let report = own.group.apply(limits);
    let (_, applied) = report
        .0
        .iter()
        .find(|(which, _)| *which == controller)
        .unwrap();
    if own.usable(controller) {
        assert_eq!(*applied, Applied::InForce);
        assert_eq!(report.complaint(), None);
        true
    } else {
        let Applied::NotInForce(reason) = applied else {
            panic!("{} is faked", controller.name())
        };
        assert!(!reason.is_empty());
        assert!(report.complaint().unwrap().contains("not in force"));
        eprintln!("NOT IN FORCE, asserted: {reason}");
        false
    }
}

#[test]
fn a_pids_limit_bites() {
    let own = Own::new("pids");
    let limits = Limits {
        pids: Some(3),
        ..Limits::default()
    };
    if expect_report(&own, Controller::Pids, &limits) {
        let script = "sleep 100 & sleep 100 & sleep 100 & sleep 100 & exit 0";
        // dash gives up with status 2 when it cannot fork.
        assert_eq!(own.run(script).wait().unwrap().code(), Some(2));
        assert!(own.group.usage().pids.unwrap() <= 3);
    }
}

#[test]
fn a_memory_limit_bites_and_the_kill_is_counted() {
    let own = Own::new("memory");
    let limits = Limits {
        memory_bytes: Some(16 << 20),
        ..Limits::default()
    };
    if expect_report(&own, Controller::Memory, &limits) {
        assert_eq!(own.group.usage().oom_kills, Some(0));
        let hog = "exec head -c 200m /dev/zero | tail -c 200m > /dev/null";
        own.run(hog).wait().unwrap();
        assert!(
            own.group.usage().oom_kills.unwrap() >= 1,
            "{:?}",
            own.group.usage()
        );
        // A larger limit can be set on the live group, and a smaller one again.
        for size in [64_u64 << 20, 8 << 20] {
            let limits = Limits {
                memory_bytes: Some(size),
                ..Limits::default()
            };
            assert_eq!(own.group.apply(&limits).complaint(), None);
        }
    }
}

#[test]
fn a_cpu_quota_bites() {
    let own = Own::new("cpu");
    let limits = Limits {
        cpu_cores: Some(0.2),
        cpu_share: Some(0.5),
        ..Limits::default()
    };
    if expect_report(&own, Controller::Cpu, &limits) && own.usable(Controller::Cpuacct) {
        let before = own.group.usage().cpu_micros.unwrap();
        let since = Instant::now();
        let mut child = own.run("while :; do :; done");
        std::thread::sleep(Duration::from_millis(1000));
        let used = own.group.usage().cpu_micros.unwrap() - before;
        let elapsed = since.elapsed().as_micros() as u64;
        own.group.kill_all().unwrap();
        child.wait().unwrap();
        assert!(used > 20_000, "it ran at all: {used}");
        assert!(
            used < elapsed * 2 / 5,
            "used {used} us in {elapsed} us of a fifth of a core"
        );
    }
}

#[test]
fn kill_ends_every_member_also_those_that_left_their_session() {
    let own = Own::new("kill");
    let mut child = own.run("setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & sleep 1000 & wait");
    if own.group.directories().is_empty() {
        eprintln!("NOT IN FORCE, asserted: no hierarchy at all");
        assert_eq!(own.group.populated(), None);
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    }
    wait_for("four members", || own.group.processes().len() >= 4);
    assert_eq!(own.group.populated(), Some(true));
    let members = own.group.processes();
    assert!(own.group.remove().is_err(), "not while somebody is in it");
    own.group.kill_all().unwrap();
    child.wait().unwrap();
    wait_for("an empty group", || own.group.populated() == Some(false));
    for pid in members {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
    wait_for("its removal", || own.group.remove().is_ok());
    assert!(own.group.directories().iter().all(|dir| !dir.exists()));
    own.group.kill_all().unwrap();
    own.group.remove().unwrap();
}

#[test]
fn freezing_stops_time_for_the_members() {
    let own = Own::new("freeze");
    if !own.usable(Controller::Freezer) {
        assert!(own.group.freeze(true).is_err());
        eprintln!("NOT IN FORCE, asserted: freezer");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ticks");
    let script = format!("while :; do echo >> {}; done", file.display());
    let mut child = own.run(&script);
    let size = || std::fs::metadata(&file).map_or(0, |data| data.len());
    wait_for("ticks", || size() > 0);
    own.group.freeze(true).unwrap();
    let mut last = 0;
    wait_for("standstill", || {
        let now = size();
        std::thread::sleep(Duration::from_millis(20));
        let still = now == last && size() == now;
        last = now;
        still
    });
    own.group.freeze(false).unwrap();
    wait_for("more ticks", || size() > last);
    own.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_disabled_layout_reports_and_does_nothing() {
    let layout = Layout::disabled("switched off by configuration");
    let group = layout.group("x");
    group.create().unwrap();
    let limits = Limits {
        pids: Some(1),
        memory_bytes: Some(1),
        ..Limits::default()
    };
    let complaint = group.apply(&limits).complaint().unwrap();
    assert!(
        complaint.contains("memory limit is not in force: switched off"),
        "{complaint}"
    );
    assert!(
        complaint.contains("pids limit is not in force"),
        "{complaint}"
    );
    assert!(group.procs_files().is_empty());
    assert_eq!(group.usage(), bcs_cgroup::Usage::default());
    group.kill_all().unwrap();
    group.remove().unwrap();
}
