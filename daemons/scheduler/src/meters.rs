//! What the scheduler counts. No label names an application: their number has no bound.

use std::time::Duration;

use bcs_kit::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// The counters of one scheduler.
#[derive(Debug)]
pub(crate) struct Meters {
    launched: Counter,
    acknowledged: Counter,
    answered: Counter,
    commits: Histogram,
}

impl Meters {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let meters = Self {
            launched: Counter::default(),
            acknowledged: Counter::default(),
            answered: Counter::default(),
            commits: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
        };
        let role = "scheduler";
        let launched = meters.launched.clone();
        metrics.register(
            role,
            "taskgroups_launched",
            "Taskgroups sent to a host",
            launched,
        );
        let updates = meters.acknowledged.clone();
        metrics.register(
            role,
            "updates_acknowledged",
            "Status updates stored",
            updates,
        );
        let answered = meters.answered.clone();
        metrics.register(
            role,
            "requests_answered",
            "Orders and questions answered",
            answered,
        );
        let commits = meters.commits.clone();
        metrics.register(
            role,
            "commit_seconds",
            "Time to make a batch durable",
            commits,
        );
        meters
    }

    pub(crate) fn launched(&self, taskgroups: usize) {
        self.launched
            .inc_by(u64::try_from(taskgroups).unwrap_or(u64::MAX));
    }

    pub(crate) fn acknowledged(&self) {
        self.acknowledged.inc();
    }

    pub(crate) fn answered(&self) {
        self.answered.inc();
    }

    pub(crate) fn committed(&self, time: Duration) {
        self.commits.observe(time.as_secs_f64());
    }
}
