//! The gateway between people and upstreams that the test plays.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bcs_gateway::{Settings, open_users};
use bcs_httpd::pki::Authority;
use bcs_httpd::{Client, ClientAuth, Limits, Listen, Listener, TlsFiles, require_role, serve};
use bcs_kit::{Context, Shutdown};
use bcs_user_manager::{Resource, Role, UserKind, Users, ensure_admin};
use futures_util::StreamExt;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const CLUSTER: &str = "BCS-MESOS-10000";
const APPS: &str = "/bcsapi/v4/scheduler/mesos/namespaces/n/applications";
const GROUPS: &str = "/bcsapi/v4/storage/query/mesos/dynamic/clusters/BCS-MESOS-10000/taskgroup";

/// Chunks that the streaming route sends when the test says so.
type Feed = Arc<tokio::sync::Mutex<mpsc::Receiver<&'static str>>>;

#[derive(Clone)]
struct Upstream {
    feed: Feed,
}

/// Tells what arrived; `/stream` streams, `/refuse` refuses, `/hang` does not answer.
async fn upstream(State(state): State<Upstream>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(peer) = request.extensions().get::<bcs_httpd::Peer>()
        && let Err(refused) = require_role(peer, &["gateway"])
    {
        return refused.into_response();
    }
    if path.ends_with("/stream") {
        let chunks = futures_util::stream::unfold(state.feed, |feed| async move {
            let chunk = feed.lock().await.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(chunk), feed))
        });
        return Body::from_stream(chunks).into_response();
    }
    if path.ends_with("/refuse") {
        return bcs_httpd::Failure::new(StatusCode::CONFLICT, 7, "no").into_response();
    }
    if path.ends_with("/hang") {
        std::future::pending::<()>().await;
    }
    let (parts, body) = request.into_parts();
    let headers: serde_json::Map<String, Value> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or("?"))))
        .collect();
    let body = axum::body::to_bytes(body, 1 << 30)
        .await
        .map(|bytes| bytes.len())
        .unwrap_or(0);
    let answer = json!({
        "method": parts.method.as_str(), "uri": parts.uri.path_and_query().map(|path| path.as_str()),
        "headers": headers, "body": body,
    });
    axum::Json(answer).into_response()
}

struct Site {
    folder: tempfile::TempDir,
    authority: Authority,
    context: Context,
    users: Arc<Users>,
    admin: String,
    feed: mpsc::Sender<&'static str>,
    address: std::net::SocketAddr,
}

