//! Where everything of a standalone system is: folders, sockets, certificates.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bcs_httpd::pki::Authority;
use bcs_httpd::{Endpoint, Listen, TlsFiles};
use bcs_kit::RunError;

use super::Options;
use crate::roles::Role;

/// A role's socket and certificate.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) socket: Arc<TcpListener>,
    pub(super) tls: TlsFiles,
}

impl Place {
    /// For the role itself.
    pub(super) fn listen(&self) -> Listen {
        Listen::Bound(self.socket.clone())
    }

    /// For those who call it.
    pub(super) fn endpoint(&self) -> Result<Endpoint, RunError> {
        let address = self
            .socket
            .local_addr()
            .map_err(|error| RunError::failed("a socket", error))?;
        Ok(Endpoint::Url(format!("https://{address}")))
    }
}

/// Sockets are bound before any role starts, so that each knows where the others will be.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) data_dir: PathBuf,
    pub(super) cluster: String,
    pub(super) host: String,
    pub(super) authority: Authority,
    pub(super) gateway: Place,
    pub(super) storage: Place,
    pub(super) driver: Place,
    pub(super) scheduler: Place,
    pub(super) master: Place,
    pub(super) agent: Place,
    pub(super) mesos_watch: TlsFiles,
    pub(super) keeper: PathBuf,
    /// Host ports that programs may get, as the agent writes ranges.
    pub(super) ports: String,
}

const LOOPBACK: &str = "127.0.0.1:0";

impl Layout {
    /// Makes the authority if there is none, issues this start's certificates, binds the sockets.
    pub(super) fn prepare(data_dir: &Path, options: &Options) -> Result<Self, RunError> {
        let authority = super::authority(data_dir)?;
        let certificates = data_dir.join("pki/roles");
        let host = bcs_kit::host::name();
        let listen_host = options
            .listen
            .rsplit_once(':')
            .map_or("", |(host, _)| host)
            .trim_matches(['[', ']']);
        let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned(), host.clone()];
        names.extend(
            Some(listen_host.to_owned()).filter(|host| !host.is_empty() && !names.contains(host)),
        );
        let issue = |role: Role| {
            authority
                .issue(&certificates, role.name(), &host, &names)
                .map_err(|error| RunError::state(&certificates, error))
        };
        let place = |role: Role, address: &str| {
            let socket = TcpListener::bind(address).map_err(|source| RunError::Listen {
                address: address.to_owned(),
                source,
            })?;
            Ok::<_, RunError>(Place {
                socket: Arc::new(socket),
                tls: issue(role)?,
            })
        };
        Ok(Self {
            gateway: place(Role::Gateway, &options.listen)?,
            storage: place(Role::Storage, LOOPBACK)?,
            driver: place(Role::Driver, LOOPBACK)?,
            scheduler: place(Role::Scheduler, LOOPBACK)?,
            master: place(Role::Master, LOOPBACK)?,
            agent: place(Role::Agent, LOOPBACK)?,
            mesos_watch: issue(Role::MesosWatch)?,
            keeper: keeper(data_dir)?,
            data_dir: data_dir.to_owned(),
            cluster: options.cluster.clone(),
            authority,
            host,
            ports: format!("[{}]", options.ports),
        })
    }

    /// The folder of one role.
    pub(super) fn folder(&self, role: Role) -> PathBuf {
        self.data_dir.join(role.name())
    }

    /// Where the process executor and its agent meet.
    pub(super) fn executor_socket(&self) -> PathBuf {
        self.data_dir.join("run/process-executor.sock")
    }

    /// What people call: a listener on all addresses is called by its loopback one.
    pub(super) fn address(&self) -> String {
        match self.gateway.socket.local_addr() {
            Ok(address) if address.ip().is_unspecified() => {
                format!("https://127.0.0.1:{}", address.port())
            }
            Ok(address) => format!("https://{address}"),
            Err(_) => "https://127.0.0.1".to_owned(),
        }
    }
}

/// The keeper beside this executable. Where only this one was copied or built, a link to it under
/// the keeper's name: it then behaves as the keeper, at the price of some memory.
fn keeper(data_dir: &Path) -> Result<PathBuf, RunError> {
    let own = std::env::current_exe()
        .map_err(|error| RunError::failed("this executable's path", error))?;
    let beside = own.with_file_name("bcs-keeper");
    if beside.exists() {
        return Ok(beside);
    }
    let folder = data_dir.join("bin");
    let link = folder.join("bcs-keeper");
    let make = || {
        bcs_kit::files::private_folder(&folder)?;
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(&own, &link)
    };
    make().map_err(|error| RunError::state(&link, error))?;
    Ok(link)
}
