//! Counters of the role.

use std::sync::atomic::AtomicU64;

use bcs_kit::Metrics as Registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// What is counted; clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Executors served now.
    pub executors: Gauge,
    /// Programs started.
    pub starts: Counter,
    /// Tasks ended.
    pub ends: Counter,
    /// Reports accepted by agents.
    pub updates: Counter,
    /// Streams that had to be restored.
    pub reconnects: Counter,
    /// Package bytes downloaded.
    pub downloaded: Counter,
    /// Log files rotated.
    pub rotations: Counter,
    /// Tasks that use more disk than they asked for.
    pub over_disk: Gauge<i64>,
    /// Restored after a restart of the daemon.
    pub adopted: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// Registers everything.
    pub fn register(&self, registry: &Registry) {
        let role = "process-executor";
        registry.register(
            role,
            "executors",
            "executors served now",
            self.executors.clone(),
        );
        registry.register(role, "starts", "programs started", self.starts.clone());
        registry.register(role, "ends", "tasks ended", self.ends.clone());
        registry.register(
            role,
            "updates",
            "reports accepted by agents",
            self.updates.clone(),
        );
        registry.register(
            role,
            "reconnects",
            "agent streams restored",
            self.reconnects.clone(),
        );
        let help = "package bytes downloaded";
        registry.register(role, "downloaded_bytes", help, self.downloaded.clone());
        registry.register(
            role,
            "log_rotations",
            "log files rotated",
            self.rotations.clone(),
        );
        let help = "tasks using more disk than their disk resource";
        registry.register(role, "tasks_over_disk", help, self.over_disk.clone());
        let help = "programs found running after a restart of the daemon";
        registry.register(role, "adopted", help, self.adopted.clone());
    }
}
