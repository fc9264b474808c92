//! The daemon's life with its agent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod common;

use std::time::{Duration, Instant};

use bcs_keeper::proc;
use bcs_mesos::TaskState;
use bcs_model::dataclass::ProcInfo;
use common::{Bed, info, pid, process, read, sh, wait_for};

#[tokio::test]
async fn a_program_that_ends_well_is_finished_and_the_executor_goes() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let script = "echo out; echo err >&2; echo $A; pwd; exit 0";
    bed.agent
        .launch("e1", vec![process("t1", sh(script))])
        .await;
    bed.agent.update("t1", TaskState::Starting).await;
    let running = bed.agent.update("t1", TaskState::Running).await;
    assert!(pid(&running) > 1);
    let end = bed.agent.end("t1").await;
    assert_eq!(end.state, TaskState::Finished as i32);
    let report = info(&end);
    assert_eq!((report.exit_code, report.status.as_str()), (0, "exited"));
    assert!(!report.start_at.is_empty() && report.finish_at >= report.start_at);
    let sandbox = bed.sandbox("e1", "t1");
    let work = sandbox.join("work").display().to_string();
    assert_eq!(
        read(&sandbox.join("stdout")).unwrap(),
        format!("out\n\n{work}\n")
    );
    assert_eq!(read(&sandbox.join("stderr")).unwrap(), "err\n");
    gone(&bed, "e1").await;
}

