//! Templates for tests.

use bcs_model::meta::ObjectMeta;
use bcs_model::version::{
    AppKind, ContainerPort, EnvVar, Process, ResourceRequirements, ResourceTexts, RestartPolicy,
    RestartRule, Version,
};

use crate::core::Name;

pub(crate) fn name(app: &str) -> Name {
    Name::new("arcade", app)
}

/// A process with one random port that takes half a core.
pub(crate) fn process(app: &str, instances: i64) -> Version {
    Version {
        id: app.to_owned(),
        run_as: "arcade".to_owned(),
        instances,
        kind: AppKind::Process,
        object_meta: ObjectMeta {
            name: app.to_owned(),
            namespace: "arcade".to_owned(),
            ..ObjectMeta::default()
        },
        restart_policy: RestartPolicy {
            policy: RestartRule::Always,
            ..RestartPolicy::default()
        },
        process: vec![Process {
            proc_name: "svc".to_owned(),
            work_path: "${work_base_dir}/svc-${instanceid}".to_owned(),
            pid_file: "${workPath}/svc.pid".to_owned(),
            start_cmd: "${workPath}/start.sh".to_owned(),
            env: vec![EnvVar {
                name: "LISTEN".to_owned(),
                value: "${ports.main}".to_owned(),
                value_from: None,
            }],
            ports: vec![ContainerPort {
                name: "main".to_owned(),
                protocol: "tcp".to_owned(),
                ..ContainerPort::default()
            }],
            resources: ResourceRequirements {
                limits: ResourceTexts {
                    cpu: "0.5".to_owned(),
                    memory: "64".to_owned(),
                    storage: "16".to_owned(),
                },
                ..ResourceRequirements::default()
            },
            ..Process::default()
        }],
        ..Version::default()
    }
}
