//! The driver against a scripted scheduler (and agent) over loopback, seen as a client sees it.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Endpoint, Listen};
use bcs_kit::{Context, Shutdown};
use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Settings;

/// What the scheduler was asked: method, path with query, body.
type Asked = (String, String, Value);

#[derive(Clone, Default)]
struct Script {
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Path prefix to status and body.
    answers: Arc<Mutex<Vec<(String, u16, String)>>>,
}

impl Script {
    fn answer(&self, prefix: &str, status: u16, body: &Value) {
        self.answers
            .lock()
            .unwrap()
            .push((prefix.to_owned(), status, body.to_string()));
    }

    fn last(&self) -> Asked {
        self.asked
            .lock()
            .unwrap()
            .last()
            .cloned()
            .expect("the scheduler was asked")
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn scheduler(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let value = serde_json::from_slice(&body).unwrap_or_default();
    script
        .asked
        .lock()
        .unwrap()
        .push((parts.method.to_string(), path.clone(), value));
    if path.starts_with("/v1/logs") {
        let chunks = ["one\n", "two\n"].map(Ok::<_, std::io::Error>);
        return Body::from_stream(futures_util::stream::iter(chunks)).into_response();
    }
    let answers = script.answers.lock().unwrap();
    let (status, text) = answers
        .iter()
        .rev()
        .find(|(prefix, ..)| path.starts_with(prefix))
        .map_or(
            (
                200,
                r#"{"result":true,"code":0,"message":"success","data":null}"#.to_owned(),
            ),
            |found| (found.1, found.2.clone()),
        );
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], text).into_response()
}

struct Rig {
    base: String,
    agent: String,
    script: Script,
    http: bcs_httpd::Client,
    context: Context,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.shutdown.cancel();
    }
}

async fn rig_with(change: impl FnOnce(&mut Settings)) -> Rig {
    let script = Script::default();
    let fake = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agent = format!("http://{}", fake.local_addr().unwrap());
    let router = axum::Router::new()
        .fallback(scheduler)
        .with_state(script.clone());
    let context = Context::new(Shutdown::new());
    context.tasks.spawn("fake scheduler", async move {
        axum::serve(fake, router).await.unwrap();
    });
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", own.local_addr().unwrap());
    let mut settings = Settings {
        listen: Listen::Bound(Arc::new(own)),
        scheduler: agent.parse().unwrap(),
        ..Settings::default()
    };
    change(&mut settings);
    let running = context.clone();
    context
        .tasks
        .spawn_essential("driver", crate::run(settings, running));
    context.ready.wait().await;
    let endpoint: Endpoint = base.parse().unwrap();
    let http = bcs_httpd::Client::new(&endpoint, None).unwrap();
    Rig {
        base,
        agent,
        script,
        http,
        context,
    }
}

async fn rig() -> Rig {
    rig_with(|_| {}).await
}

