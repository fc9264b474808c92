//! Verbs for single instances: reschedule, restart, reload, signal.

use bcs_api::Client;
use bcs_model::v4::{MessageData, MessageRequest};
use clap::Args;

use super::failure::{Done, Failure};
use super::output::Out;
use super::resolve::{self, Namespace};

/// One taskgroup.
#[derive(Clone, Debug, Args)]
pub(crate) struct Instance {
    /// Id of the taskgroup, or NAME-INDEX
    #[arg(value_name = "TASKGROUP")]
    taskgroup: String,
    #[command(flatten)]
    namespace: Namespace,
}

/// Options of signal.
#[derive(Clone, Debug, Args)]
pub(crate) struct Signal {
    #[command(flatten)]
    instance: Instance,
    /// Name or number of the signal
    #[arg(
        short = 's',
        long = "signal",
        value_name = "SIGNAL",
        default_value = "HUP"
    )]
    signal: String,
    /// Only the process of that name
    #[arg(short = 'c', long = "container", value_name = "TASK")]
    container: Option<String>,
}

pub(super) async fn reschedule(client: &Client, one: &Instance, out: &mut Out) -> Done {
    let id = resolve::taskgroup(client, &one.namespace, &one.taskgroup).await?;
    client.reschedule(&id).await?;
    out.line(&format!("taskgroup/{id} is being rescheduled"))
}

pub(super) async fn restart(client: &Client, one: &Instance, out: &mut Out) -> Done {
    let id = resolve::taskgroup(client, &one.namespace, &one.taskgroup).await?;
    client.restart(&id).await?;
    out.line(&format!("taskgroup/{id} is being restarted in place"))
}

pub(super) async fn reload(client: &Client, one: &Instance, out: &mut Out) -> Done {
    let id = resolve::taskgroup(client, &one.namespace, &one.taskgroup).await?;
    client.reload(&id).await?;
    out.line(&format!("taskgroup/{id} is being reloaded"))
}

pub(super) async fn signal(client: &Client, options: &Signal, out: &mut Out) -> Done {
    let number = number(&options.signal)?;
    let one = &options.instance;
    let id = resolve::taskgroup(client, &one.namespace, &one.taskgroup).await?;
    let message = MessageRequest {
        msgtype: "signal".to_owned(),
        msgdata: MessageData {
            signal: Some(number),
            processname: options.container.clone().unwrap_or_default(),
            ..MessageData::default()
        },
    };
    client.message(&id, &message).await?;
    out.line(&format!("taskgroup/{id} was sent signal {number}"))
}

/// `HUP`, `SIGHUP` or `1`.
pub(super) fn number(text: &str) -> Result<i64, Failure> {
    if let Ok(number) = text.parse::<i64>() {
        if (1..=64).contains(&number) {
            return Ok(number);
        }
        return Err(Failure::Usage(format!(
            "signal {number} does not exist; use 1 to 64"
        )));
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    name.parse::<nix::sys::signal::Signal>()
        .map(|signal| i64::from(signal as i32))
        .map_err(|_| {
            Failure::Usage(format!(
                "signal {text:?} is unknown; use HUP, USR1, TERM, …, or a number"
            ))
        })
}
