//! What comes into the core and what it wants done.

use bcs_httpd::Failure;
use bcs_mesos::operator::response::GetAgentsAgent;
use bcs_mesos::scheduler::Call;
use bcs_mesos::{Offer, TaskStatus};
use bytes::Bytes;
use serde_json::Value;

use super::command::Command;

/// The time of an event. Intervals use `millis`, which no clock step moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Monotonic milliseconds since the start of the process.
    pub(crate) millis: u64,
    /// Unix milliseconds, for records that people read.
    pub(crate) unix_millis: i64,
}

impl Now {
    pub(crate) fn unix(self) -> i64 {
        self.unix_millis.div_euclid(1000)
    }
}

/// Identifies a caller who waits for an answer.
pub(crate) type Ticket = u64;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A caller of the API wants something.
    Command {
        ticket: Ticket,
        command: Box<Command>,
    },
    /// The master accepted the subscription; `session` numbers the connection.
    Subscribed {
        framework_id: String,
        session: u64,
    },
    /// The stream from the master ended.
    Disconnected {
        session: u64,
    },
    Offers(Vec<Offer>),
    Rescind(String),
    Update(Box<TaskStatus>),
    Message {
        executor_id: String,
        data: Bytes,
    },
    Failure {
        agent_id: Option<String>,
        executor_id: Option<String>,
    },
    /// The master's list of agents.
    Agents(Vec<GetAgentsAgent>),
    /// An ACCEPT did not get through; `certain` when the master cannot have acted on it.
    AcceptFailed {
        taskgroups: Vec<String>,
        certain: bool,
        reason: String,
    },
    /// A deadline has passed.
    Tick,
}

/// Something to do after the commit.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A call to the master, in order. `session` is the connection that it is for.
    Call { call: Box<Call>, session: u64 },
    /// An ACCEPT; its failure comes back as an event.
    Accept {
        call: Box<Call>,
        taskgroups: Vec<String>,
        session: u64,
    },
    /// An acknowledgement; order does not matter.
    Acknowledge { call: Box<Call>, session: u64 },
    /// The answer for a caller.
    Reply {
        ticket: Ticket,
        result: Result<Value, Failure>,
    },
    /// Ask the master for its agents.
    FetchAgents,
}
