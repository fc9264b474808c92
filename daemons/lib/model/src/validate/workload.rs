//! Applications and processes as a whole; their tasks are in `task`.

use super::{DAY, MOST_INSTANCES, MOST_TASKS, Problems};
use crate::ids;
use crate::v4::{Kind, PodSpec, ReplicaController};
use crate::version::Constraint;
use std::collections::BTreeSet;

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
