//! Bad input: whatever is wrong with an object, a file, a request or a command line, it is refused
//! with one readable line that names field, value and rule, with the right exit code or HTTP status,
//! and nothing of it is applied. And the other side: what is good is shown in every form.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use bcs_e2e::objects::{process, with};
use bcs_e2e::{
    Answer, Api, CLUSTER, Mode, STORAGE, System, WORKLOADS, executable, in_both_layouts, wait,
};
use serde_json::{Value, json};

in_both_layouts!(
    bad_objects_are_refused_by_field_value_and_rule,
    statuses_and_codes_are_those_of_the_api,
);

fn sleeper(name: &str, instances: u32) -> Value {
    process(name, instances, "sleep", "/bin/sleep 100077", &[])
}

/// One line for people, nothing else.
#[track_caller]
fn one_line(answer: &Answer, parts: &[&str]) {
    assert_eq!(
        answer.err.trim_end().lines().count(),
        1,
        "one line: {answer:?}"
    );
    for part in parts {
        assert!(answer.err.contains(part), "{part:?} is missing: {answer:?}");
    }
    assert!(!answer.err.contains("panicked"), "{answer:?}");
}

/// Sets what `pointer` points to.
fn set(mut object: Value, pointer: &str, value: Value) -> Value {
    *object
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("no {pointer}")) = value;
    object
}

