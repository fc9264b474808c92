//! What people do, one thing at a time.

use bcs_mesos::TaskState;
use bcs_mesos::WireName as _;
use bcs_mesos::scheduler::call::Type as CallType;
use bcs_model::dataclass::DataClass;
use bcs_model::status::{AppStatus, Status};
use bcs_model::v4::{ConfigMap, ConfigMapItem};
use bcs_model::version::{ConfigMapRef, DataItem, RestartRule};

use super::sim::Sim;
use super::versions::{name, process};
use crate::core::command::Command;
use crate::core::query::Query;
use crate::core::records::Cause;

fn create(sim: &mut Sim, app: &str, instances: i64) {
    sim.order(Command::Create(Box::new(process(app, instances))))
        .unwrap();
    sim.settle();
}

#[test]
fn a_launch_is_packed_into_one_accept_per_host_and_runs() {
    let mut sim = Sim::new(2);
    create(&mut sim, "web", 6);
    assert_eq!(sim.indexes("web"), (0..6).collect::<Vec<_>>());
    let accepts: Vec<usize> = sim
        .calls
        .iter()
        .filter_map(|call| Some(call.accept.as_ref()?.operations.len()))
        .collect();
    assert_eq!(accepts, [3, 3], "spread over both hosts, one ACCEPT each");
    let app = sim.application("web");
    assert_eq!(
        (app.status, app.instances, app.running_instances),
        (AppStatus::Running, 6, 6)
    );
    let question = Query::Application {
        name: name("web"),
        kind: None,
    };
    let answer = sim.order(Command::Query(question)).unwrap();
    assert_eq!(answer["Pods"].as_array().unwrap().len(), 6);
}

#[test]
fn ports_are_drawn_before_templates_are_rendered() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 2);
    let mut ports = std::collections::BTreeSet::new();
    for index in 0..2 {
        let info = &sim.tasks[&sim.task("web", index)].info;
        let data: DataClass = serde_json::from_slice(info.data.as_ref().unwrap()).unwrap();
        let process = data.proc_info.unwrap();
        assert_eq!(process.work_path, format!("${{work_base_dir}}/svc-{index}"));
        assert_eq!(
            process.pid_file,
            format!("${{work_base_dir}}/svc-{index}/svc.pid")
        );
        let variables = &info
            .command
            .as_ref()
            .unwrap()
            .environment
            .as_ref()
            .unwrap()
            .variables;
        let value = |name: &str| {
            variables
                .iter()
                .find(|variable| variable.name == name)
                .unwrap()
                .value
                .clone()
                .unwrap()
        };
        assert_eq!(value("LISTEN"), value("PORT_main"));
        assert!(ports.insert(value("LISTEN").parse::<u64>().unwrap()));
    }
    assert!(ports.iter().all(|port| (31_000..31_100).contains(port)));
}

#[test]
fn a_failed_process_is_replaced_in_the_same_step() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 2);
    let old = sim.task("web", 1);
    sim.progress(&old, TaskState::Failed);
    sim.automatic = false;
    let calls = sim.calls.len();
    sim.deliver();
    assert!(
        sim.calls[calls..].iter().any(|call| call.accept.is_some()),
        "no wait, no timer"
    );
    sim.automatic = true;
    let new = sim.task("web", 1);
    assert_ne!(old, new);
    sim.progress(&new, TaskState::Running);
    sim.settle();
    let group = sim.cluster.group(&name("web"), 1).unwrap();
    assert_eq!(group.group.rescheduled_times, 1);
    assert_eq!(sim.application("web").status, AppStatus::Running);
}

