//! The recorded results of an earlier run in the place of tools: nothing runs.

use super::{
    Action, Effect, Error, Event, LoggedCall, Plan, Result, Source, SourceTool, ToolResult, Trust,
    log::{self, VERSION},
};
use crate::{
    chat::Conversation,
    json,
    tools::{ToolCall, ToolSet, check::check},
};
use serde_json::Value;
use std::collections::VecDeque;

/// The tools and results of a log.
#[derive(Debug)]
pub struct Replay {
    conversation: Conversation,
    /// Tools with the step before which they are so, ascending.
    tools: VecDeque<(usize, Vec<SourceTool>)>,
    current: Vec<SourceTool>,
    /// Calls with their results, in order.
    results: VecDeque<Recorded>,
    step: usize,
    answer: Option<String>,
}

#[derive(Debug)]
struct Recorded {
    step: usize,
    name: String,
    arguments: String,
    result: ToolResult,
}

/// A place in a log.
#[derive(Default)]
struct Place {
    set: Option<ToolSet>,
    calls: Vec<LoggedCall>,
}

impl Place {
    /// False for a call whose arguments do not fit, which the loop refuses again before it asks for a result.
    fn reaches_its_tool(&self, name: &str, arguments: &str) -> bool {
        let call = ToolCall::from_text(name, arguments);
        matches!((&self.set, call), (Some(set), Ok(call)) if check(set, &call).is_ok())
    }
}

impl Replay {
    /// Reads a log.
    ///
    /// # Errors
    /// [`Error::LogLine`]; messages or tools that cannot be used.
    pub fn parse(text: &str) -> Result<Replay> {
        let mut replay = Replay {
            conversation: Conversation::default(),
            tools: VecDeque::new(),
            current: Vec::new(),
            results: VecDeque::new(),
            step: 0,
            answer: None,
        };
        let mut place = Place::default();
        for (i, event) in log::parse(text)?.into_iter().enumerate() {
            replay.add(event, &mut place).map_err(|problem| Error::LogLine { line: i + 1, problem })?;
        }
        match (replay.conversation.messages.is_empty(), replay.tools.is_empty()) {
            (false, false) => Ok(replay),
            _ => Err(Error::LogLine { line: 1, problem: "a run begins with its messages and tools".into() }),
        }
    }

    fn add(&mut self, event: Event, place: &mut Place) -> Result<(), String> {
        match event {
            Event::Start { version, messages, .. } => {
                if version != VERSION {
                    return Err(format!("it has version {version}, and {VERSION} is read"));
                }
                let read = Conversation::from_value(Value::Array(messages));
                self.conversation = read.map_err(|error| error.to_string())?;
            }
            Event::Tools { step, tools, answers } => {
                // Tools that are refused are refused here, with the line.
                let set =
                    ToolSet::from_value(Value::Array(tools.clone())).map_err(|error| error.to_string())?;
                let answer =
                    |name: &str| answers.iter().find(|(tool, _)| tool == name).map(|(_, a)| a.clone());
                let tools = set.iter().zip(tools).map(|(tool, definition)| SourceTool {
                    name: tool.name().to_owned(),
                    definition,
                    answer: answer(tool.name()),
                });
                self.tools.push_back((step, tools.collect()));
                place.set = Some(set);
            }
            Event::Reply { calls, .. } => place.calls = calls,
            Event::Result { step, id, name, status, content, has_output, .. } => {
                let call = place.calls.iter().find(|call| call.id == id && call.name == name);
                let arguments = call.ok_or_else(|| format!("no call has the id `{id}`"))?.arguments.clone();
                if !place.reaches_its_tool(&name, &arguments) {
                    return Ok(());
                }
                let result = ToolResult { status, content, has_output };
                self.results.push_back(Recorded { step, name, arguments, result });
            }
            Event::Answer { content, .. } => self.answer = Some(content),
            Event::Plan { .. } => {}
        }
        Ok(())
    }

    /// The conversation at the start of the recorded run.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The recorded answer; `None` if the run ended without one.
    pub fn answer(&self) -> Option<&str> {
        self.answer.as_deref()
    }
}

/// True if both texts are the same JSON.
fn is_same(a: &str, b: &str) -> bool {
    a == b || matches!((json::parse_unique(a), json::parse_unique(b)), (Ok(a), Ok(b)) if a == b)
}

impl Source for Replay {
    fn name(&self) -> &str {
        "log"
    }

    fn refresh(&mut self, step: usize) -> Result<bool> {
        self.step = step;
        let mut has_changed = false;
        while self.tools.front().is_some_and(|(since, _)| *since <= step) {
            self.current = self.tools.pop_front().map(|(_, tools)| tools).unwrap_or_default();
            has_changed = true;
        }
        Ok(has_changed)
    }

    fn tools(&self) -> &[SourceTool] {
        &self.current
    }

    fn plan(&self, _name: &str, _call: &ToolCall) -> Result<Plan, ToolResult> {
        let trust = Trust { effect: Effect::Reads, confirm: false, untrusted_output: false };
        let shown = "the result in the log".to_owned();
        Ok(Plan { shown, notes: Vec::new(), trust, action: Action::CALL })
    }

    fn run(&mut self, name: &str, call: &ToolCall, _action: Action) -> Result<ToolResult> {
        let deviates = |problem| Error::Deviation { step: self.step, problem };
        let called = format!("{name} {}", call.arguments_text());
        let Some(next) = self.results.front() else {
            return Err(deviates(match &self.answer {
                Some(_) => format!("the model calls {called}, and the log has its answer there"),
                None => format!("the model calls {called}, and the log has ended"),
            }));
        };
        if next.name != name || !is_same(&next.arguments, call.arguments_text()) {
            let recorded = format!("{} {}", next.name, next.arguments);
            return Err(deviates(format!("the model calls {called}, and the log has {recorded}")));
        }
        if next.step != self.step {
            return Err(deviates(format!(
                "the model calls {called}, which the log has in step {}",
                next.step
            )));
        }
        let next = self.results.pop_front().expect("there is one");
        Ok(next.result)
    }
}
