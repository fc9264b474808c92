//! Applications and processes.

use super::fields::{is_account, is_data_key};
use super::{MOST_INSTANCES, MOST_TASKS, Problems};
use crate::ids;
use crate::units;
use crate::v4::{Container, Kind, PodSpec, ReplicaController};
use crate::version::{
    ConfigMapRef, Constraint, ContainerPort, DataItem, EnvVar, HealthCheck, Process,
    ResourceRequirements, SecretRef,
};
use std::collections::BTreeSet;

/// A day, the longest time that a policy may name.
const DAY: i64 = 86_400;
const REQUEST_IP: &str = "io.tencent.bcs.netsvc.requestip.";

/// Judges an application or process for the route it came by. `namespace` is that of the route;
/// the document may leave its own out.
pub fn replica_controller(
    document: &ReplicaController,
    kind: Kind,
    namespace: &str,
    cluster: &str,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    problems.head(&document.api_version, &document.kind, kind);
    problems.name("metadata.name", &document.metadata.name);
    problems.route_namespace(&document.metadata.namespace, namespace);
    problems.metadata("metadata", &document.metadata);
    problems.instances(document);
    problems.policies(document);
    if let Some(constraint) = &document.constraint {
        problems.constraint(constraint);
    }
    match &document.spec.template {
        None => problems.missing("spec.template", "write what one instance consists of"),
        Some(template) => {
            problems.metadata("spec.template.metadata", &template.metadata);
            problems.pod(&template.spec, kind);
            let tasks = template
                .spec
                .containers
                .len()
                .max(template.spec.processes.len());
            problems.id_length(document, namespace, cluster, tasks);
        }
    }
    problems.into_result()
}

impl Problems {
    /// `apiVersion` and `kind` against the route.
    pub(super) fn head(&mut self, api_version: &str, found: &str, kind: Kind) {
        if !api_version.is_empty() && api_version != "v4" {
            self.refuse("apiVersion", api_version, "must be v4");
        }
        if found != kind.name() {
            let rule = format!("is invalid here: Kind {found} is invalid, this route takes {kind}");
            self.refuse("kind", found, rule);
        }
    }

    /// The namespace of the document against that of the route.
    pub(super) fn route_namespace(&mut self, found: &str, route: &str) {
        let namespace = if found.is_empty() { route } else { found };
        self.namespace("metadata.namespace", namespace);
        if !found.is_empty() && !route.is_empty() && found != route {
            let rule = format!("is not the namespace of the request, {route}; make them equal");
            self.refuse("metadata.namespace", found, rule);
        }
    }

    fn instances(&mut self, document: &ReplicaController) {
        let instances = document.spec.instance;
        if instances <= 0 || instances > MOST_INSTANCES {
            let rule = format!("must be 1 to {MOST_INSTANCES}; to run none, delete it");
            self.refuse("spec.instance", instances, rule);
        }
        let pinned = document
            .metadata
            .labels
            .keys()
            .filter(|key| key.starts_with(REQUEST_IP))
            .count();
        if pinned > 0 && i64::try_from(pinned).is_ok_and(|pinned| pinned < instances) {
            let rule = format!(
                "are fewer than the {instances} instances; give every instance its \
                 {REQUEST_IP}<index>, or none"
            );
            self.refuse("metadata.labels", format!("{pinned} fixed addresses"), rule);
        }
    }

    fn policies(&mut self, document: &ReplicaController) {
        let restart = &document.restart_policy;
        if !restart.policy.is_empty() {
            self.word(
                "restartPolicy.policy".into(),
                &restart.policy,
                &["Never", "Always", "OnFailure"],
            );
        }
        self.bounded("restartPolicy.interval".into(), restart.interval, DAY);
        self.bounded("restartPolicy.backoff".into(), restart.backoff, DAY);
        self.bounded("restartPolicy.maxtimes".into(), restart.maxtimes, 1_000_000);
        self.bounded(
            "restartPolicy.hostRetainTime".into(),
            restart.host_retain_time,
            DAY,
        );
        self.bounded(
            "killPolicy.gracePeriod".into(),
            document.kill_policy.grace_period,
            DAY,
        );
    }