fn bad_objects_are_refused_by_field_value_and_rule(system: System) {
    let good = || sleeper("bad", 1);
    let port = |port: i64| {
        with(
            good(),
            "ports",
            json!([{"name": "main", "hostPort": port, "protocol": "tcp"}]),
        )
    };
    let limit = |field: &str, value: &str| {
        set(
            good(),
            &format!("/spec/template/spec/processes/0/resources/limits/{field}"),
            json!(value),
        )
    };
    let check =
        json!([{"type": "TCP", "tcp": {"port": 80}, "intervalSeconds": 3, "timeoutSeconds": 3}]);
    let mut both = good();
    both["spec"]["template"]["spec"]["containers"] = json!([{"name": "c", "image": "i:1"}]);
    let mut bare = good();
    bare["spec"].as_object_mut().unwrap().remove("template");
    let mut nameless = good();
    nameless["metadata"].as_object_mut().unwrap().remove("name");
    let cases: Vec<(Value, &[&str])> = vec![
        (
            set(good(), "/metadata/name", json!("Web.One")),
            &["metadata.name", "Web.One", "lower-case"],
        ),
        (
            set(good(), "/metadata/name", json!("x".repeat(64))),
            &["metadata.name", "63"],
        ),
        (
            set(good(), "/metadata/namespace", json!("te.st")),
            &["namespace", "te.st"],
        ),
        (
            set(good(), "/metadata/namespace", json!("../etc")),
            &["namespace", "../etc"],
        ),
        (nameless, &["metadata.name"]),
        (
            set(good(), "/kind", json!("processs")),
            &["kind", "processs", "process"],
        ),
        (
            set(good(), "/apiVersion", json!("v9")),
            &["apiVersion", "v9", "v4"],
        ),
        (
            set(good(), "/restartPolicy/policy", json!("Sometimes")),
            &["restartPolicy.policy", "Sometimes", "OnFailure"],
        ),
        (
            set(good(), "/restartPolicy/interval", json!(-1)),
            &["restartPolicy.interval", "-1"],
        ),
        (
            set(good(), "/killPolicy/gracePeriod", json!(99_999_999)),
            &["killPolicy.gracePeriod", "99999999"],
        ),
        (
            set(good(), "/spec/instance", json!(0)),
            &["spec.instance", "\"0\"", "1 to"],
        ),
        (
            set(good(), "/spec/instance", json!(-3)),
            &["spec.instance", "-3"],
        ),
        (
            set(good(), "/spec/instance", json!(100_000_000)),
            &["spec.instance", "100000000"],
        ),
        (
            set(good(), "/spec/instance", json!("three")),
            &["spec.instance", "three"],
        ),
        (limit("cpu", "lots"), &["limits.cpu", "lots", "cores"]),
        (limit("cpu", "0"), &["limits.cpu", "\"0\""]),
        (limit("memory", "64Qi"), &["limits.memory", "64Qi", "256"]),
        (limit("memory", "-5"), &["limits.memory", "-5"]),
        (limit("storage", "NaN"), &["limits.storage", "NaN"]),
        (port(70_000), &["ports[0].hostPort", "70000", "65535"]),
        (port(-1), &["ports[0].hostPort", "-1"]),
        (
            with(
                good(),
                "ports",
                json!([{"name": "a b", "hostPort": 0, "protocol": "tcp"}]),
            ),
            &["ports[0].name", "a b"],
        ),
        (
            with(
                good(),
                "ports",
                json!([{"name": "a", "hostPort": 0, "protocol": "sctp"}]),
            ),
            &["ports[0].protocol", "sctp", "tcp"],
        ),
        (
            with(good(), "workPath", json!("relative/path")),
            &["workPath", "relative/path", "absolute"],
        ),
        (
            with(good(), "workPath", json!("/a/../b")),
            &["workPath", "..", "/a/../b"],
        ),
        (with(good(), "startCmd", json!("")), &["startCmd"]),
        (
            with(good(), "env", json!([{"name": "1 BAD", "value": "x"}])),
            &["env[0].name", "1 BAD"],
        ),
        (
            with(good(), "uris", json!([{"Value": "gopher://x/y.tar.gz"}])),
            &["uris[0]", "gopher", "http"],
        ),
        (
            with(good(), "healthChecks", check),
            &["healthChecks[0].timeoutSeconds", "\"3\"", "intervalSeconds"],
        ),
        (both, &["containers and processes"]),
        (
            set(good(), "/spec/template/spec/processes", json!([])),
            &["no containers and processes"],
        ),
        (bare, &["spec.template"]),
    ];
    for (object, parts) in &cases {
        for verb in ["apply", "create"] {
            let answer = system.bcs_with(&[verb, "-f", "-"], Some(&object.to_string()));
            // What cannot even be sent counts as a wrong use of the command.
            assert!([1, 2].contains(&answer.code), "{object} {answer:?}");
            assert_eq!(answer.out, "", "{answer:?}");
            one_line(&answer, parts);
        }
    }
    // A rule that names several problems at once names each.
    let several = set(
        set(good(), "/spec/instance", json!(0)),
        "/restartPolicy/policy",
        json!("Maybe"),
    );
    let answer = system.bcs_with(&["apply", "-f", "-"], Some(&several.to_string()));
    one_line(&answer, &["spec.instance", "restartPolicy.policy", "Maybe"]);

    for kind in ["process", "application", "taskgroup"] {
        let listed = system.bcs(&["get", kind, "-A", "-o", "name"]).ok();
        assert_eq!(listed.out, "", "nothing half applied");
    }
    assert!(
        bcs_e2e::processes_naming(system.folder())
            .iter()
            .all(
                |pid| !std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .unwrap_or_default()
                    .contains("100077")
            ),
        "nothing was started"
    );

    let file = json!({"apiVersion": "v4", "kind": "configmap", "metadata": {"name": "bad", "namespace": "test"},
        "datas": {"a": {"type": "ftp", "content": "x"}}});
    let answer = system.bcs_with(&["apply", "-f", "-"], Some(&file.to_string()));
    assert_eq!(answer.code, 1, "{answer:?}");
    one_line(&answer, &["datas.a.type", "ftp"]);
    let secret = json!({"apiVersion": "v4", "kind": "secret", "metadata": {"name": "bad", "namespace": "test"},
        "datas": {"a": {"content": "hunter2 is not base64"}}});
    let answer = system.bcs_with(&["apply", "-f", "-"], Some(&secret.to_string()));
    assert_eq!(answer.code, 1, "{answer:?}");
    one_line(&answer, &["datas.a.content", "base64"]);
    assert!(
        !answer.err.contains("hunter2"),
        "a secret is not repeated: {answer:?}"
    );
}

