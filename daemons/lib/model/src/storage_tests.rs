use serde_json::{Value, json};

use super::*;

fn stored(kind: &str, object: &Value) -> Value {
    serde_json::from_str(&to_storage(kind, object).unwrap()).unwrap()
}

#[test]
fn times_are_dates() {
    for (seconds, text) in [
        (0, "0001-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:01Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_620_267_542, "2021-05-06T02:19:02Z"),
        (4_102_444_799, "2099-12-31T23:59:59Z"),
    ] {
        assert_eq!(rfc3339(seconds), text);
    }
}

#[test]
fn an_application_has_its_counts_and_times() {
    let object = json!({
        "Kind": "process", "ID": "arcade.web", "Name": "web", "RunAs": "arcade",
        "ClusterId": "BCS-MESOS-10000", "DefineInstances": 3, "Instances": 2, "RunningInstances": 1,
        "Status": "Deploying", "LastStatus": "Operating", "Created": 1_620_267_542,
        "LastUpdateTime": 1_620_267_543, "UpdateTime": 1_620_267_544, "Message": "in deploying",
        "Pods": [{"name": "0.web.arcade.10000.1"}],
    });
    let stored = stored("application", &object);
    assert_eq!(stored["kind"], "process");
    assert_eq!(stored["metadata"]["name"], "web");
    assert_eq!(stored["metadata"]["namespace"], "arcade");
    assert_eq!(
        (
            &stored["instance"],
            &stored["buildedInstance"],
            &stored["runningInstance"]
        ),
        (&json!(3), &json!(2), &json!(1))
    );
    assert_eq!(stored["createTime"], "2021-05-06T02:19:02Z");
    assert_eq!(stored["reportTime"], "2021-05-06T02:19:04Z");
    assert_eq!(stored["pods"][0]["name"], "0.web.arcade.10000.1");
}

fn group(status: &str, report: &Value) -> Value {
    json!({
        "Kind": "process", "ID": "0.web.arcade.BCS-MESOS-10000.1", "Name": "web-0", "RunAs": "arcade",
        "Status": status, "ReschededTimes": 2, "HostName": "host-1",
        "Attributes": [{"name": "InnerIP", "type": 3, "text": {"value": "10.0.0.7"}}],
        "Taskgroup": [{
            "ID": "1.0.0.web.arcade.BCS-MESOS-10000", "Name": "proc", "Status": status,
            "Command": "./server", "Labels": {"app": "web"}, "StatusData": report.to_string(),
            "PortMappings": [{"Name": "http", "ContainerPort": 0, "HostPort": 31000, "Protocol": "tcp"}],
            "DataClass": {"Resources": {"Cpus": 0.1, "Mem": 64.0, "Disk": 0.0}},
        }],
    })
}

#[test]
fn a_running_task_shows_its_pid_and_restarts() {
    let report = json!({"ID": "c", "Pid": 4242, "ExitCode": 0, "StartAt": "2021-05-06T02:19:02Z"});
    let stored = stored("taskgroup", &group("Running", &report));
    assert_eq!(stored["metadata"]["name"], "0.web.arcade.BCS-MESOS-10000.1");
    assert_eq!(stored["metadata"]["labels"]["app"], "web");
    assert_eq!(
        (&stored["rcname"], &stored["hostIP"]),
        (&json!("web"), &json!("10.0.0.7"))
    );
    let container = &stored["containerStatuses"][0];
    assert_eq!(
        (
            &container["pid"],
            &container["exitcode"],
            &container["restartCount"]
        ),
        (&json!(4242), &json!(0), &json!(2))
    );
    assert_eq!(container["containerPort"][0]["hostPort"], 31000);
    assert_eq!(container["resources"]["limits"]["cpu"], "0.1");
    assert_eq!(container["startTime"], "2021-05-06T02:19:02Z");
}

#[test]
fn an_ended_task_shows_its_exit_code_and_no_pid() {
    let report = json!({"Pid": 4242, "ExitCode": 137, "OOMKilled": true});
    let stored = stored("taskgroup", &group("Failed", &report));
    let container = &stored["containerStatuses"][0];
    assert_eq!(
        (&container["pid"], &container["exitcode"]),
        (&json!(0), &json!(137))
    );
    assert_eq!(container["oomKilled"], true);
}

#[test]
fn conversion_is_stable_and_garbage_is_an_error() {
    let object = group("Running", &json!({"Pid": 1}));
    assert_eq!(
        to_storage("taskgroup", &object).unwrap(),
        to_storage("taskgroup", &object.clone()).unwrap()
    );
    assert!(to_storage("taskgroup", &json!([1])).is_err());
    assert_eq!(
        to_storage("configmap", &json!({"b": 1, "a": 2})).unwrap(),
        r#"{"a":2,"b":1}"#
    );
}
