//! `bcs pki`: the authority of a cluster and the certificates of its roles.

use std::path::PathBuf;
use std::process::ExitCode;

use bcs_httpd::pki::{Authority, PkiError};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an authority in DIR (ca.pem, ca.key), or say that there is one
    Init {
        /// A folder of its own; it is made with mode 0700
        dir: PathBuf,
        /// Name in the authority's certificate
        #[arg(long, default_value = "bcs")]
        name: String,
    },
    /// Issue a certificate for one role on one host
    Issue {
        /// The authority's folder
        dir: PathBuf,
        /// Role: gateway, storage, driver, scheduler, mesos-watch, master, agent, ...
        #[arg(long)]
        role: String,
        /// The host the role runs on; peers see it in the identity
        #[arg(long)]
        host: String,
        /// Host names and addresses under which others call it (repeat); the host if none is given
        #[arg(long = "name")]
        names: Vec<String>,
        /// Where ROLE.pem and ROLE.key go; the authority's folder if not given
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a verb for people"
)]
pub(crate) fn main(options: &Options) -> ExitCode {
    match issue(&options.verb) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bcs pki: {error}");
            ExitCode::FAILURE
        }
    }
}

fn issue(verb: &Verb) -> Result<String, PkiError> {
    match verb {
        Verb::Init { dir, name } => {
            Authority::open_or_create(dir, name)?;
            Ok(format!("authority in {}", dir.display()))
        }
        Verb::Issue {
            dir,
            role,
            host,
            names,
            out,
        } => {
            let authority = Authority::open(dir)?;
            let own = [host.clone()];
            let names = if names.is_empty() { &own[..] } else { names };
            let files = authority.issue(out.as_ref().unwrap_or(dir), role, host, names)?;
            Ok(format!("{}\n{}", files.cert.display(), files.key.display()))
        }
    }
}
