//! What a task can ask for, seen from outside: files, users, limits, checks, messages, faults.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bcs_keeper::proc;
use bcs_mesos::{HealthCheck, HealthCheckType, HttpCheck, TaskInfo, TaskState, TcpCheck};
use bcs_model::dataclass::{DataClass, ProcInfo, Resource, Uri};
use bcs_model::message::{
    BcsMessage, CommandRequest, EnvMessage, LocalFile, MessageStatus, MessageTaskId, MessageType,
    SecretKind, SecretMessage, SignalMessage, TaskResources, UpdateResources,
};
use common::{Bed, info, pid, process, read, sh, task, wait_for};

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn message(id: &str, kind: MessageType) -> BcsMessage {
    BcsMessage {
        id: 42,
        kind,
        task_id: Some(MessageTaskId {
            value: id.to_owned(),
        }),
        ..BcsMessage::default()
    }
}

/// Waits for the result of a message, which rides in a report.
async fn result(bed: &Bed, kind: MessageType) -> BcsMessage {
    bed.agent
        .until("the result of a message", |book| {
            book.updates.iter().find_map(|status| {
                let answer = info(status).bcs_message?;
                (answer.kind == kind).then_some(*answer)
            })
        })
        .await
}

/// A package as a tar.gz of one executable script, and its address.
fn package(dir: &Path, name: &str, script: &str) -> String {
    let tree = dir.join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("run.sh"), script).unwrap();
    std::fs::set_permissions(tree.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.join(name);
    let done = std::process::Command::new("tar")
        .args([
            "-C",
            tree.to_str().unwrap(),
            "-czf",
            file.to_str().unwrap(),
            ".",
        ])
        .status()
        .unwrap();
    assert!(done.success());
    format!("file://{}", file.display())
}

