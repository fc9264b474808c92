//! The loop: one epoll set, one thread, no timer unless something is overdue.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;

use crate::connection::Connection;
use crate::journal::Journal;
use crate::protocol::{Call, Failure, Line, PROTOCOL, Reply, Request};
use crate::tasks::{Output, PIDFD, PIPE, Tasks, own_pid};
use crate::{kernel, proc, start};

/// More clients than this are turned away.
const MAX_CONNECTIONS: usize = 32;
const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const FIRST_CONNECTION: u64 = 2;

/// How a keeper is set up.
#[derive(Debug)]
pub struct Settings {
    /// Journal, lock and log live here.
    pub state_dir: PathBuf,
    /// Where clients connect.
    pub socket: PathBuf,
    /// Stay in the foreground instead of leaving the caller.
    pub foreground: bool,
}

/// Why a keeper cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be used.
    #[error(
        "{path}: {source}; give a --state-dir (and a --socket path under 108 bytes) that is writable"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process holds the lock but does not answer.
    #[error("{path} is held by a process that does not answer on the socket")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The keeper in the background could not start.
    #[error("{0}")]
    Background(String),
}

impl From<nix::errno::Errno> for Error {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::System(errno.into())
    }
}

/// Runs a keeper until SIGTERM. When another one serves the directory already, that is success.
///
/// # Errors
/// When the directory, the lock or the socket cannot be had.
pub fn run(settings: &Settings) -> Result<(), Error> {
    let mut told = None;
    if !settings.foreground {
        match start::background()? {
            start::Side::Starter(outcome) => return outcome.map_err(Error::Background),
            start::Side::Keeper(pipe) => told = Some(pipe),
        }
    }
    let outcome = serve(settings, &mut told);
    if let (Some(mut pipe), Err(error)) = (told, &outcome) {
        drop(io::Write::write_all(
            &mut pipe,
            error.to_string().as_bytes(),
        ));
    }
    outcome
}

fn serve(settings: &Settings, told: &mut Option<io::PipeWriter>) -> Result<(), Error> {
    let ready = |told: &mut Option<io::PipeWriter>| {
        if let Some(mut pipe) = told.take() {
            drop(io::Write::write_all(&mut pipe, b"ready"));
        }
    };
    let Some(_lock) = start::lock(settings)? else {
        ready(told);
        return Ok(());
    };
    kernel::become_subreaper()?;
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE] {
        kernel::ignore_signal(signal);
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;

    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let path = settings.state_dir.join("journal");
    let (journal, loaded) =
        Journal::open(&path, &proc::boot_id()).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
    let tasks = Tasks::restore(journal, loaded, &epoll);
    let listener = start::bind(&settings.socket)?;
    if !settings.foreground {
        start::detach(&settings.state_dir)?;
    }
    ready(told);
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(
        signals.as_fd(),
        EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS),
    )?;
    let mut server = Server {
        epoll,
        tasks,
        connections: BTreeMap::new(),
        next: FIRST_CONNECTION,
    };
    server.run(&listener, &signals)
}

struct Server {
    epoll: Epoll,
    tasks: Tasks,
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

impl Server {
    fn run(
        &mut self,
        listener: &std::os::unix::net::UnixListener,
        signals: &SignalFd,
    ) -> Result<(), Error> {
        let mut events = [EpollEvent::empty(); 64];
        let mut out = Vec::new();
        loop {
            let timeout = match self.tasks.restless() {
                true => EpollTimeout::from(500u16),
                false => EpollTimeout::NONE,
            };
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let mut children = false;
            for event in events.iter().take(count) {
                match event.data() {
                    LISTENER => self.accept(listener),
                    SIGNALS => {
                        while let Ok(Some(info)) = signals.read_signal() {
                            if info.ssi_signo == Signal::SIGTERM as u32 {
                                return Ok(());
                            }
                            children = true;
                        }
                    }
                    token if token & PIPE != 0 => self.tasks.pipe_ready(token, &mut out),
                    token if token & PIDFD != 0 => {
                        self.tasks.pidfd_ready(token, false, &mut out);
                    }
                    token => self.client(token, event.events(), &mut out),
                }
            }
            if children {
                self.tasks.children_ended(&mut out);
            }
            self.tasks.housekeep(&mut out);
            self.deliver(&mut out);
        }
    }

