//! Health checks.

use super::{DAY, Problems};
use crate::version::{ContainerPort, HealthCheck};
use std::collections::BTreeSet;

impl Problems {
    pub(super) fn checks(&mut self, at: &str, checks: &[HealthCheck], ports: &[ContainerPort]) {
        let mut seen = BTreeSet::new();
        for (index, check) in checks.iter().enumerate() {
            let at = format!("{at}.healthChecks[{index}]");
            let class = match check.check_type.as_str() {
                "HTTP" | "TCP" | "COMMAND" => "one local check (HTTP, TCP or COMMAND)",
                "REMOTE_HTTP" => "one REMOTE_HTTP check",
                "REMOTE_TCP" => "one REMOTE_TCP check",
                _ => {
                    self.word(
                        format!("{at}.type"),
                        &check.check_type,
                        &["HTTP", "TCP", "COMMAND", "REMOTE_HTTP", "REMOTE_TCP"],
                    );
                    continue;
                }
            };
            if !seen.insert(class) {
                let rule = format!("is too much: a task has at most {class}");
                self.add(format!("{at}.type"), &check.check_type, rule);
            }
            self.check_times(&at, check);
            match check.check_type.as_str() {
                "COMMAND" => {
                    if check
                        .command
                        .as_ref()
                        .is_none_or(|command| command.value.trim().is_empty())
                    {
                        self.missing(format!("{at}.command.value"), "write the command");
                    }
                }
                "TCP" | "REMOTE_TCP" => match &check.tcp {
                    None => self.missing(format!("{at}.tcp"), "write port or portName"),
                    Some(tcp) => {
                        self.check_port(&format!("{at}.tcp"), tcp.port, &tcp.port_name, ports);
                    }
                },
                _ => match &check.http {
                    None => self.missing(format!("{at}.http"), "write port or portName, and path"),
                    Some(http) => {
                        let at = format!("{at}.http");
                        self.check_port(&at, http.port, &http.port_name, ports);
                        if !http.scheme.is_empty() {
                            self.word(format!("{at}.scheme"), &http.scheme, &["http", "https"]);
                        }
                        if !http.path.is_empty() && !http.path.starts_with('/') {
                            self.add(format!("{at}.path"), &http.path, "must begin with '/'");
                        }
                    }
                },
            }
        }
    }

    fn check_times(&mut self, at: &str, check: &HealthCheck) {
        for (field, value) in [
            ("delaySeconds", check.delay_seconds),
            ("gracePeriodSeconds", check.grace_period_seconds),
            ("intervalSeconds", check.interval_seconds),
            ("timeoutSeconds", check.timeout_seconds),
        ] {
            if value > DAY {
                self.add(
                    format!("{at}.{field}"),
                    value,
                    format!("must be at most {DAY}"),
                );
            }
        }
        self.bounded(
            format!("{at}.consecutiveFailures"),
            check.consecutive_failures,
            1_000_000,
        );
        let timers = check.timers();
        if timers.interval < 2 {
            let rule = "must be at least 2, because a probe must end before the next one";
            self.add(format!("{at}.intervalSeconds"), timers.interval, rule);
        } else if timers.timeout >= timers.interval {
            let rule = format!(
                "must be less than intervalSeconds ({}), so that a probe ends before the next one",
                timers.interval
            );
            self.add(format!("{at}.timeoutSeconds"), timers.timeout, rule);
        }
    }

    fn check_port(&mut self, at: &str, port: i64, name: &str, ports: &[ContainerPort]) {
        if name.is_empty() {
            self.port(format!("{at}.port"), port, 1);
        } else if !ports.iter().any(|port| port.name == name) {
            let known: Vec<&str> = ports
                .iter()
                .map(|port| port.name.as_str())
                .filter(|name| !name.is_empty())
                .collect();
            let rule = if known.is_empty() {
                "is not a port of this task, which names none".to_owned()
            } else {
                format!("is not a port of this task; it has {}", known.join(", "))
            };
            self.add(format!("{at}.portName"), name, rule);
        }
    }
}