#[test]
fn interval_backoff_and_maxtimes_are_kept() {
    let mut sim = Sim::new(1);
    let mut version = process("web", 1);
    version.restart_policy.policy = RestartRule::OnFailure;
    version.restart_policy.interval = 5;
    version.restart_policy.backoff = 10;
    version.restart_policy.max_times = 2;
    sim.order(Command::Create(Box::new(version))).unwrap();
    sim.settle();
    for wait in [5_000, 15_000] {
        let task = sim.task("web", 0);
        sim.progress(&task, TaskState::Failed);
        sim.settle();
        assert_eq!(sim.application("web").status, AppStatus::Abnormal);
        sim.pass(wait - 1);
        sim.settle();
        assert!(sim.indexes("web").is_empty(), "not before its time");
        sim.pass(1);
        sim.settle();
        assert_eq!(sim.indexes("web"), [0]);
    }
    let task = sim.task("web", 0);
    sim.progress(&task, TaskState::Failed);
    sim.settle();
    sim.pass(1_000_000);
    sim.settle();
    assert!(sim.indexes("web").is_empty());
    let group = sim.cluster.group(&name("web"), 0).unwrap();
    assert!(
        group.group.message.contains("maxtimes"),
        "{}",
        group.group.message
    );
}

#[test]
fn a_finished_process_stays_finished_on_failure_policy() {
    let mut sim = Sim::new(1);
    let mut version = process("job", 2);
    version.restart_policy.policy = RestartRule::OnFailure;
    sim.order(Command::Create(Box::new(version))).unwrap();
    sim.settle();
    for index in 0..2 {
        let task = sim.task("job", index);
        sim.progress(&task, TaskState::Finished);
    }
    sim.settle();
    assert_eq!(sim.application("job").status, AppStatus::Finish);
    // What is reported after an end is not believed.
    let id = sim.cluster.group(&name("job"), 0).unwrap().group.taskgroup[0]
        .id
        .clone();
    sim.tell(&id, TaskState::Running);
    sim.settle();
    assert_eq!(
        sim.cluster.group(&name("job"), 0).unwrap().group.status,
        Status::Finish
    );
}

#[test]
fn scaling_goes_by_index_both_ways() {
    let mut sim = Sim::new(2);
    create(&mut sim, "web", 2);
    let scale = |sim: &mut Sim, instances| {
        let order = Command::Scale {
            name: name("web"),
            instances,
            kind: None,
        };
        sim.order(order).unwrap();
        sim.settle();
        assert_eq!(sim.application("web").status, AppStatus::Running);
        sim.indexes("web")
    };
    assert_eq!(scale(&mut sim, 5), [0, 1, 2, 3, 4]);
    assert_eq!(scale(&mut sim, 1), [0]);
    assert_eq!(sim.cluster.apps[&name("web")].slots.len(), 1);
    assert_eq!(scale(&mut sim, 3), [0, 1, 2]);
    let order = Command::Scale {
        name: name("web"),
        instances: 0,
        kind: None,
    };
    assert_eq!(sim.order(order).unwrap_err().status, 400);
}

#[test]
fn an_update_recreates_the_first_indexes_and_a_rollback_goes_back() {
    let mut sim = Sim::new(2);
    create(&mut sim, "web", 3);
    let old: Vec<String> = (0..3).map(|index| sim.task("web", index)).collect();
    let first = sim.cluster.apps[&name("web")].record.version.clone();
    let mut version = process("web", 99);
    version.process[0].start_cmd = "/new".to_owned();
    let update = |instances| Command::Update {
        name: name("web"),
        version: Box::new(version.clone()),
        instances,
        resources_only: false,
    };
    assert_eq!(sim.order(update(4)).unwrap_err().status, 400);
    sim.order(update(2)).unwrap();
    let refused = sim.order(update(2)).unwrap_err();
    assert!(
        refused.message.contains("Operation Not Allowed"),
        "{}",
        refused.message
    );
    sim.settle();
    let command = |sim: &Sim, index| {
        sim.tasks[&sim.task("web", index)]
            .info
            .command
            .clone()
            .unwrap()
            .value
            .unwrap()
    };
    assert_eq!(sim.indexes("web"), [0, 1, 2]);
    assert_eq!(command(&sim, 0), "/new");
    assert_eq!(command(&sim, 1), "/new");
    assert_eq!(sim.task("web", 2), old[2], "not touched");
    assert_eq!(sim.application("web").define_instances, 3);
    sim.order(Command::Rollback {
        name: name("web"),
        to: Some(first),
    })
    .unwrap();
    sim.settle();
    assert_eq!(sim.indexes("web"), [0, 1, 2]);
    assert!(command(&sim, 0).ends_with("start.sh") && command(&sim, 2).ends_with("start.sh"));
    assert!(
        sim.order(Command::Rollback {
            name: name("web"),
            to: Some("1".into())
        })
        .is_err()
    );
}

