//! Parsing of the command line, documents, statuses, and how results look.

use std::sync::{Arc, Mutex};

use bcs_api::{ClientError, Kind, Refusal};
use clap::{CommandFactory, Parser};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{Format, Out, list};
use super::table::{Table, shorten};
use super::views::{self, View};
use super::wait::Goal;
use super::{GlobalOptions, Verb, documents, instances, nodes};

#[derive(Debug, Parser)]
#[command(name = "bcs", version)]
struct Line {
    #[command(flatten)]
    options: GlobalOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[test]
fn the_command_line_is_consistent() {
    Line::command().debug_assert();
}

#[test]
fn the_fixed_interface_parses() {
    for line in [
        "apply -f a.yaml",
        "apply -f a.yaml -f -",
        "create -f -",
        "replace -f a.json -n games",
        "delete -f a.yaml",
        "delete process web --force",
        "delete process/web other -n games --wait",
        "get process",
        "get proc web -n games -o json",
        "get tg -A -l app=web -o wide -w",
        "get app/web -o yaml",
        "get cm -o name",
        "describe process web",
        "scale process web --instances 5",
        "wait process web --for Running --timeout 30s",
        "logs 0.web.games.C.1 -c svc -f --tail 10",
        "reschedule web-0 -n games",
        "restart web-0",
        "reload web-0",
        "signal web-0",
        "signal web-0 -s USR1 -c svc",
        "node list -o json",
        "node enable 10.0.0.1 host-b",
        "node disable 10.0.0.1",
        "node describe host-a",
        "offers -o wide",
        "version",
        "completion bash",
        "doctor",
        "--config /x/client.yaml get process",
        "get process --config /x/client.yaml",
    ] {
        let words = std::iter::once("bcs").chain(line.split(' '));
        if let Err(error) = Line::try_parse_from(words) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_usage_has_exit_code_2() {
    for line in [
        "apply",
        "get",
        "get process -o xml",
        "get process web -A",
        "delete",
        "delete process -f a.yaml",
        "scale process web",
        "scale process web --instances 0",
        "wait process web",
        "wait process web --for Running --timeout soon",
        "node enable",
        "frobnicate",
    ] {
        let words = std::iter::once("bcs").chain(line.split(' '));
        let error = Line::try_parse_from(words).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn exit_codes_tell_failures_apart() {
    let refused = |status: u16, code| {
        Failure::Client(ClientError::Refused(Refusal {
            status: http::StatusCode::from_u16(status).unwrap(),
            code,
            message: String::new(),
        }))
    };
    let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    for (failure, code) in [
        (refused(409, 1_405_201), 1),
        (refused(200, 1_405_202), 3),
        (refused(404, 1_405_087), 3),
        (Failure::Client("nothing".parse::<Kind>().unwrap_err()), 2),
        (Failure::Usage(String::new()), 2),
        (Failure::NotFound(String::new()), 3),
        (Failure::TimedOut(String::new()), 4),
        (
            Failure::Client(ClientError::TimedOut {
                address: String::new(),
            }),
            4,
        ),
        (Failure::Output(pipe), 0),
        (Failure::Output(std::io::Error::other("full")), 1),
        (Failure::Reported(3), 3),
    ] {
        assert_eq!(failure.code(), code, "{failure:?}");
    }
}

#[test]
fn documents_are_read_from_json_and_yaml() {
    let names = |text: &str| -> Vec<String> {
        documents::parse(text)
            .unwrap()
            .iter()
            .map(documents::title)
            .collect()
    };
    assert_eq!(
        names(r#"{"kind":"process","metadata":{"name":"a"}}"#),
        ["process/a"]
    );
    assert_eq!(
        names(
            "{\"kind\":\"process\",\"metadata\":{\"name\":\"a\"}}\n{\"kind\":\"Secret\",\"metadata\":{\"name\":\"b\"}}"
        ),
        ["process/a", "secret/b"]
    );
    assert_eq!(
        names("[{\"kind\":\"process\",\"metadata\":{\"name\":\"a\"}}]"),
        ["process/a"]
    );
    assert_eq!(
        names(
            "kind: process\nmetadata:\n  name: a\n---\n# nothing\n---\nkind: List\nitems:\n- kind: configmap\n  metadata: {name: c}\n"
        ),
        ["process/a", "configmap/c"]
    );
    let kept = documents::parse("spec:\n  cpu: \"0.5\"\n  port: 80\n  on: true\n").unwrap();
    assert_eq!(
        kept[0]["spec"],
        json!({"cpu": "0.5", "port": 80, "on": true})
    );
    for text in ["kind: [", "just words", "42", "{\"kind\":"] {
        let error = documents::parse(text).unwrap_err();
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_namespace_of_the_command_line_fills_gaps_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        documents::read(&[path.display().to_string()], Some("games"))
    };
    let found = read("kind: process\nmetadata: {name: a}\n").unwrap();
    assert_eq!(found[0]["metadata"]["namespace"], "games");
    assert!(matches!(
        read("kind: process\nmetadata: {name: a, namespace: b}\n"),
        Err(Failure::Usage(_))
    ));
    assert!(matches!(read("# empty\n"), Err(Failure::Usage(_))));
}

#[test]
fn tables_are_aligned_without_blanks_at_the_end() {
    let mut table = Table::new(["NAME", "STATUS", "MESSAGE"]);
    table.row(vec!["web".into(), "Running".into(), String::new()]);
    table.row(vec!["a-long-name".into(), "Ok".into(), "two\nlines".into()]);
    assert_eq!(
        table.render(),
        "NAME         STATUS   MESSAGE\nweb          Running  -\na-long-name  Ok       two lines"
    );
    assert_eq!(
        table.render_row(vec!["x".into(), "y".into(), "z".into()]),
        "x            y        z"
    );
    assert_eq!(shorten("häufig genutzt", 7), "häufig…");
}

fn taskgroup() -> Value {
    json!({
        "kind": "process",
        "metadata": {"name": "1.web.games.C.1700000000000000000", "namespace": "games", "labels": {"app": "web"}},
        "rcname": "web", "status": "Running", "hostName": "h1", "hostIP": "10.0.0.1", "podIP": "10.0.0.1",
        "startTime": "2026-01-01T00:00:00Z", "message": "",
        "containerStatuses": [{"name": "svc", "pid": 4711, "exitcode": 0, "restartCount": 2,
            "healCheckStatus": [{"type": "HTTP", "result": true, "message": ""}],
            "containerPort": [{"name": "http", "hostPort": 31000, "containerPort": 31000}, {"name": "none", "hostPort": 0}]}]
    })
}

#[test]
fn taskgroups_and_workloads_become_rows() {
    let view = View {
        kind: Kind::TaskGroup,
        wide: false,
        namespaces: true,
    };
    let row = view.row(&taskgroup());
    assert_eq!(
        &row[..8],
        [
            "games",
            "1.web.games.C.1700000000000000000",
            "Running",
            "ok",
            "2",
            "4711",
            "h1",
            "http:31000"
        ]
    );
    assert_eq!(row[view.status_column()], "Running");
    let mut sick = taskgroup();
    sick["containerStatuses"][0]["healCheckStatus"][0]["result"] = json!(false);
    assert_eq!(views::health(&sick), "failing");
    let view = View {
        kind: Kind::Process,
        wide: true,
        namespaces: false,
    };
    let app = json!({"metadata": {"name": "web", "labels": {"a": "b"}}, "status": "Abnormal", "instance": 3,
        "runningInstance": 1, "buildedInstance": 2, "lastStatus": "Running", "message": "no cpus"});
    let row = view.row(&app);
    assert_eq!(
        (row[1].as_str(), row[2].as_str(), row[4].as_str()),
        ("Abnormal", "1/3", "no cpus")
    );
    // Every view has as many cells as headings, whatever is missing.
    for kind in Kind::ALL {
        for (wide, namespaces) in [(false, false), (true, true)] {
            let view = View {
                kind,
                wide,
                namespaces,
            };
            let headings = view.table().render().split_whitespace().count();
            assert_eq!(view.row(&json!({})).len(), headings, "{kind} {wide}");
        }
    }
}

#[test]
fn instances_sort_by_number() {
    let named = |name: &str| json!({"metadata": {"name": name, "namespace": "n"}});
    let mut items = [
        named("10.web.n.C.1"),
        named("2.web.n.C.1"),
        named("0.api.n.C.1"),
    ];
    items.sort_by_key(views::order);
    let names: Vec<&str> = items.iter().map(views::name).collect();
    assert_eq!(names, ["0.api.n.C.1", "2.web.n.C.1", "10.web.n.C.1"]);
}

#[test]
fn ages_are_short() {
    for (seconds, text) in [
        (-5, "0s"),
        (90, "90s"),
        (600, "10m"),
        (7_500, "2h5m"),
        (50_000, "13h"),
        (900_000, "10d"),
    ] {
        assert_eq!(views::ago(seconds), text);
    }
}

#[test]
fn statuses_are_known_in_any_case() {
    assert_eq!(
        Goal::parse(Kind::Process, "running").unwrap(),
        Goal::Status("Running")
    );
    assert_eq!(
        Goal::parse(Kind::TaskGroup, "LOST").unwrap(),
        Goal::Status("Lost")
    );
    assert_eq!(
        Goal::parse(Kind::Process, "Healthy").unwrap(),
        Goal::Healthy
    );
    assert_eq!(Goal::parse(Kind::ConfigMap, "deleted").unwrap(), Goal::Gone);
    for (kind, word) in [
        (Kind::Process, "Lost"),
        (Kind::Secret, "Running"),
        (Kind::TaskGroup, "x"),
    ] {
        assert!(
            matches!(Goal::parse(kind, word), Err(Failure::Usage(_))),
            "{word}"
        );
    }
}

#[test]
fn signals_have_names_and_numbers() {
    for (text, number) in [
        ("HUP", 1),
        ("sighup", 1),
        ("SIGUSR1", 10),
        ("15", 15),
        ("64", 64),
    ] {
        assert_eq!(instances::number(text).unwrap(), number, "{text}");
    }
    for text in ["0", "65", "-1", "FAST", ""] {
        assert!(instances::number(text).is_err(), "{text}");
    }
}

#[test]
fn offers_become_rows() {
    let offer = json!({
        "id": {"value": "o1"}, "agent_id": {"value": "a1"}, "hostname": "h1",
        "attributes": [{"name": "InnerIP", "type": "TEXT", "text": {"value": "10.0.0.1"}}],
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.5}},
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.25}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 1024.0}},
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 32000}]}}]
    });
    assert_eq!(
        nodes::offer_row(&offer, false),
        ["h1", "10.0.0.1", "1.75", "1024", "0", "31000-32000"]
    );
    assert_eq!(nodes::amount(2.0), "2");
}