impl Rig {
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.http.request(method, &format!("/mesosdriver/v4{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }
}

fn process(name: &str) -> Value {
    json!({
        "apiVersion": "v4", "kind": "process",
        "metadata": {"name": name, "namespace": "games", "labels": {"app": name}},
        "restartPolicy": {"policy": "Always", "interval": 1},
        "SPEC": {"Instance": 2, "template": {"spec": {"processes": [{
            "procName": "svc", "workPath": "/srv/svc", "startCmd": "./svc", "argv": ["-v"],
            "env": [{"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
            "ports": [{"name": "main", "hostPort": 0}],
            "uris": [{"value": "http://h/p.tar.gz", "outputDir": "/srv/svc"}]
        }]}}}
    })
}

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

#[tokio::test]
async fn every_route_reaches_the_scheduler() {
    let rig = rig().await;
    let id = "0.web.games.BCS-MESOS-10000.1700000000000000000";
    let body = process("web");
    let signal = json!({"msgtype": "signal", "msgdata": {"signal": 10, "processname": "svc"}});
    let map = json!({"apiVersion": "v4", "kind": "configmap", "metadata": {"name": "c"}, "datas": {"a": {"type": "file", "content": "aGk="}}});
    let secret = json!({"apiVersion": "v4", "kind": "secret", "metadata": {"name": "s"}, "datas": {"a": {"content": "aGk="}}});
    let setting = json!([{"innerIP": "10.0.0.1", "strings": {"zone": {"value": "a"}}}]);
    let taint = json!([{"innerIP": "10.0.0.1", "noSchedule": {"a": "b"}}]);
    let device = json!({"InnerIP": "10.0.0.1", "Name": "gpu", "Capacity": 2});
    let ns = "/namespaces/games";
    type Case<'a> = (Method, String, Option<&'a Value>, &'static str, String);
    let table: Vec<Case<'_>> = vec![
        (
            Method::PUT,
            format!("{ns}/processes?instances=1"),
            Some(&body),
            "POST",
            "/v1/apps/games/web/update?instances=1".into(),
        ),
        (
            Method::PUT,
            format!("{ns}/processes?args=resource"),
            Some(&body),
            "POST",
            "/v1/apps/games/web/update?instances=0&args=resource".into(),
        ),
        (
            Method::PUT,
            format!("{ns}/processes/rollback"),
            Some(&body),
            "POST",
            "/v1/apps/games/web/update?instances=0".into(),
        ),
        (
            Method::GET,
            format!("{ns}/configmaps/c"),
            None,
            "GET",
            "/v1/configmap/games/c".into(),
        ),
        (
            Method::GET,
            format!("{ns}/configmaps"),
            None,
            "GET",
            "/v1/configmaps?namespace=games".into(),
        ),
        (
            Method::PUT,
            format!("{ns}/processes/web/rollback?to=17"),
            None,
            "POST",
            "/v1/apps/games/web/rollback?to=17".into(),
        ),
        (
            Method::GET,
            format!("{ns}/processes/web"),
            None,
            "GET",
            "/v1/apps/games/web?kind=process".into(),
        ),
        (
            Method::GET,
            format!("{ns}/applications/web"),
            None,
            "GET",
            "/v1/apps/games/web?kind=application".into(),
        ),
        (
            Method::DELETE,
            format!("{ns}/processes/web?enforce=1"),
            None,
            "DELETE",
            "/v1/apps/games/web?kind=process&enforce=1".into(),
        ),
        (
            Method::DELETE,
            format!("{ns}/processes/web?enforce=0"),
            None,
            "DELETE",
            "/v1/apps/games/web?kind=process".into(),
        ),
        (
            Method::PUT,
            format!("{ns}/processes/web/scale/5"),
            None,
            "POST",
            "/v1/apps/games/web/scale?instances=5&kind=process".into(),
        ),
        (
            Method::GET,
            format!("{ns}/processes/web/taskgroups"),
            None,
            "GET",
            "/v1/apps/games/web/taskgroups".into(),
        ),
        (
            Method::GET,
            format!("{ns}/processes/web/versions"),
            None,
            "GET",
            "/v1/apps/games/web/versions".into(),
        ),
        (
            Method::GET,
            format!("{ns}/processes/web/versions/17"),
            None,
            "GET",
            "/v1/apps/games/web/versions/17".into(),
        ),
        (
            Method::PUT,
            format!("{ns}/processes/web/taskgroups/{id}/rescheduler?hostRetainTime=60"),
            None,
            "PUT",
            format!("/v1/taskgroup/{id}/rescheduler?hostRetainTime=60"),
        ),
        (
            Method::POST,
            format!("{ns}/processes/web/taskgroups/{id}/restart"),
            None,
            "POST",
            format!("/v1/taskgroup/{id}/restart"),
        ),
        (
            Method::POST,
            format!("{ns}/processes/web/taskgroups/{id}/reload"),
            None,
            "POST",
            format!("/v1/taskgroup/{id}/reload"),
        ),
        (
            Method::POST,
            format!("{ns}/processes/web/message"),
            Some(&signal),
            "POST",
            "/v1/apps/games/web/message".into(),
        ),
        (
            Method::POST,
            format!("{ns}/applications/web/taskgroups/{id}/message"),
            Some(&signal),
            "POST",
            format!("/v1/apps/games/web/message/{id}"),
        ),
        (
            Method::POST,
            format!("{ns}/configmaps"),
            Some(&map),
            "POST",
            "/v1/configmap".into(),
        ),
        (
            Method::PUT,
            format!("{ns}/configmaps"),
            Some(&map),
            "PUT",
            "/v1/configmap".into(),
        ),
        (
            Method::DELETE,
            format!("{ns}/configmaps/c"),
            None,
            "DELETE",
            "/v1/configmap/games/c".into(),
        ),
        (
            Method::POST,
            format!("{ns}/secrets"),
            Some(&secret),
            "POST",
            "/v1/secret".into(),
        ),
        (
            Method::DELETE,
            format!("{ns}/secrets/s"),
            None,
            "DELETE",
            "/v1/secret/games/s".into(),
        ),
        (
            Method::GET,
            "/cluster/resources".into(),
            None,
            "GET",
            "/v1/cluster/resources".into(),
        ),
        (
            Method::GET,
            "/cluster/endpoints".into(),
            None,
            "GET",
            "/v1/cluster/endpoints".into(),
        ),
        (
            Method::GET,
            "/cluster/current/offers".into(),
            None,
            "GET",
            "/v1/cluster/current/offers".into(),
        ),
        (
            Method::GET,
            "/agentsettings".into(),
            None,
            "GET",
            "/v1/agentsettings".into(),
        ),
        (
            Method::GET,
            "/agentsettings?ips=10.0.0.1,10.0.0.2".into(),
            None,
            "GET",
            "/v1/agentsettings?ips=10.0.0.1,10.0.0.2".into(),
        ),
        (
            Method::POST,
            "/agentsettings".into(),
            Some(&setting),
            "POST",
            "/v1/agentsettings".into(),
        ),
        (
            Method::DELETE,
            "/agentsettings?ips=10.0.0.1".into(),
            None,
            "DELETE",
            "/v1/agentsettings?ips=10.0.0.1".into(),
        ),
        (
            Method::POST,
            "/agentsettings/disable?ips=10.0.0.1".into(),
            None,
            "POST",
            "/v1/agentsettings/disable?ips=10.0.0.1".into(),
        ),
        (
            Method::POST,
            "/agentsettings/enable?ips=10.0.0.1".into(),
            None,
            "POST",
            "/v1/agentsettings/enable?ips=10.0.0.1".into(),
        ),
        (
            Method::PUT,
            "/agentsettings/taint".into(),
            Some(&taint),
            "PUT",
            "/v1/agentsettings/taint".into(),
        ),
        (
            Method::PUT,
            "/agentsettings/extendedresource".into(),
            Some(&device),
            "PUT",
            "/v1/agentsettings/extendedresource".into(),
        ),
        (
            Method::GET,
            "/definition/process/games/web".into(),
            None,
            "GET",
            "/v1/definition/application/games/web".into(),
        ),
    ];
    for (method, path, body, wanted_method, wanted_path) in table {
        let (status, answer) = rig.call(method.clone(), &path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        let (method, asked, _) = rig.script.last();
        assert_eq!(
            (method.as_str(), asked.as_str()),
            (wanted_method, wanted_path.as_str()),
            "{path}"
        );
    }
    let message = rig
        .script
        .asked
        .lock()
        .unwrap()
        .iter()
        .find(|asked| asked.1.ends_with("/message"))
        .cloned();
    let message = message.unwrap().2;
    assert_eq!(
        (&message["Type"], &message["Sig"]["Signal"]),
        (&json!(2), &json!(10))
    );
}

#[tokio::test]
async fn lists_are_of_one_kind_and_tasks_are_flat() {
    let rig = rig().await;
    let both = json!({"result": true, "code": 0, "message": "success", "data": [
        {"Kind": "process", "ID": "a"}, {"Kind": "application", "ID": "b"}]});
    rig.script.answer("/v1/games/apps", 200, &both);
    let (_, answer) = rig
        .call(Method::GET, "/namespaces/games/processes", None)
        .await;
    assert_eq!(answer["data"], json!([{"Kind": "process", "ID": "a"}]));
    let groups = json!({"result": true, "code": 0, "message": "success", "data": [
        {"ID": "0", "Taskgroup": [{"ID": "x"}, {"ID": "y"}]}, {"ID": "1", "Taskgroup": [{"ID": "z"}]}]});
    rig.script
        .answer("/v1/apps/games/web/taskgroups", 200, &groups);
    let (_, answer) = rig
        .call(Method::GET, "/namespaces/games/processes/web/tasks", None)
        .await;
    assert_eq!(
        answer["data"],
        json!([{"ID": "x"}, {"ID": "y"}, {"ID": "z"}])
    );
}

#[tokio::test]
async fn refusals_of_the_scheduler_pass_through_unchanged() {
    let rig = rig().await;
    let refusal = json!({"result": false, "code": 1_405_201, "message": "(web):resource already exists", "data": null});
    rig.script.answer("/v1/apps", 409, &refusal);
    let (status, answer) = rig
        .call(
            Method::POST,
            "/namespaces/games/processes",
            Some(&process("web")),
        )
        .await;
    assert_eq!((status, answer), (409, refusal));
}

#[tokio::test]
async fn bad_requests_are_refused_before_the_scheduler_hears_of_them() {
    let rig = rig().await;
    let mut invalid = process("web");
    invalid["SPEC"]["Instance"] = json!(0);
    invalid["metadata"]["name"] = json!("Not.A.Name");
    let wrong_kind = process("web");
    let foreign = "0.web.other.BCS-MESOS-10000.1700000000000000000";
    let other_app = "0.api.games.BCS-MESOS-10000.1700000000000000000";
    let ns = "/namespaces/games";
    let odd = json!({"msgtype": "fax", "msgdata": {}});
    let number = json!({"apiVersion": 4});
    type Case<'a> = (Method, String, Option<&'a Value>, u16, i64, &'static str);
    let table: Vec<Case<'_>> = vec![
        (
            Method::POST,
            format!("{ns}/processes"),
            Some(&invalid),
            400,
            1_405_231,
            "2 problems",
        ),
        (
            Method::POST,
            format!("{ns}/applications"),
            Some(&wrong_kind),
            400,
            1_405_008,
            "application",
        ),
        (
            Method::POST,
            format!("{ns}/processes"),
            Some(&number),
            400,
            1_405_010,
            "apiVersion",
        ),
        (
            Method::POST,
            format!("{ns}/processes"),
            None,
            400,
            1_405_012,
            "empty",
        ),
        (
            Method::PUT,
            format!("{ns}/processes"),
            Some(&wrong_kind),
            400,
            1_405_007,
            "instances must be specified",
        ),
        (
            Method::PUT,
            format!("{ns}/processes?instances=x"),
            Some(&wrong_kind),
            400,
            1_405_007,
            "instances",
        ),
        (
            Method::PUT,
            format!("{ns}/processes?instances=1&args=all"),
            Some(&wrong_kind),
            400,
            1_405_007,
            "args",
        ),
        (
            Method::DELETE,
            format!("{ns}/processes/web?enforce=yes"),
            None,
            400,
            1_405_007,
            "enforce",
        ),
        (
            Method::PUT,
            format!("{ns}/processes/web/scale/0"),
            None,
            400,
            1_405_007,
            "instances",
        ),
        (
            Method::PUT,
            format!("{ns}/processes/web/scale/99999999999999999999"),
            None,
            400,
            1_405_007,
            "instances",
        ),
        (
            Method::GET,
            format!("{ns}/processes/..%2Fx"),
            None,
            400,
            1_405_007,
            "name",
        ),
        (
            Method::GET,
            "/namespaces/a%2Fb/processes".into(),
            None,
            400,
            1_405_007,
            "namespace",
        ),
        (
            Method::GET,
            format!("{ns}/processes/web/versions/abc"),
            None,
            400,
            1_405_232,
            "version",
        ),
        (
            Method::PUT,
            format!("{ns}/processes/web/taskgroups/{foreign}/rescheduler"),
            None,
            400,
            1_405_007,
            "namespace",
        ),
        (
            Method::POST,
            format!("{ns}/processes/web/taskgroups/{other_app}/restart"),
            None,
            400,
            1_405_007,
            "belong",
        ),
        (
            Method::GET,
            format!("{ns}/taskgroups/{foreign}/logs"),
            None,
            400,
            1_405_007,
            "namespace",
        ),
        (
            Method::POST,
            format!("{ns}/processes/web/message"),
            Some(&odd),
            400,
            1_405_233,
            "msgtype",
        ),
        (
            Method::POST,
            "/agentsettings/disable".into(),
            None,
            400,
            1_405_007,
            "ips",
        ),
        (
            Method::POST,
            "/agentsettings/disable?ips=everything".into(),
            None,
            400,
            1_405_007,
            "IP",
        ),
        (
            Method::GET,
            "/definition/service/games/web".into(),
            None,
            400,
            1_405_007,
            "definitions",
        ),
        (
            Method::GET,
            format!("{ns}/deployments"),
            None,
            501,
            1_405_230,
            "not implemented",
        ),
        (
            Method::POST,
            "/crr/register".into(),
            None,
            501,
            1_405_230,
            "not implemented",
        ),
        (
            Method::GET,
            "/definition/deployment/games/web".into(),
            None,
            501,
            1_405_230,
            "not implemented",
        ),
        (
            Method::GET,
            "/nothing".into(),
            None,
            404,
            1_405_230,
            "no route",
        ),
        (
            Method::PATCH,
            "/cluster/resources".into(),
            None,
            405,
            1_405_230,
            "not allowed",
        ),
    ];
    for (method, path, body, status, code, words) in table {
        let (found, answer) = rig.call(method.clone(), &path, body).await;
        assert_eq!(
            (found, answer["code"].as_i64()),
            (status, Some(code)),
            "{method} {path}: {answer}"
        );
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(words), "{method} {path}: {message}");
        assert_eq!(answer["result"], false);
    }
    assert_eq!(rig.script.count(), 0);
}

#[tokio::test]
async fn another_cluster_is_refused_and_always_200_is_obeyed() {
    let rig = rig().await;
    let ask = |cluster: &'static str, always: &'static str| {
        rig.http
            .request(Method::GET, "/mesosdriver/v4/cluster/resources")
            .header("BCS-ClusterID", cluster)
            .header("bcs-always-200", always)
            .send()
    };
    assert_eq!(ask("BCS-MESOS-10000", "0").await.unwrap().status(), 200);
    let refused = ask("BCS-MESOS-1", "0").await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], 1_405_234);
    assert_eq!(ask("BCS-MESOS-1", "1").await.unwrap().status(), 200);
    let legacy = rig_with(|settings| settings.always_200 = true).await;
    let (status, answer) = legacy.call(Method::GET, "/nothing", None).await;
    assert_eq!((status, &answer["result"]), (200, &json!(false)));
}

