//! The real keeper binary, real processes, the kernel as witness.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bcs_keeper::proc;
use bcs_keeper::protocol::{Adopt, Call, Line, Reply, Request, Scope, Signal, Spawn, Status, Task};

struct Keeper {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    seq: u64,
    events: Vec<Task>,
}

impl Keeper {
    fn start() -> Self {
        let mut keeper = Self {
            dir: tempfile::tempdir().unwrap(),
            child: None,
        };
        keeper.restart();
        keeper
    }

    fn restart(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_bcs-keeper"))
            .args(["--foreground", "--state-dir"])
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Connects, again while a child of a killed keeper still holds the old socket.
    fn client(&self) -> Client {
        let socket = self.path("keeper.sock");
        wait_for("the keeper to answer", || {
            let stream = UnixStream::connect(&socket).ok()?;
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            let reader = BufReader::new(stream.try_clone().unwrap());
            let mut client = Client {
                reader,
                writer: stream,
                seq: 0,
                events: Vec::new(),
            };
            client.try_call(Call::Subscribe).map(|_| client)
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Whatever a test left: the journal names it.
        let journal = std::fs::read_to_string(self.path("journal")).unwrap_or_default();
        self.kill();
        for line in journal.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            if let ["S" | "A", _, pid, start] = fields.as_slice() {
                let pid: i32 = pid.parse().unwrap();
                if proc::start_time(pid) == start.parse().ok() {
                    for member in proc::session_members(pid, 0) {
                        let _ = nix::sys::signal::kill(
                            nix::unistd::Pid::from_raw(member),
                            nix::sys::signal::Signal::SIGKILL,
                        );
                    }
                }
            }
        }
    }
}

impl Client {
    fn try_line(&mut self) -> Option<Line> {
        let mut text = String::new();
        (self.reader.read_line(&mut text).ok()? > 0).then(|| serde_json::from_str(&text).unwrap())
    }

    fn line(&mut self) -> Line {
        self.try_line().expect("keeper closed the connection")
    }

    fn try_send(&mut self, call: Call) -> Option<u64> {
        self.seq += 1;
        let mut text = serde_json::to_vec(&Request {
            seq: self.seq,
            call,
        })
        .unwrap();
        text.push(b'\n');
        self.writer.write_all(&text).ok().map(|()| self.seq)
    }

    fn send(&mut self, call: Call) -> u64 {
        self.try_send(call).expect("keeper closed the connection")
    }

    fn try_call(&mut self, call: Call) -> Option<Reply> {
        let seq = self.try_send(call)?;
        loop {
            let line = self.try_line()?;
            if let Some(task) = line.event {
                self.events.push(task);
            } else if line.seq == Some(seq) {
                return line.reply;
            }
        }
    }

    fn call(&mut self, call: Call) -> Reply {
        self.try_call(call).expect("keeper closed the connection")
    }

    fn spawn(&mut self, spawn: Spawn) -> Task {
        match self.call(Call::Spawn(Box::new(spawn))) {
            Reply::Task { task, .. } => task,
            other => panic!("{other:?}"),
        }
    }

    fn exit_of(&mut self, id: &str) -> Status {
        loop {
            if let Some(at) = self.events.iter().position(|task| task.id == id) {
                return self.events.remove(at).exit.unwrap().status;
            }
            if let Some(task) = self.line().event {
                self.events.push(task);
            }
        }
    }

    fn list(&mut self) -> BTreeMap<String, Task> {
        match self.call(Call::List) {
            Reply::Tasks(tasks) => tasks
                .into_iter()
                .map(|task| (task.id.clone(), task))
                .collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "waited too long for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn sh(id: &str, script: &str) -> Spawn {
    Spawn {
        id: id.to_owned(),
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        cwd: "/".to_owned(),
        ..Spawn::default()
    }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .filter(|text| text.ends_with('\n'))
}

#[test]
fn exit_codes_and_signals_are_true_and_kept_until_forgotten() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    client.spawn(sh("zero", "exit 0"));
    client.spawn(sh("three", "exit 3"));
    client.spawn(sh("killed", "kill -9 $$"));
    assert_eq!(client.exit_of("zero"), Status::Code(0));
    assert_eq!(client.exit_of("three"), Status::Code(3));
    assert_eq!(client.exit_of("killed"), Status::Signal(9));
    let list = client.list();
    assert_eq!(list["three"].exit.as_ref().unwrap().status, Status::Code(3));
    client.call(Call::Forget { id: "three".into() });
    assert!(!client.list().contains_key("three"));
}

#[test]
fn a_second_spawn_of_an_id_starts_nothing() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let first = client.spawn(sh("one", "exec sleep 1000"));
    match client.call(Call::Spawn(Box::new(sh("one", "exec sleep 1000")))) {
        Reply::Task { task, known, .. } => assert_eq!((task, known), (first.clone(), true)),
        other => panic!("{other:?}"),
    }
    match client.call(Call::Forget { id: "one".into() }) {
        Reply::Error(failure) => assert_eq!(failure.code, "running"),
        other => panic!("{other:?}"),
    }
    // Two at once, on one connection, before the first is answered.
    client.send(Call::Spawn(Box::new(sh("two", "exec sleep 1000"))));
    let second = client.send(Call::Spawn(Box::new(sh("two", "exec sleep 1000"))));
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let line = client.line();
        if let (Some(seq), Some(Reply::Task { task, .. })) = (line.seq, line.reply) {
            answers.push((seq, task.pid));
        }
    }
    assert_eq!(answers[0].1, answers[1].1);
    assert_eq!(answers[1].0, second);
}

#[test]
fn a_killed_keeper_loses_no_task_and_learns_true_exit_codes_of_survivors() {
    let mut keeper = Keeper::start();
    let go = keeper.path("go");
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; exit 42",
        go.display()
    );
    let before = keeper.client().spawn(sh("survivor", &script));
    keeper.kill();
    keeper.restart();
    let mut client = keeper.client();
    assert_eq!(
        client.list()["survivor"],
        before,
        "same pid and start time, still running"
    );
    std::fs::write(&go, "").unwrap();
    match client.exit_of("survivor") {
        Status::Code(42) => {}
        // Only a kernel before 6.15 whose init reaps at once may say so.
        Status::Unknown(_) if !kernel_tells_exits() => {}
        other => panic!("{other:?}"),
    }
    client.call(Call::Forget {
        id: "survivor".into(),
    });
}

