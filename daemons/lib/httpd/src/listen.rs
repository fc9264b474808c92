//! Listening sockets.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bcs_kit::RunError;
use tokio::net::{TcpListener, UnixListener};

use crate::endpoint::Listen;

/// A bound socket, TCP or unix.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix, with the path that is removed when the listener goes.
    Unix(UnixListener, SocketFile),
}

/// Removes the socket file with its listener.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been replaced or removed already; either way nothing is left to do.
        drop(std::fs::remove_file(&self.0));
    }
}

impl Listener {
    /// Binds `listen`. A stale unix socket file is replaced; one that answers is not.
    ///
    /// # Errors
    /// [`RunError::Listen`] with the address.
    pub async fn bind(listen: &Listen) -> Result<Self, RunError> {
        Self::try_bind(listen)
            .await
            .map_err(|source| RunError::Listen {
                address: listen.to_string(),
                source,
            })
    }

    async fn try_bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Bound(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Ok(Self::Tcp(TcpListener::from_std(socket)?))
            }
            Listen::Unix(path) => {
                if let Some(folder) = path.parent() {
                    bcs_kit::files::private_folder(folder)?;
                }
                if tokio::net::UnixStream::connect(path).await.is_ok() {
                    let text = "another process answers on this socket";
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
                }
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Self::Unix(listener, SocketFile(path.clone())))
            }
        }
    }

    /// The TCP address, for port 0; `None` on unix sockets.
    pub fn local_address(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}
