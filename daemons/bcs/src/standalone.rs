//! `bcs standalone`: every role of a single-host system in one process, over the same mutual TLS
//! and the same protocols as separate daemons, with embedded back ends and everything in one
//! data directory.
//!
//! Leaving it, killed or asked, leaves the deployed programs running; the next start finds them.

mod layout;
mod settings;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bcs_api::ClientFile;
use bcs_httpd::pki::Authority;
use bcs_kit::lock::DirectoryLock;
use bcs_kit::{Context, RunError, Shutdown, logging, notify};
use bcs_user_manager::{UserError, UserKind, Users, ensure_admin};
use clap::Args;

use crate::roles::Role;
use crate::{demo, runtime};
use layout::Layout;

/// For the roles to leave; what they have not finished then, the next start does.
const LEAVE_TIME: Duration = Duration::from_secs(8);

/// The name of the first administrator.
const ADMINISTRATOR: &str = "admin";

#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Where everything is kept [default: /var/lib/bcs-standalone as root, else ~/.local/share/bcs]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the gateway; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8443")]
    listen: String,
    /// Name of the cluster
    #[arg(long, default_value = "BCS-MESOS-10000")]
    cluster: String,
    /// Host ports that programs may get
    #[arg(long, value_name = "FROM-TO", default_value = "31000-32000")]
    ports: String,
    /// Deploy three instances of the example server, show them, and remove them at the end
    #[arg(long)]
    demo: bool,
    /// What to log: error, warn, info, debug, trace, or module=level pairs
    #[arg(long, default_value = "warn", value_name = "LEVEL")]
    log: String,
}

pub(crate) fn main(options: &Options) -> ExitCode {
    logging::init(&options.log);
    runtime::block_on("standalone", |context| start(options.clone(), context))
}

async fn start(options: Options, context: Context) -> Result<(), RunError> {
    let data_dir = options
        .data_dir
        .clone()
        .unwrap_or_else(bcs_api::default_data_dir);
    bcs_kit::files::passable_folder(&data_dir)
        .map_err(|error| RunError::state(&data_dir, error))?;
    let data_dir = data_dir
        .canonicalize()
        .map_err(|error| RunError::state(&data_dir, error))?;
    let _lock =
        DirectoryLock::acquire(&data_dir).map_err(|error| RunError::state(&data_dir, error))?;
    for role in [
        Role::Storage,
        Role::Gateway,
        Role::Scheduler,
        Role::Master,
        Role::Agent,
    ] {
        let folder = data_dir.join(role.name());
        bcs_kit::files::private_folder(&folder).map_err(|error| RunError::state(&folder, error))?;
    }
    let layout = Layout::prepare(&data_dir, &options)?;
    let folder = layout.folder(Role::Gateway);
    let users = bcs_gateway::open_users(&folder).await?;
    let client_file = write_client_file(&layout, &users).await?;
    // The roles have an end of their own: what the demo deployed is removed while they still serve.
    let roles = Context {
        metrics: context.metrics.clone(),
        ..Context::new(Shutdown::new())
    };
    let mut readiness = Vec::new();
    for role in settings::all(&layout, users)? {
        let own = roles.sibling();
        readiness.push((role.role().name(), own.ready.clone()));
        roles
            .tasks
            .spawn_essential(role.role().name(), role.run(own));
    }
    let asked = async {
        tokio::select! {
            () = context.shutdown.cancelled() => {}
            () = roles.shutdown.cancelled() => {}
        }
    };
    let serve = async {
        for (role, ready) in &readiness {
            tracing::debug!(role, "waiting");
            ready.wait().await;
        }
        context.ready.set();
        notify::ready(&format!("serving {}", layout.address()));
        announce(&format!("ready {}", layout.address()))
            .map_err(|error| RunError::failed("standard output", error))?;
        if options.demo
            && let Err(error) = demo::run(&client_file, &layout.data_dir).await
        {
            tracing::error!(%error, "the demo could not be shown");
        }
        std::future::pending::<Result<(), RunError>>().await
    };
    let ended = tokio::select! {
        () = asked => Ok(()),
        ended = serve => ended,
    };
    notify::stopping();
    if options.demo {
        demo::remove(&client_file).await;
    }
    roles.shutdown.cancel();
    let stuck = roles.tasks.drain(LEAVE_TIME).await;
    if !stuck.is_empty() {
        tracing::warn!(tasks = ?stuck, "left without waiting for these any longer");
    }
    match roles.tasks.failure() {
        Some(failure) => Err(RunError::failed("standalone", failure)),
        None => ended,
    }
}

/// One line on standard output, for scripts that wait for it.
fn announce(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// `client.yaml`: the address, the authority and a token of the administrator. The token is kept
/// over restarts; where the file is gone, a new one is made and the former ones are void.
async fn write_client_file(layout: &Layout, users: &Users) -> Result<PathBuf, RunError> {
    let path = layout.data_dir.join("client.yaml");
    let known = ClientFile::read(&path).ok().map(|file| file.token);
    let token = match known.filter(|token| users.authenticate(token).is_ok()) {
        Some(token) => token,
        None => new_token(users)
            .await
            .map_err(|error| RunError::failed("the administrator's token", error))?,
    };
    let file = ClientFile {
        address: layout.address(),
        ca: layout.authority.certificate().to_owned(),
        token,
        cluster: layout.cluster.clone(),
    };
    file.write(&path)
        .map_err(|error| RunError::state(&path, error))?;
    Ok(path)
}

async fn new_token(users: &Users) -> Result<String, UserError> {
    if let Some(token) = ensure_admin(users, ADMINISTRATOR).await? {
        return Ok(token.expose().clone());
    }
    for former in users.tokens(ADMINISTRATOR) {
        users.revoke(ADMINISTRATOR, &former.id).await?;
    }
    let (_, token) = users
        .issue_token(ADMINISTRATOR, UserKind::Admin.validity())
        .await?;
    Ok(token.expose().clone())
}

/// The authority of this installation, made at first start.
fn authority(data_dir: &Path) -> Result<Authority, RunError> {
    let folder = data_dir.join("pki");
    Authority::open_or_create(&folder, "bcs standalone")
        .map_err(|error| RunError::state(&folder, error))
}