fn statuses_and_codes_are_those_of_the_api(system: System) {
    let api = Api::of(&system);
    let processes = format!("{WORKLOADS}/namespaces/test/processes");
    let refused = |status: u16, code: i64, reply: bcs_e2e::Reply| {
        assert_eq!((reply.status, reply.code()), (status, code), "{reply:?}");
        assert_eq!(reply.json()["result"], false, "{reply:?}");
        assert!(reply.message().len() > 10, "a sentence: {reply:?}");
        reply
    };
    refused(404, 1_405_202, api.get(&format!("{processes}/nobody")));
    refused(
        400,
        1_405_010,
        api.send("POST", &processes, &[], "{\"kind\": "),
    );
    refused(400, 1_405_012, api.send("POST", &processes, &[], ""));
    refused(
        400,
        1_405_008,
        api.json(
            "POST",
            &processes,
            &set(sleeper("a", 1), "/spec/instance", json!(0)),
        ),
    );
    refused(
        400,
        1_405_231,
        api.json(
            "POST",
            &processes,
            &set(sleeper("a", 1), "/restartPolicy/policy", json!("No")),
        ),
    );
    refused(
        400,
        1_405_008,
        api.json(
            "POST",
            &processes,
            &set(sleeper("a", 1), "/kind", json!("application")),
        ),
    );
    refused(
        400,
        1_405_008,
        api.json(
            "POST",
            &processes,
            &set(sleeper("a", 1), "/metadata/namespace", json!("else")),
        ),
    );
    let wrong = api.send(
        "GET",
        &processes,
        &[("BCS-ClusterID", "BCS-MESOS-99999")],
        "",
    );
    assert!([400, 404].contains(&wrong.status), "{wrong:?}");
    assert!(
        wrong.code() != 0 && wrong.message().contains("BCS-MESOS-99999"),
        "{wrong:?}"
    );
    assert_eq!(
        api.send("GET", &processes, &[("BCS-ClusterID", CLUSTER)], "")
            .ok()
            .json()["result"],
        true
    );

    for path in [
        "/namespaces/test/deployments",
        "/namespaces/test/deployments/web",
        "/namespaces/test/services",
        "/namespaces/test/daemonset",
        "/namespaces/test/admissionwebhook",
        "/admissionwebhooks",
        "/command/application/test/web",
    ] {
        for method in ["GET", "POST"] {
            let reply = api.json(method, &format!("{WORKLOADS}{path}"), &json!({}));
            assert_eq!(reply.status, 501, "{path}: {reply:?}");
            assert!(
                reply.code() != 0 && reply.message().contains("not implemented"),
                "{reply:?}"
            );
        }
    }
    for path in [
        format!("{WORKLOADS}/nothing/here"),
        "/bcsapi/v4/nothing/".to_owned(),
        "/".to_owned(),
    ] {
        let reply = api.get(&path);
        assert_eq!(reply.status, 404, "{reply:?}");
        assert!(reply.code() != 0, "{reply:?}");
    }
    let reply = api.send("PATCH", &processes, &[], "{}");
    assert_eq!(reply.status, 405, "{reply:?}");
    assert!(reply.code() != 0, "{reply:?}");
    // Paths that try to leave their place.
    for path in [
        "/namespaces/..%2f..%2f/processes",
        "/namespaces/test/processes/..%2fsecrets",
        "/namespaces/a%00b/processes",
    ] {
        let reply = api.get(&format!("{WORKLOADS}{path}"));
        assert!(
            [400, 404].contains(&reply.status) && reply.code() != 0,
            "{path}: {reply:?}"
        );
    }
    let large = format!(
        "{{\"kind\": \"process\", \"x\": \"{}\"}}",
        "y".repeat(9 << 20)
    );
    let reply = api.send("POST", &processes, &[], large);
    assert!(
        [400, 413].contains(&reply.status) && reply.code() != 0,
        "{} {}",
        reply.status,
        reply.text
    );

    let switch = [("BCS-Always-200", "1")];
    let reply = api.send("GET", &format!("{processes}/nobody"), &switch, "");
    assert_eq!((reply.status, reply.code()), (200, 1_405_202), "{reply:?}");
    let reply = api.send(
        "POST",
        &format!("{WORKLOADS}/namespaces/test/services"),
        &switch,
        "{}",
    );
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.code() != 0, "{reply:?}");
    let storage = format!(
        "{STORAGE}/mesos/dynamic/namespace_resources/clusters/{CLUSTER}/namespaces/test/application/nobody"
    );
    refused(404, 1_405_087, api.get(&storage));
    let reply = api.send("GET", &storage, &switch, "");
    assert_eq!((reply.status, reply.code()), (200, 1_405_087), "{reply:?}");
    refused(400, 1_405_085, api.get(&format!("{STORAGE}/mesos/dynamic/all_resources/clusters/{CLUSTER}/taskgroup?labelSelector=a%20%3E%20(")));
    // People write through the scheduler, never around it.
    let reply = api.json("PUT", &storage, &json!({"data": {}}));
    assert!(
        (400..500).contains(&reply.status) && reply.code() != 0,
        "{reply:?}"
    );

    // Keys in any case, as the original's decoder took them.
    let shouted: Value = serde_json::from_str(
        &sleeper("loud", 1)
            .to_string()
            .replace("\"metadata\"", "\"MetaData\"")
            .replace("\"startCmd\"", "\"STARTCMD\"")
            .replace("\"instance\"", "\"Instance\"")
            .replace("\"processes\"", "\"Processes\"")
            .replace("\"restartPolicy\"", "\"restartpolicy\""),
    )
    .unwrap();
    api.json("POST", &processes, &shouted).ok();
    system.running("test", "loud", 1);
    let reply = api.json("POST", &processes, &shouted);
    assert!((400..500).contains(&reply.status), "{reply:?}");
    assert_eq!(reply.code(), 1_405_201, "{reply:?}");
    let loud = &format!("{processes}/loud");
    refused(
        400,
        1_405_233,
        api.json(
            "POST",
            &format!("{loud}/message"),
            &json!({"msgtype": "telepathy", "msgdata": {}}),
        ),
    );
    let reply = api.json(
        "POST",
        &format!("{loud}/message"),
        &json!({"msgtype": "signal", "msgdata": {"signal": 99}}),
    );
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(
        reply.message().contains("msgdata.signal") && reply.message().contains("99"),
        "{reply:?}"
    );
    for instances in ["-1", "x", "99999999"] {
        let reply = api.send("PUT", &format!("{loud}/scale/{instances}"), &[], "");
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.message().contains(instances), "{reply:?}");
    }
    assert_eq!(
        system.running("test", "loud", 1).len(),
        1,
        "none of it touched what runs"
    );
}

