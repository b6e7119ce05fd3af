//! A running `edgecall serve` with the pocket model, and clients that speak HTTP byte by byte.

use crate::{pocket, program};
use edgecall::convert::FileType;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Time after which a test gives up; nothing is expected to take as long.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A server, killed at the end of a test.
pub struct Serving {
    child: Child,
    /// Address without a scheme, such as `127.0.0.1:4711`; empty for a Unix socket.
    pub address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Header lines, with names in lower case.
    pub header: Vec<String>,
    pub body: String,
}

impl Serving {
    /// Starts a server on a free port, on one thread and without a cache.
    pub fn start(arguments: &[&str]) -> Serving {
        Serving::of(&pocket::pocket(FileType::Q8_0), &[&["--listen", "127.0.0.1:0"], arguments].concat())
    }

    /// Starts a server of the model at `path`, and waits until it serves.
    pub fn of(path: &Path, arguments: &[&str]) -> Serving {
        let mut command = Serving::command(path, arguments);
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once(" on ").unwrap_or_else(|| panic!("{line}")).1;
        let address = address.strip_prefix("http://").unwrap_or_default().to_owned();
        // Nobody reads the rest, but the pipe must not fill up.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Serving { child, address }
    }

    /// The command that serves the model at `path`.
    pub fn command(path: &Path, arguments: &[&str]) -> Command {
        let mut command = program::edgecall();
        command.args(["serve", "--threads", "1", "--no-cache", "-m"]).arg(path).args(arguments);
        command.env_remove("EDGECALL_API_KEY").stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request with a body and these header lines, each with its line end.
    pub fn send(&self, line: &str, more: &str, body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(&request(line, &format!("host: {}\r\n{more}", self.address), body)).unwrap();
        stream
    }

    /// The answer to a chat request.
    pub fn chat(&self, body: &Value) -> Reply {
        reply(self.send("POST /v1/chat/completions", "", body.to_string().as_bytes()))
    }

    /// The object of a chat request that is answered.
    pub fn answer(&self, body: &Value) -> Value {
        let reply = self.chat(body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    pub fn get(&self, path: &str) -> Reply {
        reply(self.send(&format!("GET {path}"), "", b""))
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for the end of the process.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of a request.
pub fn request(line: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

/// Reads an answer to the end of the connection.
pub fn reply(mut stream: impl Read) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header: Vec<String> = lines
        .map(|line| line.split_once(':').map_or(line.into(), |(k, v)| format!("{}:{v}", k.to_lowercase())))
        .collect();
    let body = match header.iter().any(|line| line == "transfer-encoding: chunked") {
        true => unchunked(body),
        false => body.to_owned(),
    };
    Reply { status, header, body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole += &rest[..length];
        body = &rest[length + 2..];
        if length == 0 {
            break;
        }
    }
    whole
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The error's `type`, `code` and `param`.
    pub fn error(&self) -> (u16, Value, Value) {
        let error = self.json()["error"].clone();
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", self.body);
        (self.status, error["code"].clone(), error["param"].clone())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.header.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The JSON of each event of a stream, the last of which is `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        let mut events: Vec<&str> =
            self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
        assert_eq!(events.pop(), Some("[DONE]"), "{}", self.body);
        events.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }
}

/// Path of a file among the examples.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants").join(name)
}

/// A request with the tools of the restaurants, which the pocket model was trained for.
pub fn restaurants(text: &str) -> Value {
    let tools: Value = serde_json::from_slice(&std::fs::read(example("tools.json")).unwrap()).unwrap();
    let task = std::fs::read_to_string(example("task.txt")).unwrap();
    let messages = json!([
        {"role": "system", "content": edgecall::chat::task_system_text(&task)},
        {"role": "user", "content": text},
    ]);
    json!({"messages": messages, "tools": tools, "tool_choice": "required"})
}

/// A request whose answer takes long where each token is decoded by itself (`--exact`), and that a stream shows piece by
/// piece: a call with many long arguments, all of which the schema fixes.
pub fn long() -> Value {
    let words = |nth: usize| (0..30).map(|word| format!("{} ", nth * 31 + word * 7)).collect::<String>();
    let properties: serde_json::Map<String, Value> =
        (0..20).map(|nth| (format!("part{nth}"), json!({"const": words(nth)}))).collect();
    let required: Vec<&String> = properties.keys().collect();
    let parameters = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    json!({
        "messages": [{"role": "user", "content": "Count."}], "stream": true, "max_tokens": 4000,
        "tools": [{"type": "function", "function": {"name": "count", "parameters": parameters}}],
        "tool_choice": "required",
    })
}
