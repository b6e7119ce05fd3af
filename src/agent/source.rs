//! Sources of tools: a file of programs, a server, or the log of an earlier run.

use super::{Doubt, Effect, Result, ToolResult, Trust, process::Program};
use crate::tools::ToolCall;
use serde_json::Value;

/// A tool of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceTool {
    /// Its name in the source.
    pub name: String,
    /// Its definition, in a form that [`ToolSet`](crate::tools::ToolSet) reads.
    pub definition: Value,
    /// The argument that holds the answer of the run, for a tool that ends it in place of running.
    pub answer: Option<String>,
}

/// A call that can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// All that will be done, on one or more lines, for people: the command, or the request to a server.
    pub shown: String,
    /// Doubts about it, such as an argument that reads as an option; one sentence each.
    pub notes: Vec<String>,
    /// Trust in the tool.
    pub trust: Trust,
    /// The action.
    pub action: Action,
}

/// An action of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Action(pub(super) Option<Program>);

impl Action {
    /// The call itself, for a source that needs no more than that.
    pub const CALL: Action = Action(None);
}

/// A question to the user before a call.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    /// The tool's name, as the model knows it.
    pub tool: &'q str,
    /// The action, as in [`Plan::shown`].
    pub shown: &'q str,
    /// Doubts, as in [`Plan::notes`].
    pub notes: &'q [String],
    /// The tool's effect.
    pub effect: Effect,
    /// The reason to ask.
    pub doubt: Doubt,
}

/// Tools from one place.
pub trait Source {
    /// A short name, which stands before the names of tools that two sources have.
    fn name(&self) -> &str;

    /// Looks for changes before step `step`, from 1; true if the tools are others now, as they are before the first step.
    ///
    /// # Errors
    /// Tools that cannot be read.
    fn refresh(&mut self, step: usize) -> Result<bool>;

    /// The tools.
    fn tools(&self) -> &[SourceTool];

    /// The plan for `call` of the tool `name`, whose arguments fit its schema. An error is told to the model; nothing runs.
    fn plan(&self, name: &str, call: &ToolCall) -> Result<Plan, ToolResult>;

    /// Carries out a plan.
    ///
    /// # Errors
    /// A call that ends the run. What goes wrong with the tool itself is a result.
    fn run(&mut self, name: &str, call: &ToolCall, action: Action) -> Result<ToolResult>;
}
