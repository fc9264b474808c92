//! `role run master|agent --config FILE`: what `bcs run` does for these two roles, without building the rest.
//! The tests with independent Mesos clients use it.

use std::path::PathBuf;
use std::process::ExitCode;

use bcs_kit::{Context, RunError, Shutdown, config, logging};

async fn run(role: &str, file: PathBuf, context: Context) -> Result<(), RunError> {
    let refuse = |error| RunError::failed("configuration", error);
    match role {
        "master" => bcs_master::run(config::load(&file).map_err(refuse)?, context).await,
        "agent" => bcs_agent::run(config::load(&file).map_err(refuse)?, context).await,
        other => Err(RunError::failed(
            "arguments",
            format!("role {other:?} is neither master nor agent"),
        )),
    }
}

fn main() -> ExitCode {
    logging::init("info");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, role, flag, file] = arguments.as_slice() else {
        eprintln!("usage: role run master|agent --config FILE");
        return ExitCode::from(bcs_kit::exit::USAGE);
    };
    if verb != "run" || flag != "--config" {
        eprintln!("usage: role run master|agent --config FILE");
        return ExitCode::from(bcs_kit::exit::USAGE);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let context = Context::new(Shutdown::new());
    match runtime.block_on(run(role, PathBuf::from(file), context)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
