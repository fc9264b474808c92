//! The async runtime of a daemon process, its signals, and its end.

use std::process::ExitCode;
use std::time::Duration;

use bcs_kit::{Context, RunError, Shutdown, exit, notify};

/// How long roles may take to leave before the process ends anyway.
const LEAVE_TIME: Duration = Duration::from_secs(10);

/// Runs `daemon` on a runtime sized for a host daemon and turns its end into an exit code.
#[expect(
    clippy::print_stderr,
    reason = "the last words of a daemon that cannot go on"
)]
pub(crate) fn block_on<F>(name: &str, daemon: impl FnOnce(Context) -> F) -> ExitCode
where
    F: Future<Output = Result<(), RunError>>,
{
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(1, 4))
        .max_blocking_threads(16)
        .thread_name(name)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bcs: cannot start the runtime: {error}");
            return ExitCode::from(exit::UNAVAILABLE);
        }
    };
    let code = runtime.block_on(async {
        let context = Context::new(Shutdown::new());
        if let Err(error) = watch_signals(&context) {
            eprintln!("bcs: cannot watch signals: {error}");
            return ExitCode::from(exit::UNAVAILABLE);
        }
        let ended = daemon(context.clone()).await;
        notify::stopping();
        context.shutdown.cancel();
        let stuck = context.tasks.drain(LEAVE_TIME).await;
        if !stuck.is_empty() {
            tracing::warn!(tasks = ?stuck, "left without waiting for these any longer");
        }
        match (ended, context.tasks.failure()) {
            (Err(error), _) => {
                eprintln!("bcs: {error}");
                let settings = matches!(error, RunError::Settings { .. });
                ExitCode::from(if settings {
                    exit::CONFIG
                } else {
                    exit::FAILURE
                })
            }
            (Ok(()), Some(failure)) => {
                eprintln!("bcs: {failure}");
                ExitCode::from(exit::FAILURE)
            }
            (Ok(()), None) => ExitCode::SUCCESS,
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

/// The first SIGTERM or SIGINT asks everybody to leave, the second ends the process at once.
fn watch_signals(context: &Context) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = context.shutdown.clone();
    // Outside the supervised tasks: it must outlive their drain to see the second signal.
    #[expect(clippy::disallowed_methods, reason = "ends with the process")]
    drop(tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked {
                #[expect(
                    clippy::exit,
                    clippy::disallowed_methods,
                    reason = "the second signal means now"
                )]
                std::process::exit(130);
            }
            asked = true;
            shutdown.cancel();
        }
    }));
    Ok(())
}
