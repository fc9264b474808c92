//! A package server on loopback that misbehaves on demand and counts what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a path does.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Serves the bytes, also from an offset on.
    Good(Vec<u8>),
    /// Accepts the request and never answers.
    Silent,
    /// Sends half and then nothing more, without closing.
    Hang(Vec<u8>),
    /// Promises all, sends half, closes; and the same again whenever it is asked.
    Truncate(Vec<u8>),
    /// Breaks off once, in the middle; later requests are served, also from an offset on.
    BreakOnce(Vec<u8>),
    /// Points elsewhere.
    Redirect(String),
    /// Answers this status.
    Status(u16),
    /// Serves the bytes to this user with this password.
    Private(Vec<u8>, &'static str),
}

#[derive(Debug, Default)]
struct State {
    paths: BTreeMap<String, Behaviour>,
    requests: Vec<String>,
    /// Kept open so that the client sees silence instead of an end.
    held: Vec<TcpStream>,
}

/// The server; it ends with the test's process.
#[derive(Clone, Debug)]
pub struct PackageServer {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl PackageServer {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let server = Self { port, state };
        let this = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let this = this.clone();
                std::thread::spawn(move || drop(this.serve(stream)));
            }
        });
        server
    }

    /// Says what a path does from now on; its address.
    pub fn put(&self, path: &str, behaviour: Behaviour) -> String {
        self.state
            .lock()
            .unwrap()
            .paths
            .insert(path.to_owned(), behaviour);
        self.address(path)
    }

    /// The address of a path.
    pub fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How often the content of a path was asked for.
    pub fn requests(&self, path: &str) -> usize {
        let line = format!("GET {path}");
        self.state
            .lock()
            .unwrap()
            .requests
            .iter()
            .filter(|request| **request == line)
            .count()
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut from = 0;
        let mut authorization = String::new();
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    let digits = value
                        .trim()
                        .trim_start_matches("bytes=")
                        .split('-')
                        .next()
                        .unwrap_or_default();
                    from = digits.parse().unwrap_or_default();
                }
                "authorization" => value.trim().clone_into(&mut authorization),
                _ => {}
            }
        }
        let mut words = first.split(' ');
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let behaviour = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(format!("{method} {path}"));
            let behaviour = state
                .paths
                .get(path)
                .cloned()
                .unwrap_or(Behaviour::Status(404));
            if let Behaviour::BreakOnce(bytes) = &behaviour
                && method == "GET"
            {
                let good = Behaviour::Good(bytes.clone());
                state.paths.insert(path.to_owned(), good);
            }
            behaviour
        };
        let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
        let head = |stream: &mut TcpStream, length: usize| {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\nETag: \"one\"\r\nConnection: close\r\n\r\n"
            )
        };
        match behaviour {
            Behaviour::Good(bytes) => whole(&mut stream, method, &bytes, from)?,
            Behaviour::Private(bytes, wanted) => {
                if authorization == wanted {
                    whole(&mut stream, method, &bytes, from)?;
                } else {
                    write!(
                        stream,
                        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )?;
                }
            }
            Behaviour::Silent => self.state.lock().unwrap().held.push(stream),
            Behaviour::Hang(bytes) => {
                head(&mut stream, bytes.len())?;
                stream.write_all(&half(&bytes))?;
                self.state.lock().unwrap().held.push(stream);
            }
            Behaviour::Truncate(bytes) | Behaviour::BreakOnce(bytes) => {
                head(&mut stream, bytes.len())?;
                stream.write_all(&half(&bytes))?;
            }
            Behaviour::Redirect(target) => {
                write!(
                    stream,
                    "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )?;
            }
            Behaviour::Status(status) => {
                write!(
                    stream,
                    "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )?;
            }
        }
        Ok(())
    }
}

fn whole(stream: &mut TcpStream, method: &str, bytes: &[u8], from: usize) -> std::io::Result<()> {
    let rest = bytes.get(from..).unwrap_or_default();
    let status = if from > 0 {
        let last = bytes.len().saturating_sub(1);
        format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{last}/{}",
            bytes.len()
        )
    } else {
        "200 OK".to_owned()
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nETag: \"one\"\r\nConnection: close\r\n\r\n",
        rest.len()
    )?;
    if method == "HEAD" {
        return Ok(());
    }
    stream.write_all(rest)
}
