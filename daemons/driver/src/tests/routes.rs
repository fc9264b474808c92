//! Where each route leads.

use http::Method;
use serde_json::{Value, json};

use super::{process, rig};

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
