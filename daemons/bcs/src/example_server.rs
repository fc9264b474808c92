//! `bcs example-server`: a small real server to deploy, break and heal.
//!
//! ```text
//! GET  /            who it is: instance, port, pid, start, chosen environment (JSON, or text)
//! GET  /healthz     200, or 503 after POST /fail, until POST /recover
//! POST /exit?code=N ends with that exit code (GET too, for browsers)
//! ```
//!
//! SIGTERM and SIGINT let requests under way finish. It knows nothing of the rest of the system.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::Args;
use http::{HeaderMap, StatusCode, header};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long requests may take after the signal.
const DRAIN: Duration = Duration::from_secs(10);

/// Options of example-server.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Port to listen on [default: $PORT, else the first $PORT_<name>, else 8080]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDR")]
    address: std::net::IpAddr,
    /// What it calls itself [default: $INSTANCE, else the name of the host]
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Show variables that begin with these
    #[arg(
        long,
        value_name = "PREFIX",
        value_delimiter = ',',
        default_value = "BCS,PORT,GREETING"
    )]
    show_env: Vec<String>,
    /// Answer /healthz with 503 from the start
    #[arg(long)]
    unhealthy: bool,
}

#[derive(Debug)]
struct Server {
    instance: String,
    port: u16,
    started: jiff::Timestamp,
    environment: BTreeMap<String, String>,
    healthy: AtomicBool,
    requests: AtomicU64,
    leave: watch::Sender<Option<u8>>,
}

type Shared = State<Arc<Server>>;

pub(crate) fn main(options: Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(serve(options)))
    {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("example-server: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<u8, String> {
    let port = port(options.port, std::env::vars())?;
    let listener = tokio::net::TcpListener::bind((options.address, port))
        .await
        .map_err(|error| format!("cannot listen on {}:{port}: {error}", options.address))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (leave, mut left) = watch::channel(None);
    let server = Arc::new(Server {
        instance: name(options.instance.as_deref()),
        port: address.port(),
        started: jiff::Timestamp::now(),
        environment: shown(&options.show_env, std::env::vars()),
        healthy: AtomicBool::new(!options.unhealthy),
        requests: AtomicU64::new(0),
        leave,
    });
    say(&format!(
        "example-server {} listens on http://{address}",
        server.instance
    ));
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let asked = {
        let server = server.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => say("example-server: SIGTERM, leaving in good order"),
                _ = interrupt.recv() => say("example-server: SIGINT, leaving in good order"),
                _ = left.wait_for(Option::is_some) => {}
            }
            // From here on the drain has a limit.
            server
                .leave
                .send_if_modified(|code| code.is_none().then(|| *code = Some(0)).is_some());
        }
    };
    let mut draining = server.leave.subscribe();
    let router = router(server.clone());
    let serving = axum::serve(listener, router).with_graceful_shutdown(asked);
    let limit = async {
        // The sender lives as long as the server.
        drop(draining.wait_for(Option::is_some).await);
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        done = serving => done.map_err(|error| error.to_string())?,
        () = limit => {}
    }
    Ok(server.leave.borrow().unwrap_or_default())
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(health))
        .route("/fail", post(fail))
        .route("/recover", post(recover))
        .route("/exit", get(exit).post(exit))
        .with_state(server)
}

async fn index(State(server): Shared, headers: HeaderMap) -> Response {
    let count = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let wants_text = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/plain"));
    if wants_text {
        let text = format!(
            "instance {} port {} pid {} request {count}\n",
            server.instance,
            server.port,
            std::process::id()
        );
        return text.into_response();
    }
    let mut body = serde_json::json!({
        "instance": server.instance,
        "port": server.port,
        "pid": std::process::id(),
        "started": server.started.to_string(),
        "requests": count,
        "healthy": server.healthy.load(Ordering::Relaxed),
        "env": server.environment,
    })
    .to_string();
    body.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn health(State(server): Shared) -> (StatusCode, &'static str) {
    if server.healthy.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "made to fail; POST /recover ends it\n",
        )
    }
}

async fn fail(State(server): Shared) -> &'static str {
    server.healthy.store(false, Ordering::Relaxed);
    say("example-server: failing from now on");
    "failing\n"
}

async fn recover(State(server): Shared) -> &'static str {
    server.healthy.store(true, Ordering::Relaxed);
    say("example-server: healthy again");
    "healthy\n"
}

async fn exit(
    State(server): Shared,
    Query(query): Query<BTreeMap<String, String>>,
) -> (StatusCode, String) {
    let code = query.get("code").map_or(Ok(0), |text| text.parse::<u8>());
    let Ok(code) = code else {
        return (
            StatusCode::BAD_REQUEST,
            "code must be 0 to 255\n".to_owned(),
        );
    };
    server.leave.send_replace(Some(code));
    (StatusCode::OK, format!("leaving with code {code}\n"))
}

/// `--port`, else `PORT`, else the first of `PORT_<name>`, else 8080.
fn port(
    given: Option<u16>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<u16, String> {
    if let Some(port) = given {
        return Ok(port);
    }
    let found: BTreeMap<String, String> = environment
        .into_iter()
        .filter(|(name, _)| name == "PORT" || name.starts_with("PORT_"))
        .collect();
    // "PORT" sorts before every "PORT_".
    match found.into_iter().next() {
        None => Ok(8080),
        Some((name, text)) => text.parse().map_err(|_| {
            format!("{name}={text:?} is no port; set it to 1 to 65535, or use --port")
        }),
    }
}

fn name(given: Option<&str>) -> String {
    given
        .map(str::to_owned)
        .or_else(|| std::env::var("INSTANCE").ok())
        .or_else(|| {
            Some(
                std::fs::read_to_string("/proc/sys/kernel/hostname")
                    .ok()?
                    .trim()
                    .to_owned(),
            )
        })
        .unwrap_or_else(|| "example".to_owned())
}

fn shown(
    prefixes: &[String],
    environment: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    environment
        .into_iter()
        .filter(|(name, _)| {
            prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
        })
        .collect()
}

/// A line of the log, at once.
#[expect(clippy::print_stderr, reason = "this is the log of the example")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::{port, shown};

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_port_is_taken_from_the_flag_then_the_environment() {
        assert_eq!(port(Some(1), pairs(&[("PORT", "2")])), Ok(1));
        assert_eq!(
            port(None, pairs(&[("PORT_http", "3"), ("PORT", "2")])),
            Ok(2)
        );
        assert_eq!(
            port(None, pairs(&[("PORT_http", "3"), ("PORT_admin", "4")])),
            Ok(4)
        );
        assert_eq!(port(None, pairs(&[("PATH", "/bin")])), Ok(8080));
        assert!(
            port(None, pairs(&[("PORT", "many")]))
                .unwrap_err()
                .contains("--port")
        );
    }

    #[test]
    fn only_chosen_variables_are_shown() {
        let all = pairs(&[("BCS_POD", "a"), ("TOKEN", "hidden"), ("PORT", "1")]);
        let names: Vec<String> = shown(&["BCS".into(), "PORT".into()], all)
            .into_keys()
            .collect();
        assert_eq!(names, ["BCS_POD", "PORT"]);
    }
}
