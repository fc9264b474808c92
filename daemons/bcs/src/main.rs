//! The one executable: the client's verbs, every role, and standalone. This file only chooses.

mod client;
mod demo;
mod example_server;
mod man;
mod pki;
mod roles;
mod run;
mod runtime;
mod standalone;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs programs on your own hosts: one command for people, one executable for every daemon.
#[derive(Debug, Parser)]
#[command(name = "bcs", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Start a whole system on this host:  bcs standalone --demo\n\
                        Ask what is wrong with it:         bcs doctor"
)]
struct Cli {
    #[command(flatten)]
    options: client::GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole single-host system in one process, with embedded back ends
    Standalone(standalone::Options),
    /// Start one role
    Run(run::Options),
    /// Make the certificate authority of a cluster, and certificates for its roles
    Pki(pki::Options),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Options),
    /// A small HTTP server to deploy: says who it is, can be made to fail, stops in good order
    ExampleServer(example_server::Options),
    #[command(flatten)]
    Client(client::Verb),
}

fn main() -> ExitCode {
    if run::called_as_keeper() {
        return bcs_keeper::main();
    }
    bcs_httpd::tls::install_provider();
    if run::called_by_mesos() {
        return run::under_mesos();
    }
    let cli = Cli::parse();
    match cli.command {
        Command::Standalone(options) => standalone::main(&options),
        Command::Run(options) => run::main(&options),
        Command::Pki(options) => pki::main(&options),
        Command::Man(options) => man::main(&options, <Cli as clap::CommandFactory>::command()),
        Command::ExampleServer(options) => example_server::main(options),
        Command::Client(verb) => {
            client::run(verb, cli.options, <Cli as clap::CommandFactory>::command)
        }
    }
}
