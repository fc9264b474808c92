use super::{Problems, config_map, message, replica_controller, secret};
use crate::decode::decode_value;
use crate::v4::{ConfigMap, Kind, MessageRequest, ReplicaController, Secret};
use proptest::prelude::*;
use serde_json::{Value, json};

fn process() -> Value {
    json!({
        "apiVersion": "v4", "kind": "process",
        "metadata": {"name": "redis", "namespace": "games", "labels": {"app": "redis"}},
        "restartPolicy": {"policy": "Always", "interval": 1, "backoff": 2},
        "killPolicy": {"gracePeriod": 5},
        "spec": {"instance": 3, "template": {"metadata": {"labels": {"tier": "db"}}, "spec": {
            "networkMode": "HOST",
            "processes": [{
                "procName": "redis-server",
                "workPath": "${work_base_dir}/redis-${instanceid}",
                "pidFile": "${work_base_dir}/redis-${instanceid}/redis.pid",
                "uris": [{"Value": "file:///srv/redis.tar.gz", "OutputDir": "${work_base_dir}/redis-${instanceid}"}],
                "startCmd": "./redis-server --port ${ports.main}",
                "env": [{"name": "LISTEN", "value": "${ports.main}"}],
                "ports": [{"name": "main", "hostPort": 0, "protocol": "tcp"}],
                "resources": {"limits": {"cpu": "0.5", "memory": "128", "storage": "64"}},
                "healthChecks": [{"type": "TCP", "intervalSeconds": 5, "timeoutSeconds": 2, "tcp": {"portName": "main"}}]
            }]
        }}}
    })
}

fn judge(document: Value) -> Result<(), Problems> {
    let document: ReplicaController = decode_value(document).unwrap();
    replica_controller(&document, Kind::Process, "games", "BCS-MESOS-10000")
}

/// A good process with one value replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = process();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => parent[key] = value,
    }
    document
}

#[test]
fn a_good_process_passes() {
    judge(process()).unwrap();
}