/// A gateway that has one process: `state` is (status in storage, status at the scheduler).
#[derive(Clone)]
struct World(tokio::sync::watch::Sender<(&'static str, &'static str)>);

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    async fn start(storage: &'static str, scheduler: &'static str) -> (Self, bcs_api::Client) {
        let world = Self(tokio::sync::watch::Sender::new((storage, scheduler)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .fallback(Self::answer)
            .with_state(world.clone());
        drop(tokio::spawn(
            async move { axum::serve(listener, router).await },
        ));
        let file = bcs_api::ClientFile {
            address,
            ca: String::new(),
            token: "t".into(),
            cluster: "C".into(),
        };
        (world, bcs_api::Client::new(&file).unwrap())
    }

    fn object(status: &str) -> Value {
        json!({"kind": "process", "metadata": {"name": "web"}, "status": status, "instance": 1,
            "runningInstance": u8::from(status == "Running"), "message": "because"})
    }

    async fn answer(
        axum::extract::State(world): axum::extract::State<World>,
        uri: http::Uri,
    ) -> axum::response::Response {
        use axum::response::IntoResponse as _;
        let (stored, live) = *world.0.borrow();
        let ok = |data: Value| json!({"result": true, "code": 0, "message": "success", "data": data, "resourceVersion": "1"});
        let gone = json!({"result": false, "code": 1_405_202, "message": "gone", "data": null});
        if uri.path().contains("/scheduler/") {
            let live_object = ok(json!({"Status": live, "DefineInstances": 1}));
            return if live.is_empty() { gone } else { live_object }
                .to_string()
                .into_response();
        }
        if !uri.query().unwrap_or("").contains("watch=true") {
            let items: Vec<Value> = if stored.is_empty() {
                vec![]
            } else {
                vec![Self::object(stored)]
            };
            return ok(Value::Array(items)).to_string().into_response();
        }
        let changes = futures_util::stream::unfold(world.0.subscribe(), async |mut states| {
            states.changed().await.ok()?;
            let (stored, _) = *states.borrow();
            let kind = if stored.is_empty() {
                "DELETED"
            } else {
                "MODIFIED"
            };
            let event = json!({"type": kind, "object": {"data": Self::object(stored)}});
            Some((Ok::<_, std::io::Error>(format!("{event}\n")), states))
        });
        axum::body::Body::from_stream(changes).into_response()
    }
}

async fn wait_for(client: &bcs_api::Client, words: &str) -> (Result<(), Failure>, String) {
    let page = Page::default();
    let line = format!("bcs wait process web -n games {words}");
    let Verb::Wait(wait) = Line::try_parse_from(line.split(' ')).unwrap().verb else {
        panic!("not a wait");
    };
    let done = super::wait::run(client, &wait, &mut Out::to(page.clone())).await;
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    (done, text)
}

#[tokio::test]
async fn wait_believes_storage_only_when_the_scheduler_agrees() {
    // Storage still shows the state from before an update.
    let (world, client) = World::start("Running", "Operating").await;
    let late = wait_for(&client, "--for Running --timeout 300ms")
        .await
        .0
        .unwrap_err();
    assert_eq!(late.code(), 4);
    assert!(late.to_string().contains("because"), "{late}");
    let change = async {
        world.0.send_replace(("Operating", "Operating"));
        tokio::task::yield_now().await;
        world.0.send_replace(("Running", "Running"));
    };
    let ((done, text), ()) = tokio::join!(wait_for(&client, "--for running --timeout 20s"), change);
    done.unwrap();
    assert_eq!(text, "process/web is Running\n");
}

#[tokio::test]
async fn wait_tells_missing_and_deleted_apart() {
    let (_world, client) = World::start("", "").await;
    assert_eq!(
        wait_for(&client, "--for Running")
            .await
            .0
            .unwrap_err()
            .code(),
        3
    );
    wait_for(&client, "--for Deleted").await.0.unwrap();
    let (world, client) = World::start("Operating", "Operating").await;
    let change = async {
        // After the watch is open: its subscription is what is waited for here.
        while world.0.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        world.0.send_replace(("", ""));
    };
    let ((done, _), ()) = tokio::join!(wait_for(&client, "--for Running --timeout 20s"), change);
    assert_eq!(done.unwrap_err().code(), 3);
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn objects_are_printed_as_json_and_yaml() {
    let page = Page::default();
    let mut out = Out::to(page.clone());
    let items = list(vec![json!({"a": "1", "b": [true]})]);
    out.value(&items, Format::Json).unwrap();
    out.value(&items, Format::Yaml).unwrap();
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let (json_text, yaml_text) = text.split_once("\n}\n").unwrap();
    let read: Value = serde_json::from_str(&format!("{json_text}\n}}")).unwrap();
    assert_eq!(read, items);
    let back = documents::parse(yaml_text).unwrap();
    assert_eq!(back, [json!({"a": "1", "b": [true]})]);
}
