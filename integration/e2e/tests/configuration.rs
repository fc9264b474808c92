//! Configmaps and secrets: content, owner and mode of files, variables; a missing one is waited for
//! and named; and the content of a secret is in no output, no log, no command line, no database and
//! no file that others may read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use bcs_e2e::objects::{process, with};
use bcs_e2e::{
    Api, CLUSTER, Mode, STORAGE, System, base64, environment_of, files_below, in_both_layouts,
    name_of, pid_of, wait, words_of,
};
use serde_json::{Value, json};

in_both_layouts!(files_and_variables_arrive_and_secrets_stay_secret);

/// What must not be found anywhere, different in every run.
struct Marker(String);

impl Marker {
    fn new() -> Self {
        Self(format!("swordfish-{:016x}", rand::random::<u64>()))
    }

    /// In clear, or in base64 at any alignment.
    fn in_bytes(&self, bytes: &[u8]) -> bool {
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        let encoded = base64(&self.0);
        has(self.0.as_bytes()) || has(encoded.trim_end_matches('=').as_bytes())
    }

    #[track_caller]
    fn not_in(&self, what: &str, text: &str) {
        assert!(
            !self.in_bytes(text.as_bytes()),
            "{what} shows the secret: {text}"
        );
    }
}

fn configmap(name: &str, datas: Value) -> Value {
    json!({"apiVersion": "v4", "kind": "configmap", "metadata": {"name": name, "namespace": "test"}, "datas": datas})
}

fn secret(name: &str, key: &str, content: &str) -> Value {
    json!({"apiVersion": "v4", "kind": "secret", "metadata": {"name": name, "namespace": "test"},
        "datas": {key: {"content": base64(content)}}})
}