    fn accept(&mut self, listener: &std::os::unix::net::UnixListener) {
        while let Ok((stream, _)) = listener.accept() {
            let allowed = getsockopt(&stream, PeerCredentials)
                .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw());
            if !allowed || self.connections.len() >= MAX_CONNECTIONS {
                continue;
            }
            let token = self.next;
            if stream.set_nonblocking(true).is_ok()
                && self
                    .epoll
                    .add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, token))
                    .is_ok()
            {
                self.next += 1;
                self.connections.insert(token, Connection::new(stream));
            }
        }
    }

    fn client(&mut self, token: u64, flags: EpollFlags, out: &mut Vec<Output>) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        if !flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return; // Writable: `deliver` flushes.
        }
        let input = connection.read();
        for line in &input.lines {
            let (seq, reply) = match serde_json::from_slice::<Request>(line) {
                Ok(request) => (request.seq, self.answer(token, request)),
                Err(error) => {
                    let text = format!("not a request: {error}");
                    (0, Some(Reply::Error(Failure::new("invalid", text))))
                }
            };
            if let Some(reply) = reply {
                out.push(Output::Reply((token, seq), reply));
            }
        }
        if input.closed {
            self.connections.remove(&token);
        }
    }

    fn answer(&mut self, token: u64, request: Request) -> Option<Reply> {
        let result = match request.call {
            Call::Spawn(spawn) => self.tasks.spawn(&spawn, (token, request.seq), &self.epoll),
            Call::Signal(signal) => self.tasks.signal(&signal).map(Some),
            Call::Adopt(adopt) => self.tasks.adopt(&adopt, &self.epoll).map(Some),
            Call::Forget { id } => self.tasks.forget(&id).map(Some),
            Call::List => Ok(Some(Reply::Tasks(self.tasks.list()))),
            Call::Subscribe => {
                if let Some(connection) = self.connections.get_mut(&token) {
                    connection.subscribed = true;
                }
                Ok(Some(Reply::Tasks(self.tasks.list())))
            }
            Call::Version => Ok(Some(Reply::Version {
                protocol: PROTOCOL,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: own_pid(),
                boot_id: self.tasks.boot_id().to_owned(),
            })),
        };
        result.unwrap_or_else(|failure| Some(Reply::Error(failure)))
    }

    /// Queues what came out, in order, and writes what the sockets take.
    fn deliver(&mut self, out: &mut Vec<Output>) {
        let mut gone = Vec::new();
        for output in out.drain(..) {
            match output {
                Output::Reply((token, seq), reply) => {
                    if let Some(connection) = self.connections.get_mut(&token) {
                        let line = Line {
                            seq: Some(seq),
                            reply: Some(reply),
                            event: None,
                        };
                        if !connection.queue(&line) {
                            gone.push(token);
                        }
                    }
                }
                Output::Exit(task) => {
                    let line = Line {
                        seq: None,
                        reply: None,
                        event: Some(task),
                    };
                    for (token, connection) in &mut self.connections {
                        if connection.subscribed && !connection.queue(&line) {
                            gone.push(*token);
                        }
                    }
                }
            }
        }
        for (token, connection) in &mut self.connections {
            let waited = connection.pending();
            if !connection.flush() {
                gone.push(*token);
                continue;
            }
            if waited {
                let mut flags = EpollFlags::EPOLLIN;
                flags.set(EpollFlags::EPOLLOUT, connection.pending());
                let mut event = EpollEvent::new(flags, *token);
                if self.epoll.modify(&connection.stream, &mut event).is_err() {
                    gone.push(*token);
                }
            }
        }
        for token in gone {
            self.connections.remove(&token);
        }
    }
}
