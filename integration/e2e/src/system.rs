//! Starting, breaking and ending a system.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Answer, run};
use crate::roles::{self, ROLES};
use crate::{host, wait};

/// How the roles are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `bcs standalone`.
    Standalone,
    /// `bcs run ROLE` for each role.
    Roles,
}

/// A system in a folder of its own. Dropping it ends every process that it started.
#[derive(Debug)]
pub struct System {
    mode: Mode,
    folder: TempDir,
    processes: BTreeMap<&'static str, Child>,
    port: u16,
    extra: Vec<String>,
    wrapper: Vec<String>,
    environment: BTreeMap<String, String>,
    ports: PortBlock,
}

/// Host ports that this system alone hands out: several systems run on the host of the tests,
/// where a real host has one. Held by listening on the block's first port.
#[derive(Debug)]
struct PortBlock {
    first: u16,
    _held: std::net::TcpListener,
}

impl PortBlock {
    const SIZE: u16 = 100;

    fn reserve() -> Self {
        // Below the ports that the kernel gives to clients.
        let blocks: Vec<u16> = (0..120).map(|block| 20_000 + block * Self::SIZE).collect();
        let start = usize::try_from(std::process::id()).unwrap_or(0);
        let mut candidates = (0..blocks.len()).map(|step| blocks[(start + step) % blocks.len()]);
        candidates
            .find_map(|first| {
                let held = std::net::TcpListener::bind(("127.0.0.1", first)).ok()?;
                Some(Self { first, _held: held })
            })
            .unwrap()
    }

    fn range(&self) -> String {
        format!("{}-{}", self.first + 1, self.first + Self::SIZE - 1)
    }
}

/// The name under which the one process of standalone is kept.
const STANDALONE: &str = "standalone";

/// The executable under test: beside this test's own folder, where cargo put it.
pub fn executable(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join(name);
    assert!(
        path.exists(),
        "{} is missing: build it first (cargo build --workspace --bins)",
        path.display()
    );
    path
}

impl System {
    /// Starts a system and waits until it is ready.
    pub fn start(mode: Mode) -> Self {
        Self::start_with(mode, &[])
    }

    /// The same with further arguments for `bcs standalone` (ignored with separate roles).
    pub fn start_with(mode: Mode, extra: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bcs-e2e-")
            .tempdir()
            .unwrap();
        Self::start_in(mode, folder, extra)
    }

    /// The same in a folder that the test made.
    pub fn start_in(mode: Mode, folder: TempDir, extra: &[&str]) -> Self {
        Self::start_under(mode, folder, extra, &[], &[])
    }

    /// The same with every part started as `wrapper… bcs …` (a command that changes user or
    /// namespaces and then becomes `bcs`) and with further environment variables.
    pub fn start_under(
        mode: Mode,
        folder: TempDir,
        extra: &[&str],
        wrapper: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let (extra, wrapper) = (texts(extra), texts(wrapper));
        let environment = environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let port = crate::free_port();
        let ports = PortBlock::reserve();
        let mut system = Self {
            mode,
            folder,
            processes: BTreeMap::new(),
            port,
            extra,
            wrapper,
            environment,
            ports,
        };
        if mode == Mode::Roles {
            roles::configure(system.folder.path(), system.port, &system.ports.range());
        }
        system.start_all();
        system
    }

    /// How it is laid out.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The folder that holds everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory of `role`.
    pub fn data_dir(&self, role: &str) -> PathBuf {
        self.folder.path().join(role)
    }

