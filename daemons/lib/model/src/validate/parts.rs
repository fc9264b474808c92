//! What processes and containers have in common: ports, variables, resources, references.

use super::Problems;
use super::fields::{is_account, is_data_key};
use crate::units;
use crate::version::{
    ConfigMapRef, ContainerPort, DataItem, EnvVar, ResourceRequirements, ResourceTexts, SecretRef,
};
use std::collections::BTreeSet;

impl Problems {
    /// `taken` holds the fixed host ports of the whole instance, by protocol (is it udp?).
    pub(super) fn ports(
        &mut self,
        at: &str,
        ports: &[ContainerPort],
        least: i64,
        taken: &mut BTreeSet<(bool, i32)>,
    ) {
        let mut names = BTreeSet::new();
        for (index, port) in ports.iter().enumerate() {
            let at = format!("{at}.ports[{index}]");
            self.port(format!("{at}.hostPort"), port.host_port.into(), least);
            let udp = port.protocol.eq_ignore_ascii_case("udp");
            if port.host_port > 0 && !taken.insert((udp, port.host_port)) {
                let rule = "is taken by an earlier port of this instance; choose another, or 0";
                self.add(format!("{at}.hostPort"), port.host_port, rule);
            }
            if !port.protocol.is_empty() {
                self.word(
                    format!("{at}.protocol"),
                    &port.protocol.to_ascii_lowercase(),
                    &["tcp", "udp", "http", "https"],
                );
            }
            if port.name.is_empty() {
                continue;
            }
            let sound = port.name.len() <= 63
                && port
                    .name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            if !sound {
                let rule = "must be 1 to 63 letters, digits, '-' or '_', because PORT_<name> is a \
                            variable";
                self.add(format!("{at}.name"), &port.name, rule);
            }
            if !names.insert(port.name.as_str()) {
                let rule = "is the name of an earlier port; every one needs its own";
                self.add(format!("{at}.name"), &port.name, rule);
            }
        }
    }

    pub(super) fn variables(&mut self, at: &str, variables: &[EnvVar]) {
        const FIELDS: [&str; 4] = [
            "requests.cpu",
            "requests.memory",
            "limits.cpu",
            "limits.memory",
        ];
        let mut names = BTreeSet::new();
        for (index, variable) in variables.iter().enumerate() {
            let at = format!("{at}.env[{index}]");
            self.variable(format!("{at}.name"), &variable.name);
            if !names.insert(variable.name.as_str()) {
                let rule = "is set by an earlier entry; keep one of them";
                self.add(format!("{at}.name"), &variable.name, rule);
            }
            if variable.value.len() > 100_000 || variable.value.contains('\0') {
                let rule = "must be at most 100000 bytes without NUL";
                self.add(format!("{at}.value"), &variable.value, rule);
            }
            if let Some(source) = variable
                .value_from
                .as_ref()
                .and_then(|from| from.resource_field_ref.as_ref())
            {
                let at = format!("{at}.valueFrom.resourceFieldRef.resource");
                self.word(at, &source.resource, &FIELDS);
            }
        }
    }

    pub(super) fn resources(&mut self, at: &str, resources: &ResourceRequirements) {
        let mut read = |half: &str, texts: &ResourceTexts| {
            let at = format!("{at}.resources.{half}");
            [
                self.quantity(format!("{at}.cpu"), &texts.cpu, units::cpus),
                self.quantity(
                    format!("{at}.memory"),
                    &texts.memory,
                    units::memory_megabytes,
                ),
                self.quantity(
                    format!("{at}.storage"),
                    &texts.storage,
                    units::storage_megabytes,
                ),
            ]
        };
        let requests = read("requests", &resources.requests);
        let limits = read("limits", &resources.limits);
        for (index, field) in ["cpu", "memory", "storage"].into_iter().enumerate() {
            if let (Some(Some(request)), Some(Some(limit))) =
                (requests.get(index), limits.get(index))
                && request > limit
            {
                let rule = format!("is more than the limit {limit}; ask for at most that");
                self.add(format!("{at}.resources.requests.{field}"), request, rule);
            }
        }
        for (index, device) in resources.extended_resources.iter().enumerate() {
            let at = format!("{at}.resources.extendedResources[{index}]");
            if device.name.is_empty() {
                self.missing(format!("{at}.Name"), "name the resource");
            }
            if !(device.value > 0.0 && device.value.is_finite()) {
                self.add(
                    format!("{at}.Value"),
                    device.value,
                    "must be greater than 0",
                );
            }
        }
    }

    pub(super) fn references(&mut self, at: &str, maps: &[ConfigMapRef], secrets: &[SecretRef]) {
        for (index, map) in maps.iter().enumerate() {
            let at = format!("{at}.configmaps[{index}]");
            self.name(&format!("{at}.name"), &map.name);
            self.items(&at, &map.items);
        }
        for (index, secret) in secrets.iter().enumerate() {
            let at = format!("{at}.secrets[{index}]");
            self.name(&format!("{at}.secretName"), &secret.secret_name);
            self.items(&at, &secret.items);
        }
    }

    fn items(&mut self, at: &str, items: &[DataItem]) {
        if items.is_empty() {
            self.missing(
                format!("{at}.items"),
                "write which keys go where, or remove the entry",
            );
        }
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}.items[{index}]");
            self.word(format!("{at}.type"), &item.item_type, &["env", "file"]);
            if !is_data_key(&item.data_key) {
                let rule = "is not a key: use letters, digits, '-', '_' and '.'";
                self.add(format!("{at}.dataKey"), &item.data_key, rule);
            }
            let target = format!("{at}.keyOrPath");
            match item.item_type.as_str() {
                "env" => self.variable(target, &item.key_or_path),
                _ if item.key_or_path.is_empty() => {
                    self.missing(target, "write the path of the file");
                }
                _ => self.host_path(target, &item.key_or_path),
            }
            if !item.user.is_empty() && !is_account(&item.user) {
                self.add(
                    format!("{at}.user"),
                    &item.user,
                    "is not the name of an account",
                );
            }
        }
    }
}