#[test]
fn files_that_cannot_be_read_say_where() {
    let system = System::start(Mode::Standalone);
    let broken = "apiVersion: v4\nkind: process\nmetadata:\n  name: [open\n  namespace: test\n";
    let answer = system.bcs_with(&["apply", "-f", "-"], Some(broken));
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["line"]);
    let file = system.folder().join("broken.yaml");
    std::fs::write(&file, broken).unwrap();
    let answer = system.bcs(&["apply", "-f", file.to_str().unwrap()]);
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["broken.yaml", "line"]);
    let answer = system.bcs_with(
        &["apply", "-f", "-"],
        Some("{\"kind\": \"process\", \"metadata\": [}"),
    );
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["line"]);
    for empty in ["", "\n\n", "---\n---\n", "# only words\n"] {
        let answer = system.bcs_with(&["apply", "-f", "-"], Some(empty));
        assert!([1, 2].contains(&answer.code), "{empty:?} {answer:?}");
        one_line(&answer, &[]);
    }
    for other in ["42", "\"text\"", "[]", "\u{0}\u{1}\u{fffd}"] {
        let answer = system.bcs_with(&["apply", "-f", "-"], Some(other));
        assert!([1, 2].contains(&answer.code), "{other:?} {answer:?}");
        one_line(&answer, &[]);
    }
    let answer = system.bcs(&["apply", "-f", "/no/such/file.yaml"]);
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["/no/such/file.yaml"]);

    // One bad document among several: when it cannot even be read, nothing happens.
    let good = |name: &str| sleeper(name, 1).to_string();
    let documents = format!("{}\n---\n{broken}\n---\n{}\n", good("first"), good("last"));
    let answer = system.bcs_with(&["apply", "-f", "-"], Some(&documents));
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["line"]);
    assert_eq!(
        system.bcs(&["get", "process", "-A", "-o", "name"]).ok().out,
        ""
    );
    // When the service refuses it, what was applied is said, and is whole.
    let refused = set(
        sleeper("middle", 1),
        "/restartPolicy/policy",
        json!("Perhaps"),
    );
    let documents = format!("{}\n---\n{refused}\n---\n{}\n", good("first"), good("last"));
    let answer = system.bcs_with(&["apply", "-f", "-"], Some(&documents));
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["middle", "Perhaps"]);
    assert_eq!(
        system.bcs(&["get", "process", "middle", "-n", "test"]).code,
        3
    );
    for name in ["first", "last"] {
        let there = system.bcs(&["get", "process", name, "-n", "test"]).code == 0;
        assert_eq!(
            there,
            answer.out.contains(name),
            "what is said is what is so: {answer:?}"
        );
        if there {
            system.running("test", name, 1);
        }
    }
    // YAML with several good documents, as people write them.
    let yaml = "# two\napiVersion: v4\nkind: ConfigMap\nmetadata: {name: one, namespace: test}\ndatas:\n  a: {type: file, content: eA==}\n---\n\
        apiVersion: v4\nkind: configmap\nmetadata:\n  name: two\n  namespace: test\ndatas:\n  a:\n    type: file\n    content: eA==\n";
    system.bcs_with(&["apply", "-f", "-"], Some(yaml)).ok();
    for name in ["one", "two"] {
        wait::until("the configmap is listed", Duration::from_secs(10), || {
            let answer = system.bcs(&["get", "configmap", name, "-n", "test"]);
            if answer.code == 0 {
                Ok(())
            } else {
                Err(format!("{answer:?}"))
            }
        });
    }
}