#[test]
fn versions_are_kept_and_trimmed() {
    let mut sim = Sim::new(2);
    create(&mut sim, "web", 1);
    for _ in 0..8 {
        let version = Box::new(process("web", 1));
        let order = Command::Update {
            name: name("web"),
            version,
            instances: 1,
            resources_only: false,
        };
        sim.order(order).unwrap();
        sim.settle();
    }
    let stored = sim
        .store
        .keys()
        .filter(|key| key.starts_with("version/"))
        .count();
    assert_eq!(stored, 4, "the current one and three before it");
    sim.order(Command::Delete {
        name: name("web"),
        enforce: false,
        kind: None,
    })
    .unwrap();
    sim.settle();
    assert_eq!(
        sim.store.keys().map(String::as_str).collect::<Vec<_>>(),
        ["framework", "stamp"]
    );
    assert!(sim.running().is_empty());
    let last = sim.changes.last().unwrap();
    assert!(
        sim.changes
            .iter()
            .any(|change| change.kind == "application" && change.object.is_none()),
        "{last:?}"
    );
}

#[test]
fn a_delete_waits_for_the_end_and_a_forced_one_does_not() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 2);
    sim.automatic = false;
    let delete = |enforce| Command::Delete {
        name: name("web"),
        enforce,
        kind: None,
    };
    sim.order(delete(false)).unwrap();
    sim.settle();
    assert_eq!(sim.application("web").status, AppStatus::Operating);
    assert!(sim.tasks.values().all(|task| task.stopping));
    sim.order(delete(false)).unwrap();
    sim.order(delete(true)).unwrap();
    assert!(sim.cluster.apps.is_empty());
    assert_eq!(sim.order(delete(true)).unwrap_err().status, 404);
    // The stop is slow, and reported as of something unknown: it is told again, not forgotten.
    for id in sim.running() {
        sim.tell(&id, TaskState::Running);
        sim.progress(&id, TaskState::Killed);
    }
    sim.settle();
    assert!(sim.running().is_empty());
}

#[test]
fn a_stop_without_an_answer_is_ordered_again() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 1);
    sim.automatic = false;
    sim.order(Command::Delete {
        name: name("web"),
        enforce: false,
        kind: None,
    })
    .unwrap();
    let count = |sim: &Sim| {
        sim.calls
            .iter()
            .filter(|call| call.shutdown.is_some())
            .count()
    };
    assert_eq!(count(&sim), 1);
    sim.pass(12_000);
    assert_eq!(count(&sim), 2);
    sim.settle();
    sim.pass(60_000);
    sim.settle();
    assert_eq!(count(&sim), 3);
}

#[test]
fn what_fits_nowhere_says_why_host_by_host_and_starts_when_it_fits() {
    let mut sim = Sim::new(2);
    create(&mut sim, "big", 12);
    create(&mut sim, "more", 4);
    let app = sim.application("more");
    assert!(app.message.contains("needs cpus 0.51"), "{}", app.message);
    assert!(app.message.contains("host-agent-0") && app.message.contains("host-agent-1"));
    assert_eq!(sim.indexes("more"), [0, 1], "the rest of both hosts");
    // Neither the wait nor its end needs anybody: the operation ends Abnormal, the work goes on.
    sim.pass(1_900_000);
    sim.settle();
    assert_eq!(sim.application("more").status, AppStatus::Abnormal);
    sim.order(Command::Scale {
        name: name("big"),
        instances: 2,
        kind: None,
    })
    .unwrap();
    sim.settle();
    assert_eq!(sim.indexes("more"), [0, 1, 2, 3]);
    let app = sim.application("more");
    assert_eq!(
        (app.status, app.message.as_str()),
        (AppStatus::Running, "application is running")
    );
}