fn kernel_tells_exits() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (6, 15)
}

#[test]
fn an_end_while_no_keeper_ran_is_reported_as_unknown_not_invented() {
    let mut keeper = Keeper::start();
    let task = keeper.client().spawn(sh("gone", "exec sleep 1000"));
    keeper.kill();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(task.pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    wait_for("the process to end", || {
        proc::start_time(task.pid).is_none().then_some(())
    });
    keeper.restart();
    let exit = wait_for("the exit", || keeper.client().list()["gone"].exit.clone());
    // A zombie that init has not reaped yet still tells; a reaped one does not.
    assert!(
        matches!(exit.status, Status::Unknown(_) | Status::Signal(9)),
        "{exit:?}"
    );
}

#[test]
fn exit_statuses_survive_a_kill_of_the_keeper() {
    let mut keeper = Keeper::start();
    let mut client = keeper.client();
    client.spawn(sh("five", "exit 5"));
    assert_eq!(client.exit_of("five"), Status::Code(5));
    keeper.kill();
    keeper.restart();
    let exit = keeper.client().list()["five"].exit.clone().unwrap();
    assert_eq!(exit.status, Status::Code(5));
}

#[test]
fn random_kills_of_the_keeper_during_starts_lose_and_double_nothing() {
    let mut keeper = Keeper::start();
    let log = keeper.path("log");
    for round in 0..20_u64 {
        let mut client = keeper.client();
        for task in 0..5 {
            let id = format!("t{round}-{task}");
            let mut spawn = sh(&id, &format!("echo {id}; exec sleep 1000"));
            spawn.stdout = Some(log.display().to_string());
            client.send(Call::Spawn(Box::new(spawn)));
        }
        std::thread::sleep(Duration::from_micros(round * 250));
        keeper.kill();
        keeper.restart();
        // The client of a dead keeper asks again; this must not start a second copy.
        let mut client = keeper.client();
        for task in 0..5 {
            let id = format!("t{round}-{task}");
            let mut spawn = sh(&id, &format!("echo {id}; exec sleep 1000"));
            spawn.stdout = Some(log.display().to_string());
            client.spawn(spawn);
        }
    }
    let mut client = keeper.client();
    let list = client.list();
    assert_eq!(list.len(), 100);
    for task in list.values() {
        assert_eq!(task.exit, None);
        assert_eq!(proc::start_time(task.pid), Some(task.start_time));
    }
    let text = wait_for("all to speak", || {
        read(&log).filter(|text| text.lines().count() >= 100)
    });
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(
        (lines.len(), text.lines().count()),
        (100, 100),
        "each started exactly once"
    );
}

#[test]
fn a_failing_start_names_its_step_and_error() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let mut failure = |spawn: Spawn| match client.call(Call::Spawn(Box::new(spawn))) {
        Reply::Error(failure) => (failure.step, failure.errno),
        other => panic!("{other:?}"),
    };
    let step = |name: &str, errno: i32| (Some(name.to_owned()), Some(errno));
    let missing = Spawn {
        argv: vec!["/nowhere/program".into()],
        ..sh("a", "")
    };
    assert_eq!(failure(missing), step("exec", libc::ENOENT));
    let directory = Spawn {
        argv: vec!["/tmp".into()],
        ..sh("a", "")
    };
    assert_eq!(failure(directory), step("exec", libc::EACCES));
    let cwd = Spawn {
        cwd: "/nowhere".into(),
        ..sh("a", "")
    };
    assert_eq!(failure(cwd), step("cwd", libc::ENOENT));
    let group = Spawn {
        cgroups: vec!["/nowhere/cgroup.procs".into()],
        ..sh("a", "")
    };
    assert_eq!(failure(group), step("cgroup", libc::ENOENT));
    let mut invalid = sh("a", "");
    invalid.rlimits.push(bcs_keeper::protocol::Rlimit {
        name: "x".into(),
        soft: 1,
        hard: 1,
    });
    assert_eq!(failure(invalid), (None, None));
    assert_eq!(
        failure(Spawn {
            argv: vec![],
            ..sh("a", "")
        }),
        (None, None)
    );
    assert_eq!(failure(sh("a b", "")), (None, None));
    assert!(client.list().is_empty(), "what did not start is not kept");
    client.spawn(sh("a", "exit 0"));
}

