//! Who may call, and what strangers can do.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::{Endpoint, Listen};
use bcs_kit::{Context, Shutdown};
use http::Method;

use super::rig;
use crate::Settings;

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
        if seed.is_multiple_of(2) {
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
