//! What one batch of events leaves behind: the keys to write and the effects to run afterwards.

use std::collections::BTreeSet;

use bcs_httpd::Failure;
use bcs_mesos::scheduler::Call;
use serde_json::Value;

use super::events::{Effect, Ticket};
use super::query::Query;
use super::records::Key;

/// Collected while events are stepped.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) dirty: BTreeSet<Key>,
    pub(crate) effects: Vec<Effect>,
    /// Answers come last: a caller must not be faster than what it asked for.
    pub(crate) replies: Vec<Effect>,
    /// Questions, answered when the batch is whole.
    pub(crate) queries: Vec<(Ticket, Query)>,
    /// The connection that calls are for.
    pub(crate) session: u64,
    pub(crate) connected: bool,
}

impl Output {
    pub(crate) fn mark(&mut self, key: Key) {
        self.dirty.insert(key);
    }

    /// A call to the master, if there is one; what is lost is driven again at the next subscription.
    pub(crate) fn call(&mut self, call: Call) {
        if self.connected {
            self.effects.push(Effect::Call {
                call: Box::new(call),
                session: self.session,
            });
        }
    }

    pub(crate) fn acknowledge(&mut self, call: Call) {
        if self.connected {
            self.effects.push(Effect::Acknowledge {
                call: Box::new(call),
                session: self.session,
            });
        }
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, result: Result<Value, Failure>) {
        self.replies.push(Effect::Reply { ticket, result });
    }
}

/// One change of the watch feed, in the order of the commit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Absent when it was deleted.
    pub(crate) object: Option<Value>,
}

/// Everything of one batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) puts: Vec<(Key, Vec<u8>)>,
    pub(crate) deletes: Vec<Key>,
    pub(crate) changes: Vec<Change>,
    pub(crate) effects: Vec<Effect>,
}

impl Batch {
    /// Nothing to commit.
    pub(crate) fn is_clean(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }
}
