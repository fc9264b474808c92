//! Bodies that are streams of records, and noticing when their reader goes.

use std::time::Duration;

use axum::body::Body;
use bcs_kit::Context;
use bcs_mesos::ContentType;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::core::Input;
use crate::driver::{Handle, OUTBOX, Outbox};

/// The reading end of a stream.
pub(crate) struct Opened {
    body: Body,
    dropped: oneshot::Receiver<()>,
}

struct Reader {
    records: mpsc::Receiver<Bytes>,
    /// Dropped with the body, however it ends.
    _guard: oneshot::Sender<()>,
}

/// Makes a stream of records. When the only outbox is dropped, the body ends after what was sent.
pub(crate) fn open(encoding: ContentType) -> (Outbox, Opened) {
    let (sender, records) = mpsc::channel(OUTBOX);
    let (guard, dropped) = oneshot::channel();
    let reader = Reader {
        records,
        _guard: guard,
    };
    let stream = futures_util::stream::unfold(reader, |mut reader| async move {
        let record = reader.records.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(record), reader))
    });
    (
        Outbox {
            records: sender,
            encoding,
        },
        Opened {
            body: Body::from_stream(stream),
            dropped,
        },
    )
}

impl Opened {
    /// The body, and a task that tells the core when it is no longer read.
    pub(crate) fn into_body(self, context: &Context, handle: Handle, gone: Option<Input>) -> Body {
        if let Some(gone) = gone {
            let dropped = self.dropped;
            let shutdown = context.shutdown.clone();
            context.tasks.spawn("stream watch", async move {
                // It is only ever dropped, never sent.
                if shutdown.run_until(dropped).await.is_none() {
                    return;
                }
                // A core that has left does not answer; nobody waits for this.
                drop(tokio::time::timeout(Duration::from_secs(60), handle.tell(gone)).await);
            });
        }
        self.body
    }
}