#[tokio::test]
async fn an_absent_scheduler_is_said_and_recovery_is_noticed() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let rig =
        rig_with(|settings| settings.scheduler = format!("http://{address}").parse().unwrap())
            .await;
    let (status, answer) = rig.call(Method::GET, "/cluster/resources", None).await;
    assert_eq!((status, &answer["code"]), (503, &json!(1_405_009)));
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("scheduler not exist")
    );
    assert!(rig.context.ready.state().text.contains("failed"));
    let fake = tokio::net::TcpListener::bind(address).await.unwrap();
    let router = axum::Router::new()
        .fallback(scheduler)
        .with_state(Script::default());
    rig.context.tasks.spawn("late scheduler", async move {
        axum::serve(fake, router).await.unwrap();
    });
    let (status, _) = rig.call(Method::GET, "/cluster/resources", None).await;
    assert_eq!(status, 200);
    assert!(rig.context.ready.state().text.contains("ready"));
}

#[tokio::test]
async fn an_answer_that_is_no_envelope_is_a_failure() {
    let rig = rig().await;
    rig.script
        .answers
        .lock()
        .unwrap()
        .push(("/v1/".into(), 200, "<html>".into()));
    let (status, answer) = rig.call(Method::GET, "/cluster/resources", None).await;
    assert_eq!(
        (status, &answer["code"]),
        (503, &json!(1_405_009)),
        "{answer}"
    );
}

