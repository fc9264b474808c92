//! Exponential delays with full jitter, for loops that drive themselves.

use std::time::Duration;

use rand::Rng;

use crate::Shutdown;

/// Delays between `base` and `cap`, doubling, each drawn at random from its upper half.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// The first delay is about `base`, later ones double up to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            attempt: 0,
        }
    }

    /// How often it was asked since the last success.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Back to the first delay, after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// The next delay.
    pub fn next_delay(&mut self) -> Duration {
        let full = self
            .base
            .saturating_mul(1 << self.attempt.min(16))
            .min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Waits for the next delay; false when leaving was asked for meanwhile.
    pub async fn wait(&mut self, shutdown: &Shutdown) -> bool {
        let delay = self.next_delay();
        shutdown
            .run_until(tokio::time::sleep(delay))
            .await
            .is_some()
    }

    /// Whether this failure is worth a line in the log: the first, then at doubling counts.
    pub fn worth_logging(&self) -> bool {
        self.attempt <= 1 || self.attempt.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
        let first = backoff.next_delay();
        assert!(first >= Duration::from_millis(5) && first <= Duration::from_millis(10));
        for _ in 0..40 {
            assert!(backoff.next_delay() <= Duration::from_millis(100));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(10));
    }
}