#[tokio::test]
async fn packages_configuration_secrets_user_and_templates_come_together() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let script = "#!/bin/sh\nid -u; pwd; cat conf/main; cat secret; echo $MOTD $PLACE $HOME; umask; exec sleep 1000\n";
    let value = package(bed.dir.path(), "app.tar.gz", script);
    let work = "${work_base_dir}/app-0";
    let user = if root() { "nobody" } else { "" };
    let real = bed.path("workspace/work_dir/app-0");
    let mut data = DataClass {
        proc_info: Some(ProcInfo {
            proc_name: "run.sh".into(),
            work_path: work.into(),
            start_cmd: format!("{work}/run.sh"),
            uris: vec![Uri {
                value,
                output_dir: work.into(),
                ..Uri::default()
            }],
            user: user.into(),
            ..ProcInfo::default()
        }),
        ..DataClass::default()
    };
    data.msgs.push(BcsMessage {
        local: Some(LocalFile {
            to: format!("{work}/conf/main"),
            right: "rw".into(),
            user: String::new(),
            base64: base64("x=1\n"),
        }),
        ..message("t1", MessageType::LocalFile)
    });
    data.msgs.push(BcsMessage {
        secret: Some(SecretMessage {
            name: format!("{work}/secret"),
            value: base64("hush-hush\n"),
            kind: SecretKind::File,
            user: String::new(),
        }),
        ..message("t1", MessageType::Secret)
    });
    data.msgs.push(BcsMessage {
        env: Some(EnvMessage {
            name: "MOTD".into(),
            value: base64("hello"),
        }),
        ..message("t1", MessageType::Env)
    });
    let mut info = task("t1", data);
    let mut variable = bcs_mesos::Variable {
        name: "PLACE".into(),
        ..Default::default()
    };
    variable.value = Some("${run_base_dir}/x".into());
    info.command.as_mut().unwrap().environment = Some(bcs_mesos::Environment {
        variables: vec![variable],
    });
    bed.agent.launch("e1", vec![info]).await;
    bed.agent.update("t1", TaskState::Running).await;
    let stdout = bed.sandbox("e1", "t1").join("stdout");
    let text = wait_for("its output", || {
        read(&stdout).filter(|text| text.lines().count() == 6)
    })
    .await;
    let lines: Vec<&str> = text.lines().collect();
    if root() {
        assert_eq!(lines[0], "65534");
        assert_eq!(std::fs::metadata(real.join("run.sh")).unwrap().uid(), 65534);
        assert_eq!(std::fs::metadata(real.join("secret")).unwrap().uid(), 65534);
        assert!(lines[4].ends_with(" /nonexistent"), "{}", lines[4]);
    }
    assert_eq!(lines[1], real.display().to_string());
    assert_eq!(lines[2..4], ["x=1", "hush-hush"]);
    let run_dir = bed.path("workspace/run_dir/x").display().to_string();
    assert!(
        lines[4].starts_with(&format!("hello {run_dir}")),
        "{}",
        lines[4]
    );
    let mode = |name: &str| std::fs::metadata(real.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("secret"), mode("conf/main")), (0o400, 0o644));
    let journal = bed.path("data/tasks/journal");
    assert_eq!(std::fs::metadata(&journal).unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn six_instances_of_one_package_do_not_share_files() {
    let bed = Bed::new().await;
    let value = package(
        bed.dir.path(),
        "app.tar.gz",
        "#!/bin/sh\necho $0 >> mine; exec sleep 1000\n",
    );
    for number in 0..6 {
        let work = format!("${{work_base_dir}}/app-{number}");
        let proc = ProcInfo {
            work_path: work.clone(),
            start_cmd: format!("{work}/run.sh"),
            uris: vec![Uri {
                value: value.clone(),
                output_dir: work,
                ..Uri::default()
            }],
            ..ProcInfo::default()
        };
        bed.order(&format!("e{number}")).await;
        bed.agent
            .launch(
                &format!("e{number}"),
                vec![process(&format!("t{number}"), proc)],
            )
            .await;
    }
    for number in 0..6 {
        bed.agent
            .update(&format!("t{number}"), TaskState::Running)
            .await;
        let mine = bed.path(&format!("workspace/work_dir/app-{number}/mine"));
        let text = wait_for("its mark", || read(&mine)).await;
        assert_eq!(text.lines().count(), 1);
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_missing_package_are_clear_failures() {
    let bed = Bed::new().await;
    for (id, proc, expected) in [
        (
            "u",
            ProcInfo {
                user: "no-such-user".into(),
                ..sh("exit 0")
            },
            "does not exist on this host",
        ),
        (
            "p",
            ProcInfo {
                uris: vec![Uri {
                    value: "http://127.0.0.1:1/x.tar.gz".into(),
                    ..Uri::default()
                }],
                ..sh("exit 0")
            },
            "refused",
        ),
        (
            "q",
            ProcInfo {
                start_cmd: "'unclosed".into(),
                ..ProcInfo::default()
            },
            "quote is not closed",
        ),
        (
            "w",
            ProcInfo {
                work_path: "../x".into(),
                ..sh("exit 0")
            },
            "workPath",
        ),
    ] {
        bed.order(id).await;
        bed.agent.launch(id, vec![process(id, proc)]).await;
        let end = bed.agent.end(id).await;
        let text = end.message.unwrap_or_default();
        assert!(text.contains(expected), "{id}: {text}");
        assert_ne!(end.state, TaskState::Finished as i32);
    }
}

#[tokio::test]
async fn a_kill_during_the_download_leaves_nothing_behind() {
    let bed = Bed::new().await;
    // A server that takes the request and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mark = bed.path("mark");
    let proc = |mark: &Path| ProcInfo {
        uris: vec![Uri {
            value: format!("http://{address}/x.tar.gz"),
            ..Uri::default()
        }],
        ..sh(&format!("echo started > {}", mark.display()))
    };
    bed.order("e1").await;
    bed.order("e2").await;
    bed.agent
        .launch("e1", vec![process("t1", proc(&mark))])
        .await;
    let (first, _) = listener.accept().await.unwrap();
    bed.agent
        .launch("e2", vec![process("t2", proc(&mark))])
        .await;
    bed.agent.kill("e1", "t1", None).await;
    let end = bed.agent.end("t1").await;
    assert_eq!(end.state, TaskState::Killed as i32);
    bed.agent.shutdown("e2").await;
    assert_eq!(bed.agent.end("t2").await.state, TaskState::Killed as i32);
    drop(first);
    assert!(!mark.exists());
    let journal = std::fs::read_to_string(bed.path("data/keeper/journal")).unwrap_or_default();
    assert!(!journal.contains("t1@"), "{journal}");
}

fn daemon(dir: &Path, code: i32) -> ProcInfo {
    let (pid_file, go) = (dir.join("daemon.pid"), dir.join("go"));
    let body = format!(
        "sleep 0.1; echo $$ > {0}.new; mv {0}.new {0}; while [ ! -e {1} ]; do sleep 0.01; done; exit {code}",
        pid_file.display(),
        go.display()
    );
    ProcInfo {
        pid_file: pid_file.display().to_string(),
        proc_name: "sh".into(),
        start_grace_period: 10,
        ..sh(&format!(
            "setsid sh -c '{body}' </dev/null >/dev/null 2>&1 & exit 0"
        ))
    }
}

#[tokio::test]
async fn a_daemon_with_a_pid_file_is_found_survives_and_tells_its_code() {
    let mut bed = Bed::new().await;
    let dir = bed.path("daemon");
    std::fs::create_dir(&dir).unwrap();
    bed.order("e1").await;
    bed.agent
        .launch("e1", vec![process("t1", daemon(&dir, 9))])
        .await;
    let running = bed.agent.update("t1", TaskState::Running).await;
    let named: i32 = read(&dir.join("daemon.pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(pid(&running), named);
    bed.kill();
    bed.agent.cut();
    bed.start();
    bed.agent
        .until("the new subscription", |book| {
            (book.subscribes.len() >= 2).then_some(())
        })
        .await;
    std::fs::write(dir.join("go"), "").unwrap();
    let end = bed.agent.end("t1").await;
    assert_eq!(info(&end).exit_code, 9, "{:?}", end.message);
}

#[tokio::test]
async fn a_daemon_is_stopped_by_its_stop_command_or_without_it() {
    let bed = Bed::new().await;
    let dir = bed.path("daemon");
    std::fs::create_dir(&dir).unwrap();
    bed.order("e1").await;
    let stop_cmd = format!("/bin/sh -c 'touch {}'", dir.join("go").display());
    let proc = ProcInfo {
        stop_cmd,
        ..daemon(&dir, 0)
    };
    bed.agent.launch("e1", vec![process("t1", proc)]).await;
    bed.agent.update("t1", TaskState::Running).await;
    bed.agent.kill("e1", "t1", None).await;
    let end = bed.agent.end("t1").await;
    assert_eq!(
        (end.state, info(&end).exit_code),
        (TaskState::Killed as i32, 0)
    );
    let other = bed.path("other");
    std::fs::create_dir(&other).unwrap();
    bed.order("e2").await;
    bed.agent
        .launch("e2", vec![process("t2", daemon(&other, 0))])
        .await;
    let running = bed.agent.update("t2", TaskState::Running).await;
    bed.agent.kill("e2", "t2", None).await;
    assert_eq!(bed.agent.end("t2").await.state, TaskState::Killed as i32);
    assert_eq!(proc::start_time(pid(&running)), None);
}

#[tokio::test]
async fn a_start_command_that_fails_or_leaves_no_pid_is_told_with_its_words() {
    let bed = Bed::new().await;
    let pid_file = bed.path("never.pid").display().to_string();
    bed.order("e1").await;
    let proc = ProcInfo {
        pid_file: pid_file.clone(),
        ..sh("echo no luck >&2; exit 3")
    };
    bed.agent.launch("e1", vec![process("t1", proc)]).await;
    let text = bed.agent.end("t1").await.message.unwrap();
    assert!(
        text.contains("code 3") && text.contains("no luck"),
        "{text}"
    );
    bed.order("e2").await;
    let proc = ProcInfo {
        pid_file,
        start_grace_period: 1,
        ..sh("sleep 1000 & exit 0")
    };
    bed.agent.launch("e2", vec![process("t2", proc)]).await;
    let text = bed.agent.end("t2").await.message.unwrap();
    assert!(text.contains("was not found within 1 s"), "{text}");
}

#[tokio::test]
async fn a_program_that_forks_leaves_nothing_when_it_ends() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let child = bed.path("child");
    let script = format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 1000' & while [ ! -s {} ]; do sleep 0.01; done; exit 0",
        child.display(),
        child.display()
    );
    bed.agent
        .launch("e1", vec![process("t1", sh(&script))])
        .await;
    assert_eq!(bed.agent.end("t1").await.state, TaskState::Finished as i32);
    let child: i32 = read(&child).unwrap().trim().parse().unwrap();
    assert_eq!(
        proc::start_time(child),
        None,
        "gone before the end was reported"
    );
}

#[tokio::test]
async fn limits_bite_or_are_reported_as_not_in_force() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let data = DataClass {
        proc_info: Some(sh(
            "exec head -c 300m /dev/zero | tail -c 300m > /dev/null; exec sleep 1000",
        )),
        limit_resources: Resource {
            cpus: 1.0,
            mem: 24.0,
            disk: 64.0,
        },
        ..DataClass::default()
    };
    let layout = bcs_cgroup::Layout::detect(&bed.parent);
    bed.agent.launch("e1", vec![task("t1", data.clone())]).await;
    let running = bed.agent.update("t1", TaskState::Running).await;
    if matches!(
        layout.home(bcs_cgroup::Controller::Memory),
        bcs_cgroup::Home::None(_)
    ) {
        let text = info(&running).message;
        assert!(text.contains("memory limit is not in force"), "{text}");
        return;
    }
    // The hog inside is killed; the group counts it; the end tells.
    let group = layout.group("t1");
    wait_for("the kill", || {
        group.usage().oom_kills.filter(|kills| *kills > 0)
    })
    .await;
    bed.agent.kill("e1", "t1", None).await;
    let end = bed.agent.end("t1").await;
    assert!(info(&end).oom_killed, "{:?}", end.message);
    assert!(end.message.unwrap().contains("want of memory"));
    wait_for("the group to go", || {
        group
            .directories()
            .iter()
            .all(|dir| !dir.exists())
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_cgroups_everything_works_and_the_report_says_so() {
    let bed = Bed::with(serde_json::json!({"cgroups": false})).await;
    bed.order("e1").await;
    let mark = bed.path("mark");
    let script = format!(
        "setsid sleep 1000 & sleep 999 & echo x > {}; trap '' TERM; while :; do sleep 0.02; done",
        mark.display()
    );
    let data = DataClass {
        proc_info: Some(sh(&script)),
        limit_resources: Resource {
            cpus: 1.0,
            mem: 64.0,
            disk: 64.0,
        },
        ..DataClass::default()
    };
    bed.agent.launch("e1", vec![task("t1", data)]).await;
    let running = bed.agent.update("t1", TaskState::Running).await;
    assert!(
        info(&running)
            .message
            .contains("memory limit is not in force: switched off")
    );
    wait_for("the script", || read(&mark)).await;
    bed.agent
        .kill("e1", "t1", Some(Duration::from_millis(200)))
        .await;
    bed.agent.end("t1").await;
    assert!(proc::session_members(pid(&running), 0).is_empty());
    // What left its session is out of reach without a group; clean up here.
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path().join("environ");
        let ours = std::fs::read(path).is_ok_and(|text| {
            let text = String::from_utf8_lossy(&text).into_owned();
            text.contains(&bed.dir.path().display().to_string())
        });
        if let (true, Ok(pid)) = (ours, entry.file_name().to_string_lossy().parse()) {
            let signal = nix::sys::signal::Signal::SIGKILL;
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
    }
}

fn checked(id: &str, script: &str, kind: HealthCheckType) -> TaskInfo {
    let mut task = process(id, sh(script));
    task.health_check = Some(HealthCheck {
        r#type: Some(kind as i32),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.2),
        timeout_seconds: Some(0.2),
        grace_period_seconds: Some(0.0),
        ..HealthCheck::default()
    });
    task
}

#[tokio::test]
async fn health_checks_of_every_kind_report_what_they_see() {
    let bed = Bed::new().await;
    let health = bed.path("health");
    std::fs::write(&health, "").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(listener.local_addr().unwrap().port());
    let state = health.clone();
    let answer = move || async move {
        if state.exists() {
            http::StatusCode::OK
        } else {
            http::StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let router = axum::Router::new().route("/healthz", axum::routing::get(answer));
    let stop = bcs_kit::Shutdown::new();
    let listen = bcs_httpd::Listener::Tcp(listener);
    let limits = bcs_httpd::Limits::default();
    #[allow(clippy::disallowed_methods, reason = "a test's own server")]
    drop(tokio::spawn(bcs_httpd::serve(
        listen,
        router,
        None,
        limits,
        stop.clone(),
    )));
    let mut http = checked("http", "exec sleep 1000", HealthCheckType::Http);
    http.health_check.as_mut().unwrap().http = Some(HttpCheck {
        port,
        path: Some("/healthz".into()),
        ..HttpCheck::default()
    });
    let mut tcp = checked("tcp", "exec sleep 1000", HealthCheckType::Tcp);
    tcp.health_check.as_mut().unwrap().tcp = Some(TcpCheck {
        port,
        ..TcpCheck::default()
    });
    let mut command = checked("command", "exec sleep 1000", HealthCheckType::Command);
    command.health_check.as_mut().unwrap().command = Some(bcs_mesos::CommandInfo {
        shell: Some(false),
        value: Some(format!("test -e '{}'", health.display())),
        ..bcs_mesos::CommandInfo::default()
    });
    for task in [http, tcp, command] {
        let id = task.task_id.value.clone();
        bed.order(&id).await;
        bed.agent.launch(&id, vec![task]).await;
    }
    let report = async |id: &str, healthy: bool| {
        bed.agent
            .until(&format!("{id} healthy: {healthy}"), |book| {
                book.updates.iter().rev().find_map(|status| {
                    let told = status.task_id.value == id && status.healthy == Some(healthy);
                    told.then(|| info(status))
                })
            })
            .await
    };
    for id in ["http", "tcp", "command"] {
        let info = report(id, true).await;
        assert!(info.is_checked && info.healthy && info.consecutive_failure_times == 0);
    }
    std::fs::remove_file(&health).unwrap();
    stop.cancel();
    for id in ["http", "tcp", "command"] {
        let info = report(id, false).await;
        assert!(info.is_checked && !info.healthy && info.consecutive_failure_times == 1);
        assert!(
            info.message.contains("health check failed"),
            "{}",
            info.message
        );
    }
    // Every further failure is told by the cheap way.
    bed.agent
        .until("repeated failures", |book| {
            let states = book
                .messages
                .iter()
                .filter_map(|message| message.task_status.as_ref());
            let mut infos = states.map(|text| {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .unwrap();
                serde_json::from_slice::<bcs_model::dataclass::ContainerInfo>(&bytes).unwrap()
            });
            infos
                .any(|info| info.consecutive_failure_times >= 3)
                .then_some(())
        })
        .await;
}

#[tokio::test]
async fn messages_write_files_send_signals_reload_and_run_commands() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let marks = bed.path("marks");
    std::fs::create_dir(&marks).unwrap();
    let mark = |name: &str| marks.join(name);
    let script = format!(
        "trap 'echo hup > {}' HUP; echo up > {}; while :; do sleep 0.02; done",
        mark("hup").display(),
        mark("up").display()
    );
    let proc = ProcInfo {
        reload_cmd: format!(
            "/bin/sh -c 'echo $BCS_TASK_ID > {}'",
            mark("reload").display()
        ),
        ..sh(&script)
    };
    bed.agent.launch("e1", vec![process("t1", proc)]).await;
    bed.agent.update("t1", TaskState::Running).await;
    wait_for("the program", || read(&mark("up"))).await;

    let sent = BcsMessage {
        sig: Some(SignalMessage {
            signal: 1,
            process_name: String::new(),
        }),
        ..message("t1", MessageType::Signal)
    };
    bed.agent.message("e1", &sent).await;
    assert_eq!(
        result(&bed, MessageType::Signal).await.status,
        MessageStatus::Success
    );
    wait_for("the signal", || read(&mark("hup"))).await;

    bed.agent
        .message("e1", &message("t1", MessageType::ReloadTask))
        .await;
    let answer = result(&bed, MessageType::ReloadTask).await;
    assert_eq!(answer.status, MessageStatus::Success, "{}", answer.message);
    assert!(read(&mark("reload")).unwrap().starts_with("t1@0/reload-"));

    let file = BcsMessage {
        local: Some(LocalFile {
            to: mark("file").display().to_string(),
            right: "r".into(),
            user: String::new(),
            base64: base64("content\n"),
        }),
        ..message("t1", MessageType::LocalFile)
    };
    bed.agent.message("e1", &file).await;
    let answer = result(&bed, MessageType::LocalFile).await;
    assert_eq!(
        (answer.status, answer.local),
        (MessageStatus::Success, None)
    );
    assert_eq!(read(&mark("file")).unwrap(), "content\n");

    let command = BcsMessage {
        request_command_task: Some(CommandRequest {
            id: "c1".into(),
            task_id: "t1".into(),
            cmd: vec![
                "sh".into(),
                "-c".into(),
                "echo out $X; echo err >&2; exit 5".into(),
            ],
            env: vec!["X=y".into()],
            ..CommandRequest::default()
        }),
        ..message("t1", MessageType::RequestCommand)
    };
    bed.agent.message("e1", &command).await;
    let response = bed
        .agent
        .until("the command's result", |book| {
            book.messages
                .iter()
                .find_map(|message| message.response_command_task.clone())
        })
        .await;
    let inspect = response.comm_inspect.unwrap();
    assert_eq!(
        (response.id.as_str(), response.status.as_str()),
        ("c1", "finish")
    );
    assert_eq!(inspect.exit_code, 5);
    assert_eq!(
        (inspect.stdout.as_str(), inspect.stderr.as_str()),
        ("out y\n", "err\n")
    );

    let limits = BcsMessage {
        update_task_resources: Some(UpdateResources {
            resources: vec![TaskResources {
                task_id: "t1".into(),
                cpu: 0.5,
                mem: 48.0,
            }],
        }),
        ..message("t1", MessageType::UpdateResources)
    };
    bed.agent.message("e1", &limits).await;
    let answer = result(&bed, MessageType::UpdateResources).await;
    let layout = bcs_cgroup::Layout::detect(&bed.parent);
    match layout.home(bcs_cgroup::Controller::Memory) {
        bcs_cgroup::Home::None(_) => assert!(answer.message.contains("not in force")),
        bcs_cgroup::Home::Legacy(dir) => {
            let text = std::fs::read_to_string(dir.join("t1/memory.limit_in_bytes")).unwrap();
            assert_eq!(text.trim(), (48 << 20).to_string());
        }
        bcs_cgroup::Home::Unified(dir) => {
            let text = std::fs::read_to_string(dir.join("t1/memory.max")).unwrap();
            assert_eq!(text.trim(), (48 << 20).to_string());
        }
    }
    bed.agent
        .message("e1", &message("t1", MessageType::CommitTask))
        .await;
    assert_eq!(
        result(&bed, MessageType::CommitTask).await.status,
        MessageStatus::Failed
    );
}

#[tokio::test]
async fn a_restart_in_place_gives_a_new_process_and_a_result() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    bed.agent
        .launch("e1", vec![process("t1", sh("exec sleep 1000"))])
        .await;
    let first = bed.agent.update("t1", TaskState::Running).await;
    bed.agent
        .message("e1", &message("t1", MessageType::RestartTask))
        .await;
    let answer = result(&bed, MessageType::RestartTask).await;
    assert_eq!(answer.status, MessageStatus::Success, "{}", answer.message);
    let now = bed
        .agent
        .until("the new process", |book| {
            let status = book
                .updates
                .iter()
                .rfind(|status| status.state == TaskState::Running as i32)?;
            (pid(status) != pid(&first)).then(|| status.clone())
        })
        .await;
    assert_eq!(proc::start_time(pid(&first)), None);
    assert!(proc::start_time(pid(&now)).is_some());
    bed.agent.kill("e1", "t1", None).await;
    assert_eq!(bed.agent.end("t1").await.state, TaskState::Killed as i32);
}

#[tokio::test]
async fn when_one_task_fails_its_group_is_stopped() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let tasks = vec![
        process("bad", sh("sleep 0.2; exit 1")),
        process("good", sh("exec sleep 1000")),
    ];
    bed.agent.launch("e1", tasks).await;
    assert_eq!(bed.agent.end("bad").await.state, TaskState::Failed as i32);
    let end = bed.agent.end("good").await;
    assert_eq!(end.state, TaskState::Killed as i32);
}

#[tokio::test]
async fn logs_are_rotated_while_the_program_writes() {
    let bed = Bed::with(serde_json::json!({"log_max_bytes": 65536, "log_keep": 2})).await;
    bed.order("e1").await;
    let script = "while :; do head -c 20000 /dev/zero | tr '\\0' x; sleep 0.02; done";
    bed.agent
        .launch("e1", vec![process("t1", sh(script))])
        .await;
    bed.agent.update("t1", TaskState::Running).await;
    let sandbox = bed.sandbox("e1", "t1");
    wait_for("two rotations", || {
        sandbox.join("stdout.2").exists().then_some(())
    })
    .await;
    assert!(!sandbox.join("stdout.3").exists());
}

#[tokio::test]
async fn an_unwritable_log_costs_the_output_not_the_task() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let sandbox = bed.sandbox("e1", "t1");
    std::fs::create_dir_all(sandbox.join("stdout")).unwrap();
    bed.agent
        .launch(
            "e1",
            vec![process("t1", sh("echo lost; sleep 0.3; exit 0"))],
        )
        .await;
    let end = bed.agent.end("t1").await;
    assert_eq!(end.state, TaskState::Finished as i32);
    let text = info(&end).message;
    assert!(text.contains("stdout cannot be written"), "{text}");
}

#[tokio::test]
async fn a_full_disk_refuses_launches_but_ends_are_told() {
    if !root() {
        eprintln!("NOT RUN: mounting a small tmpfs needs root");
        return;
    }
    let mut bed = Bed::idle(serde_json::json!({})).await;
    let data = bed.path("data");
    std::fs::create_dir(&data).unwrap();
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .status()
            .unwrap();
        assert!(done.success(), "{arguments:?}");
    };
    mount(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=256k",
        "tmpfs",
        data.to_str().unwrap(),
    ]);
    bed.start();
    let go = bed.path("go");
    bed.order("e1").await;
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; exit 4",
        go.display()
    );
    bed.agent
        .launch("e1", vec![process("t1", sh(&script))])
        .await;
    bed.agent.update("t1", TaskState::Running).await;
    bed.order("e2").await;
    let filler = data.join("filler");
    let _ = std::fs::write(&filler, vec![0_u8; 512 << 10]);
    // What is left of the last pages is used up too.
    let mut refused = None;
    for number in 0..200 {
        let id = format!("x{number}");
        bed.agent
            .launch("e2", vec![process(&id, sh("exec sleep 1000"))])
            .await;
        let status = bed
            .agent
            .until("an answer", |book| {
                let told = |status: &&bcs_mesos::TaskStatus| {
                    status.task_id.value == id && status.state != TaskState::Starting as i32
                };
                book.updates.iter().find(told).cloned()
            })
            .await;
        if status.state == TaskState::Failed as i32 {
            refused = status.message;
            break;
        }
    }
    let text = refused.expect("a full disk must refuse a launch");
    assert!(
        text.contains("not started")
            || text.contains("nothing is started")
            || text.contains("journal"),
        "{text}"
    );
    std::fs::write(&go, "").unwrap();
    let end = bed.agent.end("t1").await;
    assert_eq!(info(&end).exit_code, 4, "{:?}", end.message);
    std::fs::remove_file(&filler).unwrap();
    bed.order("e3").await;
    bed.agent
        .launch("e3", vec![process("t3", sh("exit 0"))])
        .await;
    assert_eq!(bed.agent.end("t3").await.state, TaskState::Finished as i32);
    bed.kill();
    if let Some(pid) = bed.keeper_pid() {
        let signal = nix::sys::signal::Signal::SIGTERM;
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
    let layout = bcs_cgroup::Layout::detect(&bed.parent);
    for number in 0..200 {
        let _ = layout.group(&format!("x{number}")).kill_all();
    }
    mount(&["umount", "-l", data.to_str().unwrap()]);
}

#[tokio::test]
async fn a_killed_keeper_is_replaced_and_codes_stay_true() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let go = bed.path("go");
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; exit 6",
        go.display()
    );
    bed.agent
        .launch("e1", vec![process("t1", sh(&script))])
        .await;
    bed.agent.update("t1", TaskState::Running).await;
    let keeper = bed.keeper_pid().unwrap();
    let signal = nix::sys::signal::Signal::SIGKILL;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), signal).unwrap();
    wait_for("another keeper", || {
        bed.keeper_pid().filter(|pid| *pid != keeper)
    })
    .await;
    std::fs::write(&go, "").unwrap();
    let end = bed.agent.end("t1").await;
    let code = info(&end).exit_code;
    assert!(
        code == 6 || code == -1 && end.message.unwrap().contains("unknown"),
        "{code}"
    );
    bed.order("e2").await;
    bed.agent
        .launch("e2", vec![process("t2", sh("exit 0"))])
        .await;
    assert_eq!(bed.agent.end("t2").await.state, TaskState::Finished as i32);
}