#[tokio::test]
async fn logs_are_streamed_from_the_agent() {
    let rig = rig().await;
    let id = "0.web.games.BCS-MESOS-10000.1700000000000000000";
    let location = |tasks: Value| {
        json!({"result": true, "code": 0, "message": "success", "data": {
        "agent": {"endpoint": rig.agent}, "frameworkId": "f", "executorId": id, "tasks": tasks}})
    };
    let one = json!({"name": "svc", "taskId": "t1"});
    let two = json!({"name": "side", "taskId": "t2"});
    rig.script
        .answer("/v1/taskgroups/", 200, &location(json!([one])));
    let path = format!(
        "{}/mesosdriver/v4/namespaces/games/taskgroups/{id}/logs?tail=5&stream=stderr",
        rig.base
    );
    let path = path.strip_prefix(&rig.base).unwrap().to_owned();
    let response = rig.http.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "one\ntwo\n");
    let asked = rig.script.last().1;
    assert_eq!(
        asked,
        format!(
            "/v1/logs?framework_id=f&executor_id={id}&task_id=t1&stream=stderr&follow=false&tail=5"
        )
    );
    rig.script
        .answer("/v1/taskgroups/", 200, &location(json!([one, two])));
    let route = format!("/namespaces/games/taskgroups/{id}/logs");
    let (status, answer) = rig.call(Method::GET, &route, None).await;
    assert_eq!(status, 400);
    assert!(
        answer["message"].as_str().unwrap().contains("svc, side"),
        "{answer}"
    );
    let (status, _) = rig
        .call(Method::GET, &format!("{route}?container=gone"), None)
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let rig = rig().await;
    let body = json!({"x": "a".repeat(crate::request::MOST_BODY_BYTES)});
    let sent = rig
        .http
        .request(Method::POST, "/mesosdriver/v4/namespaces/games/processes")
        .json(&body)
        .timeout(Duration::from_secs(20))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 413);
    assert_eq!(sent.json::<Value>().await.unwrap()["code"], 1_405_012);
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

