//! The restart policy: a pure answer to "it ended, what now?" (spec 2.5).
//!
//! ```text
//! policy     Failed      Lost                        Finish
//! Never      leave       leave                       leave
//! OnFailure  replace     leave                       leave
//! Always     replace     replace, not waiting for    replace
//!                        the old one to end
//! ```

use bcs_model::status::Status;
use bcs_model::version::{RestartPolicy, RestartRule};

/// Reschedules are counted anew when the last one is this long ago.
pub(crate) const FORGET_SECONDS: i64 = 1800;

/// The longest delay.
pub(crate) const LONGEST_DELAY_SECONDS: i64 = 86_400 - 480;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Leave,
    /// Nothing, because `maxtimes` is reached.
    Exhausted,
    /// Replace after this delay; the new one counts this many reschedules.
    Replace { delay_seconds: i64, times: i64 },
}

/// Decides for a taskgroup that became `status`. `times` and `last` are its reschedules so far and
/// the time of the last; `now` is the time, all in Unix seconds.
pub(crate) fn decide(
    policy: &RestartPolicy,
    status: Status,
    times: i64,
    last: i64,
    now: i64,
) -> Decision {
    let wanted = match (policy.policy, status) {
        (RestartRule::Never, _) => false,
        (RestartRule::OnFailure, status) => status == Status::Failed,
        (RestartRule::Always, status) => {
            matches!(status, Status::Failed | Status::Lost | Status::Finish)
        }
    };
    if !wanted {
        return Decision::Leave;
    }
    let times = if last > 0 && now.saturating_sub(last) >= FORGET_SECONDS {
        0
    } else {
        times
    };
    if policy.max_times > 0 && times >= policy.max_times {
        return Decision::Exhausted;
    }
    let delay = policy
        .interval
        .max(0)
        .saturating_add(policy.backoff.max(0).saturating_mul(times));
    Decision::Replace {
        delay_seconds: delay.min(LONGEST_DELAY_SECONDS),
        times: times + 1,
    }
}

/// A launch that ends within this time came to nothing.
pub(crate) const QUICK_END_MILLIS: i64 = 3000;
/// So many of them in a row are started again without a pause of their own.
const FREE_STUMBLES: u32 = 5;
const FIRST_STUMBLE_PAUSE_MILLIS: i64 = 100;
const LONGEST_STUMBLE_PAUSE_MILLIS: i64 = 10_000;

/// The least pause after launches that came to nothing: a program that cannot start must not keep
/// its host and this scheduler busy, whatever its policy says.
pub(crate) fn stumble_pause_millis(stumbles: u32) -> i64 {
    let Some(over) = stumbles.checked_sub(FREE_STUMBLES).filter(|over| *over > 0) else {
        return 0;
    };
    (FIRST_STUMBLE_PAUSE_MILLIS << over.min(16).saturating_sub(1)).min(LONGEST_STUMBLE_PAUSE_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rule: RestartRule, interval: i64, backoff: i64, max_times: i64) -> RestartPolicy {
        RestartPolicy {
            policy: rule,
            interval,
            backoff,
            max_times,
            host_retain_time: 0,
        }
    }

    #[test]
    fn the_table_of_the_specification_holds() {
        use RestartRule::{Always, Never, OnFailure};
        use Status::{Error, Failed, Finish, Killed, Lost, Running};
        let yes = |rule, status| {
            matches!(
                decide(&policy(rule, 0, 0, 0), status, 0, 0, 100),
                Decision::Replace { .. }
            )
        };
        for status in Status::ALL {
            assert!(!yes(Never, status));
            assert_eq!(yes(OnFailure, status), status == Failed);
            assert_eq!(
                yes(Always, status),
                [Failed, Lost, Finish].contains(&status)
            );
        }
        for status in [Error, Killed, Running] {
            assert!(!yes(Always, status));
        }
    }

    #[test]
    fn the_first_stumbles_are_free_and_later_ones_slow_down() {
        let pauses: Vec<i64> = (0..9).map(stumble_pause_millis).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 0, 100, 200, 400]);
        assert_eq!(stumble_pause_millis(1000), 10_000);
    }

    #[test]
    fn delays_grow_stop_and_start_again() {
        let policy = policy(RestartRule::Always, 5, 10, 3);
        let at = |times, last, now| decide(&policy, Status::Failed, times, last, now);
        assert_eq!(
            at(0, 0, 1000),
            Decision::Replace {
                delay_seconds: 5,
                times: 1
            }
        );
        assert_eq!(
            at(2, 990, 1000),
            Decision::Replace {
                delay_seconds: 25,
                times: 3
            }
        );
        assert_eq!(at(3, 990, 1000), Decision::Exhausted);
        assert_eq!(
            at(3, 990, 990 + 1800),
            Decision::Replace {
                delay_seconds: 5,
                times: 1
            }
        );
        let long = RestartPolicy {
            backoff: i64::MAX,
            max_times: 0,
            ..policy.clone()
        };
        assert_eq!(
            decide(&long, Status::Failed, 7, 999, 1000),
            Decision::Replace {
                delay_seconds: LONGEST_DELAY_SECONDS,
                times: 8
            }
        );
    }
}
