//! Tools of MCP servers are listed, called and told of, whatever the server does.

use crate::program::python;
use edgecall::{
    Kind,
    agent::{
        Consent, Ending, Event, NoReply, Plan, Question, Reply, Responder, RunSettings, Source, Status,
        ToolResult, Toolbox, User, run,
    },
    chat::{Conversation, Message, Role},
    mcp::{Address, Server, Settings},
    tools::{ToolCall, ToolSet},
};
use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mcp/server.py");

fn settings() -> Settings {
    Settings {
        timeout: Duration::from_secs(60),
        environment: ["PATH", "HOME"].map(str::to_owned).to_vec(),
        reads: ["echo".to_owned()].into(),
    }
}

fn on_stdio(settings: Settings) -> Server {
    let python = python().get_program().to_str().unwrap().to_owned();
    Server::connect(&Address::Command(vec![python, SCRIPT.into()]), settings).unwrap()
}

/// A server process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn names(server: &Server) -> Vec<&str> {
    server.tools().iter().map(|tool| tool.name.as_str()).collect()
}

fn planned(server: &Server, name: &str, arguments: &str) -> Plan {
    server.plan(name, &ToolCall::from_text(name, arguments).unwrap()).unwrap()
}

fn called(server: &mut Server, name: &str, arguments: &str) -> ToolResult {
    let call = ToolCall::from_text(name, arguments).unwrap();
    let plan = server.plan(name, &call).unwrap();
    server.run(name, &call, plan.action).unwrap()
}

/// A model that gives these answers, one after the other.
struct Script(Vec<Reply>);

impl Responder for Script {
    fn respond(&mut self, _: &Conversation, _: &ToolSet) -> Result<Reply, NoReply> {
        Ok(self.0.remove(0))
    }
}

fn call(name: &str, arguments: &str) -> Reply {
    Reply { content: None, calls: vec![ToolCall::from_text(name, arguments).unwrap()] }
}

/// A user who says yes, and keeps the results and the number of tools at each change.
#[derive(Default)]
struct Yes {
    results: Vec<(Status, String)>,
    tools: Vec<usize>,
    asked: usize,
}

impl User for Yes {
    fn confirm(&mut self, _: &Question<'_>) -> bool {
        self.asked += 1;
        true
    }

    fn note(&mut self, event: &Event) -> edgecall::agent::Result<()> {
        match event {
            Event::Tools { tools, .. } => self.tools.push(tools.len()),
            Event::Result { status, content, .. } => self.results.push((*status, content.clone())),
            _ => {}
        }
        Ok(())
    }
}

fn go(sources: Vec<Box<dyn Source>>, calls: Vec<Reply>) -> Yes {
    let mut conversation = Conversation { messages: vec![Message::text(Role::User, "Please.")], tools: None };
    let end = Reply { content: Some("Done.".into()), calls: Vec::new() };
    let mut script = Script(calls.into_iter().chain([end]).collect());
    let settings =
        RunSettings { max_steps: 20, consent: Consent { to_all: true, ..Consent::default() }, is_dry: false };
    let mut user = Yes::default();
    let ending =
        run(&mut conversation, &mut script, &mut Toolbox::new(sources), &mut user, &settings).unwrap();
    assert_eq!(ending, Ending::Answer("Done.".into()));
    user
}

#[test]
fn all_pages_of_a_servers_tools_are_listed_and_an_unusable_one_is_left_out_with_a_warning() {
    let mut server = on_stdio(settings());
    assert_eq!(server.name(), "test_server");
    let expected = ["echo", "add", "fail", "slow", "end", "grow", "picture", "variable", "process"];
    assert_eq!(names(&server), expected);
    let warnings = server.take_warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("the tool `broken` of the MCP server test_server is left out: "),
        "{warnings:?}"
    );
}