    /// The gateway's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The parts that can be killed one by one.
    pub fn parts(&self) -> &'static [&'static str] {
        match self.mode {
            Mode::Standalone => &[STANDALONE],
            Mode::Roles => ROLES,
        }
    }

    /// Starts what does not run and waits until the gateway answers for all of it.
    pub fn start_all(&mut self) {
        for part in self.parts() {
            self.start_part(part);
        }
        if self.mode == Mode::Roles {
            roles::create_client_file(self.folder.path(), self.port);
        }
        wait::until("the whole system answers", Duration::from_secs(30), || {
            let answer = self.bcs(&["get", "process", "-A", "-o", "name"]);
            let offers = self.bcs(&["offers", "-o", "json"]);
            let ready = answer.code == 0 && offers.code == 0 && offers.out.contains("cpus");
            if ready {
                Ok(())
            } else {
                Err(format!("{answer:?} {offers:?}"))
            }
        });
    }

    /// Starts one part if it does not run; standalone is ready when this returns.
    pub fn start_part(&mut self, part: &'static str) {
        if self
            .processes
            .get_mut(part)
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
        {
            return;
        }
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{part}.log")))
            .unwrap();
        let mut words = self.wrapper.iter();
        let mut command = Command::new(
            words
                .next()
                .map_or_else(|| executable("bcs"), PathBuf::from),
        );
        if !self.wrapper.is_empty() {
            command.args(words).arg(executable("bcs"));
        }
        command
            .stdin(Stdio::null())
            .stderr(log)
            .envs(&self.environment)
            .env("BCS_LOG", log_level());
        if part == STANDALONE {
            command
                .args(["standalone", "--data-dir"])
                .arg(self.data_dir("data"))
                .args(["--listen", &format!("127.0.0.1:{}", self.port)])
                .args(["--ports", &self.ports.range()])
                .args(&self.extra)
                .stdout(Stdio::piped());
        } else {
            let config = self.folder.path().join(format!("{part}.toml"));
            command
                .args(["run", part, "--config"])
                .arg(config)
                .stdout(Stdio::null());
        }
        let mut child = command.spawn().unwrap();
        if let Some(out) = child.stdout.take() {
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line).unwrap();
            assert!(
                line.starts_with("ready https://"),
                "{line:?}\n{}",
                self.log(part)
            );
        }
        self.processes.insert(part, child);
    }

    /// From the next start on, parts are started as `wrapper… bcs …`.
    pub fn wrap(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|&text| text.to_owned()).collect();
    }

    /// Puts top-level settings before the others of a role's file (separate roles only) and
    /// starts the role again.
    pub fn configure(&mut self, part: &'static str, lines: &str) {
        assert_eq!(
            self.mode,
            Mode::Roles,
            "standalone has no files of settings"
        );
        let file = self.folder.path().join(format!("{part}.toml"));
        let old = std::fs::read_to_string(&file).unwrap();
        let names: Vec<&str> = lines
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0.trim()))
            .collect();
        let kept: Vec<&str> = old
            .lines()
            .filter(|line| {
                !names.iter().any(|name| {
                    line.split_once('=')
                        .is_some_and(|(key, _)| key.trim() == *name)
                })
            })
            .collect();
        std::fs::write(&file, format!("{lines}\n{}\n", kept.join("\n"))).unwrap();
        self.kill(part);
        self.start_all();
    }

    /// The pid of a part.
    pub fn pid(&self, part: &str) -> u32 {
        self.processes[part].id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self, part: &str) {
        self.end(part, Signal::SIGKILL);
    }

    /// SIGTERM, and waits until it has left; its exit code.
    pub fn stop(&mut self, part: &str) -> i32 {
        self.end(part, Signal::SIGTERM)
    }

    fn end(&mut self, part: &str, signal: Signal) -> i32 {
        let Some(mut child) = self.processes.remove(part) else {
            return 0;
        };
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        // It may be dead already; its status is collected either way.
        let _ = kill(pid, signal);
        let status = child.wait().unwrap();
        status.code().unwrap_or(-1)
    }

    /// What a part logged.
    pub fn log(&self, part: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{part}.log"))).unwrap_or_default()
    }

    /// The client file.
    pub fn client_file(&self) -> PathBuf {
        match self.mode {
            Mode::Standalone => self.data_dir("data").join("client.yaml"),
            Mode::Roles => self.folder.path().join("client.yaml"),
        }
    }

    /// Runs `bcs ARGUMENTS` against this system.
    pub fn bcs(&self, arguments: &[&str]) -> Answer {
        self.bcs_with(arguments, None)
    }

    /// The same with text on standard input.
    pub fn bcs_with(&self, arguments: &[&str], input: Option<&str>) -> Answer {
        let mut command = Command::new(executable("bcs"));
        command
            .args(arguments)
            .env("BCS_CONFIG", self.client_file());
        run(&mut command, input)
    }

    /// `bcs apply -f -` of one object; must succeed.
    #[track_caller]
    pub fn apply(&self, object: &Value) -> Answer {
        self.bcs_with(&["apply", "-f", "-"], Some(&object.to_string()))
            .ok()
    }

    /// The taskgroups of a namespace in the storage shape.
    #[track_caller]
    pub fn taskgroups(&self, namespace: &str) -> Vec<Value> {
        let list = self
            .bcs(&["get", "taskgroup", "-n", namespace, "-o", "json"])
            .ok()
            .json();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until exactly `count` taskgroups of `application` run, each with a live process; their objects.
    #[track_caller]
    pub fn running(&self, namespace: &str, application: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} running taskgroups of {application}");
        wait::until(&what, Duration::from_secs(60), || {
            let answer = self.bcs(&["get", "taskgroup", "-n", namespace, "-o", "json"]);
            let Ok(list) = serde_json::from_str::<Value>(&answer.out) else {
                return Err(format!("{answer:?}"));
            };
            let items: Vec<Value> = list["items"].as_array().cloned().unwrap_or_default();
            let items: Vec<Value> = items
                .into_iter()
                .filter(|item| item["rcname"] == application)
                .collect();
            let live = |item: &&Value| {
                item["status"] == "Running" && pid_of(item).is_some_and(host::alive)
            };
            if items.len() == count && items.iter().filter(live).count() == count {
                return Ok(items);
            }
            let seen: Vec<String> = items
                .iter()
                .map(|item| {
                    format!(
                        "{} {} {} pid {:?}",
                        item["metadata"]["name"],
                        item["status"],
                        item["message"],
                        pid_of(item)
                    )
                })
                .collect();
            Err(format!("{seen:#?}"))
        })
    }
}

/// The pid of the first container status of a taskgroup.
pub fn pid_of(taskgroup: &Value) -> Option<u32> {
    let pid = taskgroup["containerStatuses"][0]["pid"].as_u64()?;
    u32::try_from(pid).ok().filter(|pid| *pid > 0)
}

fn log_level() -> String {
    std::env::var("BCS_E2E_LOG").unwrap_or_else(|_| "info".to_owned())
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for part in self.parts() {
                let log = self.log(part);
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                eprintln!("--- {part} ---");
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
        if std::thread::panicking() && std::env::var_os("BCS_E2E_KEEP").is_some() {
            eprintln!(
                "kept for a look, until this test is ended: {}",
                self.folder.path().display()
            );
            loop {
                std::thread::park();
            }
        }
        for part in self.parts() {
            self.kill(part);
        }
        // The keeper and the tasks outlive their daemon by design: they are found by the folder.
        // More than one round, because a dying program may have started another.
        for _ in 0..5 {
            let left = host::processes_naming(self.folder.path());
            if left.is_empty() {
                break;
            }
            for pid in left.into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