#[test]
fn an_unwritable_log_costs_the_output_not_the_task() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let mut spawn = sh("quiet", "echo hello; echo oops >&2; exit 4");
    spawn.stdout = Some("/nowhere/stdout".into());
    spawn.stderr = Some(keeper.path("stderr").display().to_string());
    match client.call(Call::Spawn(Box::new(spawn))) {
        Reply::Task { warnings, .. } => {
            assert_eq!(warnings.len(), 1);
            assert!(
                warnings[0].starts_with("stdout cannot be written"),
                "{warnings:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.exit_of("quiet"), Status::Code(4));
    assert_eq!(read(&keeper.path("stderr")).as_deref(), Some("oops\n"));
}

#[test]
fn a_daemonised_program_is_adopted_and_its_true_exit_code_known() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let pid_file = keeper.path("pid");
    let go = keeper.path("go");
    let script = format!(
        "setsid sh -c 'echo $$ > {}; while [ ! -e {} ]; do sleep 0.01; done; exit 9' & exit 0",
        pid_file.display(),
        go.display()
    );
    client.spawn(sh("start", &script));
    assert_eq!(client.exit_of("start"), Status::Code(0));
    let pid: i32 = wait_for("the pid file", || read(&pid_file))
        .trim()
        .parse()
        .unwrap();
    let start_time = proc::start_time(pid).unwrap();
    let wrong = Adopt {
        id: "x".into(),
        pid,
        start_time: start_time + 1,
    };
    match client.call(Call::Adopt(wrong)) {
        Reply::Error(failure) => assert_eq!(failure.code, "not_found"),
        other => panic!("{other:?}"),
    }
    client.call(Call::Adopt(Adopt {
        id: "daemon".into(),
        pid,
        start_time,
    }));
    std::fs::write(&go, "").unwrap();
    assert_eq!(client.exit_of("daemon"), Status::Code(9));
}

#[test]
fn an_adopted_daemon_that_already_ended_still_has_its_code() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let pid_file = keeper.path("pid");
    let script = format!(
        "setsid sh -c 'read l < /proc/$$/stat; echo $l > {}; exit 6' & exit 0",
        pid_file.display()
    );
    client.spawn(sh("start", &script));
    assert_eq!(client.exit_of("start"), Status::Code(0));
    let stat = wait_for("the pid file", || read(&pid_file));
    let pid: i32 = stat.split(' ').next().unwrap().parse().unwrap();
    let start_time = proc::parse(stat.as_bytes()).unwrap().start_time;
    wait_for("its end", || proc::stat(pid).is_none().then_some(()));
    match client.call(Call::Adopt(Adopt {
        id: "late".into(),
        pid,
        start_time,
    })) {
        Reply::Task { task, .. } => assert_eq!(task.exit.unwrap().status, Status::Code(6)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_signal_reaches_children_that_outlive_their_leader() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let pid_file = keeper.path("pid");
    let script = format!(
        "sh -c 'trap : TERM; echo $$ > {}; exec sleep 1000' & sleep 0.1; exit 0",
        pid_file.display()
    );
    client.spawn(sh("leader", &script));
    assert_eq!(client.exit_of("leader"), Status::Code(0));
    let pid: i32 = wait_for("the pid file", || read(&pid_file))
        .trim()
        .parse()
        .unwrap();
    assert!(proc::start_time(pid).is_some());
    let signal = Signal {
        id: "leader".into(),
        signal: 9,
        scope: Scope::Session,
    };
    assert!(matches!(client.call(Call::Signal(signal)), Reply::Done));
    wait_for("the child to end", || {
        proc::start_time(pid).is_none().then_some(())
    });
}

#[test]
fn sigterm_makes_the_keeper_leave_and_tasks_stay() {
    let mut keeper = Keeper::start();
    let task = keeper.client().spawn(sh("stays", "exec sleep 1000"));
    let mut child = keeper.child.take().unwrap();
    for signal in [
        nix::sys::signal::Signal::SIGHUP,
        nix::sys::signal::Signal::SIGINT,
        nix::sys::signal::Signal::SIGTERM,
    ] {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(proc::start_time(task.pid), Some(task.start_time));
    keeper.restart();
    assert_eq!(keeper.client().list()["stays"], task);
}

#[test]
fn the_task_gets_a_clean_place_to_run_in() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let out = keeper.path("out");
    let script = "echo $BCS_TASK_ID $A; pwd; umask; ulimit -n; cut -d' ' -f6 /proc/$$/stat; echo $$; \
                  ls -m /proc/$$/fd; grep SigIgn /proc/$$/status; id -u; id -G; exit 0";
    let mut spawn = sh("clean", script);
    spawn.env.insert("A".into(), "b c".into());
    spawn.cwd = "/usr".into();
    spawn.umask = Some(0o027);
    spawn.stdout = Some(out.display().to_string());
    spawn.rlimits.push(bcs_keeper::protocol::Rlimit {
        name: "nofile".into(),
        soft: 99,
        hard: 99,
    });
    let root = nix::unistd::geteuid().is_root();
    if root {
        (spawn.uid, spawn.gid, spawn.groups) = (Some(65534), Some(65534), vec![4, 65534]);
    }
    client.spawn(spawn);
    assert_eq!(client.exit_of("clean"), Status::Code(0));
    let text = read(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..4], ["clean b c", "/usr", "0027", "99"]);
    assert_eq!(lines[4], lines[5], "leads its own session");
    assert_eq!(lines[6].trim(), "0, 1, 2", "no descriptor leaks");
    let ignored = lines[7].split_whitespace().nth(1).unwrap();
    // The two signals that the C library keeps to itself cannot be set by anybody.
    let ignored = u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff;
    assert_eq!(ignored, 0, "nothing ignored");
    if root {
        assert_eq!(lines[8], "65534");
        assert_eq!(lines[9], "65534 4");
    }
}

#[test]
fn garbage_and_endless_lines_do_not_harm() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    client
        .writer
        .write_all(b"garbage\n{\"seq\":1}\n\xff\xfe\n")
        .unwrap();
    for _ in 0..3 {
        assert!(matches!(client.line().reply, Some(Reply::Error(_))));
    }
    let mut endless = UnixStream::connect(keeper.path("keeper.sock")).unwrap();
    let chunk = vec![b'x'; 1024 * 1024];
    let mut cut = false;
    for _ in 0..64 {
        cut = endless.write_all(&chunk).is_err();
        if cut {
            break;
        }
    }
    assert!(cut, "an endless line ends the connection");
    assert!(matches!(client.call(Call::Version), Reply::Version { .. }));
}

