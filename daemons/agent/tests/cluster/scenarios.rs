use std::time::{Duration, Instant};

use bcs_mesos::scheduler::{Call, call, event};
use bcs_mesos::types::*;
use bcs_mesos::{ContentType, Resources, WireName as _};
use http::{Method, StatusCode};

use crate::executor::Resident;
use crate::framework::{Framework, executor_info, framework_info, group, launch, scalars, task};
use crate::host::{Host, until};

async fn resident(host: &Host, encoding: ContentType) -> Resident {
    Resident::start(host.resident_socket(), host.executor_socket(), encoding).await
}

async fn life_of_a_group(encoding: ContentType) {
    let host = Host::new();
    let (master, agent) = (host.start_master(), host.start_agent());
    let resident = resident(&host, encoding).await;
    let client = host.master_client("scheduler");
    let mut framework = Framework::subscribe(client, framework_info(true), encoding).await;
    let offer = framework.offer().await;
    let total = Resources::from_wire(&offer.resources).unwrap();
    assert_eq!((total.scalar("cpus"), total.scalar("mem")), (8.0, 4096.0));
    assert!(
        offer
            .attributes
            .iter()
            .any(|attribute| attribute.name == "InnerIP")
    );

    // Two groups in one ACCEPT; the rest comes back at once.
    let first = group(
        executor_info("e1", "/opt/bcs/test-executor --x"),
        vec![task("t1", &offer), task("t2", &offer)],
    );
    let second = group(
        executor_info("e2", "test-executor"),
        vec![task("t3", &offer)],
    );
    framework.accept(&[&offer], vec![first, second], 0.0).await;
    let rest = framework.offer().await;
    let left = Resources::from_wire(&rest.resources).unwrap();
    assert_eq!((left.scalar("cpus"), left.scalar("mem")), (7.68, 3984.0));
    for id in ["t1", "t2", "t3"] {
        framework.status(id, TaskState::Starting).await;
        let status = framework.status(id, TaskState::Running).await;
        assert_eq!(status.source(), StatusSource::Executor);
        assert_eq!(status.data.as_deref(), Some(&b"{\"Status\":\"x\"}"[..]));
    }
    framework.decline(&rest, 3600.0).await;

    // A message there and back.
    framework
        .call(Call {
            r#type: Some(call::Type::Message.number()),
            message: Some(call::Message {
                agent_id: offer.agent_id.clone(),
                executor_id: "e1".into(),
                data: bytes::Bytes::from_static(b"hello"),
            }),
            ..Call::default()
        })
        .await;
    let echo = framework.event(event::Type::Message).await.message.unwrap();
    assert_eq!(
        (echo.executor_id.value.as_str(), &echo.data[..]),
        ("e1", &b"hello"[..])
    );

    // Killing one task frees its resources: an offer although the rest was declined for long.
    framework.kill("t3").await;
    framework.status("t3", TaskState::Killed).await;
    let freed = framework.offer().await;
    assert!(
        Resources::from_wire(&freed.resources)
            .unwrap()
            .scalar("cpus")
            >= 0.1
    );
    let ended = framework.event(event::Type::Failure).await.failure.unwrap();
    assert_eq!(ended.executor_id, Some("e2".into()));
    until("e2 is forgotten", async || resident.record("e2").is_none()).await;

    framework.shutdown("e1", &offer.agent_id).await;
    framework.status("t1", TaskState::Killed).await;
    framework.status("t2", TaskState::Killed).await;
    let ended = framework.event(event::Type::Failure).await.failure.unwrap();
    assert_eq!(ended.executor_id, Some("e1".into()));
    framework.forget_seen();
    framework.simple(call::Type::Revive).await;
    framework
        .reconcile(&[("t1", Some(&offer.agent_id)), ("nobody", None)])
        .await;
    framework.status("t1", TaskState::Gone).await;
    let unknown = framework.status("nobody", TaskState::Unknown).await;
    assert_eq!(
        (unknown.reason(), unknown.uuid),
        (Reason::Reconciliation, None)
    );
    resident.stop().await;
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_lives_and_dies_in_json() {
    life_of_a_group(ContentType::Json).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_lives_and_dies_in_protobuf() {
    life_of_a_group(ContentType::Protobuf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_restarts_and_nothing_is_lost() {
    let host = Host::new();
    let (master, mut agent) = (host.start_master(), host.start_agent());
    let mut resident = resident(&host, ContentType::Json).await;
    let client = host.master_client("scheduler");
    let mut framework =
        Framework::subscribe(client.clone(), framework_info(true), ContentType::Json).await;
    let offer = framework.offer().await;
    framework.acknowledging = false;
    framework
        .accept(
            &[&offer],
            vec![group(
                executor_info("e", "test-executor"),
                vec![task("t", &offer)],
            )],
            3600.0,
        )
        .await;
    let starting = framework.status("t", TaskState::Starting).await;

    // The agent goes and comes: what was not acknowledged is said again, in order.
    agent.stop().await;
    agent = host.start_agent();
    let again = framework.status("t", TaskState::Starting).await;
    assert_eq!(again.uuid, starting.uuid);
    framework.acknowledge(&again).await;
    let running = framework.status("t", TaskState::Running).await;
    framework.acknowledge(&running).await;

    // The executors' daemon goes and comes.
    resident = resident.restart().await;

    // The master goes and comes: framework and task are known again.
    master.stop().await;
    let master = host.start_master();
    framework.acknowledging = true;
    let info = framework.info.clone();
    drop(framework);
    let mut framework = Framework::subscribe(client.clone(), info, ContentType::Json).await;
    until("the task is known again", async || {
        framework.reconcile(&[("t", Some(&offer.agent_id))]).await;
        let update = framework
            .event(event::Type::Update)
            .await
            .update
            .unwrap()
            .status;
        update.state() == TaskState::Running
    })
    .await;

    // All three at once, and the task ends meanwhile.
    resident.stop().await;
    agent.stop().await;
    resident.exit("e", "t", TaskState::Finished).await;
    let agent = host.start_agent();
    resident = resident.restart().await;
    let finished = framework.status("t", TaskState::Finished).await;
    assert_eq!(finished.executor_id, Some("e".into()));
    until("the executor is forgotten", async || {
        resident.record("e").is_none()
    })
    .await;
    resident.stop().await;
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_agent_is_unreachable_until_it_comes_back() {
    let host = Host::new();
    let (master, agent) = (host.start_master(), host.start_agent());
    let resident = resident(&host, ContentType::Json).await;
    let client = host.master_client("scheduler");
    let mut aware =
        Framework::subscribe(client.clone(), framework_info(true), ContentType::Json).await;
    let offer = aware.offer().await;
    let operation = group(executor_info("e", "test-executor"), vec![task("t", &offer)]);
    aware.accept(&[&offer], vec![operation], 0.0).await;
    aware.status("t", TaskState::Running).await;
    let offer = aware.offer().await;
    agent.stop().await;
    let rescinded = aware.event(event::Type::Rescind).await.rescind.unwrap();
    assert_eq!(rescinded.offer_id, offer.id);
    // Too late for this offer.
    let operation = group(
        executor_info("e2", "test-executor"),
        vec![task("t2", &offer)],
    );
    aware.accept(&[&offer], vec![operation], 0.0).await;
    let dropped = aware.status("t2", TaskState::Dropped).await;
    assert_eq!(
        (dropped.reason(), dropped.uuid),
        (Reason::InvalidOffers, None)
    );
    let lost = aware.status("t", TaskState::Unreachable).await;
    assert!(lost.unreachable_time.is_some() && lost.message().contains("is unreachable"));
    assert_eq!(
        aware
            .event(event::Type::Failure)
            .await
            .failure
            .unwrap()
            .agent_id,
        Some(offer.agent_id.clone())
    );
    let agent = host.start_agent();
    let back = aware.status("t", TaskState::Running).await;
    assert_eq!(back.reason(), Reason::AgentReregistered);
    assert_eq!(aware.offer().await.agent_id, offer.agent_id);
    // Nothing was started twice: the executor asserts that.
    aware.kill("t").await;
    aware.status("t", TaskState::Killed).await;
    resident.stop().await;
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_launches_are_refused_in_words() {
    let host = Host::new();
    let (master, agent) = (host.start_master(), host.start_agent());
    let client = host.master_client("scheduler");
    let mut framework = Framework::subscribe(client, framework_info(true), ContentType::Json).await;
    let small = |mut info: ExecutorInfo| {
        info.resources = scalars(0.01, 16.0);
        info
    };
    let huge = |mut task: TaskInfo| {
        task.resources = scalars(100.0, 1.0);
        task
    };
    let docker = |mut task: TaskInfo| {
        task.container = Some(ContainerInfo {
            r#type: ContainerInfoType::Docker.number(),
            ..ContainerInfo::default()
        });
        task
    };
    let e = || executor_info("e", "test-executor");
    let untyped = ExecutorInfo {
        r#type: None,
        ..e()
    };
    let mut offer = framework.offer().await;
    type Case<'a> = (&'a dyn Fn(&Offer) -> Operation, Reason, &'a str);
    let cases: [Case<'_>; 7] = [
        (
            &|offer| group(small(e()), vec![task("bad", offer)]),
            Reason::TaskGroupInvalid,
            "below 32",
        ),
        (
            &|offer| group(untyped.clone(), vec![task("bad", offer)]),
            Reason::TaskGroupInvalid,
            "executor.type",
        ),
        (
            &|offer| group(e(), vec![huge(task("bad", offer))]),
            Reason::TaskGroupInvalid,
            "the offer has",
        ),
        (
            &|offer| group(e(), vec![docker(task("bad", offer))]),
            Reason::TaskGroupInvalid,
            "DOCKER",
        ),
        (
            &|offer| group(e(), vec![task("bad", offer), task("bad", offer)]),
            Reason::TaskGroupInvalid,
            "twice",
        ),
        (
            &|offer| launch(vec![task("bad", offer)]),
            Reason::TaskInvalid,
            "an executor or a command",
        ),
        (
            &|offer| {
                launch(vec![TaskInfo {
                    agent_id: "other".into(),
                    ..task("bad", offer)
                }])
            },
            Reason::TaskInvalid,
            "agent_id",
        ),
    ];
    for (operation, reason, words) in cases {
        framework
            .accept(&[&offer], vec![operation(&offer)], 0.0)
            .await;
        let status = framework.status("bad", TaskState::Error).await;
        assert_eq!(
            (status.reason(), status.uuid.is_none()),
            (reason, true),
            "{status:?}"
        );
        assert!(status.message().contains(words), "{}", status.message());
        offer = framework.offer().await;
        framework.forget_seen();
    }
    // A kill before delivery: the executor never comes, and nothing is started.
    framework
        .accept(
            &[&offer],
            vec![group(e(), vec![task("k1", &offer), task("k2", &offer)])],
            3600.0,
        )
        .await;
    framework.kill("k1").await;
    for id in ["k1", "k2"] {
        assert_eq!(
            framework.status(id, TaskState::Killed).await.reason(),
            Reason::TaskKilledDuringLaunch
        );
    }
    framework.simple(call::Type::Revive).await;
    let all = framework.offer().await;
    assert!(Resources::from_wire(&all.resources).unwrap().scalar("cpus") > 0.0);
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forked_executor_is_run_watched_and_killed() {
    let mut host = Host::new();
    host.agent_settings.executor_registration_timeout = Duration::from_millis(1500);
    let (master, agent) = (host.start_master(), host.start_agent());
    let client = host.master_client("scheduler");
    let mut framework = Framework::subscribe(client, framework_info(true), ContentType::Json).await;
    let mut offer = framework.offer().await;
    // Exits at once: the task fails with its code.
    framework
        .accept(
            &[&offer],
            vec![group(
                executor_info("x", "echo out; exit 3"),
                vec![task("t1", &offer)],
            )],
            0.0,
        )
        .await;
    let failed = framework.status("t1", TaskState::Failed).await;
    assert_eq!(failed.reason(), Reason::ExecutorTerminated);
    assert!(
        failed.message().contains("exit code 3"),
        "{}",
        failed.message()
    );
    assert_eq!(
        framework
            .event(event::Type::Failure)
            .await
            .failure
            .unwrap()
            .status,
        Some(3 << 8)
    );
    // Never subscribes: killed with its children when its time is over.
    offer = framework.offer().await;
    framework
        .accept(
            &[&offer],
            vec![group(
                executor_info("y", "sleep 600 & wait"),
                vec![task("t2", &offer)],
            )],
            0.0,
        )
        .await;
    let failed = framework.status("t2", TaskState::Failed).await;
    assert_eq!(failed.reason(), Reason::ExecutorRegistrationTimeout);
    // A missing command.
    framework.forget_seen();
    framework.simple(call::Type::Revive).await;
    offer = framework.offer().await;
    let mut missing = executor_info("z", "/nonexistent/executor");
    missing.command.as_mut().unwrap().shell = Some(false);
    framework
        .accept(
            &[&offer],
            vec![group(missing, vec![task("t3", &offer)])],
            0.0,
        )
        .await;
    let failed = framework.status("t3", TaskState::Failed).await;
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);

    // A real one, in shell: it subscribes, reports, and outlives an agent that leaves.
    let script = r#"
        curl -sN --http2-prior-knowledge --unix-socket "$MESOS_DOMAIN_SOCKET" -H 'Content-Type: application/json' \
          -d "{\"type\":\"SUBSCRIBE\",\"executor_id\":{\"value\":\"$MESOS_EXECUTOR_ID\"},\"framework_id\":{\"value\":\"$MESOS_FRAMEWORK_ID\"},\"subscribe\":{}}" \
          http://localhost/api/v1/executor > "$MESOS_SANDBOX/events" &
        until grep -q LAUNCH_GROUP "$MESOS_SANDBOX/events"; do sleep 0.05; done
        curl -s --http2-prior-knowledge --unix-socket "$MESOS_DOMAIN_SOCKET" -H 'Content-Type: application/json' \
          -d "{\"type\":\"UPDATE\",\"executor_id\":{\"value\":\"$MESOS_EXECUTOR_ID\"},\"framework_id\":{\"value\":\"$MESOS_FRAMEWORK_ID\"},\"update\":{\"status\":{\"task_id\":{\"value\":\"t4\"},\"state\":\"TASK_RUNNING\",\"source\":\"SOURCE_EXECUTOR\",\"uuid\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}}}" \
          http://localhost/api/v1/executor
        echo reported
        wait; sleep 600"#;
    framework.forget_seen();
    framework.simple(call::Type::Revive).await;
    offer = framework.offer().await;
    framework
        .accept(
            &[&offer],
            vec![group(
                executor_info("real", script),
                vec![task("t4", &offer)],
            )],
            3600.0,
        )
        .await;
    framework.status("t4", TaskState::Running).await;
    agent.stop().await;
    let agent = host.start_agent();
    // It does not come back (its stream is gone, and the script does not try): over, and killed.
    let gone = framework.status("t4", TaskState::Gone).await;
    assert_eq!(gone.reason(), Reason::ExecutorReregistrationTimeout);

    // Its output is still there, for the driver only.
    let path = format!(
        "/v1/logs?framework_id={}&executor_id=real&stream=stdout",
        framework.id()
    );
    let logs = host
        .agent_client("driver")
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap();
    assert_eq!(logs.status(), StatusCode::OK);
    assert_eq!(logs.text().await.unwrap(), "reported\n");
    let refused = host
        .agent_client("scheduler")
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_follow_a_task_to_its_end() {
    let host = Host::new();
    let (master, agent) = (host.start_master(), host.start_agent());
    let resident = resident(&host, ContentType::Json).await;
    let client = host.master_client("scheduler");
    let mut framework = Framework::subscribe(client, framework_info(true), ContentType::Json).await;
    let offer = framework.offer().await;
    framework
        .accept(
            &[&offer],
            vec![group(
                executor_info("e", "test-executor"),
                vec![task("t", &offer)],
            )],
            3600.0,
        )
        .await;
    framework.status("t", TaskState::Running).await;
    let folder = resident.record("e").unwrap().sandbox.join("t");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("stdout"), "old\none\n").unwrap();
    let path = format!(
        "/v1/logs?framework_id={}&executor_id=e&task_id=t&tail=1&follow=true",
        framework.id()
    );
    let mut response = host
        .agent_client("driver")
        .stream_request(Method::GET, &path)
        .send()
        .await
        .unwrap();
    assert_eq!(&response.chunk().await.unwrap().unwrap()[..], b"one\n");
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(folder.join("stdout"))
        .unwrap();
    file.write_all(b"two\n").unwrap();
    assert_eq!(&response.chunk().await.unwrap().unwrap()[..], b"two\n");
    file.write_all(b"last\n").unwrap();
    resident.exit("e", "t", TaskState::Finished).await;
    framework.status("t", TaskState::Finished).await;
    assert_eq!(response.text().await.unwrap(), "last\n");
    for path in [
        "/v1/logs?framework_id=..&executor_id=e&task_id=t",
        "/v1/logs?framework_id=f&executor_id=a%2F..%2Fb&task_id=t",
        "/v1/logs?framework_id=f&executor_id=e&stream=journal",
    ] {
        let response = host
            .agent_client("driver")
            .request(Method::GET, path)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    resident.stop().await;
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_protocol_refuses_what_it_must() {
    let host = Host::new();
    let (master, agent) = (host.start_master(), host.start_agent());
    let client = host.master_client("scheduler");
    let mut framework =
        Framework::subscribe(client.clone(), framework_info(true), ContentType::Json).await;
    let offer = framework.offer().await;
    let post = async |client: &bcs_httpd::Client, headers: &[(&str, &str)], body: &str| {
        let mut request = client
            .request(Method::POST, "/api/v1/scheduler")
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let json = ("content-type", "application/json");
    let id = framework.id().value;
    let revive = format!(r#"{{"type":"REVIVE","framework_id":{{"value":"{id}"}}}}"#);
    assert_eq!(post(&client, &[], &revive).await, 400);
    assert_eq!(
        post(&client, &[("content-type", "text/xml")], &revive).await,
        415
    );
    assert_eq!(
        post(&client, &[json, ("accept", "text/html")], &revive).await,
        406
    );
    assert_eq!(post(&client, &[json], &revive).await, 400);
    assert_eq!(
        post(&client, &[json, ("mesos-stream-id", "other")], &revive).await,
        400
    );
    assert_eq!(
        post(
            &client,
            &[json, ("mesos-stream-id", &framework.stream_id)],
            &revive
        )
        .await,
        202
    );
    assert_eq!(post(&client, &[json], "{").await, 400);
    assert_eq!(post(&client, &[json], r#"{"type":"SUBSCRIBE"}"#).await, 400);
    let anonymous = r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"","name":"x"}}}"#;
    assert_eq!(post(&client, &[json], anonymous).await, 400);
    assert_eq!(
        post(&host.master_client("driver"), &[json], anonymous).await,
        403
    );
    let operator = host
        .master_client("driver")
        .request(Method::POST, "/api/v1");
    let response = operator
        .header("content-type", "application/json")
        .body(r#"{"type":"GET_AGENTS"}"#)
        .send()
        .await
        .unwrap();
    let agents: serde_json::Value = response.json().await.unwrap();
    assert_eq!(
        agents["get_agents"]["agents"][0]["agent_info"]["id"]["value"],
        offer.agent_id.value
    );

    // A second scheduler with the same id takes over; the first is told.
    let info = framework.info.clone();
    let mut second =
        Framework::subscribe(client.clone(), info.clone(), ContentType::Protobuf).await;
    let last = framework.end().await;
    assert_eq!(
        last.last().unwrap().error.as_ref().unwrap().message,
        "Framework failed over"
    );
    second.offer().await;

    // A decline is kept; REVIVE and SUPPRESS do what they say.
    second.forget_seen();
    second.simple(call::Type::Suppress).await;
    second
        .silence(event::Type::Offers, Duration::from_millis(300))
        .await;
    second.simple(call::Type::Revive).await;

    // A framework that sits on everything gives way to another.
    let mut other =
        Framework::subscribe(client.clone(), framework_info(false), ContentType::Json).await;
    second.event(event::Type::Rescind).await;
    other.offer().await;

    // TEARDOWN is for ever.
    second.simple(call::Type::Teardown).await;
    let removed = client
        .stream_request(Method::POST, "/api/v1/scheduler")
        .header("content-type", "application/json")
        .body(
            serde_json::to_vec(&Call {
                framework_id: info.id.clone(),
                r#type: Some(call::Type::Subscribe.number()),
                subscribe: Some(call::Subscribe {
                    framework_info: info,
                    suppressed_roles: Vec::new(),
                }),
                ..Call::default()
            })
            .unwrap(),
        )
        .send()
        .await
        .unwrap();
    assert!(
        removed
            .text()
            .await
            .unwrap()
            .contains("Framework has been removed")
    );
    // An agent speaks for its own host only.
    let stranger = bcs_httpd::Client::new(
        &host.agent_settings.master,
        Some(&host.tls("agent", "host-2")),
    )
    .unwrap();
    let register = bcs_mesos::link::Register {
        version: bcs_mesos::link::VERSION,
        agent: AgentInfo {
            hostname: "x".into(),
            id: Some(offer.agent_id.clone()),
            ..AgentInfo::default()
        },
        ..Default::default()
    };
    let body = prost::Message::encode_to_vec(&register);
    let refused = stranger
        .request(Method::POST, bcs_mesos::link::STREAM_PATH)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(agent.text().await.contains("linked"));
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_groups_start_and_end_fast() {
    let mut host = Host::new();
    host.agent_settings.resources.cpus = Some(100.0);
    host.agent_settings.resources.mem = Some(100_000.0);
    host.agent_settings.resources.disk = Some(100_000.0);
    let (master, agent) = (host.start_master(), host.start_agent());
    let resident = resident(&host, ContentType::Json).await;
    let client = host.master_client("scheduler");
    let mut framework = Framework::subscribe(client, framework_info(true), ContentType::Json).await;
    let offer = framework.offer().await;
    let operations = (0..200)
        .map(|number| {
            let executor = executor_info(&format!("e{number}"), "test-executor");
            group(executor, vec![task(&format!("t{number}"), &offer)])
        })
        .collect();
    let begin = Instant::now();
    framework.accept(&[&offer], operations, 3600.0).await;
    for number in 0..200 {
        framework
            .status(&format!("t{number}"), TaskState::Running)
            .await;
    }
    let started = begin.elapsed();
    // An offer after resources come free.
    framework.forget_seen();
    let mut waits = Vec::new();
    for number in 0..50 {
        let id = format!("t{number}");
        resident
            .exit(&format!("e{number}"), &id, TaskState::Finished)
            .await;
        let reported = Instant::now();
        framework.offer().await;
        waits.push(reported.elapsed());
        framework.forget_seen();
    }
    waits.sort();
    println!(
        "200 groups running after {started:?}; offer after free: p50 {:?}, max {:?}",
        waits[25], waits[49]
    );
    resident.stop().await;
    agent.stop().await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_a_command_runs_without_an_executor_of_its_own() {
    let host = Host::new();
    let (master, agent) = (host.start_master(), host.start_agent());
    let client = host.master_client("scheduler");
    let mut framework = Framework::subscribe(client, framework_info(true), ContentType::Json).await;
    let offer = framework.offer().await;
    let command = |id: &str, value: &str| TaskInfo {
        command: Some(CommandInfo {
            value: Some(value.to_owned()),
            ..CommandInfo::default()
        }),
        ..task(id, &offer)
    };
    let tasks = vec![
        command("good", "echo fine"),
        command("bad", "exit 7"),
        command("long", "trap 'exit 0' TERM; sleep 600 & wait"),
        command(
            "stubborn",
            "trap '' TERM; sleep 600 & wait; wait; sleep 600",
        ),
    ];
    framework
        .accept(&[&offer], vec![launch(tasks)], 3600.0)
        .await;
    framework.status("good", TaskState::Finished).await;
    assert!(
        framework
            .status("bad", TaskState::Failed)
            .await
            .message()
            .contains("exit code 7")
    );
    for id in ["long", "stubborn"] {
        framework.status(id, TaskState::Running).await;
        framework.kill(id).await;
        framework.status(id, TaskState::Killed).await;
    }
    let path = format!(
        "/v1/logs?framework_id={}&executor_id=good&task_id=good",
        framework.id()
    );
    let logs = host
        .agent_client("driver")
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap();
    assert_eq!(logs.text().await.unwrap(), "fine\n");
    agent.stop().await;
    master.stop().await;
}
