//! Health checks of a template in the form of Mesos.

use bcs_mesos::{CommandInfo, HealthCheck, HealthCheckType, HttpCheck, TcpCheck, WireName as _};
use bcs_model::taskgroup::{HealthCheckStatus, Task};
use bcs_model::version::HealthCheck as Check;

fn is_local(check: &Check) -> bool {
    matches!(check.check_type.as_str(), "HTTP" | "TCP" | "COMMAND")
}

pub(crate) fn local_limit(checks: &[Check]) -> i64 {
    checks
        .iter()
        .find(|check| is_local(check))
        .map_or(0, |check| check.consecutive_failures.max(0))
}

pub(crate) fn check_status(checks: &[Check]) -> Vec<HealthCheckStatus> {
    checks
        .iter()
        .map(|check| HealthCheckStatus {
            check_type: check.check_type.clone(),
            result: true,
            message: "not checked yet".to_owned(),
        })
        .collect()
}

/// The check that the executor runs; absent for remote ones.
pub(crate) fn health_check(check: &Check, task: &Task) -> Option<HealthCheck> {
    if !is_local(check) {
        return None;
    }
    let or = |value: i64, default: i32| {
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        Some(f64::from(if value > 0 { value } else { default }))
    };
    let port = |name: &str, number: i64| {
        let mapped = task
            .port_mappings
            .iter()
            .find(|mapping| !name.is_empty() && mapping.name == name);
        let number = mapped.map_or(number, |mapping| i64::from(mapping.container_port));
        u32::try_from(number).unwrap_or(0)
    };
    let mut wire = HealthCheck {
        delay_seconds: or(check.delay_seconds, 10),
        grace_period_seconds: or(check.grace_period_seconds, 300),
        interval_seconds: or(check.interval_seconds, 60),
        timeout_seconds: or(check.timeout_seconds, 20),
        consecutive_failures: Some(u32::try_from(check.consecutive_failures).unwrap_or(0)),
        ..HealthCheck::default()
    };
    if let Some(http) = check.http.as_ref().filter(|_| check.check_type == "HTTP") {
        wire.r#type = Some(HealthCheckType::Http.number());
        wire.http = Some(HttpCheck {
            scheme: Some(if http.scheme.is_empty() {
                "http".to_owned()
            } else {
                http.scheme.to_lowercase()
            }),
            port: port(&http.port_name, http.port),
            path: Some(if http.path.is_empty() {
                "/".to_owned()
            } else {
                http.path.clone()
            }),
            ..HttpCheck::default()
        });
    } else if let Some(tcp) = check.tcp.as_ref().filter(|_| check.check_type == "TCP") {
        wire.r#type = Some(HealthCheckType::Tcp.number());
        wire.tcp = Some(TcpCheck {
            port: port(&tcp.port_name, tcp.port),
            ..TcpCheck::default()
        });
    } else if let Some(command) = check
        .command
        .as_ref()
        .filter(|_| check.check_type == "COMMAND")
    {
        wire.r#type = Some(HealthCheckType::Command.number());
        wire.command = Some(CommandInfo {
            shell: Some(true),
            value: Some(command.value.clone()),
            ..CommandInfo::default()
        });
    } else {
        return None;
    }
    Some(wire)
}
