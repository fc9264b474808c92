//! Wall-clock stamps. Intervals are measured with `Instant`, which no clock step can move.

use std::time::{SystemTime, UNIX_EPOCH};

fn since_epoch() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Seconds since 1970, 0 before.
pub fn unix_seconds() -> i64 {
    i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub fn unix_millis() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

/// Nanoseconds since 1970; enough until the year 2262.
pub fn unix_nanos() -> i64 {
    i64::try_from(since_epoch().as_nanos()).unwrap_or(i64::MAX)
}

/// Nanosecond stamps that never repeat and never go back within one process, for identifiers
/// that are made of the time (spec mesos-side 1.8), even while the wall clock is stepped back.
pub fn unique_nanos() -> i64 {
    use std::sync::atomic::{AtomicI64, Ordering};
    static LAST: AtomicI64 = AtomicI64::new(0);
    let now = unix_nanos();
    let before = LAST
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| {
            Some(now.max(last + 1))
        })
        .unwrap_or(now);
    now.max(before + 1)
}

/// The identifier of this boot of the kernel, or an empty text where there is none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn unique_stamps_rise() {
        let stamps: Vec<i64> = (0..10_000).map(|_| super::unique_nanos()).collect();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
