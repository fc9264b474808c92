//! Becoming the one keeper of a state directory: background, lock, socket, log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode, umask};
use nix::unistd;

use crate::kernel;
use crate::server::{Error, Settings};

/// How long a new keeper waits for the lock of a dying one. A child of that one holds it too,
/// until it has execed; that is how its journal record cannot be missed.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// The log is cut when it is larger than this at start.
const LOG_LIMIT: u64 = 256 * 1024;

/// Goes into the background. In the caller's process this returns the outcome of the start, once
/// that is known; in the new process, the pipe to tell it through.
///
/// # Errors
/// When the system refuses a process.
pub fn background() -> io::Result<Side> {
    let (mut reader, writer) = io::pipe()?;
    let child = kernel::fork_child_continue()?;
    if child.is_none() {
        drop(reader);
        unistd::setsid()?;
        return Ok(Side::Keeper(writer));
    }
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    Ok(Side::Starter(match text.strip_prefix("ready") {
        Some(_) => Ok(()),
        None if text.is_empty() => Err("it ended before it was ready".to_owned()),
        None => Err(text),
    }))
}

/// Which process this is after [`background`].
#[derive(Debug)]
pub enum Side {
    /// The one that was called; the keeper runs elsewhere, or could not start.
    Starter(Result<(), String>),
    /// The keeper-to-be; writes `ready` or the reason.
    Keeper(io::PipeWriter),
}

/// Makes the directory and takes its lock. `None` when another keeper serves it.
///
/// # Errors
/// When the directory or the lock cannot be had.
pub fn lock(settings: &Settings) -> Result<Option<Flock<File>>, Error> {
    let dir = &settings.state_dir;
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(at(dir))?;
    let path = dir.join("keeper.lock");
    let since = Instant::now();
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(at(&path))?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) if answers(&settings.socket) => {
                return Ok(None);
            }
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => {
                if since.elapsed() > LOCK_PATIENCE {
                    return Err(Error::Locked { path });
                }
                file = back;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err((_, errno)) => {
                return Err(Error::File {
                    path,
                    source: errno.into(),
                });
            }
        }
    }
}

/// Whether a living keeper answers. A connection alone proves nothing: a child of a dead keeper
/// may still hold its socket.
fn answers(socket: &Path) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.set_write_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"{\"seq\":1,\"call\":\"version\"}\n")?;
        let mut line = String::new();
        BufReader::new(stream.take(4096)).read_line(&mut line)?;
        Ok(line.contains("\"version\""))
    };
    ask().unwrap_or(false)
}

/// Binds the socket, for its own user only.
///
/// # Errors
/// When the path is too long or not writable.
pub fn bind(socket: &Path) -> Result<UnixListener, Error> {
    let at = |source| Error::File {
        path: socket.to_owned(),
        source,
    };
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
        Ok(()) | Err(_) => {}
    }
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(socket);
    umask(before);
    let listener = listener.map_err(at)?;
    listener.set_nonblocking(true).map_err(at)?;
    Ok(listener)
}

/// Lets go of the caller's terminal and directory; messages go to `keeper.log`.
///
/// # Errors
/// When `/dev/null` cannot be opened.
pub fn detach(state_dir: &Path) -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let path = state_dir.join("keeper.log");
    let large = fs::metadata(&path).is_ok_and(|data| data.len() > LOG_LIMIT);
    // A full disk must not keep the keeper from starting.
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .ok();
    if let (true, Some(log)) = (large, &log) {
        log.set_len(0)?;
    }
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(log.as_ref().unwrap_or(&null))?;
    unistd::dup2_stderr(log.as_ref().unwrap_or(&null))?;
    unistd::chdir("/")?;
    Ok(())
}
