//! The few system calls that have no safe wrapper: fork, pidfds, signal dispositions, niceness.
#![allow(
    unsafe_code,
    reason = "fork, pidfd and signal dispositions have no safe form; see SAFETY"
)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::unistd::{ForkResult, Pid, fork};

use crate::protocol::Status;

/// Forks; the child runs `body` and leaves with the code it returns, without unwinding.
///
/// # Errors
/// When the system refuses another process.
pub fn fork_child(body: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the keeper has one thread for its whole life (it starts none and links nothing that
    // does), so no lock can be held by a thread that does not exist in the child.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = body();
            // SAFETY: _exit takes no memory from us and does not return.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Forks and returns in both processes: the child's pid in the parent, `None` in the child.
///
/// # Errors
/// When the system refuses another process.
pub fn fork_child_continue() -> io::Result<Option<Pid>> {
    // SAFETY: as in `fork_child`: one thread only, so the child may run any code.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Gives every signal its default action: an ignored one stays ignored across exec.
pub fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: installs no handler of ours; KILL, STOP and reserved numbers merely fail.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Closes every descriptor above standard error that this process inherited.
pub fn close_inherited() {
    // SAFETY: called first thing in `main`, when nothing in this process owns a descriptor yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_long::from(u32::MAX), 0) };
}

/// Lets exec close every descriptor above standard error, whoever opened it.
pub fn close_on_exec() {
    let flag = libc::c_long::from(libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: only sets a flag on descriptors; all stay open until exec.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_long::from(u32::MAX), flag) };
}

/// Ignores a signal in this process.
pub fn ignore_signal(signal: i32) {
    // SAFETY: installs no handler, only the ignore action.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Sets the niceness of this process.
///
/// # Errors
/// When the system refuses.
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: plain integers, no memory involved.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Become the parent of orphaned descendants.
///
/// # Errors
/// When the system refuses.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes plain integers.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Opens a descriptor that stands for a process and becomes readable when it ends.
///
/// # Errors
/// When there is no such process.
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain integers; the kernel checks the pid.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    let raw = i32::try_from(result).map_err(io::Error::other)?;
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns; pidfds are close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sends a signal through a pidfd: never to a process that reuses the number.
///
/// # Errors
/// When the process is gone or the signal may not be sent.
pub fn pidfd_signal(pidfd: &OwnedFd, signal: i32) -> io::Result<()> {
    let fd = libc::c_long::from(pidfd.as_raw_fd());
    let signal = libc::c_long::from(signal);
    // SAFETY: a null siginfo is allowed and means "as kill(2)".
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd,
            signal,
            std::ptr::null::<u8>(),
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `struct pidfd_info`, first published size.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)` with the size above.
const PIDFD_GET_INFO: libc::c_ulong = (3 << 30) | (64 << 16) | (0xFF << 8) | 11;

/// How the process of a pidfd ended, although it was not our child: Linux 6.15 and later keep it
/// for holders of a pidfd once the process was reaped. `None` before that, or on older kernels.
pub fn pidfd_exit(pidfd: &OwnedFd) -> Option<Status> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the kernel writes at most the size encoded in the request, which is that of `info`.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then(|| Status::from_wait(info.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_of_a_reaped_process_is_readable_through_its_pidfd() {
        assert_eq!(size_of::<PidfdInfo>(), 64);
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read x; exit 7"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pidfd = pidfd_open(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(pidfd_exit(&pidfd), None, "still running");
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(7));
        // Older kernels do not tell; then the keeper reports "unknown".
        assert!(matches!(pidfd_exit(&pidfd), None | Some(Status::Code(7))));
        assert!(pidfd_signal(&pidfd, 0).is_err());
    }
}
