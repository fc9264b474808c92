//! Two daemons over real sockets: identities, refusals, drain, streams, the always-200 switch.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken host should fail loudly"
)]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bcs_httpd::pki::Authority;
use bcs_httpd::{
    Client, ClientAuth, Endpoint, Envelope, Failure, Limits, Listen, Listener, Peer, TlsFiles,
    always_ok, require_role, serve,
};
use bcs_kit::{Shutdown, Tasks};
use futures_util::StreamExt;
use http::{Method, StatusCode};

struct Server {
    address: String,
    shutdown: Shutdown,
    tasks: Tasks,
}

fn router() -> Router {
    Router::new()
        .route(
            "/who",
            get(|peer: Peer| async move {
                require_role(&peer, &["driver"]).map(|identity| Envelope::ok(identity.uri()))
            }),
        )
        .route(
            "/missing",
            get(|| async { Failure::new(StatusCode::NOT_FOUND, 1_405_202, "no such thing") }),
        )
        .route(
            "/stream",
            get(|| async {
                Body::from_stream(
                    futures_util::stream::iter(0..3)
                        .map(|n| Ok::<_, std::io::Error>(format!("{n}\n"))),
                )
            }),
        )
        .route(
            "/echo",
            axum::routing::post(|body: String| async move { body }),
        )
        .layer(axum::middleware::from_fn_with_state(
            false,
            always_ok::layer,
        ))
}

async fn start(listen: Listen, tls: Option<&TlsFiles>, auth: ClientAuth) -> Server {
    let listener = Listener::bind(&listen).await.unwrap();
    let address = listener
        .local_address()
        .map(|a| a.to_string())
        .unwrap_or_default();
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let tls = tls.map(|tls| tls.server(auth).unwrap());
    let limits = Limits {
        header_time: Duration::from_millis(300),
        ..Limits::default()
    };
    tasks.spawn(
        "server",
        serve(listener, router(), tls, limits, shutdown.clone()),
    );
    Server {
        address,
        shutdown,
        tasks,
    }
}

fn tcp() -> Listen {
    "127.0.0.1:0".parse().unwrap()
}

fn names() -> Vec<String> {
    vec!["127.0.0.1".to_owned(), "localhost".to_owned()]
}

#[tokio::test]
async fn the_role_in_the_certificate_decides() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("ca"), "test").unwrap();
    let server_files = authority
        .issue(folder.path(), "scheduler", "h1", &names())
        .unwrap();
    let driver = authority
        .issue(folder.path(), "driver", "h2", &names())
        .unwrap();
    let agent = authority
        .issue(folder.path(), "agent", "h3", &names())
        .unwrap();
    let other = Authority::open_or_create(&folder.path().join("other"), "other").unwrap();
    let mut stranger = other
        .issue(&folder.path().join("o"), "driver", "h4", &names())
        .unwrap();
    stranger.ca = driver.ca.clone();
    let server = start(tcp(), Some(&server_files), ClientAuth::Required).await;
    let endpoint: Endpoint = format!("https://{}", server.address).parse().unwrap();

    let call = |files: TlsFiles| {
        let client = Client::new(&endpoint, Some(&files)).unwrap();
        async move { client.request(Method::GET, "/who").send().await }
    };
    let answer = call(driver).await.unwrap();
    assert_eq!(
        answer.version(),
        http::Version::HTTP_2,
        "calls share one connection"
    );
    let answer: Envelope<String> = answer.json().await.unwrap();
    assert_eq!(answer.data.unwrap(), "spiffe://bcs/driver/h2");
    assert_eq!(call(agent).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(
        call(stranger).await.is_err(),
        "a certificate of another authority is refused"
    );
    let nobody = Client::trusting(&endpoint, authority.certificate().as_bytes()).unwrap();
    assert!(nobody.request(Method::GET, "/who").send().await.is_err());
    server.shutdown.cancel();
    assert!(server.tasks.drain(Duration::from_secs(5)).await.is_empty());
}

#[tokio::test]
async fn people_come_without_a_certificate_where_it_is_optional() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(&folder.path().join("ca"), "test").unwrap();
    let files = authority
        .issue(folder.path(), "gateway", "h1", &names())
        .unwrap();
    let server = start(tcp(), Some(&files), ClientAuth::Optional).await;
    let endpoint: Endpoint = format!("https://{}", server.address).parse().unwrap();
    let nobody = Client::trusting(&endpoint, authority.certificate().as_bytes()).unwrap();
    let answer = nobody.request(Method::GET, "/who").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_unix_peer_of_this_user_is_local_and_streams_share_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/x.sock");
    let server = start(Listen::Unix(path.clone()), None, ClientAuth::Optional).await;
    let client = Client::new(&Endpoint::Unix(path.clone()), None).unwrap();
    let answer: Envelope<String> = client
        .request(Method::GET, "/who")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer.data.unwrap(), "spiffe://bcs/local/localhost");
    let body = client
        .stream_request(Method::GET, "/stream")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(body, "0\n1\n2\n");
    assert!(
        Listener::bind(&Listen::Unix(path.clone())).await.is_err(),
        "a live socket is not taken over"
    );
    server.shutdown.cancel();
    assert!(server.tasks.drain(Duration::from_secs(5)).await.is_empty());
    assert!(!path.exists());
}

#[tokio::test]
async fn the_switch_turns_a_refusal_into_200() {
    let server = start(tcp(), None, ClientAuth::Optional).await;
    let client = Client::new(&format!("http://{}", server.address).parse().unwrap(), None).unwrap();
    let plain = client
        .request(Method::GET, "/missing")
        .send()
        .await
        .unwrap();
    assert_eq!(plain.status(), StatusCode::NOT_FOUND);
    let asked = client
        .request(Method::GET, "/missing")
        .header(always_ok::HEADER, "1")
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    assert_eq!(asked.headers()["bcs-status"], "404");
    let envelope: Envelope<()> = asked.json().await.unwrap();
    assert_eq!((envelope.result, envelope.code), (false, 1_405_202));
}

#[tokio::test]
async fn an_oversized_body_and_a_slow_header_are_cut() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = start(tcp(), None, ClientAuth::Optional).await;
    let client = Client::new(&format!("http://{}", server.address).parse().unwrap(), None).unwrap();
    let big = client
        .request(Method::POST, "/echo")
        .body(vec![b'x'; 9 << 20])
        .send()
        .await;
    if let Ok(answer) = big {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut slow = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    slow.write_all(b"GET /who HT").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await;
    assert!(
        ended.is_ok(),
        "the server closes a connection whose header never ends"
    );
}
