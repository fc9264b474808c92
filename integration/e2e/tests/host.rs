//! The host misbehaves: its disk is full, a folder cannot be written, it reboots, its clock is set,
//! or the system runs as an ordinary user. Always a clear word, and nothing lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bcs_e2e::objects::{process, with};
use bcs_e2e::{
    Api, Clock, Mode, System, WORKLOADS, alive, pid_of, processes_naming, script, shell,
    start_time, wait, words_of,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("bcs-e2e-")
        .tempdir()
        .unwrap()
}

fn sleeper(name: &str, instances: u32) -> Value {
    process(name, instances, "sleep", "/bin/sleep 100111", &[])
}

fn pids(list: &[Value]) -> Vec<u32> {
    let mut pids: Vec<u32> = list.iter().filter_map(pid_of).collect();
    pids.sort_unstable();
    pids
}

fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status().unwrap();
    assert!(status.success(), "{program} {words:?}");
}

/// A small file system of its own, gone when this is.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Path, size: &str) -> Self {
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=700"),
                "bcs-e2e",
                place.to_str().unwrap(),
            ],
        );
        Self(place.to_owned())
    }

    /// Takes every byte that is left; removing the file gives them back.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a dying process may still have a file open.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
        drop(std::fs::remove_dir(&self.0));
    }
}

/// A system on a small disk of its own; the second is to be dropped first.
fn on_a_small_disk() -> (SmallDisk, System) {
    let folder = folder();
    let disk = SmallDisk::mount(folder.path(), "320m");
    (disk, System::start_in(Mode::Standalone, folder, &[]))
}

#[test]
fn a_full_disk_is_said() {
    let (disk, system) = on_a_small_disk();
    system.apply(&sleeper("kept", 1));
    system.running("test", "kept", 1);
    let ballast = disk.fill();
    // What cannot be stored is refused, soon, in one line that says why.
    let orders = [
        (
            vec!["apply", "-f", "-"],
            Some(sleeper("more", 1).to_string()),
        ),
        (
            vec!["scale", "process", "kept", "-n", "test", "--instances", "2"],
            None,
        ),
        (vec!["delete", "process", "kept", "-n", "test"], None),
    ];
    for (words, input) in &orders {
        let begun = Instant::now();
        let answer = system.bcs_with(words, input.as_deref());
        assert_eq!(answer.code, 1, "{words:?}: {answer:?}");
        assert_eq!(answer.err.trim_end().lines().count(), 1, "{answer:?}");
        let text = answer.err.to_lowercase();
        assert!(
            ["full", "space", "disk"]
                .iter()
                .any(|word| text.contains(word)),
            "{answer:?}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{words:?}: {:?}",
            begun.elapsed()
        );
    }
    // Reading goes on.
    system.bcs(&["get", "process", "kept", "-n", "test"]).ok();
    std::fs::remove_file(ballast).unwrap();
    system.apply(&sleeper("later", 1));
    system.running("test", "later", 1);
}

