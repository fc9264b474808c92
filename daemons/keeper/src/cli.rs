//! The command line: `bcs-keeper --state-dir DIR [--socket PATH] [--foreground]`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::server::{Settings, run};

/// The whole program, also for an executable that stands in for the keeper's own.
pub fn main() -> ExitCode {
    crate::kernel::close_inherited();
    let settings = match parse(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(text) => {
            eprintln!("bcs-keeper: {text}");
            eprintln!("usage: bcs-keeper --state-dir DIR [--socket PATH] [--foreground]");
            return ExitCode::from(64);
        }
    };
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bcs-keeper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut state_dir = None;
    let mut socket = None;
    let mut foreground = false;
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .map(PathBuf::from)
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--state-dir" => state_dir = Some(value()?),
            "--socket" => socket = Some(value()?),
            "--foreground" => foreground = true,
            _ => return Err(format!("unknown argument {argument:?}")),
        }
    }
    let state_dir: PathBuf = state_dir.ok_or("--state-dir is missing")?;
    if !state_dir.is_absolute() {
        return Err(format!(
            "--state-dir {} must be absolute",
            state_dir.display()
        ));
    }
    let socket = socket.unwrap_or_else(|| state_dir.join("keeper.sock"));
    Ok(Settings {
        state_dir,
        socket,
        foreground,
    })
}
