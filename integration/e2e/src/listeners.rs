//! The sockets that a process listens on, as the kernel knows them: no configuration is trusted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Whose.
    pub pid: u32,
    /// Where.
    pub address: Address,
}

/// Every listening socket of a process.
pub fn listeners(pid: u32) -> Vec<Listening> {
    let inodes = sockets(pid);
    let tcp = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let unix = std::fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    let tcp = tcp.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = *fields.get(3)? == "0A" && inodes.contains(*fields.get(9)?);
        let (address, port) = fields.get(1)?.split_once(':')?;
        let address = u32::from_str_radix(address, 16).ok()?.to_le_bytes();
        let port = u16::from_str_radix(port, 16).ok()?;
        listens.then(|| Address::Tcp(SocketAddr::from((address, port))))
    });
    let unix = unix.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The flag of a socket that accepts connections.
        let listens = *fields.get(3)? == "00010000" && inodes.contains(*fields.get(6)?);
        let path = PathBuf::from(fields.get(7)?);
        (listens && path.is_absolute()).then_some(Address::Unix(path))
    });
    tcp.chain(unix)
        .map(|address| Listening { pid, address })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn sockets(pid: u32) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            let text = target.to_str()?;
            Some(text.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect()
}
