//! What the scheduler is told of a task: `TaskStatus` with a `ContainerInfo` inside.

use bcs_mesos::{ExecutorId, StatusSource, TaskState, TaskStatus, WireName as _};
use bcs_model::dataclass::ContainerInfo;
use bcs_model::message::{BcsMessage, MessageTaskId, MessageType};

use crate::environment::Environment;
use crate::group::Slot;
use crate::step::{Outcome, Phase, Report};

/// Seconds and RFC 3339 text of a unix stamp in nanoseconds; empty for "not yet".
pub fn rfc3339(nanos: i64) -> String {
    if nanos == 0 {
        return String::new();
    }
    let seconds = nanos.div_euclid(1_000_000_000);
    let fraction = nanos.rem_euclid(1_000_000_000) / 1_000_000;
    let days = seconds.div_euclid(86_400);
    let time = seconds.rem_euclid(86_400);
    // Civil date from days since 1970, counted in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// The state of a task as `BcsContainerInfo`.
pub fn container_info(slot: &Slot, host: &str) -> ContainerInfo {
    let state = &slot.state;
    let status = match state.phase {
        Phase::Staging | Phase::Starting if state.run > 0 => "restarting",
        Phase::Staging | Phase::Starting => "created",
        Phase::Stopping if state.stop.is_some_and(|stop| stop.restart) => "restarting",
        Phase::Running | Phase::Stopping => "running",
        Phase::Stopped => "exited",
    };
    let mut message = state.message.clone();
    for part in slot
        .warnings
        .iter()
        .chain(&slot.complaint)
        .chain(&slot.disk_complaint)
    {
        if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(part);
    }
    if !slot.health.message.is_empty() && state.phase == Phase::Running {
        if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(&slot.health.message);
    }
    ContainerInfo {
        id: slot.plan.id.clone(),
        name: slot.plan.name.clone(),
        pid: state.process.map_or(0, |process| i64::from(process.pid)),
        start_at: rfc3339(state.started_at),
        finish_at: rfc3339(state.finished_at),
        status: status.to_owned(),
        healthy: slot.healthy(),
        is_checked: slot.health.checked,
        consecutive_failure_times: slot.health.failures,
        exit_code: state.exit.as_ref().map_or(0, |exit| i64::from(exit.code)),
        hostname: host.to_owned(),
        network_mode: "HOST".to_owned(),
        ip_address: slot.address.clone(),
        node_address: slot.address.clone(),
        ports: slot.plan.ports.clone(),
        message,
        resource: Some(slot.plan.limit),
        bcs_message: slot.answer.clone().map(Box::new),
        oom_killed: state.exit.as_ref().is_some_and(|exit| exit.oom),
    }
}

/// The Mesos state of a report.
pub fn task_state(report: Report, outcome: Option<Outcome>) -> TaskState {
    match (report, outcome) {
        (Report::Starting, _) => TaskState::Starting,
        (Report::Running, _) => TaskState::Running,
        (Report::Killing, _) => TaskState::Killing,
        (Report::Ended, Some(Outcome::Finished)) => TaskState::Finished,
        (Report::Ended, Some(Outcome::Killed)) => TaskState::Killed,
        (Report::Ended, Some(Outcome::Error)) => TaskState::Error,
        (Report::Ended, Some(Outcome::Failed) | None) => TaskState::Failed,
    }
}

/// Whether a state is an end.
pub fn terminal(state: i32) -> bool {
    [
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Error,
    ]
    .iter()
    .any(|end| end.number() == state)
}

/// A status, ready to be sent.
pub fn status(slot: &Slot, state: TaskState, environment: &Environment, host: &str) -> TaskStatus {
    let info = container_info(slot, host);
    let nanos = bcs_kit::clock::unix_nanos();
    let mut status = TaskStatus {
        state: state.number(),
        message: Some(info.message.clone()).filter(|text| !text.is_empty()),
        source: Some(StatusSource::Executor.number()),
        executor_id: Some(ExecutorId {
            value: environment.executor_id.clone(),
        }),
        timestamp: Some(nanos as f64 / 1e9),
        uuid: Some(uuid::Uuid::new_v4().as_bytes().to_vec().into()),
        data: serde_json::to_vec(&info).ok().map(Into::into),
        ..TaskStatus::default()
    };
    if info.oom_killed {
        status.reason = Some(bcs_mesos::Reason::ContainerLimitationMemory.number());
    }
    if slot.plan.check.is_some() && slot.health.checked {
        status.healthy = Some(slot.health.healthy);
    }
    status.task_id.value.clone_from(&slot.plan.id);
    status
}

/// The cheap refresh: a message of type 14.
pub fn refresh(slot: &Slot, host: &str) -> Vec<u8> {
    use base64::Engine as _;
    let info = serde_json::to_vec(&container_info(slot, host)).unwrap_or_default();
    let message = BcsMessage {
        id: bcs_kit::clock::unique_nanos(),
        kind: MessageType::TaskStatus,
        task_id: Some(MessageTaskId {
            value: slot.plan.id.clone(),
        }),
        task_status: Some(base64::engine::general_purpose::STANDARD.encode(info)),
        create_time: bcs_kit::clock::unix_seconds(),
        ..BcsMessage::default()
    };
    serde_json::to_vec(&message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn stamps_are_dates() {
        assert_eq!(rfc3339(0), "");
        assert_eq!(rfc3339(1), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399_000_000_000), "2000-02-28T23:59:59.000Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(
            rfc3339(1_795_253_885_123_456_789),
            "2026-11-21T09:38:05.123Z"
        );
    }
}
