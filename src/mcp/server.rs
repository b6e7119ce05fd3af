//! A server as a source of tools.

use super::{
    Address, Error, Result, result,
    stderr::Stderr,
    transport::{Connection, connect},
};
use crate::{
    agent::{self, Action, Effect, Plan, Source, SourceTool, Status, ToolResult, Trust},
    display::{chain, visible},
    schema::KeyOrder,
    tools::{ToolCall, ToolSet},
};
use rmcp::model::{CallToolRequestParams, PaginatedRequestParams, ToolAnnotations};
use serde_json::{Value, json};
use std::{collections::BTreeSet, io, time::Duration};
use tokio::{runtime::Runtime, time};

/// Time that a call of a tool has.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that a server has to start, which may mean that it is fetched first, and to list its tools.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a server has to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);
/// Time in which news of a server are read before a step.
const NEWS: Duration = Duration::from_millis(10);
/// Most pages of a list, and most tools.
const MAX_PAGES: usize = 256;
const MAX_TOOLS: usize = 1024;

/// Settings for servers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time that a call has.
    pub timeout: Duration,
    /// Names of the variables that a process gets, if they are set here.
    pub environment: Vec<String>,
    /// Names of tools that only read, as the user says; the servers' own hints are not believed.
    pub reads: BTreeSet<String>,
}

/// A server with its tools. Not for use inside of an async runtime: it has one of its own, and waits for it.
pub struct Server {
    name: String,
    runtime: Runtime,
    connection: Connection,
    stderr: Option<Stderr>,
    settings: Settings,
    tools: Vec<SourceTool>,
    hints: Vec<Option<ToolAnnotations>>,
    warnings: Vec<String>,
}

impl Server {
    /// Connects to the server at `address` and lists its tools.
    ///
    /// # Errors
    /// No server there, or one that does not answer as one.
    pub fn connect(address: &Address, settings: Settings) -> Result<Server> {
        let name = address.name();
        let started = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = started.map_err(|source| Error::Start { server: name.clone(), source })?;
        let (connection, stderr) =
            runtime.block_on(connect(address, &settings.environment, CONNECT_TIMEOUT))?;
        let told = connection
            .peer()
            .peer_info()
            .and_then(|info| info.server_info.as_ref().map(|own| slug(&own.name)));
        let name = told.filter(|name| !name.is_empty()).unwrap_or(name);
        let mut server = Server {
            name,
            runtime,
            connection,
            stderr,
            settings,
            tools: Vec::new(),
            hints: Vec::new(),
            warnings: Vec::new(),
        };
        server.list()?;
        Ok(server)
    }

    /// Takes the doubts about the server's tools, such as one whose schema cannot be used; one sentence each.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Reads the list of tools, page by page. Tools whose schema cannot be used are left out.
    fn list(&mut self) -> Result<()> {
        let peer = self.connection.peer();
        let pages = async {
            let (mut tools, mut cursor) = (Vec::new(), None);
            for _ in 0..MAX_PAGES {
                let page = peer.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor))).await;
                let page = page.map_err(|error| self.unusable(error.to_string()))?;
                tools.extend(page.tools);
                cursor = page.next_cursor.filter(|cursor| !cursor.is_empty());
                if cursor.is_none() && tools.len() <= MAX_TOOLS {
                    return Ok(tools);
                }
                if tools.len() > MAX_TOOLS {
                    break;
                }
            }
            Err(Error::TooManyTools { server: self.name.clone() })
        };
        let listed = self.runtime.block_on(async { time::timeout(LIST_TIMEOUT, pages).await });
        let late =
            |_| Error::Timeout { server: self.name.clone(), limit: LIST_TIMEOUT, stderr: self.last_words() };
        let listed = listed.map_err(late)??;
        self.tools.clear();
        self.hints.clear();
        for tool in listed {
            let definition = json!({
                "name": tool.name,
                "description": tool.description.unwrap_or_default(),
                "inputSchema": Value::Object((*tool.input_schema).clone()),
            });
            match usable(&definition) {
                Ok(()) => {
                    let name = tool.name.into_owned();
                    self.tools.push(SourceTool { name, definition, answer: None });
                    self.hints.push(tool.annotations);
                }
                Err(problem) => self.warnings.push(format!(
                    "the tool `{}` of the MCP server {} is left out: {}",
                    visible(&tool.name),
                    self.name,
                    visible(&problem)
                )),
            }
        }
        Ok(())
    }

    fn unusable(&self, problem: String) -> Error {
        Error::Connect { server: self.name.clone(), problem: visible(&problem), stderr: self.last_words() }
    }

    fn last_words(&self) -> String {
        self.stderr.as_ref().map(Stderr::last_words).unwrap_or_default()
    }

    fn hints(&self, name: &str) -> String {
        let at = self.tools.iter().position(|tool| tool.name == name);
        let hints = at.and_then(|at| self.hints[at].as_ref());
        let mut words = Vec::new();
        match hints.and_then(|hints| hints.read_only_hint) {
            Some(true) => words.push("it only reads"),
            _ if hints.and_then(|hints| hints.destructive_hint) == Some(true) => words.push("it may destroy"),
            _ => {}
        }
        match words.is_empty() {
            true => String::new(),
            false => format!("\nthe server says of this tool that {}", words.join(", ")),
        }
    }
}

