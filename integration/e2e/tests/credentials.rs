//! Requests without, with wrong, with expired and with too little credentials, of people toward the
//! gateway and of daemons toward each other: refused with a clear status, and nothing happens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::time::Duration;

use bcs_e2e::objects::process;
use bcs_e2e::{
    Address, Api, Authority, CLUSTER, Clock, Connection, Mode, Reply, STORAGE, System, Tls,
    WORKLOADS, base64, in_both_layouts, listeners, wait,
};
use serde_json::{Value, json};

in_both_layouts!(
    strangers_are_refused,
    a_viewer_reads_and_changes_nothing,
    listeners_of_roles_speak_tls_with_members_of_the_cluster_only,
);

const USERS: &str = "/bcsapi/v4/usermanager/v1";
const LIMIT: Duration = Duration::from_secs(5);

fn sleeper(name: &str) -> Value {
    process(name, 1, "sleep", "/bin/sleep 100087", &[])
}

#[track_caller]
fn refused(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(
        reply.code() != 0 && reply.json()["result"] == false,
        "{reply:?}"
    );
    assert!(reply.message().len() > 10, "a sentence: {reply:?}");
}

fn processes() -> String {
    format!("{WORKLOADS}/namespaces/test/processes")
}

fn secrets() -> String {
    format!("{STORAGE}/mesos/dynamic/all_resources/clusters/{CLUSTER}/secret")
}

