//! `GET /v1/logs`: the output of a task as it is on disk, to its end or for as long as it grows.
//!
//! Growth is noticed through inotify on the directory, never by polling. A file that was renamed away (rotation) is
//! read to its end before the new one of that name; a file that became shorter is read from its start.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bcs_httpd::{Peer, require_role};
use bcs_mesos::ids;
use bcs_mesos::types::{ExecutorId, FrameworkId, TaskId};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use rustix::fs::inotify;
use serde::Deserialize;
use tokio::net::unix::pipe;

use crate::App;
use crate::core::{Input, Reply};
use crate::driver::Attach;
use crate::records::ExecutorKey;

/// Read at once.
const CHUNK: usize = 64 << 10;
/// Most lines of `tail`.
const TAIL: u64 = 1_000_000;

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    framework_id: String,
    executor_id: String,
    #[serde(default)]
    task_id: String,
    #[serde(default = "stdout")]
    stream: String,
    tail: Option<u64>,
    #[serde(default)]
    follow: bool,
}

fn stdout() -> String {
    "stdout".to_owned()
}

fn refuse(status: StatusCode, text: impl Into<String>) -> Response {
    let mut text = text.into();
    text.push('\n');
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text,
    )
        .into_response()
}

pub(crate) async fn logs(
    State(app): State<App>,
    peer: Peer,
    Query(wanted): Query<Wanted>,
) -> Response {
    if app.secured
        && let Err(failure) = require_role(&peer, &["driver"])
    {
        return failure.into_response();
    }
    if let Err(text) = check(&wanted) {
        return refuse(StatusCode::BAD_REQUEST, text);
    }
    let key = ExecutorKey {
        framework: FrameworkId::new(wanted.framework_id.clone()),
        executor: ExecutorId::new(wanted.executor_id.clone()),
    };
    let task = (!wanted.task_id.is_empty()).then(|| TaskId::new(wanted.task_id.clone()));
    let input = Input::Locate {
        key: key.clone(),
        task: task.clone(),
    };
    let known = match app.handle.ask(input, Attach::Nothing).await {
        Reply::Place { directory, .. } => directory,
        _ => None,
    };
    let sandbox = known.or_else(|| {
        crate::sandboxes::latest(&app.sandboxes, &wanted.framework_id, &wanted.executor_id)
    });
    let Some(sandbox) = sandbox else {
        let text = format!(
            "executor {:?} has no sandbox on this host",
            wanted.executor_id
        );
        return refuse(StatusCode::NOT_FOUND, text);
    };
    let follower = match Follower::open(&sandbox, &wanted) {
        Ok(Some(follower)) => follower,
        Ok(None) => {
            let text = format!(
                "task {:?} has no {} on this host",
                wanted.task_id, wanted.stream
            );
            return refuse(StatusCode::NOT_FOUND, text);
        }
        Err(error) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let state = Stream {
        follower,
        app: app.clone(),
        key,
        task,
        last: false,
    };
    let body = futures_util::stream::unfold(state, |mut state| async move {
        match state.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), state)),
            Ok(None) => None,
            Err(error) => Some((Err(error), state)),
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn check(wanted: &Wanted) -> Result<(), String> {
    let invalid = |error: ids::IdError| error.to_string();
    ids::validate("framework_id", &wanted.framework_id).map_err(invalid)?;
    ids::validate("executor_id", &wanted.executor_id).map_err(invalid)?;
    if !wanted.task_id.is_empty() {
        ids::validate("task_id", &wanted.task_id).map_err(invalid)?;
    }
    if !matches!(wanted.stream.as_str(), "stdout" | "stderr") {
        return Err(format!(
            "stream {:?} is neither stdout nor stderr",
            wanted.stream
        ));
    }
    Ok(())
}

struct Stream {
    follower: Follower,
    app: App,
    key: ExecutorKey,
    task: Option<TaskId>,
    /// The task has ended: what is there now is all.
    last: bool,
}

impl Stream {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let mut ended = self.app.handle.ended.clone();
        loop {
            if let Some(chunk) = self.follower.read()? {
                return Ok(Some(chunk));
            }
            if self.last || !self.follower.follow {
                return Ok(None);
            }
            let count = *ended.borrow_and_update();
            let input = Input::Locate {
                key: self.key.clone(),
                task: self.task.clone(),
            };
            let reply = self.app.handle.ask(input, Attach::Nothing).await;
            if matches!(reply, Reply::Place { ended: true, .. } | Reply::Refused(..)) {
                self.last = true;
                continue;
            }
            tokio::select! {
                changed = self.follower.changed() => changed?,
                () = self.app.context.shutdown.cancelled() => return Ok(None),
                more = ended.wait_for(|now| *now != count) => {
                    if more.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// Reads one named file of one directory, also through rotation.
#[derive(Debug)]
struct Follower {
    directory: std::os::fd::OwnedFd,
    name: String,
    file: Option<File>,
    position: u64,
    follow: bool,
    watch: Option<pipe::Receiver>,
}

impl Follower {
    /// `None`: there is no such directory, or no such file and nothing to wait for.
    fn open(sandbox: &Path, wanted: &Wanted) -> std::io::Result<Option<Self>> {
        let path: PathBuf = if wanted.task_id.is_empty() {
            sandbox.to_owned()
        } else {
            sandbox.join(&wanted.task_id)
        };
        // The task may own the sandbox, and could put a link in the place of anything in it.
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = match open(&path, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(nix::errno::Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut follower = Self {
            directory,
            name: wanted.stream.clone(),
            file: None,
            position: 0,
            follow: wanted.follow,
            watch: None,
        };
        if wanted.follow {
            // Before the first read, so that nothing which is written in between goes unnoticed.
            let watch =
                inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
            let events = inotify::WatchFlags::MODIFY
                | inotify::WatchFlags::CREATE
                | inotify::WatchFlags::MOVED_TO
                | inotify::WatchFlags::MOVED_FROM
                | inotify::WatchFlags::DELETE
                | inotify::WatchFlags::DELETE_SELF;
            let opened = format!("/proc/self/fd/{}", follower.directory.as_raw_fd());
            inotify::add_watch(&watch, opened, events)?;
            // Not a pipe, but read in the same way.
            follower.watch = Some(pipe::Receiver::from_owned_fd_unchecked(watch)?);
        }
        follower.file = follower.open_file()?;
        match (&mut follower.file, wanted.tail) {
            (None, _) if !wanted.follow => return Ok(None),
            (Some(file), Some(lines)) => follower.position = tail(file, lines.min(TAIL))?,
            _ => {}
        }
        Ok(Some(follower))
    }

    fn open_file(&self) -> std::io::Result<Option<File>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.directory, self.name.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(nix::errno::Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is not a regular file"));
        }
        Ok(Some(file))
    }

    /// What is there to read now.
    fn read(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            let Some(mut file) = self.file.as_ref() else {
                self.file = self.open_file()?;
                self.position = 0;
                if self.file.is_none() {
                    return Ok(None);
                }
                continue;
            };
            let meta = file.metadata()?;
            if meta.len() < self.position {
                self.position = 0;
            }
            if meta.len() > self.position {
                file.seek(SeekFrom::Start(self.position))?;
                let wanted = usize::try_from(meta.len() - self.position)
                    .unwrap_or(CHUNK)
                    .min(CHUNK);
                let mut chunk = vec![0; wanted];
                let count = file.read(&mut chunk)?;
                chunk.truncate(count);
                self.position += count as u64;
                if count > 0 {
                    return Ok(Some(Bytes::from(chunk)));
                }
            }
            if !self.follow {
                return Ok(None);
            }
            // At the end of this file: is it still the one of that name?
            let Some(current) = self.open_file()? else {
                return Ok(None);
            };
            let now = current.metadata()?;
            if now.ino() == meta.ino() && now.dev() == meta.dev() {
                return Ok(None);
            }
            // What was written to the old one just before it was renamed.
            if file.metadata()?.len() > self.position {
                continue;
            }
            self.file = Some(current);
            self.position = 0;
        }
    }

    /// Waits until something in the directory changed.
    async fn changed(&self) -> std::io::Result<()> {
        let Some(watch) = &self.watch else {
            return std::future::pending().await;
        };
        watch.readable().await?;
        // What happened does not matter, only that something did: all of it is taken, and the file is looked at.
        let mut events = [0; 4096];
        match watch.try_read(&mut events) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Where the last `lines` lines begin.
fn tail(file: &mut File, lines: u64) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut found: u64 = 0;
    let mut chunk = Vec::new();
    if lines == 0 {
        return Ok(length);
    }
    while end > 0 {
        let size = end.min(CHUNK as u64);
        let start = end - size;
        file.seek(SeekFrom::Start(start))?;
        chunk.resize(usize::try_from(size).unwrap_or(CHUNK), 0u8);
        file.read_exact(&mut chunk)?;
        for (offset, byte) in chunk.iter().enumerate().rev() {
            let at = start + offset as u64;
            // The line end at the very end closes the last line; it begins no other.
            if *byte == b'\n' && at + 1 < length {
                found += 1;
                if found == lines {
                    return Ok(at + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