impl Source for Server {
    fn name(&self) -> &str {
        &self.name
    }

    fn refresh(&mut self, step: usize) -> agent::Result<bool> {
        if step == 1 {
            return Ok(false);
        }
        // A timer is made inside of the runtime.
        self.runtime.block_on(async { time::sleep(NEWS).await });
        if !self.connection.service().take_change() {
            return Ok(false);
        }
        let before = self.tools.clone();
        if let Err(error) = self.list() {
            // The tools known so far may still work.
            tracing::warn!("{}", chain(&error));
            return Ok(false);
        }
        for warning in self.take_warnings() {
            tracing::warn!("{warning}");
        }
        Ok(self.tools != before)
    }

    fn tools(&self) -> &[SourceTool] {
        &self.tools
    }

    fn plan(&self, name: &str, call: &ToolCall) -> Result<Plan, ToolResult> {
        let reads = self.settings.reads.contains(name);
        let shown = format!(
            "{} of the MCP server {} with {}{}",
            visible(name),
            self.name,
            visible(call.arguments_text()),
            self.hints(name)
        );
        let effect = if reads { Effect::Reads } else { Effect::Acts };
        let trust = Trust { effect, confirm: !reads, ..Trust::LEAST };
        Ok(Plan { shown, notes: Vec::new(), trust, action: Action::CALL })
    }

    fn run(&mut self, name: &str, call: &ToolCall, _action: Action) -> agent::Result<ToolResult> {
        let request = CallToolRequestParams::new(name.to_owned()).with_arguments(call.arguments().clone());
        let limit = self.settings.timeout;
        let answer = self.runtime.block_on(async {
            // The request is cancelled where its future is dropped.
            time::timeout(limit, self.connection.peer().call_tool(request)).await
        });
        Ok(match answer {
            Ok(Ok(answer)) => result::told(answer),
            Ok(Err(error)) => result::unanswered(&error),
            Err(_) => {
                let problem = format!("the server did not answer within {} s", limit.as_secs_f64());
                ToolResult::error(Status::TimedOut, problem)
            }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let close = self.connection.close_with_timeout(CLOSE_TIMEOUT);
        if let Err(error) = self.runtime.block_on(close) {
            tracing::debug!("{}: {}", self.name, io::Error::other(error));
        }
    }
}

/// Checks that calls of the tool can be constrained.
fn usable(definition: &Value) -> Result<(), String> {
    let set = ToolSet::from_value(Value::Array(vec![definition.clone()])).map_err(|error| chain(&error))?;
    set.iter().try_for_each(|tool| tool.compiled(KeyOrder::Any).map(drop)).map_err(|error| chain(&error))
}

/// A server's name for itself, as a part of a tool's name.
fn slug(name: &str) -> String {
    const LONGEST: usize = 40;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().take(LONGEST).map(plain).collect::<String>().trim_matches('_').to_owned()
}