#[test]
fn only_one_keeper_serves_a_directory_and_the_second_says_so_by_success() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let Reply::Version { pid, .. } = client.call(Call::Version) else {
        panic!()
    };
    let second = Command::new(env!("CARGO_BIN_EXE_bcs-keeper"))
        .arg("--state-dir")
        .arg(keeper.dir.path())
        .status()
        .unwrap();
    assert!(second.success());
    let Reply::Version { pid: now, .. } = keeper.client().call(Call::Version) else {
        panic!()
    };
    assert_eq!(pid, now);
}

#[test]
fn in_the_background_it_is_ready_when_the_starter_returns() {
    let mut keeper = Keeper {
        dir: tempfile::tempdir().unwrap(),
        child: None,
    };
    let status = Command::new(env!("CARGO_BIN_EXE_bcs-keeper"))
        .arg("--state-dir")
        .arg(keeper.dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    let socket = keeper.path("keeper.sock");
    UnixStream::connect(&socket).expect("ready at once");
    let mut client = keeper.client();
    let Reply::Version { pid, boot_id, .. } = client.call(Call::Version) else {
        panic!()
    };
    assert_eq!(boot_id, proc::boot_id());
    assert_eq!(
        proc::stat(pid).unwrap().session,
        pid,
        "a session of its own"
    );
    let mode = std::fs::metadata(&socket).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o600
    );
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    wait_for("its end", || proc::start_time(pid).is_none().then_some(()));
    keeper.kill();
}

