//! The certificate authority of a system under test, and others that it must not trust; certificates
//! are made by `bcs pki`, as an administrator would.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::run;
use crate::system::executable;

/// A folder with `ca.pem` and `ca.key`.
#[derive(Clone, Debug)]
pub struct Authority(PathBuf);

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The authority.
    pub ca: PathBuf,
    /// The certificate.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Authority {
    /// The one of a system, found below its folder.
    pub fn of(folder: &Path) -> Self {
        let key = crate::host::files_below(folder)
            .into_iter()
            .find(|file| file.ends_with("ca.key"))
            .unwrap_or_else(|| panic!("no ca.key below {}", folder.display()));
        Self(key.parent().unwrap().to_owned())
    }

    /// A new one.
    pub fn create(folder: &Path) -> Self {
        let mut command = Command::new(executable("bcs"));
        command
            .args(["pki", "init"])
            .arg(folder)
            .args(["--name", "somebody else"]);
        run(&mut command, None).ok();
        Self(folder.to_owned())
    }

    /// A certificate for a role on this host.
    pub fn issue(&self, role: &str, out: &Path) -> Certificate {
        std::fs::create_dir_all(out).unwrap();
        let mut command = Command::new(executable("bcs"));
        command
            .args(["pki", "issue"])
            .arg(&self.0)
            .args(["--role", role, "--host", "127.0.0.1", "--out"])
            .arg(out);
        run(&mut command, None).ok();
        let certificate = Certificate {
            ca: self.0.join("ca.pem"),
            cert: out.join(format!("{role}.pem")),
            key: out.join(format!("{role}.key")),
        };
        assert!(
            certificate.cert.exists() && certificate.key.exists(),
            "{certificate:?}"
        );
        certificate
    }
}