impl Site {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(&folder.path().join("ca"), "test").unwrap();
        let issue = |role: &str| {
            let tls = folder.path().join("tls");
            authority
                .issue(&tls, role, "127.0.0.1", &["127.0.0.1".to_owned()])
                .unwrap()
        };
        let context = Context::new(Shutdown::new());
        let (feed, receiver) = mpsc::channel(16);
        let state = Upstream {
            feed: Arc::new(tokio::sync::Mutex::new(receiver)),
        };
        let router = axum::Router::new().fallback(upstream).with_state(state);
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let upstream_address = listener.local_address().unwrap();
        let (tls, shutdown) = (
            issue("driver").server(ClientAuth::Required).unwrap(),
            context.shutdown.clone(),
        );
        context.tasks.spawn("upstream", async move {
            serve(listener, router, Some(tls), Limits::default(), shutdown).await;
        });
        let users = open_users(&folder.path().join("data")).await.unwrap();
        let admin = ensure_admin(&users, "admin")
            .await
            .unwrap()
            .unwrap()
            .expose()
            .clone();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let endpoint = format!("https://{upstream_address}").parse().unwrap();
        let mut settings = Settings::new(folder.path().join("data"));
        settings.listen = Listen::Bound(Arc::new(socket));
        settings.tls = Some(issue("gateway"));
        settings.users = Some(Arc::clone(&users));
        settings
            .drivers
            .insert(CLUSTER.to_owned(), Clone::clone(&endpoint));
        settings.storage = Some(endpoint);
        change(&mut settings);
        let own = context.clone();
        context
            .tasks
            .spawn_essential("gateway", bcs_gateway::run(settings, own));
        tokio::time::timeout(Duration::from_secs(20), context.ready.wait())
            .await
            .unwrap();
        Self {
            folder,
            authority,
            context,
            users,
            admin,
            feed,
            address,
        }
    }

    fn client(&self) -> Client {
        let endpoint = format!("https://{}", self.address).parse().unwrap();
        Client::trusting(&endpoint, self.authority.certificate().as_bytes()).unwrap()
    }

    fn files(&self, role: &str, host: &str) -> TlsFiles {
        let folder = self.folder.path().join("people");
        self.authority.issue(&folder, role, host, &[]).unwrap()
    }

    async fn user(&self, name: &str, grants: &[(&str, &str, Role)]) -> String {
        let (_, _, token) = self.users.create(UserKind::Plain, name).await.unwrap();
        let grants = grants
            .iter()
            .map(|(resource_type, resource, role)| {
                let resource = Resource {
                    resource_type: (*resource_type).to_owned(),
                    resource: (*resource).to_owned(),
                };
                (name.to_owned(), resource, *role)
            })
            .collect();
        self.users.grant("test", grants).await.unwrap();
        token.expose().clone()
    }

    async fn call(&self, method: Method, path: &str, token: &str) -> (u16, Value) {
        let mut request = self.client().request(method, path);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    async fn stop(self) {
        self.context.shutdown.cancel();
        assert!(
            self.context
                .tasks
                .drain(Duration::from_secs(20))
                .await
                .is_empty()
        );
        assert_eq!(self.context.tasks.failure(), None);
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_passes_without_a_valid_token() {
    let site = Site::new().await;
    let none = site
        .client()
        .request(Method::GET, APPS)
        .send()
        .await
        .unwrap();
    assert_eq!(none.status(), 401);
    assert!(none.headers().contains_key("www-authenticate"));
    assert!(none.headers().contains_key("x-request-id"));
    let body: Value = none.json().await.unwrap();
    assert_eq!(body["result"], false);
    assert!(body["message"].as_str().unwrap().contains("Bearer"));

    let mut wrong = site.admin.clone();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    for token in ["x", "bcs_", wrong.as_str(), &site.admin.to_uppercase()] {
        assert_eq!(site.call(Method::GET, APPS, token).await.0, 401, "{token}");
    }
    for header in ["Basic YTpi", "Bearer", "Token x"] {
        let request = site
            .client()
            .request(Method::GET, APPS)
            .header("authorization", header);
        assert_eq!(answer(request).await.0, 401, "{header}");
    }

    site.user("ann", &[("cluster", CLUSTER, Role::Manager)])
        .await;
    let (_, expired) = site.users.issue_token("ann", 0).await.unwrap();
    let (status, refused) = site.call(Method::GET, APPS, expired.expose()).await;
    assert_eq!(status, 401);
    assert!(refused["message"].as_str().unwrap().contains("expired"));
    let (record, token) = site.users.issue_token("ann", 60).await.unwrap();
    assert_eq!(site.call(Method::GET, APPS, token.expose()).await.0, 200);
    site.users.revoke("ann", &record.id).await.unwrap();
    assert_eq!(site.call(Method::GET, APPS, token.expose()).await.0, 401);
    assert_eq!(site.call(Method::GET, APPS, &site.admin).await.0, 200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_decide_who_reads_and_who_writes() {
    let site = Site::new().await;
    let nobody = site.user("nobody", &[]).await;
    let viewer = site
        .user("viewer", &[("cluster", CLUSTER, Role::Viewer)])
        .await;
    let manager = site
        .user("manager", &[("cluster", "*", Role::Manager)])
        .await;
    let other = site
        .user("other", &[("cluster", "BCS-MESOS-10001", Role::Manager)])
        .await;
    for (token, read, write) in [
        (&nobody, 403, 403),
        (&viewer, 200, 403),
        (&manager, 200, 200),
        (&other, 403, 403),
    ] {
        assert_eq!(site.call(Method::GET, APPS, token).await.0, read);
        assert_eq!(site.call(Method::POST, APPS, token).await.0, write);
        assert_eq!(site.call(Method::GET, GROUPS, token).await.0, read);
    }
    // A question by POST is a read; writing to storage is for nobody.
    assert_eq!(site.call(Method::POST, GROUPS, &viewer).await.0, 200);
    assert_eq!(site.call(Method::DELETE, GROUPS, &site.admin).await.0, 403);
    let custom = "/bcsapi/v4/storage/dynamic/customresources/taskgroup";
    let (_, told) = site.call(Method::GET, custom, &other).await;
    assert_eq!(told["headers"]["x-bcs-clusters"], "BCS-MESOS-10001");
    let (_, told) = site.call(Method::GET, custom, &site.admin).await;
    assert_eq!(told["headers"]["x-bcs-clusters"], "*");
    assert_eq!(site.call(Method::GET, custom, &nobody).await.0, 403);

    let show = |token: &str| {
        let request = site
            .client()
            .request(Method::GET, GROUPS)
            .bearer_auth(token);
        answer(request.header("x-bcs-show-secrets", "true"))
    };
    assert_eq!(show(&viewer).await.0, 403);
    let (_, told) = show(&site.admin).await;
    assert_eq!(told["headers"]["x-bcs-secrets"], "show");
    let (_, told) = site.call(Method::GET, GROUPS, &site.admin).await;
    assert!(told["headers"].get("x-bcs-secrets").is_none());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_may_use_certificates_and_daemons_may_not() {
    let site = Site::new().await;
    site.user("ann", &[("cluster", CLUSTER, Role::Viewer)])
        .await;
    let endpoint = format!("https://{}", site.address).parse().unwrap();
    let status = |role: &'static str, host: &'static str| {
        let client = Client::new(&endpoint, Some(&site.files(role, host))).unwrap();
        async move { answer(client.request(Method::GET, APPS)).await.0 }
    };
    assert_eq!(status("user", "ann").await, 200);
    assert_eq!(status("user", "bob").await, 401);
    assert_eq!(status("driver", "ann").await, 401);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_arrive_rewritten_with_the_true_identity() {
    let site = Site::new().await;
    let request = site
        .client()
        .request(Method::PUT, &format!("{APPS}?a=b%20c"))
        .bearer_auth(&site.admin)
        .header("x-bcs-user", "mallory")
        .header("impersonate-user", "mallory")
        .header("x-remote-user", "mallory")
        .header("x-request-id", "my-id.1")
        .header("bcs-clusterid", CLUSTER)
        .body("hello");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "my-id.1");
    let told: Value = response.json().await.unwrap();
    assert_eq!(
        told["uri"],
        "/mesosdriver/v4/namespaces/n/applications?a=b%20c"
    );
    assert_eq!((&told["method"], &told["body"]), (&json!("PUT"), &json!(5)));
    let headers = told["headers"].as_object().unwrap();
    assert_eq!(headers["x-bcs-user"], "admin");
    assert_eq!(headers["x-request-id"], "my-id.1");
    assert!(!told.to_string().contains("mallory"));
    assert!(
        !told.to_string().contains(&site.admin),
        "the token stays here"
    );
    let unknown = "/bcsapi/v4/nosuch/x";
    assert_eq!(site.call(Method::GET, unknown, &site.admin).await.0, 404);
    assert_eq!(site.call(Method::GET, unknown, "").await.0, 401);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stream_without_being_collected() {
    let site = Site::new().await;
    let request = site
        .client()
        .stream_request(Method::GET, "/bcsapi/v4/scheduler/mesos/stream")
        .bearer_auth(&site.admin);
    let response = request.send().await.unwrap();
    let mut chunks = response.bytes_stream();
    for text in ["one\n", "two\n"] {
        site.feed.send(text).await.unwrap();
        let chunk = tokio::time::timeout(Duration::from_secs(10), chunks.next())
            .await
            .unwrap();
        assert_eq!(chunk.unwrap().unwrap(), text);
    }
    // Leaving ends the stream rather than waiting for it.
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_the_right_to_it() {
    let site = Site::new().await;
    let token = site
        .user("ann", &[("cluster", CLUSTER, Role::Viewer)])
        .await;
    let path = "/bcsapi/v4/scheduler/mesos/stream";
    for revoke in [false, true] {
        let request = site
            .client()
            .stream_request(Method::GET, path)
            .bearer_auth(&token);
        let mut chunks = request.send().await.unwrap().bytes_stream();
        site.feed.send("one").await.unwrap();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "one");
        // Changes about others leave it alone.
        site.user(&format!("other-{revoke}"), &[]).await;
        site.feed.send("two").await.unwrap();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "two");
        let resource = Resource {
            resource_type: "cluster".into(),
            resource: CLUSTER.into(),
        };
        if revoke {
            let id = site.users.tokens("ann")[0].id.clone();
            site.users.revoke("ann", &id).await.unwrap();
        } else {
            site.users
                .withdraw(vec![("ann".into(), resource.clone())])
                .await
                .unwrap();
        }
        let rest = chunks.map(Result::unwrap).collect::<Vec<_>>();
        let rest = tokio::time::timeout(Duration::from_secs(10), rest)
            .await
            .unwrap();
        assert!(
            rest.iter().all(bytes::Bytes::is_empty),
            "nothing more, in good order"
        );
        site.users
            .grant("x", vec![("ann".into(), resource, Role::Viewer)])
            .await
            .unwrap();
    }
    let (_, short) = site.users.issue_token("ann", 1).await.unwrap();
    let request = site
        .client()
        .stream_request(Method::GET, path)
        .bearer_auth(short.expose());
    let chunks = request.send().await.unwrap().bytes_stream();
    let rest = chunks.map(Result::unwrap).collect::<Vec<_>>();
    let rest = tokio::time::timeout(Duration::from_secs(10), rest)
        .await
        .unwrap();
    assert!(
        rest.iter().all(bytes::Bytes::is_empty),
        "the token has expired"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_harms_nobody() {
    let site = Site::with(|settings| settings.tls = None).await;
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let starts: [&[u8]; 5] = [
        b"",
        b"GET /",
        b"POST /bcsapi/v4/storage/x HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\x16\x03",
    ];
    for round in 0..300 {
        let mut bytes = starts[round % starts.len()].to_vec();
        let length = usize::try_from(next() % 600).unwrap();
        bytes.extend((0..length).map(|_| next().to_le_bytes()[0]));
        let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
        // The other side may have closed in the middle.
        drop(stream.write_all(&bytes).await);
        drop(stream);
    }
    let endpoint = format!("http://{}", site.address).parse().unwrap();
    let client = Client::new(&endpoint, None).unwrap();
    let request = client.request(Method::GET, "/bcsapi/v4/usermanager/v1/whoami");
    assert_eq!(answer(request.bearer_auth(&site.admin)).await.0, 200);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_capped_while_they_pass() {
    let site = Site::with(|settings| settings.body_bytes = 1000).await;
    let send = |body: reqwest::Body| {
        let request = site
            .client()
            .request(Method::POST, APPS)
            .bearer_auth(&site.admin);
        answer(request.body(body))
    };
    assert_eq!(send(reqwest::Body::from(vec![b'x'; 1000])).await.0, 200);
    assert_eq!(send(reqwest::Body::from(vec![b'x'; 1001])).await.0, 413);
    let chunks = futures_util::stream::iter(
        (0..20).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b'x'; 100]))),
    );
    assert_eq!(send(reqwest::Body::wrap_stream(chunks)).await.0, 413);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_or_silent_upstream_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let site = Site::with(|settings| {
        settings.storage = Some(format!("https://{free}").parse().unwrap());
        settings.answer_seconds = 1;
    })
    .await;
    let (status, refused) = site.call(Method::GET, GROUPS, &site.admin).await;
    assert_eq!(status, 503);
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("storage at https://") && message.contains("start it"),
        "{message}"
    );
    let hang = "/bcsapi/v4/scheduler/mesos/hang";
    assert_eq!(site.call(Method::GET, hang, &site.admin).await.0, 504);
    let (status, states) = site.call(Method::GET, "/bcsapi/v4/healthz", "").await;
    assert_eq!(status, 503);
    let storage = &states["data"]["upstreams"][0];
    assert_eq!(
        (&storage["service"], &storage["healthy"]),
        (&json!("storage"), &json!(false))
    );
    assert!(
        !states.to_string().contains(&free.to_string()),
        "the page is open"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_paths_are_refused_before_anything_else() {
    let site = Site::with(|settings| settings.tls = None).await;
    for path in [
        "/bcsapi/v4/scheduler/mesos/../storage/x",
        "/bcsapi/v4//storage/x",
        "/bcsapi/v4/storage/%2e%2e/x",
        "/bcsapi/v4/storage/a%2Fb",
        "/bcsapi/v4/storage/a\\b",
    ] {
        let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            site.admin
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_managed_through_the_gateway() {
    let site = Site::new().await;
    let base = "/bcsapi/v4/usermanager/v1";
    let plain = format!("{base}/users/plain/ann");
    let (status, made) = site.call(Method::POST, &plain, &site.admin).await;
    assert_eq!(status, 200, "{made}");
    let token = made["data"]["user_token"].as_str().unwrap().to_owned();
    assert_eq!(made["data"]["user_type"], 3);
    let (_, shown) = site.call(Method::GET, &plain, &site.admin).await;
    assert!(!shown.to_string().contains(&token), "a token is shown once");
    assert_eq!(site.call(Method::POST, &plain, &site.admin).await.0, 409);
    assert_eq!(
        site.call(Method::POST, &format!("{base}/users/admin/eve"), &token)
            .await
            .0,
        403
    );

    let permissions = |method: Method, role: &str| {
        let document = json!({"apiVersion": "v1", "kind": "permission", "metadata": {"name": "x"},
            "spec": {"permissions": [{"user_name": "ann", "resource_type": "cluster",
                "resource": CLUSTER, "role": role}]}});
        let request = site
            .client()
            .request(method, &format!("{base}/permissions"));
        answer(request.bearer_auth(&site.admin).json(&document))
    };
    assert_eq!(site.call(Method::GET, APPS, &token).await.0, 403);
    assert_eq!(permissions(Method::POST, "owner").await.0, 400);
    assert_eq!(permissions(Method::POST, "viewer").await.0, 200);
    assert_eq!(site.call(Method::GET, APPS, &token).await.0, 200);
    let verify = |resource: &str, action: &str| {
        let question = json!({"user_token": token, "resource_type": "cluster",
            "resource": resource, "action": action});
        let request = site
            .client()
            .request(Method::GET, &format!("{base}/permissions/verify"));
        answer(request.bearer_auth(&site.admin).json(&question))
    };
    assert_eq!(verify(CLUSTER, "GET").await.1["data"]["allowed"], true);
    assert_eq!(verify(CLUSTER, "PUT").await.1["data"]["allowed"], false);
    assert_eq!(verify("", "GET").await.1["data"]["allowed"], false);
    let (_, me) = site
        .call(Method::GET, &format!("{base}/whoami"), &token)
        .await;
    assert_eq!(me["data"]["permissions"][0]["role"], "viewer");
    assert_eq!(permissions(Method::DELETE, "").await.0, 200);
    assert_eq!(site.call(Method::GET, APPS, &token).await.0, 403);
    assert_eq!(site.call(Method::DELETE, &plain, &site.admin).await.0, 200);
    assert_eq!(site.call(Method::GET, APPS, &token).await.0, 401);
    let last = format!("{base}/users/admin/admin");
    assert_eq!(site.call(Method::DELETE, &last, &site.admin).await.0, 400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn always_200_keeps_the_verdict_in_the_envelope() {
    let site = Site::with(|settings| settings.always_200 = true).await;
    let (status, refused) = site.call(Method::GET, APPS, "").await;
    assert_eq!((status, &refused["result"]), (200, &json!(false)));
    let (_, told) = site.call(Method::GET, APPS, &site.admin).await;
    assert_eq!(told["headers"]["bcs-always-200"], "1");
    site.stop().await;
    let site = Site::new().await;
    let (status, refused) = site
        .call(
            Method::GET,
            "/bcsapi/v4/scheduler/mesos/refuse",
            &site.admin,
        )
        .await;
    assert_eq!((status, &refused["code"]), (409, &json!(7)));
    assert_eq!(site.call(Method::GET, "/version", "").await.0, 200);
    assert_eq!(site.call(Method::GET, "/healthz", "").await.0, 200);
    assert_eq!(site.call(Method::GET, "/metrics", "").await.0, 401);
    let (status, metrics) = site.call(Method::GET, "/metrics", &site.admin).await;
    assert_eq!(status, 200);
    assert!(metrics.as_str().unwrap().contains("gateway_requests_total"));
    site.stop().await;
}