#[test]
fn a_reboot_ends_every_task_in_the_records() {
    let mut keeper = Keeper::start();
    keeper.client().spawn(sh("done", "exit 8"));
    let mut client = keeper.client();
    wait_for("its end", || client.list()["done"].exit.clone());
    client.spawn(sh("was", "exec sleep 1000"));
    keeper.kill();
    let journal = keeper.path("journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replace(&proc::boot_id(), "another-boot")).unwrap();
    keeper.restart();
    let list = keeper.client().list();
    assert_eq!(list["done"].exit.as_ref().unwrap().status, Status::Code(8));
    let status = &list["was"].exit.as_ref().unwrap().status;
    assert_eq!(*status, Status::Unknown("the machine was rebooted".into()));
    // The process is real (no reboot happened): clean up by hand.
    let pid = list["was"].pid;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}

#[test]
fn two_hundred_starts_are_quick_and_memory_stays_small() {
    let keeper = Keeper::start();
    let mut client = keeper.client();
    let since = Instant::now();
    for task in 0..200 {
        let spawn = Spawn {
            argv: vec!["/bin/sleep".into(), "1000".into()],
            ..sh(&format!("bench-{task}"), "")
        };
        client.send(Call::Spawn(Box::new(spawn)));
    }
    let mut answers = 0;
    while answers < 200 {
        answers += usize::from(matches!(client.line().reply, Some(Reply::Task { .. })));
    }
    let elapsed = since.elapsed();
    let Reply::Version { pid, .. } = client.call(Call::Version) else {
        panic!()
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status
        .lines()
        .filter(|line| line.starts_with("Rss") || line.starts_with("VmRSS"));
    eprintln!("200 starts in {elapsed:?}; {:?}", rss.collect::<Vec<_>>());
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}

#[test]
fn a_full_disk_refuses_starts_but_keeps_watching() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT RUN: mounting a small tmpfs needs root");
        return;
    }
    let mut keeper = Keeper {
        dir: tempfile::tempdir().unwrap(),
        child: None,
    };
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(keeper.dir.path())
        .status()
        .unwrap();
    assert!(mounted.success());
    keeper.restart();
    let mut client = keeper.client();
    let go = tempfile::tempdir().unwrap();
    let file = go.path().join("go");
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; exit 11",
        file.display()
    );
    client.spawn(sh("watched", &script));
    // Fill every page, also the one the journal could still grow in.
    let filler = keeper.path("filler");
    let _ = std::fs::write(&filler, vec![0_u8; 128 * 1024]);
    let mut refused = None;
    for count in 0..2000 {
        match client.call(Call::Spawn(Box::new(sh(&format!("x{count}"), "exit 0")))) {
            Reply::Task { .. } => {}
            Reply::Error(failure) => {
                refused = Some(failure);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let failure = refused.expect("a full disk must refuse a start");
    assert_eq!(failure.step.as_deref(), Some("journal"), "{failure:?}");
    std::fs::write(&file, "").unwrap();
    client.events.retain(|task| task.id == "watched");
    assert_eq!(client.exit_of("watched"), Status::Code(11));
    std::fs::remove_file(&filler).unwrap();
    wait_for("room again", || {
        matches!(
            client.call(Call::Spawn(Box::new(sh("after", "exit 0")))),
            Reply::Task { .. }
        )
        .then_some(())
    });
    keeper.kill();
    keeper.restart();
    let exit = keeper.client().list()["watched"].exit.clone().unwrap();
    assert_eq!(exit.status, Status::Code(11), "written once there was room");
    keeper.kill();
    let unmounted = Command::new("umount")
        .arg("-l")
        .arg(keeper.dir.path())
        .status()
        .unwrap();
    assert!(unmounted.success());
}