fn strangers_are_refused(system: System) {
    let api = Api::of(&system);
    api.get(&processes()).ok();
    let nobody = Api::with_token(&system, None);
    let everywhere = [
        processes(),
        format!("{WORKLOADS}/cluster/resources"),
        secrets(),
        format!("{USERS}/users"),
        format!("{USERS}/whoami"),
        "/bcsapi/v4/nothing".to_owned(),
        "/metrics".to_owned(),
    ];
    for path in &everywhere {
        let reply = nobody.get(path);
        refused(&reply, 401);
        assert!(reply.headers.contains_key("www-authenticate"), "{reply:?}");
        refused(
            &Api::with_token(&system, Some("bcs_wrong_token")).get(path),
            401,
        );
    }
    for value in [
        "Bearer",
        "Bearer ",
        "Basic YWRtaW46YWRtaW4=",
        "bcs_x",
        "Bearer ,",
        "Bearer a b c",
    ] {
        refused(
            &nobody.send("GET", &processes(), &[("Authorization", value)], ""),
            401,
        );
    }
    // The token of the client file with one letter changed is nobody's.
    let text = std::fs::read_to_string(system.client_file()).unwrap();
    let token = Api::token_of(&system);
    assert_eq!(
        Api::with_token(&system, Some(&token))
            .get(&processes())
            .status,
        200
    );
    let mut letters: Vec<char> = token.chars().collect();
    let last = letters.last_mut().unwrap();
    *last = if *last == 'a' { 'b' } else { 'a' };
    let forged: String = letters.into_iter().collect();
    refused(
        &Api::with_token(&system, Some(&forged)).get(&processes()),
        401,
    );
    // Nor does a header that only the gateway may set help.
    let headers = [
        ("X-Bcs-User", "admin"),
        ("X-Bcs-Clusters", "*"),
        ("X-Bcs-Secrets", "show"),
    ];
    refused(&nobody.send("GET", &secrets(), &headers, ""), 401);
    refused(
        &nobody.json("POST", &processes(), &sleeper("intruder")),
        401,
    );
    let two = [("Authorization", "Bearer x"), ("Authorization", "Bearer y")];
    refused(&nobody.send("GET", &processes(), &two, ""), 401);
    assert_eq!(
        system
            .bcs(&["get", "process", "intruder", "-n", "test"])
            .code,
        3
    );

    // The command says it in a line.
    let other = system.folder().join("forged.yaml");
    std::fs::write(&other, text.replace(&token, &forged)).unwrap();
    let answer = system.bcs(&["get", "process", "-A", "--config", other.to_str().unwrap()]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!(answer.err.trim_end().lines().count(), 1, "{answer:?}");
    assert!(answer.err.contains("token"), "{answer:?}");
    let answer = system.bcs(&["doctor", "--config", other.to_str().unwrap()]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.out.contains("token"), "{answer:?}");
    // An authority that did not sign the gateway's certificate.
    let stranger = Authority::create(&system.folder().join("stranger"));
    let pem = std::fs::read_to_string(
        stranger
            .issue("gateway", &system.folder().join("stranger"))
            .ca,
    )
    .unwrap();
    let indented: String = pem.lines().map(|line| format!("  {line}\n")).collect();
    std::fs::write(
        &other,
        format!(
            "address: https://127.0.0.1:{}\ncluster: {CLUSTER}\ntoken: {token}\nca: |\n{indented}",
            system.port()
        ),
    )
    .unwrap();
    let answer = system.bcs(&["get", "process", "-A", "--config", other.to_str().unwrap()]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!(answer.err.trim_end().lines().count(), 1, "{answer:?}");
    assert!(
        answer.err.to_lowercase().contains("certificate"),
        "{answer:?}"
    );
    for part in system.parts() {
        assert!(!system.log(part).contains(&token), "{part} logs the token");
    }
}

fn user(api: &Api, name: &str) -> String {
    let made = api
        .send("POST", &format!("{USERS}/users/plain/{name}"), &[], "")
        .ok()
        .json();
    made["data"]["user_token"].as_str().unwrap().to_owned()
}

fn permission(api: &Api, method: &str, name: &str, kind: &str, role: &str) {
    let document = json!({"apiVersion": "v1", "kind": "permission", "metadata": {"name": "p"}, "spec": {"permissions": [
        {"user_name": name, "resource_type": kind, "resource": CLUSTER, "role": role}]}});
    api.json(method, &format!("{USERS}/permissions"), &document)
        .ok();
}

fn a_viewer_reads_and_changes_nothing(system: System) {
    let api = Api::of(&system);
    system.apply(&sleeper("web"));
    let running = system.running("test", "web", 1);
    system.apply(&json!({"apiVersion": "v4", "kind": "secret", "metadata": {"name": "db", "namespace": "test"},
        "datas": {"dsn": {"content": base64("open sesame")}}}));
    let token = user(&api, "vera");
    let vera = Api::with_token(&system, Some(&token));
    // Known, but without a right.
    refused(&vera.get(&processes()), 403);
    refused(&vera.get(&secrets()), 403);
    let again = api.send("POST", &format!("{USERS}/users/plain/vera"), &[], "");
    assert!(
        (400..500).contains(&again.status) && !again.text.contains(&token),
        "{again:?}"
    );
    let shown = api.get(&format!("{USERS}/users/plain/vera")).ok();
    assert!(
        !shown.text.contains(&token),
        "a token is shown once: {shown:?}"
    );

    permission(&api, "POST", "vera", "cluster", "viewer");
    vera.get(&processes()).ok();
    vera.get(&format!(
        "{STORAGE}/mesos/dynamic/all_resources/clusters/{CLUSTER}/taskgroup"
    ))
    .ok();
    refused(
        &vera.get(&format!(
            "{STORAGE}/mesos/dynamic/all_resources/clusters/BCS-MESOS-10999/taskgroup"
        )),
        403,
    );
    refused(&vera.json("POST", &processes(), &sleeper("by-vera")), 403);
    refused(
        &vera.json(
            "PUT",
            &format!("{}?instances=1", processes()),
            &sleeper("web"),
        ),
        403,
    );
    refused(
        &vera.send("DELETE", &format!("{}/web", processes()), &[], ""),
        403,
    );
    refused(
        &vera.send("PUT", &format!("{}/web/scale/3", processes()), &[], ""),
        403,
    );
    refused(
        &vera.json(
            "POST",
            &format!("{}/web/message", processes()),
            &json!({"msgtype": "signal", "msgdata": {"signal": 9}}),
        ),
        403,
    );
    refused(
        &vera.send(
            "POST",
            &format!("{WORKLOADS}/agentsettings/disable?ips=127.0.0.1"),
            &[],
            "",
        ),
        403,
    );
    refused(
        &vera.send("POST", &format!("{USERS}/users/admin/vera2"), &[], ""),
        403,
    );
    refused(
        &vera.json(
            "POST",
            &format!("{USERS}/permissions"),
            &json!({"spec": {"permissions": [
        {"user_name": "vera", "resource_type": "cluster", "resource": "*", "role": "manager"}]}}),
        ),
        403,
    );
    // Secrets are masked, whatever headers are sent.
    let content = base64("open sesame");
    wait::until("the secret is listed", Duration::from_secs(10), || {
        let reply = vera.get(&secrets());
        if reply.text.contains("dsn") {
            Ok(())
        } else {
            Err(format!("{reply:?}"))
        }
    });
    for headers in [
        &[][..],
        &[("X-Bcs-Secrets", "show")],
        &[
            ("X-Bcs-Clusters", "*"),
            ("X-Bcs-User", "admin"),
            ("X-Bcs-Secrets", "show"),
        ],
    ] {
        let reply = vera.send("GET", &secrets(), headers, "");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(!reply.text.contains(&content), "{reply:?}");
    }
    refused(
        &vera.send("GET", &secrets(), &[("X-Bcs-Show-Secrets", "true")], ""),
        403,
    );
    permission(&api, "POST", "vera", "cluster", "manager");
    vera.json("POST", &processes(), &sleeper("by-vera")).ok();
    system.running("test", "by-vera", 1);
    permission(&api, "DELETE", "vera", "cluster", "manager");
    refused(&vera.get(&processes()), 403);
    api.send("DELETE", &format!("{USERS}/users/plain/vera"), &[], "")
        .ok();
    refused(&vera.get(&processes()), 401);
    let now = system.running("test", "web", 1);
    assert_eq!(
        bcs_e2e::pid_of(&now[0]),
        bcs_e2e::pid_of(&running[0]),
        "none of it touched what runs"
    );
}

#[test]
fn an_expired_token_is_told_to_be_expired() {
    let folder = tempfile::Builder::new()
        .prefix("bcs-e2e-")
        .tempdir()
        .unwrap();
    let clock = Clock::build(folder.path());
    let system = System::start_under(Mode::Standalone, folder, &[], &[], &clock.environment());
    let api = Api::of(&system);
    let token = user(&api, "paul");
    permission(&api, "POST", "paul", "cluster", "manager");
    let paul = Api::with_token(&system, Some(&token));
    paul.get(&processes()).ok();
    clock.set(23 * 3600);
    paul.get(&processes()).ok();
    clock.set(25 * 3600);
    let reply = paul.get(&processes());
    refused(&reply, 401);
    assert!(reply.message().contains("expired"), "{reply:?}");
    refused(&paul.json("POST", &processes(), &sleeper("late")), 401);
    assert_eq!(
        system.bcs(&["get", "process", "late", "-n", "test"]).code,
        3
    );
    api.get(&processes()).ok();
}

/// The TCP listeners of a part.
fn tcp(system: &System, part: &str) -> Vec<Address> {
    let all = listeners(system.pid(part))
        .into_iter()
        .map(|listening| listening.address);
    all.filter(|address| matches!(address, Address::Tcp(_)))
        .collect()
}

fn listeners_of_roles_speak_tls_with_members_of_the_cluster_only(system: System) {
    let own = Authority::of(system.folder());
    let member = Tls::new(Some(&own.issue("gateway", &system.folder().join("member"))));
    let stranger = Authority::create(&system.folder().join("stranger"));
    let forged = Tls::new(Some(
        &stranger.issue("gateway", &system.folder().join("forged")),
    ));
    let bare = Tls::new(None);
    let mut seen = 0;
    for part in system.parts() {
        for address in tcp(&system, part) {
            seen += 1;
            let gateway = address == Address::Tcp(([127, 0, 0, 1], system.port()).into());
            let get = |tls: Option<&Tls>| {
                Connection::open(&address, tls, LIMIT).and_then(|mut one| one.get("/livez"))
            };
            assert!(
                get(Some(&member)).unwrap().starts_with("HTTP/1.1 200"),
                "{part} {address:?}"
            );
            if gateway {
                // People have no certificate; without a token they get no further than this.
                assert!(
                    get(Some(&bare)).unwrap().starts_with("HTTP/1.1 200"),
                    "{part} {address:?}"
                );
            } else {
                let answer = get(Some(&bare));
                assert!(
                    answer.is_err(),
                    "{part} {address:?} answers without a certificate: {answer:?}"
                );
            }
            let answer = get(Some(&forged));
            assert!(
                answer.is_err(),
                "{part} {address:?} trusts a stranger's authority: {answer:?}"
            );
            let answer = get(None).unwrap_or_default();
            assert!(
                !answer.contains(" 200 "),
                "{part} {address:?} speaks plain HTTP: {answer:?}"
            );
            let start = std::time::Instant::now();
            assert!(
                get(Some(&member)).unwrap().starts_with("HTTP/1.1 200"),
                "{part} {address:?} answers on"
            );
            assert!(start.elapsed() < LIMIT);
        }
    }
    assert!(
        seen >= if system.mode() == Mode::Roles { 6 } else { 5 },
        "only {seen} listeners"
    );
}

#[test]
fn a_role_takes_only_what_its_peers_may_ask() {
    let system = System::start(Mode::Roles);
    let own = Authority::of(system.folder());
    let tls = |role: &str| {
        Tls::new(Some(
            &own.issue(role, &system.folder().join(format!("as-{role}"))),
        ))
    };
    let subscribe =
        r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"intruder"}}}"#;
    let cases = [
        (
            "storage",
            "driver",
            "GET",
            format!("/bcsstorage/v1/mesos/dynamic/all_resources/clusters/{CLUSTER}/taskgroup"),
            "",
        ),
        (
            "storage",
            "agent",
            "POST",
            "/bcsstorage/v2/batch".to_owned(),
            r#"{"operations":[]}"#,
        ),
        (
            "storage",
            "gateway",
            "POST",
            "/bcsstorage/v2/batch".to_owned(),
            r#"{"operations":[]}"#,
        ),
        (
            "driver",
            "agent",
            "GET",
            "/mesosdriver/v4/cluster/resources".to_owned(),
            "",
        ),
        (
            "driver",
            "master",
            "DELETE",
            "/mesosdriver/v4/namespaces/test/processes/web".to_owned(),
            "",
        ),
        ("scheduler", "agent", "GET", "/v1/watch".to_owned(), ""),
        ("scheduler", "master", "GET", "/v1/apps".to_owned(), ""),
        (
            "scheduler",
            "storage",
            "DELETE",
            "/v1/apps/test/web".to_owned(),
            "",
        ),
        (
            "master",
            "agent",
            "POST",
            "/api/v1/scheduler".to_owned(),
            subscribe,
        ),
        (
            "master",
            "gateway",
            "POST",
            "/api/v1/scheduler".to_owned(),
            subscribe,
        ),
        (
            "agent",
            "gateway",
            "GET",
            "/v1/logs?framework_id=f&executor_id=e&task_id=t&stream=stdout".to_owned(),
            "",
        ),
        (
            "agent",
            "storage",
            "POST",
            "/api/v1".to_owned(),
            r#"{"type":"GET_TASKS"}"#,
        ),
        ("gateway", "agent", "GET", processes(), ""),
    ];
    for (part, role, method, path, body) in cases {
        let address = tcp(&system, part)
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{part} has no TCP listener"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut connection = Connection::open(&address, Some(&tls(role)), LIMIT).unwrap();
        let answer = connection.request(&head, body.as_bytes()).unwrap();
        let wanted = if part == "gateway" {
            "HTTP/1.1 401"
        } else {
            "HTTP/1.1 403"
        };
        assert!(
            answer.starts_with(wanted),
            "{role} asks {part} {method} {path}: {answer}"
        );
        assert!(answer.contains(role), "{part} says who may not: {answer}");
    }
}
