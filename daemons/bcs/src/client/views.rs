//! Objects of storage as rows of a table.

use bcs_api::Kind;
use bcs_model::ids::TaskGroupId;
use serde_json::Value;

use super::table::{Table, shorten};

/// How a list is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) kind: Kind,
    pub(super) wide: bool,
    /// With a column for the namespace.
    pub(super) namespaces: bool,
}

impl View {
    pub(super) fn table(&self) -> Table {
        let (first, more): (&[&str], &[&str]) = match self.kind {
            Kind::Application | Kind::Process => (
                &["NAME", "STATUS", "READY", "AGE", "MESSAGE"],
                &["BUILT", "LAST-STATUS", "CREATED", "LABELS"],
            ),
            Kind::TaskGroup => (
                &[
                    "NAME", "STATUS", "HEALTH", "RESTARTS", "PID", "HOST", "PORTS", "AGE",
                    "MESSAGE",
                ],
                &["APP", "POD-IP", "EXIT", "STARTED", "LABELS"],
            ),
            Kind::ConfigMap | Kind::Secret => (&["NAME", "KEYS", "AGE"], &["KEY-NAMES", "LABELS"]),
        };
        let namespace = self.namespaces.then_some("NAMESPACE");
        let more = if self.wide { more } else { &[] };
        Table::new(
            namespace
                .into_iter()
                .chain(first.iter().copied())
                .chain(more.iter().copied()),
        )
    }

    /// A table with the columns as wide as those of another one.
    pub(super) fn table_like(&self, other: &Table) -> Table {
        let mut table = other.clone();
        table.forget_rows();
        table
    }

    /// Which column is the status.
    pub(super) fn status_column(&self) -> usize {
        usize::from(self.namespaces) + 1
    }

    pub(super) fn row(&self, object: &Value) -> Vec<String> {
        let mut cells = Vec::new();
        if self.namespaces {
            cells.push(text(object, "/metadata/namespace"));
        }
        cells.push(name(object).to_owned());
        let message = text(object, "/message");
        let message = if self.wide {
            message
        } else {
            shorten(&message, 60)
        };
        match self.kind {
            Kind::Application | Kind::Process => {
                cells.push(text(object, "/status"));
                let count = |key: &str| object.pointer(key).and_then(Value::as_u64).unwrap_or(0);
                cells.push(format!(
                    "{}/{}",
                    count("/runningInstance"),
                    count("/instance")
                ));
                cells.push(age(object));
                cells.push(message);
                if self.wide {
                    cells.push(count("/buildedInstance").to_string());
                    cells.push(text(object, "/lastStatus"));
                    cells.push(text(object, "/createTime"));
                    cells.push(labels(object));
                }
            }
            Kind::TaskGroup => {
                cells.push(text(object, "/status"));
                cells.push(health(object));
                cells.push(restarts(object));
                cells.push(each(object, |container| number(container, "pid")));
                cells.push(first_of(object, &["/hostName", "/hostIP"]));
                cells.push(ports(object));
                cells.push(age(object));
                cells.push(message);
                if self.wide {
                    cells.push(text(object, "/rcname"));
                    cells.push(text(object, "/podIP"));
                    cells.push(each(object, |container| number(container, "exitcode")));
                    cells.push(time(object, "/startTime"));
                    cells.push(labels(object));
                }
            }
            Kind::ConfigMap | Kind::Secret => {
                let keys: Vec<&str> = object
                    .get("datas")
                    .and_then(Value::as_object)
                    .map(|datas| datas.keys().map(String::as_str).collect())
                    .unwrap_or_default();
                cells.push(keys.len().to_string());
                cells.push(age(object));
                if self.wide {
                    cells.push(keys.join(","));
                    cells.push(labels(object));
                }
            }
        }
        cells
    }
}

/// The name of an object.
pub(super) fn name(object: &Value) -> &str {
    object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or("?")
}

/// `kind/name`.
pub(super) fn title(kind: Kind, object: &Value) -> String {
    format!("{kind}/{}", name(object))
}

