//! One token that says "leave". Leaving never kills workloads; that is a role's own verb.

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A cheap, cloneable stop signal; children stop with their parent, not the other way round.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that ends with this one, and can end alone.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Asks everybody who holds this token, or a child of it, to leave.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether leaving was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until leaving is asked for.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// The same, owning its token: for `with_graceful_shutdown` and the like.
    pub fn cancelled_owned(&self) -> WaitForCancellationFutureOwned {
        self.0.clone().cancelled_owned()
    }

    /// Runs `future` unless leaving is asked for first; `None` when it was cut short.
    pub async fn run_until<F: Future>(&self, future: F) -> Option<F::Output> {
        self.0.run_until_cancelled(future).await
    }
}
