//! Ending every member of a group, also one that forks as fast as it can.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::files::{self, Error};
use crate::group::Group;

/// Rounds of freeze, signal, thaw where there is no `cgroup.kill`. A frozen group cannot fork, so one
/// round is enough unless freezing fails.
const ROUNDS: usize = 16;

impl Group {
    /// Sends SIGKILL to every member. Returns before they are gone: wait for `populated 0`.
    ///
    /// # Errors
    /// When the kernel refuses; a group that does not exist (any more) is fine.
    pub fn kill_all(&self) -> Result<(), Error> {
        if let Some(dir) = &self.unified {
            let file = dir.join("cgroup.kill");
            match files::write(&file, "1") {
                Ok(()) => return Ok(()),
                Err(_) if !dir.exists() => return Ok(()),
                // Linux before 5.14 has no such file.
                Err(_) if !file.exists() => {}
                Err(error) => return Err(error),
            }
        }
        self.kill_by_signals();
        Ok(())
    }

    fn kill_by_signals(&self) {
        for _ in 0..ROUNDS {
            let frozen = self.freeze(true).is_ok();
            let members = self.processes();
            for pid in &members {
                // A member that is gone already is what is wanted.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if frozen && let Err(error) = self.freeze(false) {
                tracing::warn!(%error, "a group stays frozen");
            }
            if members.is_empty() || frozen {
                return;
            }
        }
    }
}
