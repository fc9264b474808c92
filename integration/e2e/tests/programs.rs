//! Programs that misbehave: missing, leaving at once, forking, deaf to signals, greedy, unhealthy.
//! What is reported is what happened (exit code, signal, reason), the restart policy is kept to the
//! letter, and nothing is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use bcs_e2e::objects::{example, port_of, process, with};
use bcs_e2e::{
    Api, Mode, System, WORKLOADS, alive, base64, environment_of, http_get, in_both_layouts,
    name_of, pid_of, script, shell, wait, words_of,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

in_both_layouts!(
    programs_that_fail_to_start_say_why,
    restart_policies_are_kept_to_the_letter
);

/// A program that runs a script, restarted as `policy` says.
fn scripted(system: &System, name: &str, policy: &Value, body: &str) -> Value {
    let path = script(system.folder(), &format!("{name}.sh"), body);
    let mut object = process(name, 1, &shell(), path.to_str().unwrap(), &[]);
    object["restartPolicy"] = policy.clone();
    object
}

fn never() -> Value {
    json!({"policy": "Never"})
}

fn exit_code(taskgroup: &Value) -> i64 {
    taskgroup["containerStatuses"][0]["exitcode"]
        .as_i64()
        .unwrap_or_else(|| panic!("no exit code: {taskgroup:#}"))
}

fn programs_that_fail_to_start_say_why(system: System) {
    let start = |name: &str, command: &str| {
        let mut object = process(name, 1, "x", command, &[]);
        object["restartPolicy"] = never();
        object
    };
    let plain = system.folder().join("plain.txt");
    std::fs::write(&plain, "#!/bin/sh\nexit 0\n").unwrap();
    let objects = [
        start("missing", "/no/such/program --flag"),
        start("plain", plain.to_str().unwrap()),
        start("folder", "/etc"),
        scripted(&system, "seven", &never(), "echo out of luck >&2; exit 7"),
        scripted(&system, "zero", &never(), "exit 0"),
        scripted(&system, "signal", &never(), "kill -SEGV $$; sleep 5"),
        with(
            start("nobody", "/bin/sleep 100093"),
            "user",
            json!("no-such-user-here"),
        ),
        with(
            start("place", "/bin/sleep 100093"),
            "workPath",
            json!("/proc/not-here/work"),
        ),
        with(
            scripted(&system, "silent", &never(), "exit 0"),
            "pidFile",
            json!("${workPath}/none.pid"),
        ),
        with(
            scripted(&system, "lies", &never(), "echo notanumber > bad.pid"),
            "pidFile",
            json!("${workPath}/bad.pid"),
        ),
    ];
    for object in objects {
        let slow = ["silent", "lies"].contains(&object["metadata"]["name"].as_str().unwrap());
        system.apply(&if slow {
            with(object, "startGracePeriod", json!(1))
        } else {
            object
        });
    }
    let says = |name: &str, parts: &[&str]| {
        let taskgroup = system.ended(name, "Failed");
        let words = words_of(&taskgroup);
        for part in parts {
            assert!(
                words.to_lowercase().contains(&part.to_lowercase()),
                "{name} does not say {part:?}: {words}"
            );
        }
        taskgroup
    };
    says("missing", &["/no/such/program", "no such file"]);
    says("plain", &["plain.txt", "permission denied"]);
    says("folder", &["/etc"]);
    assert_eq!(exit_code(&says("seven", &["7"])), 7);
    assert_eq!(exit_code(&says("signal", &["signal"])), 128 + 11);
    says("nobody", &["no-such-user-here"]);
    says("place", &["/proc/not-here"]);
    says("silent", &["none.pid"]);
    says("lies", &["bad.pid"]);
    let zero = system.ended("zero", "Finish");
    assert_eq!(exit_code(&zero), 0);
    // What it said before it left can be read.
    let seven = name_of(&system.ended("seven", "Failed"));
    let path = format!("{WORKLOADS}/namespaces/test/taskgroups/{seven}/logs?stream=stderr");
    let reply = Api::of(&system).get(&path);
    assert_eq!(
        (reply.status, reply.text.trim()),
        (200, "out of luck"),
        "{reply:?}"
    );
    // Never is never: still one attempt each.
    for name in ["missing", "seven", "signal"] {
        let groups = system.taskgroups_of("test", name);
        assert_eq!(groups.len(), 1, "{groups:#?}");
        assert_eq!(
            groups[0]["containerStatuses"][0]["restartCount"], 0,
            "{groups:#?}"
        );
    }
    let application = system
        .bcs(&["get", "process", "seven", "-n", "test", "-o", "json"])
        .ok()
        .json();
    assert_ne!(application["status"], "Running", "{application}");
}

/// The times at which a script that notes them was started.
fn runs(file: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn restart_policies_are_kept_to_the_letter(system: System) {
    let file = |name: &str| system.folder().join(format!("{name}.runs"));
    let deploy = |name: &str, policy: Value, end: &str| {
        let body = format!("date +%s.%N >> {}\n{end}", file(name).display());
        system.apply(&scripted(&system, name, &policy, &body));
    };
    let policy = |policy: &str, interval: u32, backoff: u32, most: u32| json!({"policy": policy, "interval": interval, "backoff": backoff, "maxtimes": most});
    deploy("content", policy("OnFailure", 0, 0, 0), "exit 0");
    deploy("thrice", policy("OnFailure", 0, 0, 2), "exit 3");
    deploy("twice", policy("Always", 0, 0, 1), "exit 0");
    deploy("paced", policy("Always", 2, 0, 1), "exit 1");
    deploy("backing", policy("OnFailure", 1, 2, 2), "exit 1");
    deploy("once", policy("Never", 0, 0, 5), "exit 1");
    let done = |name: &str, count: usize, status: &str| {
        wait::until(
            &format!("{name} ran {count} times"),
            Duration::from_secs(40),
            || {
                let runs = runs(&file(name));
                let groups = system.taskgroups_of("test", name);
                let times = groups
                    .first()
                    .and_then(|group| group["containerStatuses"][0]["restartCount"].as_u64());
                let right = runs.len() == count
                    && groups.len() == 1
                    && groups[0]["status"] == status
                    && times == Some(count as u64 - 1);
                if right {
                    Ok(runs)
                } else {
                    Err(format!("{runs:?} {groups:#?}"))
                }
            },
        )
    };
    done("content", 1, "Finish");
    done("once", 1, "Failed");
    let gaps = |runs: &[f64]| {
        runs.windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect::<Vec<_>>()
    };
    let thrice = done("thrice", 3, "Failed");
    assert!(
        gaps(&thrice).iter().all(|gap| *gap < 3.0),
        "at once: {thrice:?}"
    );
    done("twice", 2, "Finish");
    let paced = gaps(&done("paced", 2, "Failed"));
    assert!(
        (1.9..6.0).contains(&paced[0]),
        "after two seconds: {paced:?}"
    );
    let backing = gaps(&done("backing", 3, "Failed"));
    assert!(
        (0.9..4.0).contains(&backing[0]) && (2.9..8.0).contains(&backing[1]),
        "1, then 1+2: {backing:?}"
    );
    // Nothing comes later either: everything that was started is counted above, and stays so.
    let counts = || {
        ["content", "once", "thrice", "twice", "paced", "backing"]
            .map(|name| runs(&file(name)).len())
    };
    let before = counts();
    // Something that takes its time in the same system, instead of a sleep.
    deploy("other", policy("Always", 2, 0, 1), "exit 0");
    done("other", 2, "Finish");
    assert_eq!(counts(), before);
}

#[test]
fn a_program_that_forks_is_followed_by_its_pid_file() {
    let system = System::start(Mode::Standalone);
    // The start command ends; the program that it leaves behind is in no way its child.
    let body = "setsid /bin/sleep 100095 </dev/null >/dev/null 2>&1 &\necho $! > ${1}.pid";
    let path = script(system.folder(), "daemonise.sh", body);
    let start = format!("{} ${{workPath}}/svc", path.display());
    let object = with(
        process("svc", 2, "sleep", &start, &[]),
        "pidFile",
        json!("${workPath}/svc.pid"),
    );
    system.apply(&with(object, "startGracePeriod", json!(5)));
    let before = system.running("test", "svc", 2);
    for taskgroup in &before {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", pid_of(taskgroup).unwrap()))
            .unwrap();
        assert!(line.contains("100095"), "{line}");
    }
    let victim = pid_of(&before[0]).unwrap();
    kill(
        Pid::from_raw(i32::try_from(victim).unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    let after = wait::until("the dead one is replaced", Duration::from_secs(30), || {
        let now = system.running("test", "svc", 2);
        if now.iter().any(|group| pid_of(group) == Some(victim)) {
            Err("still listed".to_owned())
        } else {
            Ok(now)
        }
    });
    system.bcs(&["delete", "process", "svc", "-n", "test"]).ok();
    wait::until("nothing of it is left", Duration::from_secs(20), || {
        let left: Vec<u32> = after
            .iter()
            .filter_map(pid_of)
            .filter(|pid| alive(*pid))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
    // A pid file that names some other program is not believed: nobody else's process is adopted.
    let decoy = std::process::Command::new("/bin/cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let body = format!("echo {} > $1/svc.pid", decoy.id());
    let path = script(system.folder(), "lies.sh", &body);
    let start = format!("{} ${{workPath}}", path.display());
    let mut object = with(
        process("liar", 1, "sleep", &start, &[]),
        "pidFile",
        json!("${workPath}/svc.pid"),
    );
    object["restartPolicy"] = never();
    system.apply(&with(object, "startGracePeriod", json!(1)));
    let ended = system.ended("liar", "Failed");
    assert!(
        words_of(&ended).contains("svc.pid") || words_of(&ended).contains("sleep"),
        "{ended:#}"
    );
    assert!(alive(decoy.id()), "it was not ours to kill");
    let mut decoy = decoy;
    decoy.kill().unwrap();
    decoy.wait().unwrap();
}

#[test]
fn stopping_asks_waits_and_kills() {
    let system = System::start(Mode::Standalone);
    let note = |name: &str| system.folder().join(format!("{name}.note"));
    let always = json!({"policy": "Always"});
    let grace = |mut object: Value, seconds: u32| {
        object["killPolicy"]["gracePeriod"] = json!(seconds);
        object
    };
    let deaf = "trap '' TERM INT HUP\nwhile :; do sleep 1; done";
    system.apply(&grace(scripted(&system, "deaf", &always, deaf), 1));
    let polite = format!(
        "trap 'echo bye > {}; exit 0' TERM\nwhile :; do sleep 0.05; done",
        note("polite").display()
    );
    system.apply(&grace(scripted(&system, "polite", &always, &polite), 20));
    let stop = script(
        system.folder(),
        "stop.sh",
        &format!(
            "echo stopped > {}\nkill -KILL $(cat $1)",
            note("ordered").display()
        ),
    );
    let body = "trap '' TERM\necho $$ > own.pid\nwhile :; do sleep 0.05; done";
    let ordered = scripted(&system, "ordered", &always, body);
    let command = format!("{} ${{workPath}}/own.pid", stop.display());
    system.apply(&grace(with(ordered, "stopCmd", json!(command)), 20));
    // A family: the parent leaves when it is asked, its children do not.
    let family = "(trap '' TERM HUP; setsid /bin/sleep 100097 & /bin/sleep 100099 & wait) &\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done";
    system.apply(&grace(scripted(&system, "family", &always, family), 2));
    let pid = |name: &str| pid_of(&system.running("test", name, 1)[0]).unwrap();
    let (deaf, polite, ordered, family) =
        (pid("deaf"), pid("polite"), pid("ordered"), pid("family"));
    let children = |number: &str| {
        let all = bcs_e2e::processes_naming(system.folder());
        let of =
            |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        all.into_iter()
            .filter(|pid| of(pid).contains(number))
            .collect::<Vec<_>>()
    };
    wait::until("the family is complete", Duration::from_secs(10), || {
        let found = [children("100097"), children("100099")].concat();
        if found.len() >= 2 {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
    wait::until("the pid is noted", Duration::from_secs(10), || {
        let place = std::fs::read_link(format!("/proc/{ordered}/cwd"))
            .map_err(|error| error.to_string())?;
        if place.join("own.pid").exists() {
            Ok(())
        } else {
            Err("no".to_owned())
        }
    });
    let gone = |name: &str, pid: u32| {
        let begun = Instant::now();
        system.bcs(&["delete", "process", name, "-n", "test"]).ok();
        wait::until(&format!("{name} is gone"), Duration::from_secs(25), || {
            let listed = system.bcs(&["get", "process", name, "-n", "test"]).code;
            if listed == 3 && !alive(pid) {
                Ok(begun.elapsed())
            } else {
                Err(format!("{listed} {}", alive(pid)))
            }
        })
    };
    let took = gone("deaf", deaf);
    assert!(
        (1.0..8.0).contains(&took.as_secs_f64()),
        "one second of grace: {took:?}"
    );
    let took = gone("polite", polite);
    assert!(
        took < Duration::from_secs(8),
        "it left when asked: {took:?}"
    );
    assert_eq!(std::fs::read_to_string(note("polite")).unwrap(), "bye\n");
    let took = gone("ordered", ordered);
    assert!(
        took < Duration::from_secs(8),
        "the stop command did it: {took:?}"
    );
    assert_eq!(
        std::fs::read_to_string(note("ordered")).unwrap(),
        "stopped\n"
    );
    gone("family", family);
    assert_eq!(
        [children("100097"), children("100099")].concat(),
        Vec::<u32>::new(),
        "the children are gone too"
    );
}

/// The memory limit of the control group that a process is in.
fn memory_limit(pid: u32) -> Option<u64> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (
            parts.next()?,
            parts.next()?,
            parts.next()?.trim_start_matches('/'),
        );
        let file = match controllers {
            "" => format!("/sys/fs/cgroup/{path}/memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                format!("/sys/fs/cgroup/memory/{path}/memory.limit_in_bytes")
            }
            _ => return None,
        };
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    })
}

#[track_caller]
fn needs_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test needs root, as integration/run says"
    );
}

fn with_memory(mut object: Value, megabytes: &str) -> Value {
    object["spec"]["template"]["spec"]["processes"][0]["resources"]["limits"]["memory"] =
        json!(megabytes);
    object
}

#[test]
fn programs_run_as_the_account_that_is_named() {
    needs_root();
    let system = System::start(Mode::Standalone);
    // The folder of a test is private, which a folder for data is not.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(system.folder(), open).unwrap();
    let body = "id -un\necho mine > own-file\nexec sleep 100103";
    let path = script(system.folder(), "as-nobody.sh", body);
    let object = process("other", 1, "sleep", path.to_str().unwrap(), &[]);
    system.apply(&with(object, "user", json!("nobody")));
    let other = &system.running("test", "other", 1)[0];
    let pid = pid_of(other).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |field: &str| {
        status
            .lines()
            .find(|line| line.starts_with(field))
            .unwrap()
            .to_owned()
    };
    for field in ["Uid:", "Gid:"] {
        assert!(
            line(field)
                .split_whitespace()
                .skip(1)
                .all(|id| id == "65534"),
            "{status}"
        );
    }
    assert!(
        !line("Groups:")
            .split_whitespace()
            .skip(1)
            .any(|id| id == "0"),
        "not in root's group: {status}"
    );
    assert_eq!(
        line("CapEff:").split_whitespace().nth(1),
        Some("0000000000000000"),
        "{status}"
    );
    assert_eq!(
        environment_of(pid).get("USER").map(String::as_str),
        Some("nobody")
    );
    let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    let owner =
        |path: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    assert_eq!(owner(&place), 65_534, "it owns its own folder");
    // The program is running from its first instruction on; its first line comes a little later.
    wait::until(
        "it writes into its own folder",
        Duration::from_secs(10),
        || {
            place
                .join("own-file")
                .exists()
                .then_some(())
                .ok_or_else(|| "not there".to_owned())
        },
    );
    assert_eq!(owner(&place.join("own-file")), 65_534);
    let said = system
        .bcs(&["logs", &name_of(other), "-n", "test"])
        .ok()
        .out;
    assert_eq!(said, "nobody\n");
    let own = environment_of(pid);
    let leaked = |name: &String| {
        name.starts_with("LD_") || name.to_uppercase().contains("TOKEN") || name == "BCS_CONFIG"
    };
    assert!(
        !own.keys().any(leaked),
        "nothing of the daemon's environment: {own:?}"
    );
    assert!(std::fs::read_to_string(system.client_file()).is_ok());
    let denied = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"])
        .arg(system.client_file())
        .output()
        .unwrap();
    assert!(
        !denied.status.success(),
        "its account cannot read the administrator's token"
    );
}

#[test]
fn limits_are_in_force_and_are_changed_in_place() {
    needs_root();
    let system = System::start(Mode::Standalone);
    // A few hundred megabytes at most, should the limit not be in force.
    let body = "x=$(head -c 200000000 /dev/zero | tr '\\0' a)\necho survived\nexec sleep 100101";
    let mut greedy = with_memory(scripted(&system, "greedy", &never(), body), "32");
    greedy["spec"]["template"]["spec"]["processes"][0]["resources"]["limits"]["cpu"] = json!("1");
    system.apply(&greedy);
    let modest = || process("modest", 1, "sleep", "/bin/sleep 100115", &[]);
    system.apply(&with_memory(modest(), "48"));
    let pid = pid_of(&system.running("test", "modest", 1)[0]).unwrap();
    assert_eq!(memory_limit(pid), Some(48 << 20));
    let ended = system.ended("greedy", "Failed");
    assert_eq!(exit_code(&ended), 137, "{ended:#}");
    assert!(
        words_of(&ended).to_lowercase().contains("memory"),
        "{ended:#}"
    );

    // In place: the same process, another limit, and it is shown.
    let path = format!("{WORKLOADS}/namespaces/test/processes?instances=1&args=resource");
    Api::of(&system)
        .json("PUT", &path, &with_memory(modest(), "96"))
        .ok();
    wait::until(
        "the limit is in force and shown",
        Duration::from_secs(20),
        || {
            let groups = system.taskgroups_of("test", "modest");
            let shown =
                groups[0]["containerStatuses"][0]["resources"]["limits"]["memory"].to_string();
            if memory_limit(pid) == Some(96 << 20) && shown.contains("96") && groups.len() == 1 {
                Ok(())
            } else {
                Err(format!("{:?} {shown} {groups:#?}", memory_limit(pid)))
            }
        },
    );
    let now = system.running("test", "modest", 1);
    assert_eq!(pid_of(&now[0]), Some(pid), "nothing was restarted");
    // More than the host has does not fit, and that is said instead of being lost.
    let reply = Api::of(&system).json("PUT", &path, &with_memory(modest(), "900000000"));
    if reply.status == 200 {
        wait::until(
            "it is said that it does not fit",
            Duration::from_secs(20),
            || {
                let words = system
                    .bcs(&["describe", "process", "modest", "-n", "test"])
                    .out
                    .to_lowercase();
                let said = words.contains("mem")
                    && ["needs", "fit", "enough"]
                        .iter()
                        .any(|word| words.contains(word));
                if said { Ok(()) } else { Err(words) }
            },
        );
    } else {
        assert!(reply.message().to_lowercase().contains("mem"), "{reply:?}");
    }
    assert_eq!(memory_limit(pid), Some(96 << 20));
    assert!(alive(pid));
}

#[test]
fn an_unhealthy_program_is_replaced() {
    let system = System::start(Mode::Standalone);
    let check = |mut check: Value| {
        for (field, value) in [
            ("delaySeconds", 1),
            ("gracePeriodSeconds", 1),
            ("intervalSeconds", 2),
            ("timeoutSeconds", 1),
            ("consecutiveFailures", 1),
        ] {
            check[field] = json!(value);
        }
        json!([check])
    };
    let http = check(
        json!({"type": "HTTP", "http": {"portName": "http", "scheme": "http", "path": "/healthz"}}),
    );
    system.apply(&with(example("web", 2), "healthChecks", http));
    let flag = system.folder().join("flag");
    std::fs::write(&flag, "").unwrap();
    let command = check(
        json!({"type": "COMMAND", "command": {"value": format!("/usr/bin/test -e {}", flag.display())}}),
    );
    system.apply(&with(
        process("watched", 1, "sleep", "/bin/sleep 100105", &[]),
        "healthChecks",
        command,
    ));
    let before = system.running("test", "web", 2);
    let watched = pid_of(&system.running("test", "watched", 1)[0]);
    let (sick, fine) = (&before[0], &before[1]);
    wait::until("it can be made to fail", Duration::from_secs(10), || {
        http_get(port_of(sick, "http"), "POST", "/fail")
    });
    std::fs::remove_file(&flag).unwrap();
    wait::until(
        "the sick one is replaced, the other is not",
        Duration::from_secs(40),
        || {
            let now = system.running("test", "web", 2);
            let has = |one: &Value| now.iter().any(|group| pid_of(group) == pid_of(one));
            let again: Vec<i64> = now
                .iter()
                .filter_map(|group| group["containerStatuses"][0]["restartCount"].as_i64())
                .collect();
            if !has(sick) && has(fine) && again.contains(&1) {
                Ok(())
            } else {
                Err(format!("{now:#?}"))
            }
        },
    );
    wait::until("the watched one too", Duration::from_secs(40), || {
        let groups = system.taskgroups_of("test", "watched");
        let new = groups
            .first()
            .and_then(pid_of)
            .is_some_and(|pid| Some(pid) != watched);
        if new {
            Ok(())
        } else {
            Err(format!("{groups:#?}"))
        }
    });
    std::fs::write(&flag, "").unwrap();
    // It heals: from now on the same one stays.
    wait::until("healthy again", Duration::from_secs(40), || {
        let groups = system.taskgroups_of("test", "watched");
        let text = groups[0]["containerStatuses"][0]["healCheckStatus"].to_string();
        if groups[0]["status"] == "Running" && text.contains("true") {
            Ok(())
        } else {
            Err(format!("{groups:#?}"))
        }
    });
    assert!(alive(pid_of(fine).unwrap()));
}

#[test]
fn instances_are_signalled_reloaded_restarted_and_given_files() {
    let system = System::start(Mode::Standalone);
    let note = system.folder().join("notes");
    std::fs::write(&note, "").unwrap();
    let body = format!(
        "for s in USR1 USR2 HUP; do trap \"echo $s >> {0}\" $s; done\ntrap 'echo term >> {0}; exit 0' TERM\necho ready >> {0}\nwhile :; do sleep 0.05; done",
        note.display()
    );
    system.apply(&scripted(
        &system,
        "svc",
        &json!({"policy": "Always"}),
        &body,
    ));
    let taskgroup = &system.running("test", "svc", 1)[0];
    let (name, pid) = (name_of(taskgroup), pid_of(taskgroup).unwrap());
    let noted = |word: &str, count: usize| {
        wait::until(
            &format!("{word} is noted {count} times"),
            Duration::from_secs(20),
            || {
                let text = std::fs::read_to_string(&note).unwrap();
                let found = text.lines().filter(|line| *line == word).count();
                if found == count { Ok(()) } else { Err(text) }
            },
        );
    };
    noted("ready", 1);
    let run = |words: &[&str]| system.bcs(&[words, &["-n", "test"]].concat());
    run(&["signal", &name, "--signal", "USR1"]).ok();
    noted("USR1", 1);
    run(&["signal", "svc-0", "-s", "12"]).ok();
    noted("USR2", 1);
    assert_eq!(run(&["signal", &name, "-s", "NONSENSE"]).code, 2);
    run(&["signal", &name]).ok();
    noted("HUP", 1);
    assert_eq!(
        pid_of(&system.running("test", "svc", 1)[0]),
        Some(pid),
        "none of it ended the program"
    );
    // Files, into the running instance.
    let target = system.folder().join("sent.conf");
    let path = format!("{WORKLOADS}/namespaces/test/processes/svc/message");
    let message = json!({"msgtype": "local", "msgdata":
        {"to": target.to_str().unwrap(), "right": "r", "user": "nobody", "ctx": base64("sent\n")}});
    let api = Api::of(&system);
    api.json("POST", &path, &message).ok();
    wait::until("the file is there", Duration::from_secs(20), || {
        let text = std::fs::read_to_string(&target).map_err(|error| error.to_string())?;
        if text == "sent\n" { Ok(()) } else { Err(text) }
    });
    let data = std::fs::metadata(&target).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&data), 65_534);
    // In place: the same taskgroup, another process, asked politely.
    run(&["restart", &name]).ok();
    noted("term", 1);
    noted("ready", 2);
    let after = wait::until(
        "the same taskgroup runs again",
        Duration::from_secs(20),
        || {
            let one = system.running("test", "svc", 1).remove(0);
            if pid_of(&one) == Some(pid) {
                Err("the old pid".to_owned())
            } else {
                Ok(one)
            }
        },
    );
    assert_eq!(name_of(&after), name);
    // Elsewhere or not, another taskgroup with the same index.
    run(&["reschedule", &name]).ok();
    let moved = wait::until("another taskgroup", Duration::from_secs(30), || {
        let one = system.running("test", "svc", 1).remove(0);
        if name_of(&one) == name {
            Err("the old one".to_owned())
        } else {
            Ok(one)
        }
    });
    assert!(name_of(&moved).starts_with("0.svc.test."), "{moved:#}");
    assert!(!alive(pid_of(&after).unwrap()));
    noted("ready", 3);
    // A reload command is used where there is one.
    let reload = script(
        system.folder(),
        "reload.sh",
        &format!("echo reloaded >> {}", note.display()),
    );
    let object = with(
        process("cmd", 1, "sleep", "/bin/sleep 100107", &[]),
        "reloadCmd",
        json!(reload.to_str().unwrap()),
    );
    system.apply(&object);
    let group = system.running("test", "cmd", 1).remove(0);
    run(&["reload", &name_of(&group)]).ok();
    noted("reloaded", 1);
    assert!(alive(pid_of(&group).unwrap()));
}

#[test]
fn reloading_without_a_reload_command_is_refused_instead_of_doing_nothing() {
    let system = System::start(Mode::Standalone);
    system.apply(&process("svc", 1, "sleep", "/bin/sleep 100113", &[]));
    let taskgroup = &system.running("test", "svc", 1)[0];
    let answer = system.bcs(&["reload", &name_of(taskgroup), "-n", "test"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.err.contains("reloadCmd"), "{answer:?}");
    assert!(alive(pid_of(taskgroup).unwrap()));
}
