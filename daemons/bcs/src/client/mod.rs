//! The client's verbs: what a person types to deploy, look and repair.
//!
//! Everything goes through `bcs_api`; nothing here knows a role. Results go to standard output,
//! everything else to standard error. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not
//! found, 4 timed out. A closed pipe ends a command quietly.

mod change;
mod describe;
mod doctor;
mod documents;
mod failure;
mod get;
mod instances;
mod logs;
mod nodes;
mod output;
mod resolve;
mod table;
mod views;
mod wait;

#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use bcs_api::{Client, ClientFile};
use clap::{Args, Subcommand};

use failure::{Done, Failure};
use output::Out;

// Options of every verb. No doc comment: clap would show it as the text of the whole command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GlobalOptions {
    /// Client file [default: $BCS_CONFIG, else that of `bcs standalone` on this host]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    config: Option<PathBuf>,
}

// What the client can do. No doc comment, for the same reason.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create what files describe, or make it like them
    Apply(change::Files),
    /// Create what files describe; what exists is refused
    Create(change::Files),
    /// Replace what exists by what files describe
    Replace(change::Files),
    /// Delete objects, by file or by kind and name
    Delete(change::Delete),
    /// Show objects
    Get(get::Get),
    /// Show one object with everything that explains its state
    Describe(describe::Describe),
    /// Set the number of instances of an application or process
    Scale(change::Scale),
    /// Wait until an object has a status
    Wait(wait::Wait),
    /// Print the output of a taskgroup's tasks
    Logs(logs::LogOptions),
    /// End a taskgroup and start it again, on any host
    Reschedule(instances::Instance),
    /// Restart the processes of a taskgroup in place
    Restart(instances::Instance),
    /// Make the processes of a taskgroup read their configuration again
    Reload(instances::Instance),
    /// Send a signal to the processes of a taskgroup
    Signal(instances::Signal),
    /// Look at hosts, and let them take new instances or not
    #[command(subcommand)]
    Node(nodes::Node),
    /// Show the resources that the scheduler may use now
    Offers(nodes::Offers),
    /// Show the versions of the client and of the system
    Version,
    /// Print a completion script: bcs completion bash > /etc/bash_completion.d/bcs
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Find out what is wrong with the connection and the system
    Doctor,
}

/// Runs a verb to its end. `command` is the whole command line, for completion scripts.
pub(crate) fn run(verb: Verb, options: GlobalOptions, command: fn() -> clap::Command) -> ExitCode {
    let mut out = Out::standard();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))
        .and_then(|runtime| runtime.block_on(execute(verb, &options, command, &mut out)))
        .and_then(|()| out.flush());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn execute(
    verb: Verb,
    options: &GlobalOptions,
    command: fn() -> clap::Command,
    out: &mut Out,
) -> Done {
    match verb {
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "bcs", &mut script);
            return out.bytes(&script);
        }
        Verb::Version => return doctor::version(options, out).await,
        Verb::Doctor => return doctor::examine(options, out).await,
        _ => {}
    }
    let client = options.client()?;
    match verb {
        Verb::Apply(files) => change::files(&client, change::Way::Apply, &files, out).await,
        Verb::Create(files) => change::files(&client, change::Way::Create, &files, out).await,
        Verb::Replace(files) => change::files(&client, change::Way::Replace, &files, out).await,
        Verb::Delete(delete) => change::delete(&client, &delete, out).await,
        Verb::Scale(scale) => change::scale(&client, &scale, out).await,
        Verb::Get(get) => get::run(&client, &get, out).await,
        Verb::Describe(describe) => describe::run(&client, &describe, out).await,
        Verb::Wait(wait) => wait::run(&client, &wait, out).await,
        Verb::Logs(options) => logs::run(&client, &options, out).await,
        Verb::Reschedule(one) => instances::reschedule(&client, &one, out).await,
        Verb::Restart(one) => instances::restart(&client, &one, out).await,
        Verb::Reload(one) => instances::reload(&client, &one, out).await,
        Verb::Signal(signal) => instances::signal(&client, &signal, out).await,
        Verb::Node(node) => nodes::run(&client, &node, out).await,
        Verb::Offers(offers) => nodes::offers(&client, &offers, out).await,
        Verb::Version | Verb::Doctor | Verb::Completion { .. } => Ok(()),
    }
}

impl GlobalOptions {
    fn path(&self) -> PathBuf {
        ClientFile::path(self.config.as_deref())
    }

    fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&ClientFile::read(&self.path())?)?)
    }
}

/// A note for the person, which no script should read.
#[expect(
    clippy::print_stderr,
    reason = "the place for words that are no result"
)]
fn note(text: &str) {
    // What was printed so far comes first.
    drop(std::io::stdout().flush());
    eprintln!("{text}");
}
