//! Routes of applications, processes and their taskgroups.

use axum::extract::{Path, Query as Parameters, State};
use bcs_model::message::{BcsMessage, MessageType};
use bcs_model::version::Version;
use bytes::Bytes;
use serde::Deserialize;

use super::{Answer, Api, body, parameter};
use crate::core::Name;
use crate::core::command::Command;
use crate::core::query::Query;

type App = Path<(String, String)>;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    kind: Option<String>,
    instances: Option<String>,
    args: Option<String>,
    enforce: Option<String>,
    to: Option<String>,
    #[serde(rename = "hostRetainTime")]
    host_retain_time: Option<String>,
}

fn number(name: &str, text: Option<&String>) -> Result<Option<u64>, super::Failure> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map_err(|_| parameter(name, text, "write a whole number"))
        })
        .transpose()
}

pub(super) async fn create(State(api): State<Api>, bytes: Bytes) -> Answer {
    let version: Version = body(&bytes)?;
    api.order(Command::Create(Box::new(version))).await
}

pub(super) async fn list_all(State(api): State<Api>) -> Answer {
    api.question(Query::Applications { namespace: None }).await
}

pub(super) async fn list(State(api): State<Api>, Path(namespace): Path<String>) -> Answer {
    api.question(Query::Applications {
        namespace: Some(namespace),
    })
    .await
}

pub(super) async fn get(
    State(api): State<Api>,
    Path((namespace, app)): App,
    Parameters(options): Parameters<Options>,
) -> Answer {
    let kind = options.kind.filter(|kind| !kind.is_empty());
    api.question(Query::Application {
        name: Name::new(&namespace, &app),
        kind,
    })
    .await
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path((namespace, app)): App,
    Parameters(options): Parameters<Options>,
) -> Answer {
    let enforce = match options.enforce.as_deref() {
        Some("1" | "true") => true,
        None | Some("" | "0" | "false") => false,
        Some(other) => return Err(parameter("enforce", other, "write 0 or 1")),
    };
    let kind = options.kind.filter(|kind| !kind.is_empty());
    api.order(Command::Delete {
        name: Name::new(&namespace, &app),
        enforce,
        kind,
    })
    .await
}

pub(super) async fn update(
    State(api): State<Api>,
    Path((namespace, app)): App,
    Parameters(options): Parameters<Options>,
    bytes: Bytes,
) -> Answer {
    let version: Version = body(&bytes)?;
    let resources_only = match options.args.as_deref() {
        Some("resource") => true,
        None | Some("") => false,
        Some(other) => return Err(parameter("args", other, "only \"resource\" is known")),
    };
    let instances = number("instances", options.instances.as_ref())?.unwrap_or(0);
    let name = Name::new(&namespace, &app);
    api.order(Command::Update {
        name,
        version: Box::new(version),
        instances,
        resources_only,
    })
    .await
}

pub(super) async fn rollback(
    State(api): State<Api>,
    Path((namespace, app)): App,
    Parameters(options): Parameters<Options>,
) -> Answer {
    let to = options.to.filter(|to| !to.is_empty());
    api.order(Command::Rollback {
        name: Name::new(&namespace, &app),
        to,
    })
    .await
}

pub(super) async fn scale(
    State(api): State<Api>,
    Path((namespace, app)): App,
    Parameters(options): Parameters<Options>,
) -> Answer {
    let instances = number("instances", options.instances.as_ref())?
        .ok_or_else(|| parameter("instances", "", "write how many are wanted"))?;
    let kind = options.kind.filter(|kind| !kind.is_empty());
    api.order(Command::Scale {
        name: Name::new(&namespace, &app),
        instances,
        kind,
    })
    .await
}

pub(super) async fn taskgroups(State(api): State<Api>, Path((namespace, app)): App) -> Answer {
    api.question(Query::TaskGroups(Name::new(&namespace, &app)))
        .await
}

pub(super) async fn versions(State(api): State<Api>, Path((namespace, app)): App) -> Answer {
    api.question(Query::Versions(Name::new(&namespace, &app)))
        .await
}

pub(super) async fn version(
    State(api): State<Api>,
    Path((namespace, app, version)): Path<(String, String, String)>,
) -> Answer {
    api.question(Query::Version {
        name: Name::new(&namespace, &app),
        version,
    })
    .await
}

pub(super) async fn definition(State(api): State<Api>, Path((namespace, app)): App) -> Answer {
    api.question(Query::Definition(Name::new(&namespace, &app)))
        .await
}

pub(super) async fn message(
    State(api): State<Api>,
    Path((namespace, app)): App,
    bytes: Bytes,
) -> Answer {
    let message: BcsMessage = body(&bytes)?;
    let name = Name::new(&namespace, &app);
    api.order(Command::Send {
        name,
        taskgroup: None,
        message: Box::new(message),
    })
    .await
}

pub(super) async fn message_one(
    State(api): State<Api>,
    Path((namespace, app, id)): Path<(String, String, String)>,
    bytes: Bytes,
) -> Answer {
    let message: BcsMessage = body(&bytes)?;
    let name = Name::new(&namespace, &app);
    api.order(Command::Send {
        name,
        taskgroup: Some(id),
        message: Box::new(message),
    })
    .await
}

pub(super) async fn taskgroup(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    api.question(Query::TaskGroup(id)).await
}

pub(super) async fn location(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let scheme = api.agent_scheme();
    api.question(Query::Location { id, scheme }).await
}

pub(super) async fn reschedule(
    State(api): State<Api>,
    Path(id): Path<String>,
    Parameters(options): Parameters<Options>,
) -> Answer {
    let retain = number("hostRetainTime", options.host_retain_time.as_ref())?.unwrap_or(0);
    let retain_seconds = i64::try_from(retain).unwrap_or(i64::MAX);
    api.order(Command::Reschedule {
        taskgroup: id,
        retain_seconds,
    })
    .await
}

pub(super) async fn restart(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    api.order(Command::Signal {
        taskgroup: id,
        kind: MessageType::RestartTask,
    })
    .await
}

pub(super) async fn reload(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    api.order(Command::Signal {
        taskgroup: id,
        kind: MessageType::ReloadTask,
    })
    .await
}
