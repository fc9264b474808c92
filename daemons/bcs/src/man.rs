//! `bcs man DIR`: the manual pages, made from the same definitions as `--help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the pages go, one file each
    dir: PathBuf,
}

#[expect(clippy::print_stderr, reason = "this is a verb for people")]
pub(crate) fn main(options: &Options, command: Command) -> ExitCode {
    let mut command = command.flatten_help(false);
    command.build();
    match write(&options.dir, &command, "bcs") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bcs man: {}: {error}", options.dir.display());
            ExitCode::FAILURE
        }
    }
}

/// The page of `command` and of everything below it: bcs.1, bcs-run.1, …
fn write(folder: &Path, command: &Command, name: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut page)?;
    std::fs::write(folder.join(format!("{name}.1")), page)?;
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        write(folder, below, &format!("{name}-{}", below.get_name()))?;
    }
    Ok(())
}
