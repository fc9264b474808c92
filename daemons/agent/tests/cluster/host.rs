//! A master and an agent with their own certificates and directories, which can be stopped and started again.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bcs_httpd::pki::Authority;
use bcs_httpd::{Client, Endpoint, Listen, TlsFiles};
use bcs_kit::{Context, Shutdown};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A role that runs.
pub(crate) struct Running {
    context: Context,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    #[allow(clippy::disallowed_methods, reason = "the test is its own supervisor")]
    fn start<F>(run: impl FnOnce(Context) -> F) -> Self
    where
        F: Future<Output = Result<(), bcs_kit::RunError>> + Send + 'static,
    {
        let context = Context::new(Shutdown::new());
        let future = run(context.clone());
        let task = tokio::spawn(async move { future.await.expect("the role ends well") });
        Self { context, task }
    }

    pub(crate) async fn stop(self) {
        self.context.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it leaves in time")
            .expect("it does not panic");
        let left = self.context.tasks.drain(PATIENCE).await;
        assert!(left.is_empty(), "still running: {left:?}");
        assert_eq!(self.context.tasks.failure(), None);
    }

    pub(crate) async fn text(&self) -> String {
        self.context.ready.state().text
    }
}

/// One host with its certificates.
pub(crate) struct Host {
    pub(crate) folder: tempfile::TempDir,
    authority: Authority,
    master_socket: Arc<TcpListener>,
    agent_socket: Arc<TcpListener>,
    pub(crate) master_settings: bcs_master::Settings,
    pub(crate) agent_settings: bcs_agent::Settings,
}

fn socket() -> Arc<TcpListener> {
    Arc::new(TcpListener::bind("127.0.0.1:0").expect("a free port"))
}

fn url(socket: &TcpListener) -> Endpoint {
    format!("https://{}", socket.local_addr().expect("bound"))
        .parse()
        .expect("an endpoint")
}

impl Host {
    pub(crate) fn new() -> Self {
        bcs_kit::logging::init("warn");
        let folder = tempfile::tempdir().expect("a folder");
        let authority =
            Authority::open_or_create(&folder.path().join("pki"), "test").expect("an authority");
        let (master_socket, agent_socket) = (socket(), socket());
        let tls = |role: &str| issue(&authority, folder.path().join("pki"), role, "host-1");
        let mut master = bcs_master::Settings::new(
            Listen::Bound(Arc::clone(&master_socket)),
            folder.path().join("master"),
        );
        master.tls = Some(tls("master"));
        master.heartbeat = Duration::from_millis(200);
        master.agent_timeout = Duration::from_secs(2);
        master.allocation.offer_timeout = Duration::from_millis(500);
        let mut agent = bcs_agent::Settings::new(
            Listen::Bound(Arc::clone(&agent_socket)),
            url(&master_socket),
            folder.path().join("agent"),
        );
        agent.tls = Some(tls("agent"));
        agent.heartbeat = Duration::from_millis(300);
        agent.resources.cpus = Some(8.0);
        agent.resources.mem = Some(4096.0);
        agent.resources.disk = Some(4096.0);
        agent.status_resend = Duration::from_millis(500);
        agent.executor_shutdown_grace_period = Duration::from_millis(500);
        agent.executor_reregistration_timeout = Duration::from_secs(2);
        agent.resident_executors = vec![bcs_agent::Resident {
            command: "test-executor".to_owned(),
            endpoint: format!("unix:{}", folder.path().join("run/resident.sock").display())
                .parse()
                .expect("a socket"),
        }];
        Self {
            folder,
            authority,
            master_socket,
            agent_socket,
            master_settings: master,
            agent_settings: agent,
        }
    }

    pub(crate) fn tls(&self, role: &str, host: &str) -> TlsFiles {
        issue(
            &self.authority,
            self.folder.path().join(format!("pki-{role}-{host}")),
            role,
            host,
        )
    }

    pub(crate) fn start_master(&self) -> Running {
        let settings = self.master_settings.clone();
        Running::start(|context| bcs_master::run(settings, context))
    }

    pub(crate) fn start_agent(&self) -> Running {
        let settings = self.agent_settings.clone();
        Running::start(|context| bcs_agent::run(settings, context))
    }

    pub(crate) fn master_client(&self, role: &str) -> Client {
        Client::new(&url(&self.master_socket), Some(&self.tls(role, "host-1"))).expect("a client")
    }

    pub(crate) fn agent_client(&self, role: &str) -> Client {
        Client::new(&url(&self.agent_socket), Some(&self.tls(role, "host-1"))).expect("a client")
    }

    pub(crate) fn executor_socket(&self) -> PathBuf {
        self.agent_settings.executor_socket()
    }

    pub(crate) fn resident_socket(&self) -> PathBuf {
        self.folder.path().join("run/resident.sock")
    }
}

fn issue(authority: &Authority, folder: PathBuf, role: &str, host: &str) -> TlsFiles {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    authority
        .issue(&folder, role, host, &names)
        .expect("a certificate")
}

/// Waits until a condition holds.
pub(crate) async fn until<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(waited.is_ok(), "in vain: {what}");
}