#[test]
fn a_launch_that_waits_for_room_can_be_made_smaller() {
    let mut sim = Sim::new(1);
    create(&mut sim, "big", 50);
    assert_eq!(sim.application("big").status, AppStatus::Operating);
    sim.order(Command::Scale {
        name: name("big"),
        instances: 3,
        kind: None,
    })
    .unwrap();
    sim.settle();
    assert_eq!(sim.indexes("big"), [0, 1, 2]);
    assert_eq!(sim.application("big").status, AppStatus::Running);
}

#[test]
fn disabled_and_tainted_hosts_take_nothing_new() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 1);
    let ips = vec!["host-agent-0".to_owned()];
    sim.order(Command::Enable {
        ips: ips.clone(),
        enabled: false,
    })
    .unwrap();
    sim.order(Command::Scale {
        name: name("web"),
        instances: 2,
        kind: None,
    })
    .unwrap();
    sim.settle();
    assert_eq!(sim.indexes("web"), [0]);
    assert!(
        sim.application("web")
            .message
            .contains("host-agent-0: disabled")
    );
    let taint = bcs_model::v4::Taint {
        inner_ip: "host-agent-0".to_owned(),
        no_schedule: [("dedicated".to_owned(), "db".to_owned())].into(),
    };
    sim.order(Command::Taint(vec![taint])).unwrap();
    sim.order(Command::Enable { ips, enabled: true }).unwrap();
    sim.settle();
    assert!(
        sim.application("web")
            .message
            .contains("taint dedicated=db is not tolerated")
    );
    let clean = bcs_model::v4::Taint {
        inner_ip: "host-agent-0".to_owned(),
        ..Default::default()
    };
    sim.order(Command::Taint(vec![clean])).unwrap();
    sim.settle();
    assert_eq!(sim.indexes("web"), [0, 1]);
    let unknown = Command::Enable {
        ips: vec!["10.9.9.9".to_owned()],
        enabled: false,
    };
    assert_eq!(sim.order(unknown).unwrap_err().status, 404);
}

#[test]
fn a_missing_configmap_is_named_and_its_coming_starts_what_waited() {
    let mut sim = Sim::new(1);
    let mut version = process("web", 1);
    version.process[0].configmaps = vec![ConfigMapRef {
        name: "cfg".to_owned(),
        items: vec![DataItem {
            item_type: "file".to_owned(),
            data_key: "main".to_owned(),
            key_or_path: "${workPath}/main.toml".to_owned(),
            ..DataItem::default()
        }],
    }];
    sim.order(Command::Create(Box::new(version))).unwrap();
    sim.settle();
    assert!(sim.indexes("web").is_empty());
    let message = &sim.application("web").message;
    assert!(
        message.contains("configmap \"cfg\" does not exist"),
        "{message}"
    );
    let mut object = ConfigMap::default();
    object.metadata.name = "cfg".to_owned();
    object.metadata.namespace = "arcade".to_owned();
    let put = |object: &ConfigMap, create| Command::PutConfigMap {
        object: Box::new(object.clone()),
        create,
    };
    sim.order(put(&object, true)).unwrap();
    assert!(sim.application("web").message.contains("no key \"main\""));
    assert_eq!(sim.order(put(&object, true)).unwrap_err().status, 409);
    let content = "bGlzdGVuPTE=".to_owned();
    let item = ConfigMapItem {
        item_type: "file".to_owned(),
        content,
        ..ConfigMapItem::default()
    };
    object.datas.insert("main".to_owned(), item);
    sim.order(put(&object, false)).unwrap();
    sim.settle();
    let info = &sim.tasks[&sim.task("web", 0)].info;
    let data: DataClass = serde_json::from_slice(info.data.as_ref().unwrap()).unwrap();
    let file = data.msgs[0].local.as_ref().unwrap();
    assert_eq!(file.to, "${work_base_dir}/svc-0/main.toml");
    assert_eq!(file.base64, "bGlzdGVuPTE=");
    let record = sim.cluster.group(&name("web"), 0).unwrap();
    assert!(
        record.group.taskgroup[0].data_class.msgs.is_empty(),
        "contents stay out of records"
    );
}

