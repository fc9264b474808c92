//! Forked executors that outlived an agent: no longer its children, their end is noticed through pidfds.

use bcs_kit::Context;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::unix::pipe;

use crate::core::Input;
use crate::driver::Handle;
use crate::launch::is_alive;
use crate::records::ExecutorKey;

/// An executor's process, as the journal has it.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) key: ExecutorKey,
    pub(crate) run: String,
    pub(crate) pid: i32,
    pub(crate) start_time: u64,
}

/// Watches each until it ends.
pub(crate) fn watch(orphans: Vec<Orphan>, handle: &Handle, context: &Context) {
    for orphan in orphans {
        let (handle, shutdown) = (handle.clone(), context.shutdown.clone());
        context.tasks.spawn("orphaned executor", async move {
            if shutdown.run_until(end_of(&orphan)).await.is_none() {
                return;
            }
            // Its exit status went to init.
            handle
                .tell(Input::Exited {
                    key: orphan.key,
                    run: orphan.run,
                    status: None,
                })
                .await;
        });
    }
}

async fn end_of(orphan: &Orphan) {
    let opened =
        Pid::from_raw(orphan.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
    // The pid may have gone to somebody else before it was opened; after this check it cannot.
    if !is_alive(orphan.pid, orphan.start_time) {
        return;
    }
    let Some(Ok(descriptor)) = opened.map(pipe::Receiver::from_owned_fd_unchecked) else {
        tracing::warn!(
            pid = orphan.pid,
            "executor cannot be watched; its end will be noticed by its silence"
        );
        std::future::pending::<()>().await;
        return;
    };
    // Not a pipe; it becomes readable when its process ends.
    if let Err(error) = descriptor.readable().await {
        tracing::warn!(pid = orphan.pid, %error, "executor cannot be watched");
        std::future::pending::<()>().await;
    }
}
