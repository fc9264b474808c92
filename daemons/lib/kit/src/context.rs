//! What a role is given when it starts.

use std::sync::{Arc, Mutex};

use prometheus_client::registry::{Metric, Registry};

use crate::{Ready, Shutdown, Tasks};

/// The registry of one process; roles register under their own prefix.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// Registers `metric` as `<role>_<name>`.
    pub fn register(&self, role: &str, name: &str, help: &str, metric: impl Metric) {
        if let Ok(mut registry) = self.0.lock() {
            registry
                .sub_registry_with_prefix(role.replace('-', "_"))
                .register(name, help, metric);
        }
    }

    /// The OpenMetrics text of everything registered.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Ok(registry) = self.0.lock()
            && prometheus_client::encoding::text::encode(&mut text, &registry).is_err()
        {
            text.clear();
        }
        text
    }
}

/// Given to each role's `run`.
#[derive(Clone, Debug)]
pub struct Context {
    /// Cancelled when the role must leave.
    pub shutdown: Shutdown,
    /// Where the role's long-lived tasks run.
    pub tasks: Tasks,
    /// Set by the role when it serves.
    pub ready: Ready,
    /// Where its metrics go.
    pub metrics: Metrics,
}

impl Context {
    /// A context of its own, stopped by `shutdown`.
    pub fn new(shutdown: Shutdown) -> Self {
        let tasks = Tasks::new(shutdown.clone());
        Self {
            shutdown,
            tasks,
            ready: Ready::default(),
            metrics: Metrics::default(),
        }
    }

    /// A context for another role of the same process: own readiness, shared rest.
    pub fn sibling(&self) -> Self {
        Self {
            ready: Ready::default(),
            ..self.clone()
        }
    }
}
