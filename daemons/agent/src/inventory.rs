//! What the host has: resources from the kernel and from configuration, attributes also from programs.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bcs_httpd::Endpoint;
use bcs_kit::RunError;
use bcs_mesos::types::{Attribute, Text, ValueType};
use bcs_mesos::{Resources, WireName as _};
use tokio::io::AsyncReadExt as _;

use crate::settings::{ResourceSettings, Settings};

const DEFAULT_PORTS: &str = "[31000-32000]";
/// What one attribute program may print.
const OUTPUT: u64 = 64 << 10;

/// The resources that are offered.
///
/// # Errors
/// A port range that cannot be read.
pub(crate) fn resources(
    settings: &ResourceSettings,
    data_dir: &Path,
) -> Result<Resources, RunError> {
    let cpus = settings.cpus.unwrap_or_else(processors);
    let mem = settings
        .mem
        .unwrap_or_else(|| less_reserve(memory_megabytes(), 1024.0));
    let disk = settings
        .disk
        .unwrap_or_else(|| less_reserve(disk_megabytes(data_dir), 5120.0));
    let ports = settings.ports.as_deref().unwrap_or(DEFAULT_PORTS);
    let Some(ranges) = parse_ranges(ports) else {
        return Err(RunError::Settings {
            field: "resources.ports",
            value: ports.to_owned(),
            reason: "write ranges such as \"[31000-31999, 33000-33999]\"".to_owned(),
        });
    };
    let mut resources = Resources::new()
        .with_scalar("cpus", cpus)
        .with_scalar("mem", mem.floor())
        .with_scalar("disk", disk.floor())
        .with_ranges("ports", &ranges);
    if let Some(gpus) = settings.gpus {
        resources = resources.with_scalar("gpus", gpus);
    }
    for (name, amount) in &settings.extended {
        resources = resources.with_scalar(name, *amount);
    }
    Ok(resources)
}

fn processors() -> f64 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// All but a reserve for the system, or half where there is not twice the reserve.
fn less_reserve(total: f64, reserve: f64) -> f64 {
    if total < reserve * 2.0 {
        total / 2.0
    } else {
        total - reserve
    }
}

fn memory_megabytes() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0);
    kilobytes / 1024.0
}

#[allow(clippy::cast_precision_loss, reason = "megabytes of a disk")]
fn disk_megabytes(path: &Path) -> f64 {
    match nix::sys::statvfs::statvfs(path) {
        Ok(status) => status.blocks() as f64 * status.fragment_size() as f64 / (1024.0 * 1024.0),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot measure the disk; none is offered");
            0.0
        }
    }
}

/// Reads `[1-5, 9]`.
pub(crate) fn parse_ranges(text: &str) -> Option<Vec<(u64, u64)>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    inner
        .split(',')
        .map(|part| {
            let (begin, end) = part.split_once('-').unwrap_or((part, part));
            let (begin, end) = (begin.trim().parse().ok()?, end.trim().parse().ok()?);
            (begin <= end && end <= 65_535).then_some((begin, end))
        })
        .collect()
}

/// The name of the host.
pub(crate) fn hostname(settings: &Settings) -> String {
    settings.hostname.clone().unwrap_or_else(|| {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|name| name.trim().to_owned())
            .ok()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "localhost".to_owned())
    })
}

/// The address under which others reach this host.
pub(crate) fn address(settings: &Settings, bound: Option<IpAddr>) -> String {
    if let Some(ip) = &settings.ip {
        return ip.clone();
    }
    if let Some(ip) = bound.filter(|ip| !ip.is_unspecified()) {
        return ip.to_string();
    }
    towards(&settings.master).map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string())
}

/// The own address of the route to the master; nothing is sent for it.
fn towards(master: &Endpoint) -> Option<IpAddr> {
    let Endpoint::Url(url) = master else {
        return None;
    };
    let (_, host) = url.split_once("://")?;
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect(host).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Attributes: from configuration, from programs, and `InnerIP` and `hostname` where nobody set them.
pub(crate) async fn attributes(settings: &Settings, ip: &str, hostname: &str) -> Vec<Attribute> {
    let mut all = BTreeMap::from([
        ("InnerIP".to_owned(), ip.to_owned()),
        ("hostname".to_owned(), hostname.to_owned()),
    ]);
    if let Some(directory) = &settings.attributes_dir {
        all.extend(from_programs(directory, settings.attribute_timeout).await);
    }
    all.extend(settings.attributes.clone());
    all.into_iter()
        .map(|(name, value)| Attribute {
            name,
            r#type: ValueType::Text.number(),
            text: Some(Text { value }),
            ..Attribute::default()
        })
        .collect()
}

async fn from_programs(directory: &Path, limit: Duration) -> BTreeMap<String, String> {
    let mut programs: Vec<_> = match std::fs::read_dir(directory) {
        Ok(entries) => entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_program(path))
            .collect(),
        Err(error) => {
            tracing::warn!(directory = %directory.display(), %error, "no attributes from programs");
            Vec::new()
        }
    };
    programs.sort();
    let mut all = BTreeMap::new();
    for program in programs {
        match tokio::time::timeout(limit, output(&program)).await {
            Ok(Ok(text)) => all.extend(parse_attributes(&text)),
            Ok(Err(error)) => {
                tracing::warn!(program = %program.display(), %error, "attribute program failed");
            }
            Err(_) => {
                tracing::warn!(program = %program.display(), ?limit, "attribute program took too long");
            }
        }
    }
    all
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

async fn output(program: &Path) -> std::io::Result<String> {
    let mut child = tokio::process::Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut text = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(OUTPUT).read_to_end(&mut text).await?;
    }
    let status = child.wait().await?;
    if !status.success() {
        return Err(std::io::Error::other(status.to_string()));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parse_attributes(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('=').or_else(|| line.split_once(':')))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn port_ranges_are_read() {
        assert_eq!(parse_ranges("[31000-32000]"), Some(vec![(31000, 32000)]));
        assert_eq!(
            parse_ranges("[1-2, 5 , 7-9]"),
            Some(vec![(1, 2), (5, 5), (7, 9)])
        );
        assert_eq!(parse_ranges("[]"), Some(Vec::new()));
        for bad in ["1-2", "[2-1]", "[a-b]", "[1-70000]", "[1-2"] {
            assert_eq!(parse_ranges(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_host_is_measured() {
        let resources = resources(&ResourceSettings::default(), Path::new("/")).unwrap();
        for name in ["cpus", "mem", "disk"] {
            assert!(resources.scalar(name) > 0.0, "{name}");
        }
        assert_eq!(resources.ranges("ports"), &[(31000, 32000)]);
    }

    #[tokio::test]
    async fn programs_give_attributes_within_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str, mode| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        program("10-rack", "#!/bin/sh\necho rack=r1\necho zone: z1\n", 0o755);
        program("20-slow", "#!/bin/sh\nsleep 60\n", 0o755);
        program("30-bad", "#!/bin/sh\necho x=y\nexit 3\n", 0o755);
        program("40-plain", "echo no=no\n", 0o644);
        let all = from_programs(folder.path(), Duration::from_millis(500)).await;
        let expected = [("rack", "r1"), ("zone", "z1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(all, BTreeMap::from(expected));
    }
}