#[test]
fn each_rule_names_its_field() {
    let task = "/spec/template/spec/processes/0";
    let at = "spec.template.spec.processes[0]";
    let check = |part: &str, value: Value| (format!("{task}{part}"), value);
    let table: Vec<((String, Value), String, &str)> = vec![
        (
            ("/kind".into(), json!("application")),
            "kind".into(),
            "process",
        ),
        (
            ("/apiVersion".into(), json!("v5")),
            "apiVersion".into(),
            "v4",
        ),
        (
            ("/metadata/name".into(), json!("Redis.1")),
            "metadata.name".into(),
            "lower-case",
        ),
        (
            ("/metadata/name".into(), json!("a".repeat(64))),
            "metadata.name".into(),
            "63",
        ),
        (
            ("/metadata/namespace".into(), json!("a.b")),
            "metadata.namespace".into(),
            "digits",
        ),
        (
            ("/metadata/namespace".into(), json!("other")),
            "metadata.namespace".into(),
            "equal",
        ),
        (
            ("/metadata/labels".into(), json!({"a b": "c"})),
            "metadata.labels".into(),
            "key",
        ),
        (
            ("/spec/instance".into(), json!(0)),
            "spec.instance".into(),
            "1 to",
        ),
        (
            ("/spec/instance".into(), json!(-3)),
            "spec.instance".into(),
            "1 to",
        ),
        (
            ("/spec/instance".into(), json!(1_000_000)),
            "spec.instance".into(),
            "10000",
        ),
        (
            ("/restartPolicy/policy".into(), json!("Sometimes")),
            "restartPolicy.policy".into(),
            "Never",
        ),
        (
            ("/restartPolicy/interval".into(), json!(-1)),
            "restartPolicy.interval".into(),
            "0 to",
        ),
        (
            ("/killPolicy/gracePeriod".into(), json!(-1)),
            "killPolicy.gracePeriod".into(),
            "0 to",
        ),
        (
            ("/spec/template".into(), Value::Null),
            "spec.template".into(),
            "missing",
        ),
        (
            ("/spec/template/spec/processes".into(), json!([])),
            "spec.template.spec".into(),
            "no containers and processes",
        ),
        (
            (
                "/spec/template/spec/containers".into(),
                json!([{"image": "a"}]),
            ),
            "spec.template.spec".into(),
            "cannot coexist",
        ),
        (
            check("/procName", json!("")),
            format!("{at}.procName"),
            "base name",
        ),
        (
            check("/procName", json!("a/b")),
            format!("{at}.procName"),
            "without '/'",
        ),
        (
            check("/startCmd", json!(" ")),
            format!("{at}.startCmd"),
            "command",
        ),
        (
            check("/workPath", json!("relative")),
            format!("{at}.workPath"),
            "absolute",
        ),
        (
            check("/workPath", json!("/srv/../etc")),
            format!("{at}.workPath"),
            "'..'",
        ),
        (
            check("/pidFile", json!("x.pid")),
            format!("{at}.pidFile"),
            "absolute",
        ),
        (
            check("/user", json!("-root;")),
            format!("{at}.user"),
            "account",
        ),
        (
            check("/startGracePeriod", json!(-1)),
            format!("{at}.startGracePeriod"),
            "0 to",
        ),
        (
            check("/uris/0/Value", json!("ftp://a/b")),
            format!("{at}.uris[0].Value"),
            "scheme",
        ),
        (
            check("/uris/0/Value", json!("")),
            format!("{at}.uris[0].Value"),
            "address",
        ),
        (
            check("/uris/0/Value", json!("file://x")),
            format!("{at}.uris[0].Value"),
            "absolute",
        ),
        (
            check("/uris/0/Value", json!("http:///x")),
            format!("{at}.uris[0].Value"),
            "host",
        ),
        (
            check("/uris/0/Checksum", json!("sha256:zz")),
            format!("{at}.uris[0].Checksum"),
            "hexadecimal",
        ),
        (
            check("/env/0/name", json!("1A")),
            format!("{at}.env[0].name"),
            "variable",
        ),
        (
            check("/env/0/name", json!("A=B")),
            format!("{at}.env[0].name"),
            "variable",
        ),
        (
            check("/env", json!([{"name": "A"}, {"name": "A"}])),
            format!("{at}.env[1].name"),
            "earlier",
        ),
        (
            check("/ports/0/hostPort", json!(65536)),
            format!("{at}.ports[0].hostPort"),
            "65535",
        ),
        (
            check("/ports/0/hostPort", json!(-1)),
            format!("{at}.ports[0].hostPort"),
            "65535",
        ),
        (
            check("/ports/0/name", json!("a b")),
            format!("{at}.ports[0].name"),
            "PORT_",
        ),
        (
            check("/ports/0/protocol", json!("sctp")),
            format!("{at}.ports[0].protocol"),
            "tcp",
        ),
        (
            check(
                "/ports",
                json!([{"name": "main", "hostPort": 80}, {"name": "b", "hostPort": 80}]),
            ),
            format!("{at}.ports[1].hostPort"),
            "taken",
        ),
        (
            check("/ports", json!([{"name": "main"}, {"name": "main"}])),
            format!("{at}.ports[1].name"),
            "earlier",
        ),
        (
            check("/ports", json!([{"name": "main"}, {"hostPort": 0}])),
            format!("{at}.ports[1].name"),
            "name",
        ),
        (
            check("/resources/limits/cpu", json!("lots")),
            format!("{at}.resources.limits.cpu"),
            "0.5",
        ),
        (
            check("/resources/limits/memory", json!("0")),
            format!("{at}.resources.limits.memory"),
            "range",
        ),
        (
            check("/resources/requests", json!({"cpu": "2"})),
            format!("{at}.resources.requests.cpu"),
            "limit",
        ),
        (
            check("/healthChecks/0/type", json!("PING")),
            format!("{at}.healthChecks[0].type"),
            "HTTP",
        ),
        (
            check("/healthChecks/0/timeoutSeconds", json!(5)),
            format!("{at}.healthChecks[0].timeoutSeconds"),
            "less than",
        ),
        (
            check("/healthChecks/0/intervalSeconds", json!(1)),
            format!("{at}.healthChecks[0].intervalSeconds"),
            "at least 2",
        ),
        (
            check("/healthChecks/0/tcp/portName", json!("web")),
            format!("{at}.healthChecks[0].tcp.portName"),
            "main",
        ),
        (
            check("/healthChecks/0/tcp", Value::Null),
            format!("{at}.healthChecks[0].tcp"),
            "portName",
        ),
        (
            check("/configmaps", json!([{"name": "c", "items": []}])),
            format!("{at}.configmaps[0].items"),
            "keys",
        ),
        (
            check(
                "/configmaps",
                json!([{"name": "c", "items": [{"type": "volume", "dataKey": "k", "keyOrPath": "/x"}]}]),
            ),
            format!("{at}.configmaps[0].items[0].type"),
            "env",
        ),
        (
            check(
                "/secrets",
                json!([{"secretName": "S!", "items": [{"type": "env", "dataKey": "k", "keyOrPath": "K"}]}]),
            ),
            format!("{at}.secrets[0].secretName"),
            "lower-case",
        ),
        (
            check(
                "/secrets",
                json!([{"secretName": "s", "items": [{"type": "env", "dataKey": "", "keyOrPath": "K"}]}]),
            ),
            format!("{at}.secrets[0].items[0].dataKey"),
            "key",
        ),
    ];
    for ((pointer, value), path, words) in table {
        let problems = judge(with(&pointer, value.clone()))
            .expect_err(&format!("{pointer} = {value} was accepted"));
        let found = problems.iter().find(|problem| problem.path == path);
        let found = found.unwrap_or_else(|| panic!("{pointer} = {value}: {problems}"));
        assert!(
            found.to_string().contains(words),
            "{pointer} = {value}: {found}"
        );
    }
}