#[test]
fn a_lost_host_is_healed_by_always_and_its_return_makes_no_double() {
    let mut sim = Sim::new(2);
    create(&mut sim, "web", 4);
    let lost: Vec<u64> = sim
        .live("web")
        .into_iter()
        .filter(|(_, tasks)| sim.tasks[&tasks[0]].agent == "agent-0")
        .map(|(index, _)| index)
        .collect();
    sim.lose("agent-0");
    sim.settle();
    assert_eq!(sim.application("web").status, AppStatus::Abnormal);
    assert_eq!(
        sim.cluster.replacing(&name("web"), lost[0]),
        Some(Cause::Lost)
    );
    // It comes back in time: nothing was replaced.
    let before = sim.running();
    sim.regain("agent-0");
    sim.settle();
    assert_eq!(sim.running(), before);
    assert_eq!(sim.application("web").status, AppStatus::Running);
    sim.pass(600_000);
    sim.settle();
    assert_eq!(sim.running(), before);
    // It comes back too late: the old ones are shut down.
    sim.lose("agent-0");
    sim.settle();
    sim.pass(5_000);
    sim.settle();
    assert_eq!(sim.application("web").status, AppStatus::Running);
    sim.regain("agent-0");
    sim.settle();
    assert_eq!(sim.indexes("web"), [0, 1, 2, 3]);
}

#[test]
fn the_default_policy_leaves_lost_ones_alone() {
    let mut sim = Sim::new(2);
    let mut version = process("web", 2);
    version.restart_policy.policy = RestartRule::OnFailure;
    sim.order(Command::Create(Box::new(version))).unwrap();
    sim.settle();
    sim.lose("agent-0");
    sim.settle();
    sim.pass(3_600_000);
    sim.settle();
    assert_eq!(sim.application("web").status, AppStatus::Abnormal);
    sim.regain("agent-0");
    sim.settle();
    assert_eq!(sim.application("web").status, AppStatus::Running);
    assert_eq!(sim.indexes("web"), [0, 1]);
}

#[test]
fn a_reschedule_keeps_the_index_and_can_keep_the_host() {
    let mut sim = Sim::new(2);
    create(&mut sim, "web", 2);
    let id = sim.cluster.group(&name("web"), 1).unwrap().group.id.clone();
    let host = sim
        .cluster
        .group(&name("web"), 1)
        .unwrap()
        .group
        .host_name
        .clone();
    sim.order(Command::Reschedule {
        taskgroup: id.clone(),
        retain_seconds: 60,
    })
    .unwrap();
    sim.settle();
    assert_eq!(sim.indexes("web"), [0, 1]);
    let group = &sim.cluster.group(&name("web"), 1).unwrap().group;
    assert_ne!(group.id, id);
    assert_eq!((group.rescheduled_times, &group.host_name), (1, &host));
    let gone = sim
        .order(Command::Reschedule {
            taskgroup: id,
            retain_seconds: 0,
        })
        .unwrap_err();
    assert_eq!(gone.status, 404);
}

