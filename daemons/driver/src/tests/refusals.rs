//! What is refused, and how.

use std::net::TcpListener;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{Script, process, rig, rig_with, scheduler};

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