    fn constraint(&mut self, constraint: &Constraint) {
        const OPERATORS: [&str; 9] = [
            "UNIQUE",
            "CLUSTER",
            "GROUPBY",
            "MAXPER",
            "LIKE",
            "UNLIKE",
            "GREATER",
            "EXCLUDE",
            "TOLERATION",
        ];
        for (index, item) in constraint.intersection_item.iter().enumerate() {
            let at = format!("constraint.intersectionItem[{index}].unionData");
            if item.union_data.is_empty() {
                self.missing(at.clone(), "an item without data fits no host; remove it");
            }
            for (index, data) in item.union_data.iter().enumerate() {
                let at = format!("{at}[{index}]");
                if data.name.is_empty() {
                    self.missing(format!("{at}.name"), "name an attribute, such as hostname");
                }
                self.word(format!("{at}.operate"), &data.operate, &OPERATORS);
                let filled = match data.value_type {
                    1 => data.scalar.is_some(),
                    2 => !data.ranges.is_empty(),
                    3 => data.text.is_some(),
                    4 => data.set.is_some(),
                    _ => {
                        let rule = "must be 1 scalar, 2 ranges, 3 text or 4 set";
                        self.add(format!("{at}.type"), data.value_type, rule);
                        continue;
                    }
                };
                if !filled && data.operate != "UNIQUE" {
                    let rule = "says that a value is in scalar, ranges, text or set, but it is not";
                    self.add(format!("{at}.type"), data.value_type, rule);
                }
            }
        }
    }

    fn pod(&mut self, pod: &PodSpec, kind: Kind) {
        let at = "spec.template.spec";
        match (pod.containers.is_empty(), pod.processes.is_empty()) {
            (true, true) => self.missing(at, "no containers and processes; write one of them"),
            (false, false) => self.add(
                at,
                "containers and processes",
                "cannot coexist; make a kind application and a kind process of them",
            ),
            (false, true) if kind == Kind::Process => self.add(
                format!("{at}.containers"),
                format!("{} containers", pod.containers.len()),
                "do not belong into kind process; write processes, or kind application",
            ),
            (true, false) if kind == Kind::Application => self.add(
                format!("{at}.processes"),
                format!("{} processes", pod.processes.len()),
                "do not belong into kind application; write containers, or kind process",
            ),
            _ => {}
        }
        for (field, count) in [
            ("containers", pod.containers.len()),
            ("processes", pod.processes.len()),
        ] {
            if count > MOST_TASKS {
                let rule = format!("must be at most {MOST_TASKS}; split them up");
                self.add(format!("{at}.{field}"), count, rule);
            }
        }
        if let Some(limit) = &pod.net_limit {
            self.bounded(
                format!("{at}.netLimit.egressLimit"),
                limit.egress_limit,
                1_000_000,
            );
        }
        let mut names = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for (index, process) in pod.processes.iter().take(MOST_TASKS).enumerate() {
            let at = format!("{at}.processes[{index}]");
            if !process.proc_name.is_empty() && !names.insert(process.proc_name.as_str()) {
                let rule = "is the name of an earlier process; every one needs its own";
                self.add(format!("{at}.procName"), &process.proc_name, rule);
            }
            self.process(&at, process, &mut taken);
        }
        let bridged = !matches!(
            pod.network_mode.to_ascii_uppercase().as_str(),
            "HOST" | "NONE"
        );
        for (index, container) in pod.containers.iter().take(MOST_TASKS).enumerate() {
            let at = format!("{at}.containers[{index}]");
            if !container.name.is_empty() && !names.insert(container.name.as_str()) {
                let rule = "is the name of an earlier container; every one needs its own";
                self.add(format!("{at}.name"), &container.name, rule);
            }
            self.container(&at, container, bridged, &mut taken);
        }
    }