#[test]
fn limits_change_in_place_where_there_is_room() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 2);
    let before = sim.running();
    let mut version = process("web", 2);
    version.process[0].resources.limits.cpu = "1".to_owned();
    let order = Command::Update {
        name: name("web"),
        version: Box::new(version),
        instances: 0,
        resources_only: true,
    };
    sim.order(order).unwrap();
    sim.settle();
    assert_eq!(sim.application("web").status, AppStatus::Operating);
    let messages: Vec<(String, bcs_model::message::BcsMessage)> = sim
        .calls
        .iter()
        .filter(|call| call.r#type == Some(CallType::Message.number()))
        .filter_map(|call| call.message.as_ref())
        .map(|message| {
            (
                message.executor_id.value.clone(),
                serde_json::from_slice(&message.data).unwrap(),
            )
        })
        .collect();
    assert_eq!(messages.len(), 2);
    for (executor_id, mut message) in messages {
        let limits = &message.update_task_resources.as_ref().unwrap().resources[0];
        assert!((limits.cpu - 1.0).abs() < 1e-9);
        message.status = bcs_model::message::MessageStatus::Success;
        let data = serde_json::to_vec(&message).unwrap().into();
        sim.step(crate::core::Event::Message { executor_id, data });
    }
    assert_eq!(sim.running(), before, "nothing was restarted");
    assert_eq!(sim.application("web").status, AppStatus::Running);
    let growth = sim.cluster.hosts.growth("agent-0");
    assert!(
        (growth.cpus - 1.0).abs() < 1e-9,
        "the growth is no longer given to others"
    );
}

#[test]
fn failing_health_checks_end_a_task_after_the_limit() {
    let mut sim = Sim::new(1);
    let mut version = process("web", 1);
    version.process[0].health_checks = vec![bcs_model::version::HealthCheck {
        check_type: "TCP".to_owned(),
        consecutive_failures: 3,
        tcp: Some(bcs_model::version::TcpCheck {
            port: 0,
            port_name: "main".to_owned(),
        }),
        ..Default::default()
    }];
    sim.order(Command::Create(Box::new(version))).unwrap();
    sim.settle();
    let task = sim.task("web", 0);
    let check = sim.tasks[&task].info.health_check.clone().unwrap();
    let port = u64::from(check.tcp.unwrap().port);
    assert!((31_000..31_100).contains(&port));
    let report = |sim: &mut Sim, failures: i64| {
        use base64::Engine as _;
        let info = bcs_model::dataclass::ContainerInfo {
            is_checked: true,
            healthy: false,
            consecutive_failure_times: failures,
            ..Default::default()
        };
        let info = serde_json::to_vec(&info).unwrap();
        let message = bcs_model::message::BcsMessage {
            kind: bcs_model::message::MessageType::TaskStatus,
            task_id: Some(bcs_model::message::MessageTaskId {
                value: task.clone(),
            }),
            task_status: Some(base64::engine::general_purpose::STANDARD.encode(info)),
            ..Default::default()
        };
        let executor_id = sim.tasks[&task].executor.clone();
        let data = serde_json::to_vec(&message).unwrap().into();
        sim.step(crate::core::Event::Message { executor_id, data });
    };
    report(&mut sim, 3);
    assert!(!sim.tasks[&task].stopping);
    sim.automatic = false;
    report(&mut sim, 4);
    assert!(sim.tasks[&task].stopping, "SHUTDOWN is ordered");
    let group = sim.cluster.group(&name("web"), 0).unwrap();
    assert_eq!(group.group.status, Status::Failed);
    assert_eq!(
        sim.live("web")[&0].len(),
        1,
        "the new one waits for the end of the old"
    );
    sim.automatic = true;
    sim.progress(&task, TaskState::Killed);
    sim.settle();
    assert_eq!(sim.indexes("web"), [0]);
    assert_eq!(sim.application("web").status, AppStatus::Running);
}

