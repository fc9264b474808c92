//! `bcs run ROLE --config FILE`: one daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use bcs_kit::{exit, logging, notify};
use clap::Args;

use crate::roles::Role;
use crate::runtime;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The daemon to run
    role: Role,
    /// Its configuration (TOML); unknown keys are refused
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Read the configuration, say whether it is good, and stop
    #[arg(long)]
    check_config: bool,
    /// Print the effective settings, secrets hidden, and stop
    #[arg(long)]
    print_config: bool,
    /// What to log: error, warn, info, debug, trace, or module=level pairs
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    log: String,
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "answers to the person who starts it"
)]
pub(crate) fn main(options: &Options) -> ExitCode {
    let settings = match options.role.load(&options.config) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("bcs run {}: {error}", options.role.name());
            return ExitCode::from(exit::CONFIG);
        }
    };
    if options.print_config {
        println!("{settings:#?}");
        return ExitCode::SUCCESS;
    }
    if options.check_config {
        println!("{}: good", options.config.display());
        return ExitCode::SUCCESS;
    }
    logging::init(&options.log);
    let role = settings.role().name();
    tracing::info!(role, version = env!("CARGO_PKG_VERSION"), config = %options.config.display(), "starting");
    runtime::block_on(role, |context| async move {
        let ready = context.ready.clone();
        context.tasks.spawn("readiness", async move {
            ready.wait().await;
            notify::ready(&ready.state().text);
            tracing::info!(role, "ready");
        });
        let shutdown = context.shutdown.clone();
        let ended = settings.run(context).await;
        shutdown.cancel();
        ended
    })
}

fn called_as(wanted: &str) -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    name.as_deref()
        .and_then(|path| path.file_name())
        .is_some_and(|name| name == wanted)
}

/// Whether this executable stands in for the keeper's own.
pub(crate) fn called_as_keeper() -> bool {
    called_as("bcs-keeper")
}

/// Whether a Mesos agent started this executable as an executor: it then gets no arguments of ours.
pub(crate) fn called_by_mesos() -> bool {
    called_as("bcs-process-executor") && std::env::var_os("MESOS_EXECUTOR_ID").is_some()
}

/// One executor for one taskgroup, as Mesos knows it (spec mesos-side 11.3). Its settings come
/// from the file that `BCS_PROCESS_EXECUTOR_CONFIG` names, else they are the defaults.
#[expect(
    clippy::print_stderr,
    reason = "goes to the sandbox, where the agent's people look"
)]
pub(crate) fn under_mesos() -> ExitCode {
    logging::init("info");
    let file = std::env::var_os("BCS_PROCESS_EXECUTOR_CONFIG").map(PathBuf::from);
    let settings = match file
        .as_deref()
        .map_or_else(|| Ok(Default::default()), bcs_kit::config::load)
    {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("bcs-process-executor: {error}");
            return ExitCode::from(exit::CONFIG);
        }
    };
    let variables = std::env::vars()
        .filter(|(key, _)| key.starts_with("MESOS_"))
        .collect();
    let variables = bcs_process_executor::Variables(variables);
    runtime::block_on("executor", |context| {
        bcs_process_executor::run_single(variables, settings, context)
    })
}