    fn process(&mut self, at: &str, process: &Process, taken: &mut BTreeSet<(bool, i32)>) {
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

    fn container(
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

    /// `taken` holds the fixed host ports of the whole instance, by protocol (is it udp?).
    fn ports(
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

    fn variables(&mut self, at: &str, variables: &[EnvVar]) {
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

    fn resources(&mut self, at: &str, resources: &ResourceRequirements) {
        let mut read = |half: &str, texts: &crate::version::ResourceTexts| {
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

    fn references(&mut self, at: &str, maps: &[ConfigMapRef], secrets: &[SecretRef]) {
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

    fn checks(&mut self, at: &str, checks: &[HealthCheck], ports: &[ContainerPort]) {
        let mut seen = BTreeSet::new();
        for (index, check) in checks.iter().enumerate() {
            let at = format!("{at}.healthChecks[{index}]");
            let class = match check.check_type.as_str() {
                "HTTP" | "TCP" | "COMMAND" => "one local check (HTTP, TCP or COMMAND)",
                "REMOTE_HTTP" => "one REMOTE_HTTP check",
                "REMOTE_TCP" => "one REMOTE_TCP check",
                _ => {
                    self.word(
                        format!("{at}.type"),
                        &check.check_type,
                        &["HTTP", "TCP", "COMMAND", "REMOTE_HTTP", "REMOTE_TCP"],
                    );
                    continue;
                }
            };
            if !seen.insert(class) {
                let rule = format!("is too much: a task has at most {class}");
                self.add(format!("{at}.type"), &check.check_type, rule);
            }
            self.check_times(&at, check);
            match check.check_type.as_str() {
                "COMMAND" => {
                    if check
                        .command
                        .as_ref()
                        .is_none_or(|command| command.value.trim().is_empty())
                    {
                        self.missing(format!("{at}.command.value"), "write the command");
                    }
                }
                "TCP" | "REMOTE_TCP" => match &check.tcp {
                    None => self.missing(format!("{at}.tcp"), "write port or portName"),
                    Some(tcp) => {
                        self.check_port(&format!("{at}.tcp"), tcp.port, &tcp.port_name, ports);
                    }
                },
                _ => match &check.http {
                    None => self.missing(format!("{at}.http"), "write port or portName, and path"),
                    Some(http) => {
                        let at = format!("{at}.http");
                        self.check_port(&at, http.port, &http.port_name, ports);
                        if !http.scheme.is_empty() {
                            self.word(format!("{at}.scheme"), &http.scheme, &["http", "https"]);
                        }
                        if !http.path.is_empty() && !http.path.starts_with('/') {
                            self.add(format!("{at}.path"), &http.path, "must begin with '/'");
                        }
                    }
                },
            }
        }
    }

    fn check_times(&mut self, at: &str, check: &HealthCheck) {
        for (field, value) in [
            ("delaySeconds", check.delay_seconds),
            ("gracePeriodSeconds", check.grace_period_seconds),
            ("intervalSeconds", check.interval_seconds),
            ("timeoutSeconds", check.timeout_seconds),
        ] {
            if value > DAY {
                self.add(
                    format!("{at}.{field}"),
                    value,
                    format!("must be at most {DAY}"),
                );
            }
        }
        self.bounded(
            format!("{at}.consecutiveFailures"),
            check.consecutive_failures,
            1_000_000,
        );
        let timers = check.timers();
        if timers.interval < 2 {
            let rule = "must be at least 2, because a probe must end before the next one";
            self.add(format!("{at}.intervalSeconds"), timers.interval, rule);
        } else if timers.timeout >= timers.interval {
            let rule = format!(
                "must be less than intervalSeconds ({}), so that a probe ends before the next one",
                timers.interval
            );
            self.add(format!("{at}.timeoutSeconds"), timers.timeout, rule);
        }
    }

    fn check_port(&mut self, at: &str, port: i64, name: &str, ports: &[ContainerPort]) {
        if name.is_empty() {
            self.port(format!("{at}.port"), port, 1);
        } else if !ports.iter().any(|port| port.name == name) {
            let known: Vec<&str> = ports
                .iter()
                .map(|port| port.name.as_str())
                .filter(|name| !name.is_empty())
                .collect();
            let rule = if known.is_empty() {
                "is not a port of this task, which names none".to_owned()
            } else {
                format!("is not a port of this task; it has {}", known.join(", "))
            };
            self.add(format!("{at}.portName"), name, rule);
        }
    }

    /// Mesos refuses longer identifiers at launch, which is too late.
    fn id_length(
        &mut self,
        document: &ReplicaController,
        namespace: &str,
        cluster: &str,
        tasks: usize,
    ) {
        let namespace = if document.metadata.namespace.is_empty() {
            namespace
        } else {
            document.metadata.namespace.as_str()
        };
        let group = ids::TaskGroupId {
            index: u64::try_from(document.spec.instance.max(1) - 1).unwrap_or_default(),
            app: document.metadata.name.clone(),
            namespace: namespace.to_owned(),
            cluster: cluster.to_owned(),
            nanos: 1_000_000_000_000_000_000,
        };
        if group
            .check_length(u64::try_from(tasks).unwrap_or(u64::MAX))
            .is_err()
        {
            let rule = format!(
                "makes task ids of more than {} characters, which Mesos refuses; shorten name, \
                 namespace or cluster id",
                ids::MAX_ID_LENGTH
            );
            self.add("metadata.name", &document.metadata.name, rule);
        }
    }
}
