//! The driver against a scripted scheduler (and agent) over loopback, seen as a client sees it.

mod peers;
mod refusals;
mod routes;
mod translation;

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Endpoint, Listen};
use bcs_kit::{Context, Shutdown};
use http::{Method, StatusCode};
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
