use proptest::prelude::*;

use crate::types::*;
use crate::{ContentType, WireName as _, decode, encode, executor, operator, scheduler};

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9._-]{1,12}"
}

fn resource() -> impl Strategy<Value = Resource> {
    (
        text(),
        0u32..100_000,
        any::<u64>(),
        proptest::option::of(text()),
    )
        .prop_map(|(name, amount, end, role)| {
            let range = Ranges {
                range: vec![Range {
                    begin: end / 2,
                    end,
                }],
            };
            Resource {
                name,
                r#type: ValueType::Ranges.number(),
                scalar: Some(Scalar {
                    value: f64::from(amount) / 1000.0,
                }),
                ranges: Some(range),
                allocation_info: Some(AllocationInfo { role }),
                ..Resource::default()
            }
        })
}

fn bytes() -> impl Strategy<Value = bytes::Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(bytes::Bytes::from)
}

fn task() -> impl Strategy<Value = TaskInfo> {
    (
        text(),
        text(),
        prop::collection::vec(resource(), 0..4),
        proptest::option::of(bytes()),
        any::<bool>(),
        any::<i64>(),
    )
        .prop_map(|(name, id, resources, data, shell, nanoseconds)| TaskInfo {
            name: name.clone(),
            task_id: TaskId::new(id),
            agent_id: AgentId::new("a"),
            resources,
            data,
            command: Some(CommandInfo {
                shell: Some(shell),
                value: Some(name),
                arguments: vec!["-x".into()],
                ..CommandInfo::default()
            }),
            kill_policy: Some(KillPolicy {
                grace_period: Some(DurationInfo { nanoseconds }),
            }),
            limits: [("mem".to_owned(), Scalar { value: 1.5 })].into(),
            ..TaskInfo::default()
        })
}

fn status() -> impl Strategy<Value = TaskStatus> {
    (
        text(),
        0i32..14,
        proptest::option::of(0i32..28),
        bytes(),
        any::<bool>(),
    )
        .prop_map(|(id, state, reason, data, healthy)| TaskStatus {
            task_id: TaskId::new(id),
            state,
            reason,
            uuid: Some(data.clone()),
            data: Some(data),
            healthy: Some(healthy),
            timestamp: Some(1_700_000_000.25),
            source: Some(StatusSource::Executor.number()),
            ..TaskStatus::default()
        })
}

proptest! {
    #[test]
    fn a_call_reads_the_same_from_json_and_protobuf(tasks in prop::collection::vec(task(), 0..4)) {
        let call = scheduler::Call {
            framework_id: Some(FrameworkId::new("f")),
            r#type: Some(scheduler::call::Type::Accept.number()),
            accept: Some(scheduler::call::Accept {
                offer_ids: vec![OfferId::new("o")],
                operations: vec![Operation {
                    r#type: Some(OperationType::LaunchGroup.number()),
                    launch_group: Some(LaunchGroup {
                        executor: ExecutorInfo { executor_id: ExecutorId::new("e"), ..ExecutorInfo::default() },
                        task_group: TaskGroupInfo { tasks },
                    }),
                    ..Operation::default()
                }],
                filters: Some(Filters { refuse_seconds: Some(1.0) }),
            }),
            ..scheduler::Call::default()
        };
        for kind in [ContentType::Json, ContentType::Protobuf] {
            let body = encode(&call, kind).unwrap();
            prop_assert_eq!(&decode::<scheduler::Call>(&body, kind).unwrap(), &call);
        }
    }

    #[test]
    fn an_update_reads_the_same_from_json_and_protobuf(status in status()) {
        let event = scheduler::Event {
            r#type: Some(scheduler::event::Type::Update.number()),
            update: Some(scheduler::event::Update { status }),
            ..scheduler::Event::default()
        };
        for kind in [ContentType::Json, ContentType::Protobuf] {
            let body = encode(&event, kind).unwrap();
            prop_assert_eq!(&decode::<scheduler::Event>(&body, kind).unwrap(), &event);
        }
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in [ContentType::Json, ContentType::Protobuf] {
            let _ignored = decode::<scheduler::Call>(&body, kind).is_ok();
            let _ignored = decode::<executor::Call>(&body, kind).is_ok();
            let _ignored = decode::<operator::Call>(&body, kind).is_ok();
        }
    }
}