fn files_and_variables_arrive_and_secrets_stay_secret(system: System) {
    let marker = Marker::new();
    system.apply(&configmap(
        "settings",
        json!({
            "main": {"type": "file", "content": base64("listen = 8080\n")},
            "motd": {"type": "file", "content": base64("hello there")},
        }),
    ));
    system.apply(&secret("db", "dsn", &marker.0));
    let mut object = process("web", 1, "sleep", "/bin/sleep 100079", &["main"]);
    object["spec"]["template"]["spec"]["processes"][0]["configmaps"] = json!([{"name": "settings", "items": [
        {"type": "file", "dataKey": "main", "keyOrPath": "${workPath}/conf/main.toml", "readOnly": true, "user": "root"},
        {"type": "file", "dataKey": "motd", "keyOrPath": "${workPath}/conf/motd", "readOnly": false, "user": "nobody"},
        {"type": "env", "dataKey": "motd", "keyOrPath": "MOTD"},
    ]}]);
    object["spec"]["template"]["spec"]["processes"][0]["secrets"] = json!([{"secretName": "db", "items": [
        {"type": "env", "dataKey": "dsn", "keyOrPath": "DB_DSN"},
        {"type": "file", "dataKey": "dsn", "keyOrPath": "${workPath}/conf/dsn", "user": "nobody"},
        {"type": "file", "dataKey": "dsn", "keyOrPath": "${workPath}/conf/own"},
    ]}]);
    let object = with(
        object,
        "env",
        json!([{"name": "PLACE", "value": "${workPath}:${ports.main}:${namespace}"}]),
    );
    system.apply(&object);
    let taskgroup = &system.running("test", "web", 1)[0];
    let pid = pid_of(taskgroup).unwrap();
    let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();

    let file = |name: &str| {
        let path = place.join("conf").join(name);
        let data =
            std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (
            std::fs::read_to_string(&path).unwrap(),
            data.uid(),
            data.mode() & 0o777,
        )
    };
    let (content, uid, mode) = file("main.toml");
    assert_eq!((content.as_str(), uid), ("listen = 8080\n", 0));
    assert_eq!(mode & 0o222, 0, "read only: {mode:o}");
    let (content, uid, mode) = file("motd");
    assert_eq!((content.as_str(), uid), ("hello there", 65_534));
    assert_eq!(
        mode & 0o222,
        0o200,
        "writable for its owner alone: {mode:o}"
    );
    for (name, owner) in [("dsn", 65_534), ("own", 0)] {
        let (content, uid, mode) = file(name);
        assert_eq!((content.as_str(), uid), (marker.0.as_str(), owner));
        assert_eq!(mode & 0o077, 0, "a secret is its owner's alone: {mode:o}");
    }
    let environment = environment_of(pid);
    assert_eq!(environment["MOTD"], "hello there");
    assert_eq!(environment["DB_DSN"], marker.0);
    let port = bcs_e2e::objects::port_of(taskgroup, "main");
    assert_eq!(
        environment["PLACE"],
        format!("{}:{port}:test", place.display())
    );

    // A new content does not touch what runs; a restart of the instance takes it.
    nowhere_in_clear(&system, &marker, &name_of(taskgroup), &place);
    let other = Marker::new();
    system.apply(&secret("db", "dsn", &other.0));
    assert_eq!(environment_of(pid)["DB_DSN"], marker.0);
    system
        .bcs(&["reschedule", &name_of(taskgroup), "-n", "test"])
        .ok();
    wait::until(
        "the next instance has the new secret",
        Duration::from_secs(30),
        || {
            let next = pid_of(&system.running("test", "web", 1)[0]).unwrap();
            let value = environment_of(next).get("DB_DSN").cloned();
            if next != pid && value.as_deref() == Some(&other.0) {
                Ok(())
            } else {
                Err(format!("{next} {value:?}"))
            }
        },
    );
    system.bcs(&["delete", "secret", "db", "-n", "test"]).ok();
    wait::until("the secret is gone", Duration::from_secs(10), || {
        let answer = system.bcs(&["get", "secret", "db", "-n", "test"]);
        if answer.code == 3 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
}

fn nowhere_in_clear(system: &System, marker: &Marker, taskgroup: &str, place: &std::path::Path) {
    wait::until("the secret is listed", Duration::from_secs(10), || {
        let answer = system.bcs(&["get", "secret", "db", "-n", "test"]);
        if answer.code == 0 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    // No output, and yet the names are there.
    for form in ["table", "wide", "json", "yaml", "name"] {
        let shown = system
            .bcs(&["get", "secret", "db", "-n", "test", "-o", form])
            .ok()
            .out;
        assert!(shown.contains("db"), "{shown}");
        marker.not_in(form, &shown);
    }
    let yaml = system
        .bcs(&["get", "secret", "db", "-n", "test", "-o", "yaml"])
        .ok()
        .out;
    assert!(yaml.contains("dsn"), "the key is shown: {yaml}");
    for words in [
        vec!["get", "secret", "-A", "-o", "json"],
        vec!["describe", "secret", "db", "-n", "test"],
        vec!["get", "process", "web", "-n", "test", "-o", "json"],
        vec!["describe", "process", "web", "-n", "test"],
        vec!["get", "taskgroup", "-A", "-o", "yaml"],
        vec!["describe", "taskgroup", taskgroup, "-n", "test"],
        vec!["logs", taskgroup, "-n", "test"],
    ] {
        marker.not_in(&words.join(" "), &system.bcs(&words).ok().out);
    }
    let api = Api::of(system);
    for path in [
        format!("{STORAGE}/mesos/dynamic/all_resources/clusters/{CLUSTER}/secret"),
        format!("{STORAGE}/mesos/dynamic/all_resources/clusters/{CLUSTER}/taskgroup"),
        format!("{STORAGE}/query/mesos/dynamic/clusters/{CLUSTER}/secret"),
        format!("{}/namespaces/test/processes/web", bcs_e2e::WORKLOADS),
        format!(
            "{}/namespaces/test/processes/web/taskgroups",
            bcs_e2e::WORKLOADS
        ),
        format!("{}/namespaces/test/processes/web/tasks", bcs_e2e::WORKLOADS),
        format!(
            "{}/namespaces/test/processes/web/versions",
            bcs_e2e::WORKLOADS
        ),
        format!("{}/definition/process/test/web", bcs_e2e::WORKLOADS),
    ] {
        let reply = api.get(&path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        marker.not_in(&path, &reply.text);
    }
    // No log, no database, no file that others can read; the task's own files are not meant.
    let mut looked = 0;
    for file in files_below(system.folder())
        .into_iter()
        .filter(|file| !file.starts_with(place))
    {
        let Ok(bytes) = std::fs::read(&file) else {
            continue;
        };
        looked += 1;
        if !marker.in_bytes(&bytes) {
            continue;
        }
        let name = file.display().to_string();
        assert!(!name.ends_with(".log"), "{name} shows the secret");
        let database = [
            "users.db",
            "storage.db",
            "scheduler.db",
            "master.db",
            "mesos-watch.cursor",
        ];
        assert!(
            !database.iter().any(|part| name.contains(part)),
            "{name} holds the secret in clear"
        );
        let mode = std::fs::metadata(&file).unwrap().mode();
        assert_eq!(
            mode & 0o077,
            0,
            "{name} holds the secret and is {:o}",
            mode & 0o777
        );
    }
    assert!(looked > 10, "there was something to look at: {looked}");
    for pid in bcs_e2e::processes_naming(system.folder()) {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(
            !marker.in_bytes(&line),
            "a command line shows the secret: {}",
            String::from_utf8_lossy(&line)
        );
    }
}

#[test]
fn what_is_missing_is_named_and_waited_for() {
    let system = System::start(Mode::Standalone);
    let refers = |name: &str, key: &str| {
        let mut object = process(name, 1, "sleep", "/bin/sleep 100081", &[]);
        object["spec"]["template"]["spec"]["processes"][0]["configmaps"] = json!([{"name": "later", "items": [{"type": "env", "dataKey": key, "keyOrPath": "LATER"}]}]);
        object
    };
    let says = |application: &str, what: &str| {
        wait::until(
            &format!("{application} says {what}"),
            Duration::from_secs(20),
            || {
                let object =
                    system.bcs(&["get", "process", application, "-n", "test", "-o", "json"]);
                let groups = system.taskgroups_of("test", application);
                let words: String = groups.iter().map(words_of).collect();
                let said = object.code == 0 && format!("{}{words}", object.out).contains(what);
                if said && !groups.iter().any(|group| group["status"] == "Running") {
                    Ok(())
                } else {
                    Err(format!("{object:?} {groups:#?}"))
                }
            },
        );
    };
    system.apply(&refers("waits", "motd"));
    says("waits", "later");
    system.apply(&configmap(
        "later",
        json!({"else": {"type": "file", "content": base64("x")}}),
    ));
    says("waits", "motd");
    system.apply(&configmap(
        "later",
        json!({"motd": {"type": "file", "content": base64("now")}}),
    ));
    let running = system.running("test", "waits", 1);
    assert_eq!(environment_of(pid_of(&running[0]).unwrap())["LATER"], "now");
    // A secret likewise.
    let mut object = process("locked", 1, "sleep", "/bin/sleep 100083", &[]);
    object["spec"]["template"]["spec"]["processes"][0]["secrets"] = json!([{"secretName": "keys", "items": [{"type": "env", "dataKey": "k", "keyOrPath": "K"}]}]);
    system.apply(&object);
    says("locked", "keys");
    system.apply(&secret("keys", "k", "open"));
    let running = system.running("test", "locked", 1);
    assert_eq!(environment_of(pid_of(&running[0]).unwrap())["K"], "open");
    // A file for an account that is not there, or at a place that cannot be, is said so.
    let mut object = process("lost", 1, "sleep", "/bin/sleep 100085", &[]);
    object["restartPolicy"]["policy"] = json!("Never");
    object["spec"]["template"]["spec"]["processes"][0]["configmaps"] = json!([{"name": "later", "items": [
        {"type": "file", "dataKey": "motd", "keyOrPath": "/proc/no-such-place/motd"}]}]);
    system.apply(&object);
    let ended = system.ended("lost", "Failed");
    assert!(
        words_of(&ended).contains("/proc/no-such-place/motd"),
        "{ended:#}"
    );
    object["metadata"]["name"] = json!("strange");
    object["spec"]["template"]["spec"]["processes"][0]["configmaps"][0]["items"][0] = json!({"type": "file", "dataKey": "motd", "keyOrPath": "${workPath}/motd", "user": "no-such-user"});
    system.apply(&object);
    let ended = system.ended("strange", "Failed");
    assert!(words_of(&ended).contains("no-such-user"), "{ended:#}");
    let leftover: Vec<PathBuf> = files_below(system.folder())
        .into_iter()
        .filter(|file| file.to_string_lossy().ends_with(".bcs-new"))
        .collect();
    assert!(leftover.is_empty(), "{leftover:?}");
}