#[test]
fn names_and_quantities_are_checked_and_told() {
    let mut sim = Sim::new(1);
    let refused = |sim: &mut Sim, change: &dyn Fn(&mut bcs_model::version::Version)| {
        let mut version = process("web", 1);
        change(&mut version);
        sim.order(Command::Create(Box::new(version))).unwrap_err()
    };
    assert!(
        refused(&mut sim, &|version| version.id = "a.b".into())
            .message
            .contains("a.b")
    );
    assert!(
        refused(&mut sim, &|version| version.run_as = "x/y".into())
            .message
            .contains("x/y")
    );
    assert_eq!(
        refused(&mut sim, &|version| version.instances = 0).code,
        1_405_008
    );
    let bad = refused(&mut sim, &|version| {
        version.process[0].resources.limits.cpu = "lots".into();
    });
    assert!(
        bad.message.contains("processes[0].resources.limits.cpu"),
        "{}",
        bad.message
    );
    assert!(
        refused(&mut sim, &|version| version.process.clear())
            .message
            .contains("no containers")
    );
    create(&mut sim, "web", 1);
    let twice = sim
        .order(Command::Create(Box::new(process("web", 1))))
        .unwrap_err();
    assert_eq!((twice.status.as_u16(), twice.code), (409, 1_405_201));
    let question = Query::Application {
        name: name("none"),
        kind: None,
    };
    let none = sim.order(Command::Query(question)).unwrap_err();
    assert_eq!((none.status.as_u16(), none.code), (404, 1_405_202));
}

#[test]
fn large_payloads_leave_in_several_accepts() {
    let mut sim = Sim::new(1);
    let mut version = process("web", 6);
    version.process[0].configmaps = vec![ConfigMapRef {
        name: "cfg".to_owned(),
        items: vec![DataItem {
            item_type: "file".to_owned(),
            data_key: "main".to_owned(),
            key_or_path: "/cfg".to_owned(),
            ..DataItem::default()
        }],
    }];
    let mut object = ConfigMap::default();
    object.metadata.name = "cfg".to_owned();
    object.metadata.namespace = "arcade".to_owned();
    let item = ConfigMapItem {
        item_type: "file".to_owned(),
        content: "YWFh".repeat(250_000),
        ..ConfigMapItem::default()
    };
    object.datas.insert("main".to_owned(), item);
    sim.order(Command::PutConfigMap {
        object: Box::new(object),
        create: true,
    })
    .unwrap();
    sim.order(Command::Create(Box::new(version))).unwrap();
    sim.settle();
    assert_eq!(sim.indexes("web"), (0..6).collect::<Vec<_>>());
    assert_eq!(sim.application("web").status, AppStatus::Running);
    let accepts: Vec<usize> = sim
        .calls
        .iter()
        .filter_map(|call| Some(call.accept.as_ref()?.operations.len()))
        .collect();
    assert_eq!(accepts, [3, 3]);
}

#[test]
fn an_update_that_waits_for_room_blocks_nobody_and_goes_on() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 7);
    let mut version = process("web", 7);
    version.process[0].resources.limits.cpu = "1".to_owned();
    let order = Command::Update {
        name: name("web"),
        version: Box::new(version),
        instances: 0,
        resources_only: false,
    };
    sim.order(order).unwrap();
    sim.settle();
    assert_eq!(
        sim.indexes("web").len(),
        3,
        "four cores hold three of the new ones"
    );
    assert_eq!(sim.application("web").status, AppStatus::Operating);
    sim.order(Command::Scale {
        name: name("web"),
        instances: 3,
        kind: None,
    })
    .unwrap();
    sim.settle();
    assert_eq!(sim.indexes("web"), [0, 1, 2]);
    assert_eq!(sim.application("web").status, AppStatus::Running);
}

#[test]
fn answers_that_say_what_is_known_write_nothing() {
    let mut sim = Sim::new(1);
    create(&mut sim, "web", 3);
    let store = sim.store.clone();
    let changes = sim.changes.len();
    sim.subscribe();
    sim.settle();
    assert_eq!(sim.store, store);
    assert_eq!(sim.changes.len(), changes);
}