#[test]
fn verbs_have_their_exit_codes() {
    let system = System::start(Mode::Standalone);
    let object = sleeper("web", 1).to_string();
    let run = |words: &str| system.bcs(&words.split(' ').collect::<Vec<_>>());
    // 2: usage.
    for words in [
        "get",
        "apply",
        "frobnicate",
        "get process -o xml",
        "scale process web",
        "scale process web -n test --instances many",
        "scale process web -n test --instances -1",
        "wait process web -n test",
        "wait process web -n test --for Running --timeout soon",
        "logs",
        "completion tcsh-of-mine",
        "get process --no-such-flag",
    ] {
        let answer = run(words);
        assert_eq!(answer.code, 2, "{words}: {answer:?}");
        assert!(
            !answer.err.is_empty() && !answer.err.contains("panicked"),
            "{answer:?}"
        );
    }
    let answer = run("get submarines");
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    assert!(
        answer.err.contains("submarines") && answer.err.contains("taskgroup"),
        "{answer:?}"
    );
    // 3: not found.
    let unknown = "0.web.test.BCS-MESOS-10000.1700000000000000000";
    for words in [
        "get process web -n test".to_owned(),
        "get configmap web -n test".to_owned(),
        format!("get taskgroup {unknown} -n test"),
        "describe process web -n test".to_owned(),
        "delete process web -n test".to_owned(),
        "delete secret web -n test".to_owned(),
        "scale process web -n test --instances 2".to_owned(),
        format!("logs {unknown} -n test"),
        format!("restart {unknown} -n test"),
        format!("reschedule {unknown} -n test"),
        "node describe 203.0.113.9".to_owned(),
    ] {
        let answer = run(&words);
        assert_eq!(answer.code, 3, "{words}: {answer:?}");
        assert_eq!(answer.out, "", "{words}: {answer:?}");
        one_line(&answer, &[]);
    }
    let answer = run("logs not-an-id -n test");
    assert!([1, 2, 3].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["not-an-id"]);
    // Create once, apply often, replace what exists.
    let on = |verb: &str| system.bcs_with(&[verb, "-f", "-"], Some(&object));
    let answer = on("replace");
    assert!([1, 3].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["web"]);
    assert_eq!(
        run("get process web -n test").code,
        3,
        "a refused replace creates nothing"
    );
    on("create").ok();
    let first = system.running("test", "web", 1);
    let answer = on("create");
    assert_eq!(answer.code, 1, "{answer:?}");
    one_line(&answer, &["web", "exist"]);
    assert!(on("apply").ok().out.contains("unchanged"));
    assert!(on("apply").ok().out.contains("unchanged"));
    assert_eq!(
        bcs_e2e::pid_of(&system.running("test", "web", 1)[0]),
        bcs_e2e::pid_of(&first[0]),
        "an unchanged object restarts nothing"
    );
    on("replace").ok();
    wait::until(
        "the replaced instance is another",
        Duration::from_secs(30),
        || {
            let now = system.running("test", "web", 1);
            if bcs_e2e::pid_of(&now[0]) == bcs_e2e::pid_of(&first[0]) {
                Err("the same".to_owned())
            } else {
                Ok(())
            }
        },
    );
    // 4: timed out; 0: it came.
    let answer = run("wait process web -n test --for Finish --timeout 1s");
    assert_eq!(answer.code, 4, "{answer:?}");
    one_line(&answer, &["web", "Finish"]);
    run("wait process web -n test --for Running --timeout 30s").ok();
    // delete -f, and that it is gone twice.
    on("delete").ok();
    wait::until("it is gone", Duration::from_secs(30), || {
        let answer = run("get process web -n test");
        if answer.code == 3 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    assert_eq!(on("delete").code, 3);
}

#[test]
fn objects_are_shown_in_every_form() {
    let system = System::start(Mode::Standalone);
    system.apply(&sleeper("one", 2));
    system.apply(&sleeper("two", 1));
    let elsewhere = set(sleeper("three", 1), "/metadata/namespace", json!("other"));
    system.apply(&elsewhere);
    system.running("test", "one", 2);
    system.running("test", "two", 1);
    system.running("other", "three", 1);
    let run = |words: &str| system.bcs(&words.split(' ').collect::<Vec<_>>());
    let names = |words: &str| {
        let mut names: Vec<String> = run(words)
            .ok()
            .out
            .lines()
            .map(|line| line.rsplit('/').next().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("get process -n test -o name"), ["one", "two"]);
    assert_eq!(names("get process -A -o name"), ["one", "three", "two"]);
    assert_eq!(names("get process -n test -l app=two -o name"), ["two"]);
    assert_eq!(run("get process -A -l app=nobody -o name").ok().out, "");
    let selector = [
        "get",
        "process",
        "-A",
        "-o",
        "name",
        "-l",
        "app in (one, three)",
    ];
    assert_eq!(system.bcs(&selector).ok().out.lines().count(), 2);
    let answer = system.bcs(&["get", "process", "-A", "-l", "app in (one"]);
    assert!([1, 2].contains(&answer.code), "{answer:?}");
    one_line(&answer, &["app in (one"]);
    assert_eq!(names("get taskgroup -n test -l app=one -o name").len(), 2);

    let one = run("get process one -n test -o json").ok().json();
    assert_eq!(
        (&one["metadata"]["name"], &one["kind"]),
        (&json!("one"), &json!("process")),
        "{one}"
    );
    let list = run("get process -n test -o json").ok().json();
    assert_eq!(
        (&list["kind"], list["items"].as_array().unwrap().len()),
        (&json!("List"), 2),
        "{list}"
    );
    let yaml = run("get process one -n test -o yaml").ok().out;
    let yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(yaml["metadata"], one["metadata"]);
    let yaml: Value = serde_saphyr::from_str(&run("get process -n test -o yaml").ok().out).unwrap();
    assert_eq!(yaml["items"].as_array().unwrap().len(), 2);

    let table = run("get process -n test").ok().out;
    assert_eq!(table, run("get process -n test -o table").ok().out);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "a head and two rows: {table}");
    assert!(
        lines[1].contains("one") && lines[1].contains("Running"),
        "{table}"
    );
    let wide = run("get taskgroup -n test -o wide").ok().out;
    let narrow = run("get taskgroup -n test").ok().out;
    let columns = |text: &str| text.lines().next().unwrap().split_whitespace().count();
    assert!(columns(&wide) > columns(&narrow), "{wide}\n{narrow}");
    assert!(
        run("get process -A").ok().out.contains("other"),
        "-A shows the namespace"
    );
    let described = run("describe process one -n test").ok().out;
    assert!(
        described.contains("one") && described.contains("Running"),
        "{described}"
    );

    // -w shows what is and what changes.
    let mut watch = Command::new(executable("bcs"))
        .args(["get", "process", "-n", "test", "-w"])
        .env("BCS_CONFIG", system.client_file())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    let out = BufReader::new(watch.stdout.take().unwrap());
    std::thread::spawn(move || {
        out.lines()
            .map_while(Result::ok)
            .try_for_each(|line| send.send(line))
    });
    let seen = |what: &str| {
        wait::until(what, Duration::from_secs(20), || {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) if line.contains(what) => Ok(line),
                other => Err(format!("{other:?}")),
            }
        })
    };
    seen("two");
    run("scale process two -n test --instances 3").ok();
    let changed = seen("two");
    assert!(changed.contains("two"), "{changed}");
    system.apply(&sleeper("four", 1));
    seen("four");
    watch.kill().unwrap();
    watch.wait().unwrap();
    run("version").ok();
    assert!(run("version").ok().out.contains("0.1.0"));
}

