//! A local server that answers as a test tells it to, also with errors.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Header lines, with names in lower case.
    pub header: Vec<String>,
    /// Body; null if there is none.
    pub body: Value,
}

/// Answer to write before the connection is closed.
pub struct Answer {
    bytes: Vec<u8>,
    is_held: bool,
}

/// Gives no answer and keeps the connection open; for use in a server's `answer`.
pub fn never() -> ! {
    loop {
        thread::park();
    }
}

impl Answer {
    /// Creates an answer with this status and content type.
    pub fn of(status: u16, more: &str, content_type: &str, body: &str) -> Answer {
        Answer::bytes(status, more, content_type, body.as_bytes())
    }

    /// The same with a body that is no text.
    pub fn bytes(status: u16, more: &str, content_type: &str, body: &[u8]) -> Answer {
        let length = format!("content-length: {}\r\n", body.len());
        Answer::raw(status, &format!("{length}{more}"), content_type, body)
    }

    /// The same without its length.
    pub fn raw(status: u16, more: &str, content_type: &str, body: &[u8]) -> Answer {
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-type: {content_type}\r\nconnection: close\r\n{more}\r\n"
        );
        Answer { bytes: [head.as_bytes(), body].concat(), is_held: false }
    }

    /// Keeps the connection open afterwards.
    pub fn held(self) -> Answer {
        Answer { is_held: true, ..self }
    }

    pub fn json(value: &Value) -> Answer {
        Answer::of(200, "", "application/json", &value.to_string())
    }

    pub fn status(status: u16, more: &str, said: &str) -> Answer {
        let body = serde_json::json!({"error": {"message": said}}).to_string();
        Answer::of(status, more, "application/json", &body)
    }

    /// Cuts the last bytes off.
    pub fn cut(mut self, bytes: usize) -> Answer {
        self.bytes.truncate(self.bytes.len() - bytes);
        self
    }
}

/// The server; it listens until the process ends.
pub struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server; `answer` gets each request and the number of earlier ones.
    pub fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, requests, count) = (Arc::new(answer), seen.clone(), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, requests, count) = (answer.clone(), requests.clone(), count.clone());
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(request) = read(&stream) else { return };
                    requests.lock().unwrap().push(request.clone());
                    let answer = answer(&request, count.fetch_add(1, Ordering::SeqCst));
                    // The client may have given up.
                    let _ = stream.write_all(&answer.bytes);
                    if answer.is_held {
                        never();
                    }
                });
            }
        });
        Server { port, seen }
    }

    pub fn url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    /// Address without a path.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Requests so far whose path ends with `path`.
    pub fn seen_at(&self, path: &str) -> Vec<Request> {
        self.seen().into_iter().filter(|request| request.path.ends_with(path)).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let header: Vec<String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| format!("{}:{value}", name.to_lowercase()))
        .collect();
    let length = header.iter().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, header, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
