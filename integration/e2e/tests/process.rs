//! The main job: programs deployed, found, scaled, broken, healed, updated and removed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::time::Duration;

use bcs_e2e::objects::{example, package, port_of, process, with};
use bcs_e2e::{Mode, System, alive, executable, http_get, pid_of, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Each scenario runs on one process and on a process for each role.
macro_rules! both {
    ($($scenario:ident),* $(,)?) => {
        mod standalone { $( #[test] fn $scenario() { super::$scenario(super::System::start(super::Mode::Standalone)); } )* }
        mod roles { $( #[test] fn $scenario() { super::$scenario(super::System::start(super::Mode::Roles)); } )* }
    };
}

both!(
    deploy_scale_update_and_delete,
    a_killed_program_is_healed,
    redis_in_six_instances_survives_kills_and_scaling,
    logs_are_read_and_followed,
    every_part_may_be_killed_and_no_program_notices,
);

fn kill_pid(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

#[track_caller]
fn answers(port: u16) {
    wait::until(
        "the example server answers",
        Duration::from_secs(10),
        || {
            let answer = http_get(port, "GET", "/")?;
            if answer.contains("200 OK") {
                Ok(())
            } else {
                Err(answer)
            }
        },
    );
}

fn deploy_scale_update_and_delete(system: System) {
    system.apply(&example("web", 3));
    let first = system.running("test", "web", 3);
    first
        .iter()
        .for_each(|taskgroup| answers(port_of(taskgroup, "http")));
    let application = system
        .bcs(&["get", "process", "web", "-n", "test", "-o", "json"])
        .ok()
        .json();
    assert_eq!(application["runningInstance"], 3, "{application}");

    system
        .bcs(&["scale", "process", "web", "-n", "test", "--instances", "5"])
        .ok();
    let five = system.running("test", "web", 5);
    for taskgroup in &first {
        assert!(
            five.iter().any(|other| pid_of(other) == pid_of(taskgroup)),
            "scaling up leaves the old ones alone"
        );
    }
    system
        .bcs(&["scale", "process", "web", "-n", "test", "--instances", "2"])
        .ok();
    let two = system.running("test", "web", 2);
    for taskgroup in &two {
        assert!(
            first.iter().any(|other| pid_of(other) == pid_of(taskgroup)),
            "the lowest indexes stay"
        );
    }

    let changed = with(
        example("web", 2),
        "env",
        json!([{"name": "RELEASE", "value": "two"}]),
    );
    system.apply(&changed);
    let updated = wait::until("all instances are new", Duration::from_secs(60), || {
        let now = system.running("test", "web", 2);
        let new =
            |taskgroup: &serde_json::Value| two.iter().all(|old| pid_of(old) != pid_of(taskgroup));
        if now.iter().all(new) {
            Ok(now)
        } else {
            Err("old ones are left".to_owned())
        }
    });
    updated
        .iter()
        .for_each(|taskgroup| answers(port_of(taskgroup, "http")));

    system.bcs(&["delete", "process", "web", "-n", "test"]).ok();
    wait::until("the application is gone", Duration::from_secs(30), || {
        let answer = system.bcs(&["get", "process", "web", "-n", "test"]);
        if answer.code == 3 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    for taskgroup in &updated {
        assert!(
            !alive(pid_of(taskgroup).unwrap()),
            "its programs have ended"
        );
    }
    assert!(system.taskgroups("test").is_empty());
    // Nothing of it is left on the host either, the executors' share included.
    wait::until("all resources are free", Duration::from_secs(20), || {
        let nodes = system.bcs(&["node", "list"]).ok().out;
        let row: Vec<&str> = nodes
            .lines()
            .nth(1)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let free = row
            .get(3..6)
            .is_some_and(|used| used.iter().all(|used| used.starts_with("0/")));
        if free { Ok(()) } else { Err(nodes) }
    });
}

fn a_killed_program_is_healed(system: System) {
    system.apply(&example("web", 3));
    let before = system.running("test", "web", 3);
    let victim = pid_of(&before[0]).unwrap();
    kill_pid(victim);
    let after = wait::until("a new program", Duration::from_secs(30), || {
        let now = system.running("test", "web", 3);
        if now
            .iter()
            .any(|taskgroup| pid_of(taskgroup) == Some(victim))
        {
            return Err("the dead one is still listed".to_owned());
        }
        Ok(now)
    });
    let healed: Vec<_> = after
        .iter()
        .filter(|now| before.iter().all(|old| pid_of(old) != pid_of(now)))
        .collect();
    assert_eq!(healed.len(), 1, "only the killed one is new");
    assert_eq!(
        healed[0]["containerStatuses"][0]["restartCount"], 1,
        "{}",
        healed[0]
    );
}

/// A program that nobody here wrote, as a package, spoken to with its own client.
fn redis_in_six_instances_survives_kills_and_scaling(system: System) {
    let content = system.folder().join("redis");
    std::fs::create_dir_all(content.join("bin")).unwrap();
    let server = std::fs::canonicalize("/usr/bin/redis-server")
        .expect("redis-server is installed by integration/run");
    std::fs::copy(server, content.join("bin/redis-server")).unwrap();
    let archive = system.folder().join("redis.tar.gz");
    package(&content, &archive);
    let start = "${workPath}/bin/redis-server --port ${ports.main} --bind 127.0.0.1 --save '' --appendonly no";
    let object = with(
        process("redis", 6, "redis-server", start, &["main"]),
        "uris",
        json!([{"Value": format!("file://{}", archive.display()), "OutputDir": "${work_base_dir}/redis-${instanceid}"}]),
    );
    system.apply(&object);
    let ping = |taskgroup: &serde_json::Value| {
        let port = port_of(taskgroup, "main").to_string();
        wait::until("redis answers", Duration::from_secs(10), || {
            let answer = std::process::Command::new("redis-cli")
                .args(["-p", &port, "set", "k", &port])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            if text.trim() == "OK" {
                Ok(())
            } else {
                Err(text)
            }
        });
        let read = std::process::Command::new("redis-cli")
            .args(["-p", &port, "get", "k"])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&read.stdout).trim(),
            port,
            "each instance has its own data"
        );
    };
    let six = system.running("test", "redis", 6);
    six.iter().for_each(ping);
    for taskgroup in &six[..3] {
        kill_pid(pid_of(taskgroup).unwrap());
    }
    system
        .bcs(&[
            "scale",
            "process",
            "redis",
            "-n",
            "test",
            "--instances",
            "8",
        ])
        .ok();
    let dead: Vec<_> = six[..3].iter().map(pid_of).collect();
    let eight = wait::until(
        "eight instances, the killed ones replaced",
        Duration::from_secs(60),
        || {
            let now = system.running("test", "redis", 8);
            let old = now
                .iter()
                .any(|taskgroup| dead.contains(&pid_of(taskgroup)));
            if old {
                Err("a killed one is still listed".to_owned())
            } else {
                Ok(now)
            }
        },
    );
    eight.iter().for_each(ping);
    for taskgroup in &six[3..] {
        assert!(
            eight.iter().any(|now| pid_of(now) == pid_of(taskgroup)),
            "the others were left alone"
        );
    }
    system
        .bcs(&[
            "scale",
            "process",
            "redis",
            "-n",
            "test",
            "--instances",
            "4",
        ])
        .ok();
    system.running("test", "redis", 4).iter().for_each(ping);
}

fn logs_are_read_and_followed(system: System) {
    let script = system.folder().join("talk.sh");
    std::fs::write(
        &script,
        "#!/bin/sh\nfor n in 1 2 3; do echo line $n; done\necho trouble >&2\nexec sleep 1000\n",
    )
    .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    system.apply(&process(
        "talk",
        1,
        "sleep",
        &script.display().to_string(),
        &[],
    ));
    let taskgroup = &system.running("test", "talk", 1)[0];
    let name = taskgroup["metadata"]["name"].as_str().unwrap().to_owned();
    wait::until("the output arrives", Duration::from_secs(10), || {
        let answer = system.bcs(&["logs", &name, "-n", "test", "--tail", "2"]);
        if answer.out == "line 2\nline 3\n" {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    assert_eq!(
        system.bcs(&["logs", &name, "-n", "test"]).ok().out,
        "line 1\nline 2\nline 3\n"
    );
    let mut follow = std::process::Command::new(executable("bcs"))
        .args(["logs", &name, "-n", "test", "-f"])
        .env("BCS_CONFIG", system.client_file())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(follow.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "line 1");
    follow.kill().unwrap();
    follow.wait().unwrap();
}

fn every_part_may_be_killed_and_no_program_notices(mut system: System) {
    system.apply(&example("web", 4));
    let before = system.running("test", "web", 4);
    let pids = |list: &[serde_json::Value]| {
        let mut pids: Vec<_> = list
            .iter()
            .map(|taskgroup| pid_of(taskgroup).unwrap())
            .collect();
        pids.sort_unstable();
        pids
    };
    for part in system.parts() {
        system.kill(part);
        assert!(
            pids(&before).iter().all(|pid| alive(*pid)),
            "{part} gone, its programs run on"
        );
        system.start_all();
        assert_eq!(
            pids(&system.running("test", "web", 4)),
            pids(&before),
            "after {part} was killed"
        );
    }
    // All of it at once, and one program ends while nobody looks.
    for part in system.parts() {
        system.kill(part);
    }
    let victim = pid_of(&before[0]).unwrap();
    kill_pid(victim);
    system.start_all();
    wait::until(
        "the missed exit is healed, the others are kept",
        Duration::from_secs(30),
        || {
            let now = pids(&system.running("test", "web", 4));
            let kept = before[1..]
                .iter()
                .all(|old| now.contains(&pid_of(old).unwrap()));
            if kept && !now.contains(&victim) {
                Ok(())
            } else {
                Err(format!("{now:?}, victim {victim}"))
            }
        },
    );
}