/// Instances sort by number, everything else by name.
pub(super) fn order(object: &Value) -> (String, String, u64) {
    let namespace = text(object, "/metadata/namespace");
    match name(object).parse::<TaskGroupId>() {
        Ok(id) => (namespace, id.app, id.index),
        Err(_) => (namespace, name(object).to_owned(), 0),
    }
}

pub(super) fn text(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn first_of(object: &Value, pointers: &[&str]) -> String {
    pointers
        .iter()
        .map(|pointer| text(object, pointer))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

/// A time, unless it is the year 1 that stands for none.
pub(super) fn time(object: &Value, pointer: &str) -> String {
    let text = text(object, pointer);
    if text.starts_with("0001-") {
        String::new()
    } else {
        text
    }
}

pub(super) fn containers(object: &Value) -> &[Value] {
    object
        .get("containerStatuses")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// One value of each container, joined.
fn each(object: &Value, value: impl Fn(&Value) -> String) -> String {
    containers(object)
        .iter()
        .map(value)
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(",")
}

fn number(container: &Value, key: &str) -> String {
    match container.get(key).and_then(Value::as_i64) {
        None => String::new(),
        Some(0) if key == "pid" => String::new(),
        Some(number) => number.to_string(),
    }
}

fn restarts(object: &Value) -> String {
    let count = containers(object)
        .iter()
        .filter_map(|container| container.get("restartCount").and_then(Value::as_i64))
        .max();
    count.unwrap_or(0).to_string()
}

/// `ok`, `failing`, `pending` before the first probe, or nothing without checks.
pub(super) fn health(object: &Value) -> String {
    let checks: Vec<&Value> = containers(object)
        .iter()
        .filter_map(|container| container.get("healCheckStatus").and_then(Value::as_array))
        .flatten()
        .collect();
    let failing = |check: &&Value| check.get("result") == Some(&Value::Bool(false));
    // Remote checks are probed from elsewhere, or by nobody.
    let pending = |check: &&Value| {
        !text(check, "/type").starts_with("REMOTE_") && text(check, "/message") == "not checked yet"
    };
    if checks.is_empty() {
        String::new()
    } else if checks.iter().any(failing) {
        "failing".to_owned()
    } else if checks.iter().any(pending) {
        "pending".to_owned()
    } else {
        "ok".to_owned()
    }
}

/// Runs, and no check says otherwise.
pub(super) fn is_healthy(object: &Value) -> bool {
    text(object, "/status") == "Running" && matches!(health(object).as_str(), "" | "ok")
}

/// `name:port` of each container.
pub(super) fn ports(object: &Value) -> String {
    each(object, |container| {
        let ports = container.get("containerPort").and_then(Value::as_array);
        let shown = ports.into_iter().flatten().filter_map(|port| {
            let number = port
                .get("hostPort")
                .and_then(Value::as_i64)
                .filter(|port| *port > 0)?;
            match port.get("name").and_then(Value::as_str) {
                Some(name) if !name.is_empty() => Some(format!("{name}:{number}")),
                _ => Some(number.to_string()),
            }
        });
        shown.collect::<Vec<_>>().join(",")
    })
}

pub(super) fn labels(object: &Value) -> String {
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let pairs = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| match value {
            Value::String(value) => format!("{key}={value}"),
            other => format!("{key}={other}"),
        });
    pairs.collect::<Vec<_>>().join(",")
}

/// Since its creation.
pub(super) fn age(object: &Value) -> String {
    let created = ["/createTime", "/metadata/creationTimestamp", "/startTime"]
        .into_iter()
        .map(|pointer| time(object, pointer))
        .find(|text| !text.is_empty());
    let Some(created) = created.and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return String::new();
    };
    ago(jiff::Timestamp::now().as_second() - created.as_second())
}

/// `45s`, `12m`, `3h20m`, `9d`.
pub(super) fn ago(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{minutes}m"),
        7_200..36_000 => format!("{hours}h{}m", minutes % 60),
        36_000..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}