#[test]
fn results_of_a_server_are_told_by_their_kind() {
    let mut server = on_stdio(settings());
    let mut told = |name: &str, arguments: &str| {
        let result = called(&mut server, name, arguments);
        (result.status, result.content)
    };
    assert_eq!(told("echo", r#"{"text": "a\n\u001b b"}"#), (Status::Ok, "a\n\u{1b} b".into()));
    assert_eq!(told("add", r#"{"a": 4, "b": 3}"#), (Status::Ok, r#"{"sum": 7}"#.into()));
    let failed = r#"{"error": "the tool failed", "output": "no such thing"}"#;
    assert_eq!(told("fail", "{}"), (Status::Failed, failed.into()));
    assert_eq!(told("picture", "{}"), (Status::Ok, "[image: image/png, 3 bytes, not shown]".into()));
}

#[test]
fn a_servers_hints_are_shown_and_only_the_user_says_which_tools_read() {
    let server = on_stdio(Settings { reads: ["add".to_owned()].into(), ..settings() });
    let echo = planned(&server, "echo", r#"{"text": "x"}"#);
    assert_eq!(
        echo.shown,
        "echo of the MCP server test_server with {\"text\": \"x\"}\nthe server says of this tool that it only reads"
    );
    assert_eq!(echo.trust, edgecall::agent::Trust::LEAST);
    assert!(planned(&server, "fail", "{}").shown.ends_with("it may destroy"));
    let add = planned(&server, "add", r#"{"a": 1, "b": 2}"#).trust;
    assert!(!add.confirm && add.untrusted_output && add.effect == edgecall::agent::Effect::Reads);
}

#[test]
fn a_changed_list_is_followed_and_a_call_of_the_new_tool_runs() {
    let user = go(vec![Box::new(on_stdio(settings()))], vec![call("grow", "{}"), call("grown", "{}")]);
    assert_eq!(user.tools, [9, 10]);
    assert_eq!(user.results[1], (Status::Ok, "grown up".into()));
    // The output of the first is not trusted, so the yes to all does not hold for the second.
    assert_eq!(user.asked, 1);
}

#[test]
fn arguments_are_held_to_the_servers_own_schema() {
    let user = go(vec![Box::new(on_stdio(settings()))], vec![call("add", r#"{"a": 1, "b": 10}"#)]);
    assert_eq!(user.results[0].0, Status::Invalid);
    assert!(user.results[0].1.contains("#/properties/b: maximum"), "{}", user.results[0].1);
}

#[test]
fn a_call_past_its_time_ends_and_the_next_one_runs() {
    let mut server = on_stdio(Settings { timeout: Duration::from_millis(500), ..settings() });
    let slow = called(&mut server, "slow", "{}");
    assert_eq!(slow.status, Status::TimedOut);
    assert_eq!(slow.content, r#"{"error": "the server did not answer within 0.5 s"}"#);
    assert!(!slow.has_output);
    // A busy machine may need more than one try.
    let answers = |_| called(&mut server, "process", "{}").status == Status::Ok;
    assert!((0..100).any(answers));
}

#[test]
fn a_server_that_ends_is_told_to_the_model() {
    let server = on_stdio(settings());
    let user = go(vec![Box::new(server)], vec![call("end", "{}"), call("echo", r#"{"text": "x"}"#)]);
    let gone = r#"{"error": "the server has ended"}"#;
    assert_eq!(user.results, [(Status::Failed, gone.to_owned()), (Status::Failed, gone.to_owned())]);
}

#[test]
fn a_server_gets_the_variables_named_alone_and_ends_with_its_run() {
    let mut server = on_stdio(settings());
    assert_eq!(called(&mut server, "variable", r#"{"text": "CARGO_MANIFEST_DIR"}"#).content, "(unset)");
    assert_ne!(called(&mut server, "variable", r#"{"text": "PATH"}"#).content, "(unset)");
    let pid = called(&mut server, "process", "{}").content;
    assert!(Path::new("/proc").join(&pid).exists());
    drop(server);
    assert!(!Path::new("/proc").join(&pid).exists());
}

#[test]
fn tools_of_two_servers_with_one_name_are_told_apart() {
    let both =
        || -> Vec<Box<dyn Source>> { vec![Box::new(on_stdio(settings())), Box::new(on_stdio(settings()))] };
    let user = go(both(), vec![call("process", "{}"), call("test_server_process", "{}")]);
    assert_eq!(user.tools, [18]);
    assert_ne!(user.results[0].1, user.results[1].1);
}

#[test]
fn what_is_no_server_is_an_error_with_its_last_words() {
    let connect = |words: &[&str]| {
        let argv = words.iter().map(|word| (*word).to_owned()).collect();
        let error = Server::connect(&Address::Command(argv), settings()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        error.to_string()
    };
    assert_eq!(connect(&["no-such-server"]), "the MCP server no-such-server cannot be started");
    let words = connect(&["sh", "-c", "echo 'no licence\u{1b}[2J' >&2"]);
    assert!(words.starts_with("the MCP server sh does not answer as one: "), "{words}");
    assert!(words.ends_with("; it wrote: no licence\\u{1b}[2J"), "{words}");
    // It says everything back.
    assert!(
        connect(&["sh", "-c", "read line; echo nonsense; echo \"{}\""]).contains("does not answer as one")
    );
    // Nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{free}/mcp").parse().unwrap();
    let error = Server::connect(&address, settings()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the MCP server 127.0.0.1 does not answer as one"), "{error}");
}

#[test]
fn a_server_over_http_is_as_one_on_stdio() {
    let mut process = Process(python().arg(SCRIPT).arg("--http").stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let address = format!("http://127.0.0.1:{}/mcp", port.trim()).parse().unwrap();
    let mut server = Server::connect(&address, settings()).unwrap();
    assert_eq!(names(&server).len(), 9);
    assert_eq!(called(&mut server, "echo", r#"{"text": "hello"}"#).content, "hello");
    assert_eq!(called(&mut server, "fail", "{}").status, Status::Failed);
    let pid = called(&mut server, "process", "{}").content;
    assert_eq!(pid, process.0.id().to_string());
    drop(process);
    let gone = called(&mut server, "echo", r#"{"text": "hello"}"#);
    assert_eq!(gone.status, Status::Failed);
}

/// Folder with MCP servers of others, which `scripts/setup --dev` installs; `None`, with a message, if it is missing.
fn others() -> Option<PathBuf> {
    let folder = std::env::var_os("EDGECALL_MCP_SERVERS").map(PathBuf::from).filter(|folder| folder.is_dir());
    if folder.is_none() {
        let is_ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "EDGECALL_MCP_SERVERS names no folder, and CI must not skip conformance");
        println!("skipped: EDGECALL_MCP_SERVERS (of scripts/setup --dev) names no folder");
    }
    folder
}

fn node_server(folder: &Path, name: &str, arguments: &[&str]) -> Address {
    let program = folder.join("node_modules/.bin").join(name).to_str().unwrap().to_owned();
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    Address::Command([program].into_iter().chain(arguments).collect())
}

#[test]
fn conformance_the_filesystem_server_reads_and_writes_in_its_folder() {
    let Some(servers) = others() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let address = node_server(&servers, "mcp-server-filesystem", &[root.to_str().unwrap()]);
    let mut server = Server::connect(&address, settings()).unwrap();
    assert_eq!(server.take_warnings(), Vec::<String>::new());
    assert!(names(&server).contains(&"write_file"), "{:?}", names(&server));
    let path = root.join("note.txt").to_str().unwrap().to_owned();
    let wrote = called(&mut server, "write_file", &format!(r#"{{"path": {path:?}, "content": "seven ü"}}"#));
    assert_eq!(wrote.status, Status::Ok, "{}", wrote.content);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "seven ü");
    let read = called(&mut server, "read_text_file", &format!(r#"{{"path": {path:?}}}"#));
    assert!(read.status == Status::Ok && read.content.contains("seven ü"), "{}", read.content);
    let outside = called(&mut server, "read_text_file", r#"{"path": "/etc/passwd"}"#);
    assert!(outside.status == Status::Failed && !outside.content.contains("root:"), "{}", outside.content);
}

#[test]
fn conformance_the_time_server_answers() {
    let Some(servers) = others() else { return };
    let program = servers.join("venv/bin/mcp-server-time").to_str().unwrap().to_owned();
    let mut server = Server::connect(&Address::Command(vec![program]), settings()).unwrap();
    assert_eq!(names(&server), ["get_current_time", "convert_time"]);
    let arguments = r#"{"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}"#;
    let told = called(&mut server, "convert_time", arguments);
    assert!(told.status == Status::Ok && told.content.contains("T21:00:00+09:00"), "{}", told.content);
    let told = called(&mut server, "get_current_time", r#"{"timezone": "Nowhere/None"}"#);
    assert_eq!(told.status, Status::Failed, "{}", told.content);
}

/// What is asked of server-everything, over any transport.
fn ask_everything(mut server: Server) {
    assert_eq!(server.take_warnings(), Vec::<String>::new());
    let mut told = |name: &str, arguments: &str| called(&mut server, name, arguments);
    assert_eq!(told("echo", r#"{"message": "hello"}"#).content, "Echo: hello");
    let sum = told("get-sum", r#"{"a": 2, "b": 40}"#);
    assert!(sum.content.contains("42"), "{}", sum.content);
    let picture = told("get-tiny-image", "{}");
    assert!(
        picture.content.contains("[image: image/png, ") && picture.content.len() < 1000,
        "{}",
        picture.content
    );
    let structured = told("get-structured-content", r#"{"location": "Chicago"}"#);
    assert!(serde_json::from_str::<serde_json::Value>(&structured.content).is_ok(), "{}", structured.content);
    let link = told("get-resource-reference", r#"{"resourceType": "Text", "resourceId": 1}"#);
    assert!(link.status == Status::Ok && link.content.contains("://"), "{}", link.content);
}

#[test]
fn conformance_server_everything_answers_on_stdio_and_over_http() {
    let Some(servers) = others() else { return };
    let address = node_server(&servers, "mcp-server-everything", &["stdio"]);
    ask_everything(Server::connect(&address, settings()).unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = servers.join("node_modules/.bin/mcp-server-everything");
    let started = Command::new(program)
        .arg("streamableHttp")
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut process = Process(started.unwrap());
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(process.0.try_wait().unwrap().is_none(), "the server has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let address = format!("http://127.0.0.1:{port}/mcp").parse().unwrap();
    ask_everything(Server::connect(&address, settings()).unwrap());
}