async fn gone(bed: &Bed, executor: &str) {
    let since = Instant::now();
    loop {
        let answer = bed
            .client()
            .request(http::Method::GET, "/v1/executors")
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        if !text.contains(executor) {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "{text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_program_that_fails_is_failed_with_its_code() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    bed.agent
        .launch("e1", vec![process("t1", sh("exit 7"))])
        .await;
    let end = bed.agent.end("t1").await;
    assert_eq!(end.state, TaskState::Failed as i32);
    assert_eq!(info(&end).exit_code, 7);
    assert_eq!(end.message.as_deref(), Some("exited with code 7"));
}

#[tokio::test]
async fn a_start_command_that_is_missing_fails_with_a_clear_text() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    let proc = ProcInfo {
        start_cmd: "/no/such/program".into(),
        ..ProcInfo::default()
    };
    bed.agent.launch("e1", vec![process("t1", proc)]).await;
    let end = bed.agent.end("t1").await;
    assert_eq!(end.state, TaskState::Failed as i32);
    let text = end.message.unwrap();
    assert!(
        text.contains("/no/such/program") && text.contains("step exec"),
        "{text}"
    );
    bed.order("e2").await;
    bed.agent
        .launch("e2", vec![process("t2", ProcInfo::default())])
        .await;
    let end = bed.agent.end("t2").await;
    assert_eq!(end.state, TaskState::Error as i32, "{:?}", end.message);
}

#[tokio::test]
async fn kill_asks_first_and_kills_what_does_not_listen() {
    let bed = Bed::new().await;
    bed.order("polite").await;
    bed.order("deaf").await;
    let script = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    bed.agent
        .launch("polite", vec![process("p", sh(script))])
        .await;
    let script = "trap '' TERM; setsid sleep 1000 & while :; do sleep 0.02; done";
    bed.agent
        .launch("deaf", vec![process("d", sh(script))])
        .await;
    let (polite, deaf) = (
        bed.agent.update("p", TaskState::Running).await,
        bed.agent.update("d", TaskState::Running).await,
    );
    bed.agent.kill("polite", "p", None).await;
    let end = bed.agent.end("p").await;
    assert_eq!(end.state, TaskState::Killed as i32);
    bed.agent.update("p", TaskState::Killing).await;
    let since = Instant::now();
    bed.agent
        .kill("deaf", "d", Some(Duration::from_millis(300)))
        .await;
    let end = bed.agent.end("d").await;
    assert!(since.elapsed() >= Duration::from_millis(300));
    assert!(
        since.elapsed() < Duration::from_secs(4),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(end.state, TaskState::Killed as i32);
    assert_eq!(info(&end).exit_code, 137);
    for status in [polite, deaf] {
        assert_eq!(proc::start_time(pid(&status)), None);
        assert!(proc::session_members(pid(&status), 0).is_empty());
    }
}

#[tokio::test]
async fn a_grace_of_zero_kills_at_once() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    bed.agent
        .launch(
            "e1",
            vec![process(
                "t1",
                sh("trap '' TERM; while :; do sleep 0.02; done"),
            )],
        )
        .await;
    bed.agent.update("t1", TaskState::Running).await;
    let since = Instant::now();
    bed.agent.kill("e1", "t1", Some(Duration::ZERO)).await;
    assert_eq!(bed.agent.end("t1").await.state, TaskState::Killed as i32);
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn after_kill_9_survivors_go_on_and_ends_are_reported_with_their_code() {
    let mut bed = Bed::new().await;
    for executor in ["lives", "dies", "later"] {
        bed.order(executor).await;
    }
    let (now, later) = (bed.path("now"), bed.path("later"));
    let wait = |file: &std::path::Path, code: i32| {
        sh(&format!(
            "while [ ! -e {} ]; do sleep 0.01; done; exit {code}",
            file.display()
        ))
    };
    bed.agent
        .launch("lives", vec![process("tl", sh("exec sleep 1000"))])
        .await;
    bed.agent
        .launch("dies", vec![process("td", wait(&now, 5))])
        .await;
    bed.agent
        .launch("later", vec![process("tx", wait(&later, 6))])
        .await;
    let lives = bed.agent.update("tl", TaskState::Running).await;
    let dies = bed.agent.update("td", TaskState::Running).await;
    bed.agent.update("tx", TaskState::Running).await;
    let count = bed.agent.book.lock().unwrap().updates.len();
    bed.kill();
    std::fs::write(&now, "").unwrap();
    wait_for("its end", || {
        proc::start_time(pid(&dies)).is_none().then_some(())
    })
    .await;
    bed.start();
    let end = bed.agent.end("td").await;
    assert_eq!(info(&end).exit_code, 5, "{:?}", end.message);
    assert_eq!(end.state, TaskState::Failed as i32);
    bed.agent
        .until("all to subscribe again", |book| {
            (book.subscribes.len() >= 6).then_some(())
        })
        .await;
    std::fs::write(&later, "").unwrap();
    let end = bed.agent.end("tx").await;
    assert_eq!(info(&end).exit_code, 6, "{:?}", end.message);
    assert!(proc::start_time(pid(&lives)).is_some());
    let book = bed.agent.book.lock().unwrap();
    assert_eq!(
        book.updates.len(),
        count + 2,
        "nothing else was reported, nothing started twice"
    );
}

#[tokio::test]
async fn unacknowledged_tasks_and_updates_travel_with_the_next_subscription() {
    let mut bed = Bed::new().await;
    bed.agent.book.lock().unwrap().silent = true;
    bed.order("e1").await;
    bed.agent
        .launch("e1", vec![process("t1", sh("exec sleep 1000"))])
        .await;
    bed.agent.update("t1", TaskState::Running).await;
    for kill in [false, true] {
        let before = bed.agent.book.lock().unwrap().subscribes.len();
        if kill {
            bed.kill();
            bed.agent.cut();
            bed.start();
        } else {
            bed.agent.cut();
        }
        let again = bed
            .agent
            .until("another subscription", |book| {
                book.subscribes.get(before).cloned()
            })
            .await;
        assert_eq!(again.unacknowledged_tasks.len(), 1);
        assert_eq!(again.unacknowledged_tasks[0].task_id.value, "t1");
        let states: Vec<i32> = again
            .unacknowledged_updates
            .iter()
            .map(|update| update.status.state)
            .collect();
        assert_eq!(
            states,
            [TaskState::Starting as i32, TaskState::Running as i32]
        );
    }
    bed.agent.book.lock().unwrap().silent = false;
    bed.agent.cut();
    let before = bed.agent.book.lock().unwrap().subscribes.len();
    bed.agent
        .until("acknowledgement", |book| {
            book.subscribes.get(before).cloned()
        })
        .await;
    let shown = bed.path("data/tasks/journal");
    wait_for("acknowledgements on record", || {
        read(&shown).filter(|text| text.matches("\"ack\"").count() >= 2)
    })
    .await;
    bed.agent.cut();
    let last = bed
        .agent
        .until("yet another", |book| {
            book.subscribes.get(before + 1).cloned()
        })
        .await;
    assert!(last.unacknowledged_tasks.is_empty() && last.unacknowledged_updates.is_empty());
}

#[tokio::test]
async fn reports_are_repeated_until_taken_and_dropped_when_refused() {
    let bed = Bed::new().await;
    bed.order("e1").await;
    bed.agent.book.lock().unwrap().refuse_updates = Some(http::StatusCode::SERVICE_UNAVAILABLE);
    let done = bed.path("done");
    bed.agent
        .launch(
            "e1",
            vec![process("t1", sh(&format!("echo x > {}", done.display())))],
        )
        .await;
    wait_for("the program", || read(&done)).await;
    assert!(bed.agent.book.lock().unwrap().updates.is_empty());
    bed.agent.book.lock().unwrap().refuse_updates = None;
    bed.agent.end("t1").await;
    let states: Vec<i32> = bed
        .agent
        .book
        .lock()
        .unwrap()
        .updates
        .iter()
        .map(|status| status.state)
        .collect();
    assert_eq!(
        states,
        [
            TaskState::Starting as i32,
            TaskState::Running as i32,
            TaskState::Finished as i32
        ]
    );
    bed.agent.book.lock().unwrap().refuse_updates = Some(http::StatusCode::BAD_REQUEST);
    bed.order("e2").await;
    bed.agent
        .launch("e2", vec![process("t2", sh("exit 0"))])
        .await;
    gone(&bed, "e2").await;
}

#[tokio::test]
async fn two_hundred_are_started_and_adopted_quickly() {
    let mut bed = Bed::new().await;
    let count = 200;
    bed.order("e0").await;
    let memory = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"));
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    eprintln!("memory: idle daemon {:?}", memory(bed.daemon_pid()));
    let since = Instant::now();
    for number in 0..count {
        bed.order(&format!("e{number}")).await;
    }
    eprintln!("{count} ordered after {:?}", since.elapsed());
    let since = Instant::now();
    for number in 0..count {
        let proc = ProcInfo {
            start_cmd: "/bin/sleep 1000".into(),
            ..ProcInfo::default()
        };
        bed.agent
            .launch(
                &format!("e{number}"),
                vec![process(&format!("t{number}"), proc)],
            )
            .await;
    }
    let running = TaskState::Running as i32;
    let all = |book: &mut common::Book| {
        let list: Vec<_> = book
            .updates
            .iter()
            .filter(|status| status.state == running)
            .cloned()
            .collect();
        (list.len() >= count).then_some(list)
    };
    let list = bed
        .agent
        .until_within("all to run", Duration::from_secs(60), all)
        .await;
    let elapsed = since.elapsed();
    eprintln!("{count} launched to running in {elapsed:?}");
    let keeper = bed.keeper_pid().unwrap();
    eprintln!(
        "memory: daemon {:?}, keeper {:?}",
        memory(bed.daemon_pid()),
        memory(keeper)
    );
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    bed.kill();
    let before = bed.agent.book.lock().unwrap().subscribes.len();
    bed.agent.cut();
    let since = Instant::now();
    bed.start();
    bed.agent
        .until("all to come back", |book| {
            (book.subscribes.len() >= before + count).then_some(())
        })
        .await;
    eprintln!("{count} adopted and subscribed in {:?}", since.elapsed());
    for status in &list {
        assert!(proc::start_time(pid(status)).is_some());
    }
    eprintln!("memory: daemon {:?}", memory(bed.daemon_pid()));
    let victim = &list[17];
    let signal = nix::sys::signal::Signal::SIGKILL;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid(victim)), signal).unwrap();
    let since = Instant::now();
    let end = bed.agent.end(&victim.task_id.value).await;
    eprintln!("end reported after {:?}", since.elapsed());
    assert_eq!(info(&end).exit_code, 137);
}