#[test]
fn json_has_names_base64_and_no_absent_members() {
    let status = TaskStatus {
        task_id: TaskId::new("t"),
        state: TaskState::Running.number(),
        uuid: Some(bytes::Bytes::from_static(&[0, 255, 16])),
        reason: Some(Reason::Reconciliation.number()),
        ..TaskStatus::default()
    };
    let json = serde_json::to_value(&status).unwrap();
    let expected = serde_json::json!({
        "task_id": {"value": "t"}, "state": "TASK_RUNNING", "uuid": "AP8Q", "reason": "REASON_RECONCILIATION"
    });
    assert_eq!(json, expected);
}

#[test]
fn json_of_other_writers_is_read() {
    let text = r#"{"type":"ACCEPT","framework_id":{"value":"f"},"new_member":{"x":[1]},
        "accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"OPERATION_OF_TOMORROW"},
        {"type":"LAUNCH","launch":{"task_infos":[{"name":"n","task_id":{"value":"t"},"agent_id":{"value":"a"},
        "resources":[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":"31000","end":31001.0}]}}],
        "kill_policy":{"grace_period":{"nanoseconds":"5000000000"}},"data":null}]}}]}}"#;
    let call: scheduler::Call = decode(text.as_bytes(), ContentType::Json).unwrap();
    let accept = call.accept.unwrap();
    assert_eq!(accept.operations[0].r#type, None);
    let task = &accept.operations[1].launch.as_ref().unwrap().task_infos[0];
    let range = &task.resources[0].ranges.as_ref().unwrap().range[0];
    assert_eq!((range.begin, range.end), (31000, 31001));
    assert_eq!(
        task.kill_policy
            .clone()
            .unwrap()
            .grace_period
            .unwrap()
            .nanoseconds,
        5_000_000_000
    );
    for bad in [
        r#"{"accept":{"offer_ids":3}}"#,
        r#"{"kill":{"task_id":{"value":"t"},"agent_id":7}}"#,
        "[",
        "",
    ] {
        assert!(
            decode::<scheduler::Call>(bad.as_bytes(), ContentType::Json).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn absent_members_have_the_protocols_defaults() {
    assert!(CommandInfo::default().shell());
    assert_eq!(HealthCheck::default().consecutive_failures(), 3);
    assert!((Filters::default().refuse_seconds() - 5.0).abs() < f64::EPSILON);
    assert_eq!(AgentInfo::default().port(), 5051);
}

/// Bytes made by another implementation of protobuf from the public definitions.
#[test]
fn protobuf_equals_what_another_implementation_writes() {
    for (json, hex_text) in include!("golden_calls.in") {
        let call: scheduler::Call = decode(json.as_bytes(), ContentType::Json).unwrap();
        let golden: Vec<u8> = (0..hex_text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex_text[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(
            decode::<scheduler::Call>(&golden, ContentType::Protobuf).unwrap(),
            call
        );
        assert_eq!(
            encode(&call, ContentType::Protobuf).unwrap().len(),
            golden.len()
        );
    }
    for (json, hex_text) in include!("golden_events.in") {
        let event: scheduler::Event = decode(json.as_bytes(), ContentType::Json).unwrap();
        let golden: Vec<u8> = (0..hex_text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex_text[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(
            decode::<scheduler::Event>(&golden, ContentType::Protobuf).unwrap(),
            event
        );
        assert_eq!(
            encode(&event, ContentType::Protobuf).unwrap().len(),
            golden.len()
        );
    }
}
