//! One client: bytes in, lines out, both bounded.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use crate::protocol::{Line, MAX_LINE};

/// A client that lets more than this pile up is dropped; it reconnects and lists.
const MAX_OUTPUT: usize = 32 * 1024 * 1024;

/// A connected client.
#[derive(Debug)]
pub struct Connection {
    /// The socket, non-blocking.
    pub stream: UnixStream,
    /// Whether exits are pushed.
    pub subscribed: bool,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What reading brought.
#[derive(Debug)]
pub struct Input {
    /// Complete lines.
    pub lines: Vec<Vec<u8>>,
    /// The peer is gone or misbehaves.
    pub closed: bool,
}

impl Connection {
    /// Wraps a non-blocking socket.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            subscribed: false,
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Reads what is there.
    pub fn read(&mut self) -> Input {
        let mut closed = false;
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => closed = true,
                Ok(count) => {
                    self.input
                        .extend_from_slice(chunk.get(..count).unwrap_or_default());
                    if self.input.len() <= MAX_LINE {
                        continue;
                    }
                    // Lines may be complete; what remains after them must fit.
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => closed = error.kind() != io::ErrorKind::WouldBlock,
            }
            break;
        }
        let mut lines = Vec::new();
        if let Some(end) = self.input.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.input.split_off(end + 1);
            let complete = std::mem::replace(&mut self.input, rest);
            lines = complete
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(<[u8]>::to_vec)
                .collect();
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Input {
            lines,
            closed: closed || self.input.len() > MAX_LINE,
        }
    }

    /// Queues a line. False when the client reads too slowly.
    pub fn queue(&mut self, line: &Line) -> bool {
        let before = self.output.len();
        if serde_json::to_writer(&mut self.output, line).is_err() {
            self.output.truncate(before);
            return false;
        }
        self.output.push(b'\n');
        self.output.len() <= MAX_OUTPUT
    }

    /// Writes what the socket takes. False when the peer is gone.
    pub fn flush(&mut self) -> bool {
        let mut done = 0;
        let alive = loop {
            let rest = self.output.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break true;
            }
            match self.stream.write(rest) {
                Ok(0) => break false,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
            }
        };
        self.output.drain(..done);
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        alive
    }

    /// Whether lines wait for the socket.
    pub fn pending(&self) -> bool {
        !self.output.is_empty()
    }
}
