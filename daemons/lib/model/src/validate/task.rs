//! One process or container of an instance.

use super::fields::{is_account, is_data_key};
use super::{DAY, Problems};
use crate::ids;
use crate::v4::Container;
use crate::version::Process;
use std::collections::BTreeSet;

impl Problems {
    pub(super) fn process(
        &mut self,
        at: &str,
        process: &Process,
        taken: &mut BTreeSet<(bool, i32)>,
    ) {
        let name = format!("{at}.procName");
        if process.proc_name.is_empty() {
            self.missing(name, "write the base name of the running executable");
        } else if process.proc_name.len() > 63
            || process
                .proc_name
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '/')
            || matches!(process.proc_name.as_str(), "." | "..")
        {
            let rule = "must be 1 to 63 characters without '/' and blanks, such as redis-server";
            self.add(name, &process.proc_name, rule);
        }
        if process.start_cmd.trim().is_empty() {
            self.missing(
                format!("{at}.startCmd"),
                "write the command that starts the process",
            );
        }
        for (field, command) in [
            ("startCmd", &process.start_cmd),
            ("stopCmd", &process.stop_cmd),
            ("checkCmd", &process.check_cmd),
            ("restartCmd", &process.restart_cmd),
            ("reloadCmd", &process.reload_cmd),
            ("killCmd", &process.kill_cmd),
        ] {
            self.command(format!("{at}.{field}"), command);
        }
        for (index, argument) in process.argv.iter().enumerate() {
            self.command(format!("{at}.argv[{index}]"), argument);
        }
        self.host_path(format!("{at}.workPath"), &process.work_path);
        self.host_path(format!("{at}.pidFile"), &process.pid_file);
        self.bounded(
            format!("{at}.startGracePeriod"),
            process.start_grace_period,
            DAY,
        );
        if !process.user.is_empty() && !is_account(&process.user) {
            self.add(
                format!("{at}.user"),
                &process.user,
                "is not the name of an account",
            );
        }
        if process.uris.len() > 32 {
            self.add(
                format!("{at}.uris"),
                process.uris.len(),
                "must be at most 32 packages",
            );
        }
        for (index, uri) in process.uris.iter().enumerate() {
            self.package(&format!("{at}.uris[{index}]"), uri);
        }
        for (index, port) in process.ports.iter().enumerate() {
            let at = format!("{at}.ports[{index}]");
            if port.host_port <= 0 && port.name.is_empty() {
                let rule = "a port that is drawn needs a name, because ${ports.<name>} reads it";
                self.missing(format!("{at}.name"), rule);
            }
        }
        self.ports(at, &process.ports, 0, taken);
        self.variables(at, &process.env);
        self.resources(at, &process.resources);
        self.references(at, &process.configmaps, &process.secrets);
        self.checks(at, &process.health_checks, &process.ports);
    }

    pub(super) fn container(
        &mut self,
        at: &str,
        container: &Container,
        bridged: bool,
        taken: &mut BTreeSet<(bool, i32)>,
    ) {
        if container.image.trim().is_empty() {
            self.missing(
                format!("{at}.image"),
                "write the image, such as registry/name:tag",
            );
        } else if container
            .image
            .chars()
            .any(|c| c.is_whitespace() || c.is_control())
        {
            self.add(
                format!("{at}.image"),
                &container.image,
                "must not contain blanks",
            );
        }
        if !container.image_pull_policy.is_empty() {
            self.word(
                format!("{at}.imagePullPolicy"),
                &container.image_pull_policy,
                &["Always", "IfNotPresent", "Never"],
            );
        }
        for (field, value) in [
            ("imagePullUser", &container.image_pull_user),
            ("imagePullPasswd", &container.image_pull_passwd),
        ] {
            // The value may be a password: never repeat it.
            let sound = value.strip_prefix("secret::").is_none_or(|reference| {
                reference
                    .split_once("||")
                    .is_some_and(|(name, key)| ids::is_label(name) && is_data_key(key))
            });
            if !sound {
                let rule = "must be secret::<name>||<key>";
                self.refuse(format!("{at}.{field}"), "a secret reference", rule);
            }
        }
        for (index, parameter) in container.parameters.iter().enumerate() {
            if parameter.key.is_empty() {
                self.missing(
                    format!("{at}.parameters[{index}].key"),
                    "name the docker option",
                );
            }
        }
        for (index, volume) in container.volumes.iter().enumerate() {
            let at = format!("{at}.volumes[{index}].volume");
            if volume.volume.mount_path.is_empty() {
                self.missing(format!("{at}.mountPath"), "write the path in the container");
            }
            self.host_path(format!("{at}.mountPath"), &volume.volume.mount_path);
            self.host_path(format!("{at}.hostPath"), &volume.volume.host_path);
        }
        for (index, port) in container.ports.iter().enumerate() {
            self.port(
                format!("{at}.ports[{index}].containerPort"),
                port.container_port.into(),
                0,
            );
        }
        self.ports(at, &container.ports, if bridged { -1 } else { 0 }, taken);
        self.variables(at, &container.env);
        self.resources(at, &container.resources);
        self.references(at, &container.configmaps, &container.secrets);
        self.checks(at, &container.health_checks, &container.ports);
    }
}