#[test]
fn all_problems_are_reported_together() {
    let mut document = process();
    document["spec"]["instance"] = json!(0);
    document["metadata"]["name"] = json!("A.b");
    document["restartPolicy"]["policy"] = json!("no");
    let problems = judge(document).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems}");
    assert!(
        problems.to_string().starts_with("3 problems: "),
        "{problems}"
    );
}

#[test]
fn two_local_checks_are_one_too_many() {
    let local = json!({"type": "COMMAND", "command": {"value": "true"}});
    let remote = json!({"type": "REMOTE_TCP", "tcp": {"port": 80}});
    let pointer = "/spec/template/spec/processes/0/healthChecks";
    judge(with(pointer, json!([local, remote]))).unwrap();
    let problems = judge(with(pointer, json!([local, local]))).unwrap_err();
    assert!(
        problems.to_string().contains("at most one local check"),
        "{problems}"
    );
}

#[test]
fn codes_follow_the_first_problem() {
    assert_eq!(
        judge(with("/spec/instance", json!(0))).unwrap_err().code(),
        1_405_008
    );
    assert_eq!(
        judge(with("/restartPolicy/policy", json!("x")))
            .unwrap_err()
            .code(),
        1_405_231
    );
}

#[test]
fn passwords_are_never_repeated() {
    let problems = judge(with(
        "/spec/template/spec/processes/0/uris/0/Value",
        json!("https://me:hunter2@host/a.tar.gz"),
    ))
    .unwrap_err();
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
    let document: Secret = decode_value(json!({"apiVersion": "v4", "kind": "secret",
        "metadata": {"name": "db"}, "datas": {"k": {"content": "hunter2!"}}}))
    .unwrap();
    let problems = secret(&document, "games").unwrap_err();
    assert!(problems.to_string().contains("base64") && !problems.to_string().contains("hunter2"));
    assert!(!format!("{document:?}").contains("hunter2"));
}

