//! Waiting for a condition, with a limit and with words for the failure.

use std::time::{Duration, Instant};

/// Asks `condition` until it gives a value; fails with `what` and the last complaint after `limit`.
///
/// # Panics
/// When the limit is over: this is an assertion.
#[track_caller]
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(complaint) => {
                assert!(
                    started.elapsed() < limit,
                    "{what}: not within {limit:?}: {complaint}"
                );
                std::thread::sleep(Duration::from_millis(15));
            }
        }
    }
}
