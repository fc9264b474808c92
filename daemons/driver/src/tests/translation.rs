//! From documents to versions.

use http::Method;
use proptest::prelude::*;
use serde_json::json;

use super::{process, rig};

#[tokio::test]
async fn a_process_is_translated_and_created() {
    let rig = rig().await;
    let body = process("web");
    let (status, answer) = rig
        .call(Method::POST, "/namespaces/games/processes", Some(&body))
        .await;
    assert_eq!((status, &answer["result"]), (200, &json!(true)), "{answer}");
    let (method, path, version) = rig.script.last();
    assert_eq!((method.as_str(), path.as_str()), ("POST", "/v1/apps"));
    assert_eq!(version["ID"], "web");
    assert_eq!(version["RunAs"], "games");
    assert_eq!(version["Kind"], "process");
    assert_eq!(version["Instances"], 2);
    assert_eq!(version["Labels"], json!({"app": "web"}));
    assert_eq!(
        version["raw_json"], body,
        "the definition is kept as it was written"
    );
    let process = &version["Process"][0];
    assert_eq!(process["procName"], "svc");
    assert_eq!(process["argv"], json!(["-v"]));
    assert_eq!(process["uris"][0]["OutputDir"], "/srv/svc");
    assert_eq!(
        process["resources"]["requests"],
        json!({"cpu": "1", "memory": "64", "storage": "64"})
    );
    assert_eq!(
        process["env"][0],
        json!({"name": "CPU", "value": "1000.000000"})
    );
    assert_eq!(version["RestartPolicy"]["policy"], "Always");
}

#[tokio::test]
async fn an_application_becomes_containers() {
    let rig = rig().await;
    let body = json!({
        "apiVersion": "v4", "kind": "application", "metadata": {"name": "web"},
        "spec": {"instance": 1, "template": {"spec": {"networkMode": "BRIDGE", "networktype": "cnm",
            "containers": [{"image": "a:1", "command": "/run", "args": ["x"], "imagePullPolicy": "Always",
                "ports": [{"name": "http", "containerPort": 80, "hostPort": 0}],
                "env": [{"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}],
                "volumes": [{"name": "v", "volume": {"hostPath": "/a", "mountPath": "/b", "readOnly": true}}],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]}}}
    });
    let (status, answer) = rig
        .call(Method::POST, "/namespaces/games/applications", Some(&body))
        .await;
    assert_eq!(status, 200, "{answer}");
    let version = rig.script.last().2;
    let container = &version["Container"][0];
    assert_eq!(
        version["RunAs"], "games",
        "the namespace of the route is the default"
    );
    assert_eq!(container["Docker"]["ForcePullImage"], true);
    assert_eq!(container["Docker"]["NetworkType"], "cnm");
    assert_eq!(container["Docker"]["Env"], json!({"M": "1024.000000"}));
    assert_eq!(
        container["Resources"],
        json!({"Cpus": 0.5, "Mem": 1024.0, "Disk": 0.0})
    );
    assert_eq!(container["LimitResoures"]["Mem"], 1024.0);
    assert_eq!(container["Volumes"][0]["Mode"], "RO");
    assert_eq!(container["Docker"]["PortMappings"][0]["ContainerPort"], 80);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_passes_the_judge_is_always_translated(
        name in "[a-z0-9.-]{1,10}", cpu in "[0-9.m]{0,6}", memory in "[0-9MGi.]{0,6}", instances in -1_i64..20,
    ) {
        use bcs_model::v4::{Kind, ReplicaController};
        let mut body = process(&name);
        body["SPEC"]["Instance"] = json!(instances);
        body["SPEC"]["template"]["spec"]["processes"][0]["resources"] = json!({"limits": {"cpu": cpu, "memory": memory}});
        let mut document: ReplicaController = bcs_model::decode::decode_value(body.clone()).unwrap();
        if bcs_model::validate::replica_controller(&document, Kind::Process, "games", "c").is_ok() {
            document.fill_defaults(Kind::Process, "games");
            let version = crate::version(document, Kind::Process, body).unwrap();
            prop_assert!(version.instances > 0);
        }
    }
}