#[test]
fn a_full_disk_loses_nothing() {
    let (disk, mut system) = on_a_small_disk();
    system.apply(&sleeper("kept", 3));
    let body = "while :; do echo a line of output that takes some room; sleep 0.01; done";
    let talk = script(system.folder(), "talk.sh", body);
    system.apply(&process("talker", 1, &shell(), talk.to_str().unwrap(), &[]));
    let before = pids(&system.running("test", "kept", 3));
    let talker = pids(&system.running("test", "talker", 1));
    let ballast = disk.fill();

    let more = sleeper("more", 1).to_string();
    let accepted = std::thread::scope(|scope| {
        let order = scope.spawn(|| system.bcs_with(&["apply", "-f", "-"], Some(&more)).code);
        wait::until("the disk is full", Duration::from_secs(5), || {
            let full = std::fs::write(system.folder().join("probe"), [0; 4096]).is_err();
            if full {
                Ok(())
            } else {
                Err("it is not".to_owned())
            }
        });
        for pid in before.iter().chain(&talker) {
            assert!(alive(*pid), "a full disk ends nobody");
        }
        order.join().unwrap()
    });
    assert_ne!(
        accepted, 0,
        "with no byte left, nothing can be stored and acknowledged"
    );
    assert!(
        alive(system.pid("standalone")),
        "a full disk ends no daemon"
    );
    // The daemon is killed while the disk is full, and comes back when there is room.
    system.kill("standalone");
    assert!(before.iter().chain(&talker).all(|pid| alive(*pid)));
    std::fs::remove_file(ballast).unwrap();
    system.start_all();
    assert_eq!(
        pids(&system.running("test", "kept", 3)),
        before,
        "nothing was lost or started again"
    );
    assert_eq!(pids(&system.running("test", "talker", 1)), talker);
    // An order that was not acknowledged is there or not, but never half.
    if system.bcs(&["get", "process", "more", "-n", "test"]).code == 0 {
        system.running("test", "more", 1);
    }
    system.apply(&sleeper("more", 1));
    system.running("test", "more", 1);
    // Filled again with the daemon running on: when there is room, it goes on by itself.
    let ballast = disk.fill();
    kill(
        Pid::from_raw(i32::try_from(before[0]).unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    wait::until("the dead one is noticed", Duration::from_secs(10), || {
        if alive(before[0]) {
            Err("alive".to_owned())
        } else {
            Ok(())
        }
    });
    std::fs::remove_file(ballast).unwrap();
    wait::until("it is healed", Duration::from_secs(60), || {
        let now = pids(&system.running("test", "kept", 3));
        if now.contains(&before[0]) {
            Err(format!("{now:?}"))
        } else {
            Ok(())
        }
    });
    assert!(
        alive(system.pid("standalone")),
        "a full disk ends no daemon"
    );
}

#[test]
fn an_unwritable_sandbox_is_said_and_healed() {
    let system = System::start(Mode::Standalone);
    system.apply(&sleeper("old", 1));
    let old = pids(&system.running("test", "old", 1));
    let mut folders = vec![system.folder().to_owned()];
    let sandboxes = loop {
        let folder = folders.pop().expect("there is a folder of sandboxes");
        let below = std::fs::read_dir(&folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !path.is_symlink());
        folders.extend(below);
        if folder.ends_with("sandboxes") {
            break folder;
        }
    };
    let away = sandboxes.with_extension("away");
    std::fs::rename(&sandboxes, &away).unwrap();
    std::fs::write(&sandboxes, "no folder").unwrap();
    let mut object = sleeper("new", 1);
    object["restartPolicy"] = json!({"policy": "Always", "interval": 1});
    system.apply(&object);
    wait::until("it says what is wrong", Duration::from_secs(30), || {
        let groups = system.taskgroups_of("test", "new");
        let words: String = groups.iter().map(words_of).collect();
        let told = words.contains("sandbox") && words.to_lowercase().contains("not a directory");
        if told {
            Ok(())
        } else {
            Err(format!("{groups:#?}"))
        }
    });
    std::fs::remove_file(&sandboxes).unwrap();
    std::fs::rename(&away, &sandboxes).unwrap();
    system.running("test", "new", 1);
    assert_eq!(pids(&system.running("test", "old", 1)), old);
}

#[test]
fn after_a_reboot_everything_runs_again_once() {
    let folder = folder();
    let identity = folder.path().join("boot-id");
    let boot = |number: u8| format!("{number:08}-0000-4000-8000-000000000000\n");
    std::fs::write(&identity, boot(1)).unwrap();
    // A namespace in which the kernel seems to be another boot of itself.
    let command = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$0\" \"$@\"",
        identity.display()
    );
    let wrapper = ["unshare", "--mount", "sh", "-c", &command];
    let mut system = System::start_under(Mode::Standalone, folder, &[], &wrapper, &[]);
    let runs = system.folder().join("runs");
    let job = script(
        system.folder(),
        "job.sh",
        &format!("echo run >> {}\nexit 0", runs.display()),
    );
    let mut once = process("job", 1, &shell(), job.to_str().unwrap(), &[]);
    once["restartPolicy"] = json!({"policy": "OnFailure"});
    system.apply(&once);
    system.ended("job", "Finish");
    system.apply(&sleeper("web", 3));
    let before = system.running("test", "web", 3);
    for round in 2..=3 {
        // The power goes: daemon, keeper and programs at once.
        system.kill("standalone");
        for pid in processes_naming(system.folder()) {
            // One of them may have taken another with it.
            let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
        }
        wait::until("the host is dead", Duration::from_secs(10), || {
            let left: Vec<u32> = processes_naming(system.folder())
                .into_iter()
                .filter(|pid| alive(*pid))
                .collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        });
        std::fs::write(&identity, boot(round)).unwrap();
        system.start_all();
        let after = system.running("test", "web", 3);
        assert!(
            pids(&after).iter().all(|pid| !pids(&before).contains(pid)),
            "new programs"
        );
        wait::until("each once", Duration::from_secs(20), || {
            let all = processes_naming(system.folder());
            let sleeping = |pid: &&u32| {
                std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .unwrap_or_default()
                    .contains("100111")
                    && alive(**pid)
            };
            let count = all.iter().filter(sleeping).count();
            if count == 3 {
                Ok(())
            } else {
                Err(format!("{count}"))
            }
        });
    }
    assert_eq!(
        std::fs::read_to_string(&runs).unwrap(),
        "run\n",
        "what had finished is not run again"
    );
    assert_eq!(system.taskgroups_of("test", "job")[0]["status"], "Finish");
    // The same boot again: now programs are found, not started.
    let web = pids(&system.running("test", "web", 3));
    system.kill("standalone");
    system.start_all();
    assert_eq!(pids(&system.running("test", "web", 3)), web);
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    let folder = folder();
    let clock = Clock::build(folder.path());
    let mut system = System::start_under(Mode::Standalone, folder, &[], &[], &clock.environment());
    system.apply(&sleeper("web", 3));
    let before = pids(&system.running("test", "web", 3));
    let starts: Vec<_> = before.iter().map(|pid| start_time(*pid)).collect();
    let mut names: Vec<String> = Vec::new();
    let mut instances = 3;
    const DAY: i64 = 86_400;
    for step in [3600, -3600, 40 * DAY, -20 * 3600, 0] {
        clock.set(step);
        instances += 1;
        let count = instances.to_string();
        system
            .bcs(&[
                "scale",
                "process",
                "web",
                "-n",
                "test",
                "--instances",
                &count,
            ])
            .ok();
        let now = system.running("test", "web", instances);
        assert!(
            before.iter().all(|pid| pids(&now).contains(pid)),
            "{step}: the old ones are left alone"
        );
        let lost = now
            .iter()
            .filter(|group| group["status"] != "Running")
            .count();
        assert_eq!(lost, 0, "{now:#?}");
        // Healing works at any time of day.
        let victim = *pids(&now).iter().find(|pid| !before.contains(pid)).unwrap();
        kill(
            Pid::from_raw(i32::try_from(victim).unwrap()),
            Signal::SIGKILL,
        )
        .unwrap();
        let healed = wait::until(
            &format!("healed after a step to {step}"),
            Duration::from_secs(30),
            || {
                let now = system.running("test", "web", instances);
                if pids(&now).contains(&victim) {
                    Err("the dead one is listed".to_owned())
                } else {
                    Ok(now)
                }
            },
        );
        names.extend(healed.iter().map(bcs_e2e::name_of));
    }
    names.sort();
    names.dedup();
    assert!(
        names.len() >= instances + 4,
        "no id was given twice: {names:#?}"
    );
    // Restarted under another time, everything is found again by pid and start time.
    let all = pids(&system.running("test", "web", instances));
    clock.set(-2 * 3600);
    system.kill("standalone");
    clock.set(5 * 3600);
    system.start_all();
    assert_eq!(pids(&system.running("test", "web", instances)), all);
    assert_eq!(
        before
            .iter()
            .map(|pid| start_time(*pid))
            .collect::<Vec<_>>(),
        starts
    );
}

#[test]
fn an_ordinary_user_has_a_whole_system_and_is_told_what_is_not_in_force() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test needs root to become somebody else"
    );
    const NOBODY: u32 = 65_534;
    let folder = folder();
    nix::unistd::chown(folder.path(), Some(NOBODY.into()), Some(NOBODY.into())).unwrap();
    // The executables may be where others cannot reach them.
    let wrapper = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--no-new-privs",
    ];
    let reachable = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(bcs_e2e::executable("bcs"))
        .arg("--version")
        .status();
    assert!(
        reachable.is_ok_and(|status| status.success()),
        "the build folder must be readable for other users"
    );
    let home = folder.path().to_str().unwrap().to_owned();
    let system = System::start_under(
        Mode::Standalone,
        folder,
        &[],
        &wrapper,
        &[("HOME", &home), ("USER", "nobody")],
    );
    let owner =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(system.client_file()).unwrap());
    assert_eq!(owner, NOBODY);
    system.apply(&sleeper("web", 2));
    let running = system.running("test", "web", 2);
    for pid in pids(&running) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .unwrap();
        assert!(
            line.split_whitespace().skip(1).all(|id| id == "65534"),
            "{line}"
        );
    }
    kill(
        Pid::from_raw(i32::try_from(pids(&running)[0]).unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    wait::until("healed", Duration::from_secs(30), || {
        let now = system.running("test", "web", 2);
        if pids(&now).contains(&pids(&running)[0]) {
            Err("the dead one".to_owned())
        } else {
            Ok(())
        }
    });
    // What needs root is refused or said not to be in force, never faked.
    let mut root = with(sleeper("root", 1), "user", json!("root"));
    root["restartPolicy"] = json!({"policy": "Never"});
    system.apply(&root);
    let ended = system.ended("root", "Failed");
    assert!(words_of(&ended).contains("root"), "{ended:#}");
    let node = system.bcs(&["node", "list", "-o", "name"]).ok().out;
    let node = node
        .lines()
        .next()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let told = [
        system.bcs(&["doctor"]).out,
        system.bcs(&["node", "describe", &node]).out,
        system
            .bcs(&["describe", "process", "web", "-n", "test"])
            .out,
        system
            .bcs(&["get", "taskgroup", "-n", "test", "-o", "yaml"])
            .out,
    ]
    .join("\n")
    .to_lowercase();
    assert!(
        told.contains("not in force") || told.contains("not enforced"),
        "limits are said not to be in force: {told}"
    );
    let reply = Api::of(&system)
        .get(&format!("{WORKLOADS}/cluster/resources"))
        .ok();
    assert!(reply.text.contains("cpu"), "{reply:?}");
}