#[tokio::test]
async fn only_the_gateway_may_call() {
    let folder = tempfile::tempdir().unwrap();
    let authority =
        bcs_httpd::pki::Authority::open_or_create(&folder.path().join("ca"), "test").unwrap();
    let issue = |role: &str| {
        let names = ["127.0.0.1".to_owned()];
        authority
            .issue(&folder.path().join(role), role, "127.0.0.1", &names)
            .unwrap()
    };
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = own.local_addr().unwrap();
    let context = Context::new(Shutdown::new());
    let settings = Settings {
        listen: Listen::Bound(Arc::new(own)),
        tls: Some(issue("driver")),
        ..Settings::default()
    };
    context
        .tasks
        .spawn_essential("driver", crate::run(settings, context.clone()));
    context.ready.wait().await;
    let endpoint: Endpoint = format!("https://{address}").parse().unwrap();
    let ask = async |role: &str, path: &str| {
        let client = bcs_httpd::Client::new(&endpoint, Some(&issue(role))).unwrap();
        client
            .request(Method::GET, path)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let offers = "/mesosdriver/v4/cluster/current/offers";
    assert_eq!(
        ask("gateway", offers).await,
        503,
        "it may, but there is no scheduler"
    );
    assert_eq!(ask("agent", offers).await, 403);
    assert_eq!(ask("agent", "/livez").await, 200);
    let stranger = bcs_httpd::Client::trusting(&endpoint, authority.certificate().as_bytes());
    let refused = stranger.unwrap().request(Method::GET, offers).send().await;
    assert!(
        refused.is_err(),
        "without a certificate there is no connection"
    );
    context.shutdown.cancel();
}

#[tokio::test]
async fn garbage_on_the_socket_hurts_nobody() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let rig = rig().await;
    let address = rig.base.strip_prefix("http://").unwrap().to_owned();
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..500 {
        let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        let mut bytes = Vec::new();
        for _ in 0..64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend_from_slice(&seed.to_le_bytes());
        }
        if seed % 2 == 0 {
            bytes.splice(0..0, *b"POST /mesosdriver/v4/namespaces/games/processes HTTP/1.1\r\nhost: x\r\ncontent-length: 512\r\n\r\n");
        }
        // The server may hang up in the middle.
        drop(socket.write_all(&bytes).await);
        drop(socket.shutdown().await);
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await);
    }
    let (status, _) = rig.call(Method::GET, "/cluster/resources", None).await;
    assert_eq!(status, 200);
    assert_eq!(rig.script.count(), 1, "no garbage reached the scheduler");
}
