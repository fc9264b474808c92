//! The values that stand for what a document leaves out.

use super::{Kind, ReplicaController};
use crate::version::{HealthCheck, ResourceRequirements};

/// The namespace of applications and processes that name none.
pub const DEFAULT_NAMESPACE: &str = "defaultGroup";

/// The times of a check with the defaults filled in, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Before the first probe.
    pub delay: i64,
    /// Failures inside of it do not count.
    pub grace: i64,
    /// Between two probes.
    pub interval: i64,
    /// Of one probe.
    pub timeout: i64,
}

impl HealthCheck {
    /// The times in force: zero and less mean the default. A default time-out never exceeds a given
    /// interval.
    pub fn timers(&self) -> Timers {
        let or = |value: i64, default: i64| if value > 0 { value } else { default };
        let interval = or(self.interval_seconds, 60);
        Timers {
            delay: or(self.delay_seconds, 10),
            grace: or(self.grace_period_seconds, 300),
            interval,
            timeout: or(self.timeout_seconds, 20.min((interval - 1).max(1))),
        }
    }

    /// Whether the executor runs it (the remote ones are probed from elsewhere).
    pub fn is_local(&self) -> bool {
        matches!(self.check_type.as_str(), "HTTP" | "TCP" | "COMMAND")
    }

    fn fill(&mut self) {
        let timers = self.timers();
        self.delay_seconds = timers.delay;
        self.grace_period_seconds = timers.grace;
        self.interval_seconds = timers.interval;
        self.timeout_seconds = timers.timeout;
        if let Some(http) = &mut self.http {
            if http.scheme.is_empty() {
                "http".clone_into(&mut http.scheme);
            }
            if http.path.is_empty() {
                "/".clone_into(&mut http.path);
            }
        }
    }
}

impl ResourceRequirements {
    /// A limit without a request reserves the limit.
    fn fill(&mut self) {
        if self.requests.cpu.is_empty() && !self.limits.cpu.is_empty() {
            self.requests = self.limits.clone();
        }
    }
}

impl ReplicaController {
    /// Writes the defaults into the document. `namespace` is the one of the route.
    pub fn fill_defaults(&mut self, kind: Kind, namespace: &str) {
        if self.metadata.namespace.is_empty() {
            namespace.clone_into(&mut self.metadata.namespace);
        }
        if self.metadata.namespace.is_empty() {
            DEFAULT_NAMESPACE.clone_into(&mut self.metadata.namespace);
        }
        kind.name().clone_into(&mut self.kind);
        if self.restart_policy.policy.is_empty() {
            "OnFailure".clone_into(&mut self.restart_policy.policy);
        }
        let Some(template) = &mut self.spec.template else {
            return;
        };
        self.metadata.name.clone_into(&mut template.metadata.name);
        self.metadata
            .namespace
            .clone_into(&mut template.metadata.namespace);
        for (key, value) in &self.metadata.labels {
            template
                .metadata
                .labels
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        for container in &mut template.spec.containers {
            container.resources.fill();
            container
                .health_checks
                .iter_mut()
                .for_each(HealthCheck::fill);
        }
        for process in &mut template.spec.processes {
            let limits = &mut process.resources.limits;
            for (field, default) in [
                (&mut limits.cpu, "1"),
                (&mut limits.memory, "64"),
                (&mut limits.storage, "64"),
            ] {
                if field.is_empty() {
                    default.clone_into(field);
                }
            }
            process.resources.fill();
            process.health_checks.iter_mut().for_each(HealthCheck::fill);
        }
    }
}