#[test]
fn configmaps_and_messages_are_judged() {
    let judge = |datas: Value| {
        let document: ConfigMap = decode_value(json!({"apiVersion": "v4", "kind": "configmap",
            "metadata": {"name": "c", "namespace": "games"}, "datas": datas}))
        .unwrap();
        config_map(&document, "games")
    };
    judge(json!({"a": {"type": "file", "content": "aGVsbG8="}, "b": {"type": "http", "content": "http://h/x"}}))
        .unwrap();
    for (datas, words) in [
        (
            json!({"a": {"type": "ftp", "content": "ftp://h/x"}}),
            "not implemented",
        ),
        (json!({"a": {"type": "file", "content": "%%%"}}), "base64"),
        (json!({"a b": {"type": "file", "content": ""}}), "key"),
        (json!({"a": {"type": "zip", "content": ""}}), "one of"),
        (
            json!({"a": {"type": "file", "content": "A".repeat(2_000_000)}}),
            "at most",
        ),
    ] {
        let problems = judge(datas).unwrap_err();
        assert!(problems.to_string().contains(words), "{problems}");
    }
    for (body, good) in [
        (
            json!({"msgtype": "signal", "msgdata": {"signal": 10}}),
            true,
        ),
        (
            json!({"msgtype": "signal", "msgdata": {"signal": 99}}),
            false,
        ),
        (json!({"msgtype": "signal", "msgdata": {}}), false),
        (
            json!({"msgtype": "local", "msgdata": {"to": "/a", "ctx": "aGk=", "right": "rw"}}),
            true,
        ),
        (
            json!({"msgtype": "local", "msgdata": {"to": "a", "ctx": "aGk="}}),
            false,
        ),
        (
            json!({"msgtype": "remote", "msgdata": {"to": "/a", "remote": "gopher://x"}}),
            false,
        ),
        (
            json!({"msgtype": "env-key", "msgdata": {"env-key": "A", "env-value": "b"}}),
            true,
        ),
    ] {
        let request: MessageRequest = decode_value(body.clone()).unwrap();
        assert_eq!(message(&request).is_ok(), good, "{body}");
    }
}

#[test]
fn defaults_are_filled_in() {
    let mut document: ReplicaController = decode_value(process()).unwrap();
    document.metadata.namespace.clear();
    document.restart_policy.policy.clear();
    document.fill_defaults(Kind::Process, "games");
    let template = document.spec.template.unwrap();
    assert_eq!(document.metadata.namespace, "games");
    assert_eq!(document.restart_policy.policy, "OnFailure");
    assert_eq!(template.metadata.labels.len(), 2);
    assert_eq!(template.spec.processes[0].resources.requests.cpu, "0.5");
    assert_eq!(
        template.spec.processes[0].health_checks[0].delay_seconds,
        10
    );
}

/// JSON of any shape under the names that documents use.
fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "labels",
        "spec",
        "instance",
        "template",
        "processes",
        "containers",
        "ports",
        "hostPort",
        "env",
        "uris",
        "resources",
        "limits",
        "cpu",
        "healthChecks",
        "http",
        "datas",
        "content",
        "type",
        "msgtype",
        "msgdata",
        "signal",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        proptest::sample::select(vec!["v4", "process", "configmap", "HTTP", "file", "signal"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(
                proptest::sample::select(names.to_vec()).prop_map(str::to_owned),
                inner,
                0..6
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(document in any_json()) {
        if let Ok(read) = decode_value::<ReplicaController>(document.clone()) {
            let mut filled = read.clone();
            filled.fill_defaults(Kind::Process, "games");
            if let Err(problems) = replica_controller(&read, Kind::Process, "games", "c") {
                prop_assert!(!problems.is_empty() && problems.to_string().len() < 100_000);
            }
        }
        if let Ok(read) = decode_value::<ConfigMap>(document.clone()) {
            drop(config_map(&read, "games"));
        }
        if let Ok(read) = decode_value::<MessageRequest>(document) {
            drop(message(&read));
        }
    }

    #[test]
    fn any_text_in_any_field_never_panics(text in ".{0,80}", number in any::<i32>()) {
        let mut document = process();
        document["metadata"]["name"] = json!(text);
        document["spec"]["instance"] = json!(number);
        let task = &mut document["spec"]["template"]["spec"]["processes"][0];
        for field in ["procName", "workPath", "startCmd", "user"] {
            task[field] = json!(text);
        }
        task["uris"][0]["Value"] = json!(text);
        task["ports"][0]["hostPort"] = json!(number);
        task["resources"]["limits"]["cpu"] = json!(text);
        task["env"][0]["name"] = json!(text);
        drop(judge(document));
    }

    #[test]
    fn accepted_names_are_labels(name in "[a-z0-9.A-Z-]{1,70}") {
        if judge(with("/metadata/name", json!(name))).is_ok() {
            prop_assert!(crate::ids::is_label(&name));
        }
    }
}
