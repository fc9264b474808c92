//! The objects that scenarios deploy.

use std::path::Path;

use serde_json::{Value, json};

use crate::system::executable;

/// A process application of the example server, straight from the executable under test.
pub fn example(name: &str, instances: u32) -> Value {
    let start = format!(
        "{} example-server --port ${{ports.http}}",
        executable("bcs").display()
    );
    process(name, instances, "bcs", &start, &["http"])
}

/// A foreground program with the given named dynamic ports.
pub fn process(name: &str, instances: u32, program: &str, start: &str, ports: &[&str]) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|port| json!({"name": port, "hostPort": 0, "protocol": "tcp"}))
        .collect();
    json!({
        "apiVersion": "v4", "kind": "process",
        "metadata": {"name": name, "namespace": "test", "labels": {"app": name}},
        "restartPolicy": {"policy": "Always", "interval": 0, "backoff": 0},
        "killPolicy": {"gracePeriod": 5},
        "spec": {"instance": instances, "template": {"spec": {"processes": [{
            "procName": program, "startCmd": start,
            "workPath": format!("${{work_base_dir}}/{name}-${{instanceid}}"),
            "ports": ports,
            "resources": {"limits": {"cpu": "0.005", "memory": "16", "storage": "16"}}
        }], "networkMode": "HOST"}}}
    })
}

/// Changes a field of the first process of an application.
pub fn with(mut object: Value, field: &str, value: Value) -> Value {
    object["spec"]["template"]["spec"]["processes"][0][field] = value;
    object
}

/// The host port of the port called `name` in a taskgroup.
pub fn port_of(taskgroup: &Value, name: &str) -> u16 {
    let ports = taskgroup["containerStatuses"][0]["containerPort"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let port = ports
        .iter()
        .find(|port| port["name"] == name)
        .map(|port| &port["hostPort"]);
    let number = port.and_then(|port| port.as_u64().or_else(|| port.as_str()?.parse().ok()));
    number
        .and_then(|number| u16::try_from(number).ok())
        .unwrap_or_else(|| panic!("no port {name}: {taskgroup}"))
}

/// A tar.gz made by the host's own tar of everything in `content`.
pub fn package(content: &Path, archive: &Path) {
    let status = std::process::Command::new("tar")
        .arg("-czf")
        .arg(archive)
        .arg("-C")
        .arg(content)
        .arg(".")
        .status();
    assert!(status.unwrap().success());
}
