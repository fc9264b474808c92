//! Serving a router: handshake, identity, bounds, drain.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use bcs_kit::{Shutdown, Tasks};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use crate::identity::{Identity, Peer};
use crate::listen::Listener;
use crate::tls::ServerTls;

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// Largest request body that extractors read, in bytes.
    pub body_bytes: usize,
    /// For the TLS handshake, and for the headers of a request.
    pub header_time: Duration,
    /// For requests under way when leaving; long streams end with the token instead.
    pub drain_time: Duration,
    /// Streams at once on one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            body_bytes: 8 << 20,
            header_time: Duration::from_secs(10),
            drain_time: Duration::from_secs(5),
            streams: 16_384,
        }
    }
}

/// Serves `router` until `shutdown`, then drains. Returns early only never: accept errors are waited out.
pub async fn serve(
    listener: Listener,
    router: Router,
    tls: Option<ServerTls>,
    limits: Limits,
    shutdown: Shutdown,
) {
    let router = router.layer(DefaultBodyLimit::max(limits.body_bytes));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(30));
    let server = Arc::new(Connections {
        router,
        builder,
        tls: tls.map(|tls| tokio_rustls::TlsAcceptor::from(tls.0)),
        graceful: GracefulShutdown::new(),
        header_time: limits.header_time,
        tasks: Tasks::new(shutdown.child()),
    });
    let permits = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Some(Ok(permit)) = shutdown.run_until(permits.clone().acquire_owned()).await else {
            break;
        };
        match &listener {
            Listener::Tcp(tcp) => match shutdown.run_until(tcp.accept()).await {
                None => break,
                Some(Ok((stream, address))) => {
                    // Small frames must not wait for an acknowledgement; a refusal costs only latency.
                    drop(stream.set_nodelay(true));
                    let peer = Peer {
                        identity: None,
                        address: Some(address),
                    };
                    Connections::start(&server, stream, peer, permit);
                }
                Some(Err(error)) => accept_failed(&error, &shutdown).await,
            },
            Listener::Unix(unix, _) => match shutdown.run_until(unix.accept()).await {
                None => break,
                Some(Ok((stream, _))) => {
                    let trusted = stream.peer_cred().is_ok_and(|peer| {
                        peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw()
                    });
                    let peer = Peer {
                        identity: trusted.then(Identity::local),
                        address: None,
                    };
                    Connections::start_plain(&server, stream, peer, permit);
                }
                Some(Err(error)) => accept_failed(&error, &shutdown).await,
            },
        }
    }
    drop(listener);
    let Some(server) = Arc::into_inner(server).map(|server| server.graceful) else {
        // Handshakes are under way; they hold the watcher and end by their own time limit.
        return;
    };
    if tokio::time::timeout(limits.drain_time, server.shutdown())
        .await
        .is_err()
    {
        tracing::debug!("connections were cut after the drain time");
    }
}

/// Out of descriptors or memory: nothing to do but wait a little, without spinning.
async fn accept_failed(error: &std::io::Error, shutdown: &Shutdown) {
    tracing::warn!(%error, "cannot accept a connection");
    shutdown
        .run_until(tokio::time::sleep(Duration::from_millis(100)))
        .await;
}

struct Connections {
    router: Router,
    builder: Builder<TokioExecutor>,
    tls: Option<tokio_rustls::TlsAcceptor>,
    graceful: GracefulShutdown,
    header_time: Duration,
    tasks: Tasks,
}

impl Connections {
    fn start(
        server: &Arc<Self>,
        stream: tokio::net::TcpStream,
        mut peer: Peer,
        permit: OwnedSemaphorePermit,
    ) {
        let Some(acceptor) = server.tls.clone() else {
            return Self::start_plain(server, stream, peer, permit);
        };
        let this = server.clone();
        server.tasks.spawn("tls connection", async move {
            let handshake = tokio::time::timeout(this.header_time, acceptor.accept(stream)).await;
            let stream = match handshake {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(%error, peer = ?peer.address, "TLS handshake refused");
                    return;
                }
                Err(_) => return,
            };
            let (_, session) = stream.get_ref();
            peer.identity = session
                .peer_certificates()
                .and_then(|chain| chain.first())
                .and_then(|leaf| Identity::from_certificate(leaf));
            let connection = this.connection(stream, peer);
            drop(this);
            connection.await;
            drop(permit);
        });
    }

    fn start_plain<S>(server: &Arc<Self>, stream: S, peer: Peer, permit: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = server.connection(stream, peer);
        server.tasks.spawn("connection", async move {
            connection.await;
            drop(permit);
        });
    }

    fn connection<S>(&self, stream: S, peer: Peer) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let router = router.clone();
            async move {
                Ok::<_, Infallible>(match router.oneshot(request.map(Body::new)).await {
                    Ok(response) => response,
                    Err(impossible) => match impossible {},
                })
            }
        });
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let watched = self.graceful.watch(connection);
        async move {
            if let Err(error) = watched.await {
                tracing::trace!(%error, "connection ended");
            }
        }
    }
}