#[tokio::test]
async fn random_kills_of_the_daemon_lose_and_double_nothing() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("SEED={seed}");
    let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
    let mut bed = Bed::new().await;
    let marks = bed.path("marks");
    let count = 20;
    for number in 0..count {
        let id = format!("t{number}");
        let executor = format!("e{number}");
        bed.order(&executor).await;
        let script = format!("echo {id} >> {}; exec sleep 1000", marks.display());
        bed.agent
            .launch(&executor, vec![process(&id, sh(&script))])
            .await;
        let pause = rand::Rng::random_range(&mut random, 0..30_000);
        tokio::time::sleep(Duration::from_micros(pause)).await;
        bed.kill();
        bed.agent.cut();
        bed.start();
        bed.order(&executor).await;
    }
    for number in 0..count {
        let status = bed
            .agent
            .update(&format!("t{number}"), TaskState::Running)
            .await;
        assert!(proc::start_time(pid(&status)).is_some(), "seed {seed}");
    }
    let text = wait_for("every mark", || {
        read(&marks).filter(|text| text.lines().count() >= count)
    })
    .await;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(
        (lines.len(), text.lines().count()),
        (count, count),
        "seed {seed}"
    );
}

#[tokio::test]
async fn garbage_orders_are_refused_and_change_nothing() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let client = bed.client();
    for body in [
        "",
        "{",
        "[]",
        "{\"environment\":{}}",
        "{\"environment\":{\"MESOS_EXECUTOR_ID\":\"../x\"}}",
        "{\"environment\":3}",
        "\u{0}",
    ] {
        let request = client.request(http::Method::POST, "/v1/executors");
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let status = request.send().await.unwrap().status();
        assert!(status.is_client_error(), "{body:?}: {status}");
    }
    // An event stream that makes no sense is a lost stream, and is restored.
    for garbage in ["abc\n", "5\nxx{}{", "99999999999999999999\n"] {
        let before = bed.agent.book.lock().unwrap().subscribes.len();
        bed.agent.push_raw("e1", garbage).await;
        bed.agent.cut();
        bed.agent
            .until("a new stream", |book| {
                (book.subscribes.len() > before).then_some(())
            })
            .await;
    }
    bed.agent
        .launch("e1", vec![process("t1", sh("exit 0"))])
        .await;
    assert_eq!(bed.agent.end("t1").await.state, TaskState::Finished as i32);
}

#[tokio::test]
async fn under_mesos_one_process_serves_one_executor_and_ends_with_it() {
    let mut bed = Bed::idle(serde_json::json!({})).await;
    let address = bed.agent.serve_tcp().await;
    let mut environment = bed.environment("e1");
    environment.insert("MESOS_AGENT_ENDPOINT".into(), address);
    environment.remove("MESOS_DOMAIN_SOCKET");
    bed.start_single(&environment);
    bed.agent
        .launch("e1", vec![process("t1", sh("echo hi; exit 0"))])
        .await;
    assert_eq!(bed.agent.end("t1").await.state, TaskState::Finished as i32);
    let since = Instant::now();
    while !bed.ended() {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "it must end with its tasks"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