#[test]
fn the_client_helps_when_the_system_is_down() {
    let mut system = System::start(Mode::Standalone);
    system.apply(&sleeper("web", 1));
    system.running("test", "web", 1);
    let run = |system: &System, words: &str| system.bcs(&words.split(' ').collect::<Vec<_>>());
    let doctor = run(&system, "doctor").ok();
    assert!(
        doctor.out.lines().count() >= 3,
        "doctor says what it looked at: {doctor:?}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let text = run(&system, &format!("completion {shell}")).ok().out;
        assert!(
            text.contains("reschedule") && text.contains("standalone"),
            "{shell}"
        );
    }
    // A reader that leaves early is no error of ours.
    for words in [
        &["completion", "bash"][..],
        &["get", "process", "-A", "-o", "json"],
        &["--help"],
    ] {
        let mut child = Command::new(executable("bcs"))
            .args(words)
            .env("BCS_CONFIG", system.client_file())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        let status = child.wait().unwrap();
        assert_eq!(err, "", "{words:?}: quiet, {status}");
        assert_ne!(status.code(), Some(101), "{words:?}");
    }
    // A client file that is missing, wrong, or of somebody else.
    let with = |file: &std::path::Path| {
        let output = Command::new(executable("bcs"))
            .args(["get", "process", "-A"])
            .env("BCS_CONFIG", file)
            .output()
            .unwrap();
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    };
    let answer = with(&system.folder().join("none.yaml"));
    assert_eq!(answer.code, 1, "{answer:?}");
    one_line(&answer, &["none.yaml", "bcs standalone"]);
    let odd = system.folder().join("odd.yaml");
    std::fs::write(&odd, "adress: https://127.0.0.1:1\n").unwrap();
    let answer = with(&odd);
    assert_eq!(answer.code, 1, "{answer:?}");
    one_line(&answer, &["odd.yaml"]);

    assert_eq!(
        system.stop("standalone"),
        0,
        "asked to leave, it leaves in good order"
    );
    for words in [
        "get process -A",
        "delete process web -n test",
        "offers",
        "node list",
    ] {
        let answer = run(&system, words);
        assert_eq!(answer.code, 1, "{words}: {answer:?}");
        one_line(&answer, &["127.0.0.1", "doctor"]);
    }
    let doctor = run(&system, "doctor");
    assert_eq!(doctor.code, 1, "{doctor:?}");
    let words = format!("{}{}", doctor.out, doctor.err);
    assert!(
        words.contains(&system.port().to_string()) && words.contains("standalone"),
        "{doctor:?}"
    );
}
