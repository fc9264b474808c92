//! `bcs logs`: the output of a task, both streams unless one is asked for.

use bcs_api::{Client, ClientError, LogRequest, Logs};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use std::io::Write;

use super::failure::{Done, Failure};
use super::output::Out;
use super::resolve::{self, Namespace};

/// Options of logs.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogOptions {
    /// Id of the taskgroup, or NAME-INDEX
    #[arg(value_name = "TASKGROUP")]
    taskgroup: String,
    /// Which task, when there are several
    #[arg(short = 'c', long = "container", value_name = "TASK")]
    container: Option<String>,
    /// Go on with what is written from now on
    #[arg(short = 'f', long)]
    follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    tail: Option<u64>,
    /// Which output; error output goes to standard error
    #[arg(long, value_enum, default_value_t = Stream::Both)]
    stream: Stream,
    #[command(flatten)]
    namespace: Namespace,
}

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stream {
    Both,
    Stdout,
    Stderr,
}

pub(super) async fn run(client: &Client, options: &LogOptions, out: &mut Out) -> Done {
    let id = resolve::taskgroup(client, &options.namespace, &options.taskgroup).await?;
    let request = |stderr: bool| LogRequest {
        taskgroup: &id,
        container: options.container.as_deref(),
        stderr,
        tail: options.tail,
        follow: options.follow,
    };
    let mut output = match options.stream {
        Stream::Stderr => None,
        Stream::Stdout | Stream::Both => Some(client.logs(&request(false)).await?),
    };
    let mut errors = match options.stream {
        Stream::Stdout => None,
        Stream::Stderr => Some(client.logs(&request(true)).await?),
        // The program may never have written there.
        Stream::Both => match client.logs(&request(true)).await {
            Err(error) if error.is_not_found() => None,
            other => Some(other?),
        },
    };
    if !options.follow {
        while let Some(chunk) = next(&mut output).await? {
            out.bytes(&chunk)?;
        }
        out.flush()?;
        while let Some(chunk) = next(&mut errors).await? {
            to_stderr(&chunk)?;
        }
        return Ok(());
    }
    while output.is_some() || errors.is_some() {
        tokio::select! {
            chunk = next(&mut output), if output.is_some() => match chunk? {
                Some(chunk) => { out.bytes(&chunk)?; out.flush()?; }
                None => output = None,
            },
            chunk = next(&mut errors), if errors.is_some() => match chunk? {
                Some(chunk) => to_stderr(&chunk)?,
                None => errors = None,
            },
        }
    }
    Ok(())
}

/// Cancel-safe; nothing without a stream.
async fn next(logs: &mut Option<Logs>) -> Result<Option<Bytes>, ClientError> {
    match logs {
        None => Ok(None),
        Some(logs) => logs.next().await,
    }
}

fn to_stderr(chunk: &[u8]) -> Result<(), Failure> {
    Ok(std::io::stderr().write_all(chunk)?)
}
