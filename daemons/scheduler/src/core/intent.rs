//! Intents of one taskgroup: stop it, and what follows when it is gone.
//!
//! ```text
//!              stop ordered                        every task ended, or Lost
//!   running ------------------> Killing (SHUTDOWN, ------------------------+
//!      |                        again until it ends)                       |
//!      | ends by itself / Lost                                             v
//!      +------------------------------------------------------> gone: after = ?
//!                                                                 Keep     stays as it is
//!                                                                 Remove   record removed
//!                                                                 Replace  wish at its index;
//!                                                                          record removed when
//!                                                                          the new one is built
//! ```
//!
//! A Lost taskgroup counts as gone: should it come back after its record went, it is unknown then
//! and is shut down as an orphan. Nothing else ever makes two live taskgroups of one index.

use bcs_mesos::scheduler::{Call, call};
use bcs_mesos::{AgentId, ExecutorId, FrameworkId, WireName as _};
use bcs_model::status::Status;

use super::events::Now;
use super::records::{After, Cause, Name, Replacement};
use super::state::{Cluster, Timer, Wish};

/// What is added to a taskgroup's own grace before SHUTDOWN is sent again.
const KILL_MARGIN_SECONDS: u64 = 10;

/// The longest pause between two SHUTDOWN calls for one taskgroup.
const KILL_PAUSE_MILLIS: u64 = 300_000;

impl Cluster {
    /// Orders a taskgroup to stop, and says what follows.
    pub(crate) fn stop(&mut self, name: &Name, index: u64, after: After, now: Now) {
        let live = self.change_group(name, index, |group| {
            group.after = after;
            let live = group.is_live();
            if live && group.kill_since.is_none() {
                group.kill_since = Some(now.unix());
                if !group.group.status.is_end() && group.group.status != Status::Lost {
                    set_status(&mut group.group, Status::Killing, now);
                    "stop ordered".clone_into(&mut group.group.message);
                }
            }
            live
        });
        if live == Some(true) {
            self.send_shutdown(name, index, 0, now);
        }
        self.settle(name, index, now);
    }

    /// Sends SHUTDOWN, and sets the timer that sends it again.
    pub(crate) fn send_shutdown(&mut self, name: &Name, index: u64, attempt: u32, now: Now) {
        let Some(group) = self.group(name, index) else {
            return;
        };
        let (executor, agent) = (
            group.group.executor_id.clone(),
            group.group.agent_id.clone(),
        );
        let grace = u64::try_from(group.group.kill_policy.grace_period)
            .unwrap_or(0)
            .min(86_400);
        self.shutdown_executor(&executor, &agent);
        let pause = (grace + KILL_MARGIN_SECONDS) * 1000;
        let pause = pause
            .saturating_mul(1 << attempt.min(5))
            .min(KILL_PAUSE_MILLIS.max(pause));
        self.timer(
            now.millis + pause,
            Timer::Kill(name.clone(), index, attempt + 1),
        );
    }

    pub(crate) fn shutdown_executor(&mut self, executor_id: &str, agent_id: &str) {
        let call = Call {
            r#type: Some(call::Type::Shutdown.number()),
            framework_id: self.framework(),
            shutdown: Some(call::Shutdown {
                executor_id: ExecutorId {
                    value: executor_id.to_owned(),
                },
                agent_id: AgentId {
                    value: agent_id.to_owned(),
                },
            }),
            ..Call::default()
        };
        self.out.call(call);
    }

    pub(crate) fn framework(&self) -> Option<FrameworkId> {
        self.framework_id.clone().map(|value| FrameworkId { value })
    }

    /// The kill timer fired: is it still alive? The attempt tells an old timer from the current.
    pub(crate) fn kill_due(&mut self, name: &Name, index: u64, attempt: u32, now: Now) {
        let Some(group) = self.group(name, index) else {
            return;
        };
        if group.kill_since.is_none() || !group.is_live() {
            return;
        }
        self.send_shutdown(name, index, attempt, now);
        // Should the master not know it at all, this is how we learn.
        self.reconcile_group(name, index, now);
    }

    /// Does what follows, once a taskgroup is gone.
    pub(crate) fn settle(&mut self, name: &Name, index: u64, now: Now) {
        let Some(group) = self.group(name, index) else {
            return;
        };
        if !group.is_gone() {
            return;
        }
        match group.after.clone() {
            After::Keep => {}
            After::Remove => {
                self.unwish(name, index);
                self.drop_group(name, index);
            }
            After::Replace(replacement) => {
                let host = group.group.host_name.clone();
                self.wish(name, index, wish_of(&replacement, &host, now), now);
            }
        }
    }

    /// A Lost taskgroup is back: its replacement is withdrawn if that is all that was wanted.
    pub(crate) fn came_back(&mut self, name: &Name, index: u64) {
        let Some(group) = self.group(name, index) else {
            return;
        };
        let withdrawn = matches!(&group.after,
            After::Replace(replacement) if replacement.cause == Cause::Lost);
        if withdrawn {
            self.change_group(name, index, |group| {
                group.after = After::Keep;
            });
        }
        // Otherwise it must go first, and the wish comes again when it has.
        self.unwish(name, index);
    }
}

/// The wish that a replacement becomes; its wall-clock times turn into monotonic ones here.
pub(crate) fn wish_of(replacement: &Replacement, old_host: &str, now: Now) -> Wish {
    let monotonic = |unix_millis: i64| {
        let ahead = u64::try_from(unix_millis.saturating_sub(now.unix_millis)).unwrap_or(0);
        now.millis.saturating_add(ahead)
    };
    let retain = (replacement.retain_until > now.unix_millis)
        .then(|| (old_host.to_owned(), monotonic(replacement.retain_until)));
    Wish {
        version: replacement.version.clone(),
        due: monotonic(replacement.not_before),
        retain,
        times: replacement.times,
        stumbles: replacement.stumbles,
    }
}

/// Sets the status of a taskgroup.
pub(crate) fn set_status(group: &mut bcs_model::taskgroup::TaskGroup, status: Status, now: Now) {
    if group.status != status {
        group.last_status = group.status;
        group.status = status;
        group.update_time = now.unix();
    }
    group.last_update_time = now.unix();
}
