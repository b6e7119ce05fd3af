//! The loop: the model calls, the user agrees, the tool runs, its result goes back.

use super::{Consent, Error, Event, LoggedCall, Question, Result, Status, ToolResult, Toolbox, log::VERSION};
use crate::{
    chat::{Conversation, Message, Role},
    display::chain,
    kind::Kind,
    tools::{ToolCall, ToolSet, check::check},
};
use serde_json::{Value, json};
use std::time::Instant;

/// An answer of the model.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Its text; with calls, the text before them.
    pub content: Option<String>,
    /// Its calls; none for an answer in text.
    pub calls: Vec<ToolCall>,
}

/// The reason why there is no answer.
#[derive(Debug)]
pub struct NoReply {
    /// Its class.
    pub kind: Kind,
    /// The cause.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A model that answers.
pub trait Responder {
    /// The next answer in `conversation`, with a call of `tools` or in text.
    ///
    /// # Errors
    /// No answer.
    fn respond(&mut self, conversation: &Conversation, tools: &ToolSet) -> Result<Reply, NoReply>;
}

/// The user of a run.
pub trait User {
    /// True if the action may be taken.
    fn confirm(&mut self, question: &Question<'_>) -> bool;

    /// Takes note of an event.
    ///
    /// # Errors
    /// An event that cannot be written, which ends the run.
    fn note(&mut self, event: &Event) -> Result<()>;
}

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Most answers of the model, up to 999.
    pub max_steps: usize,
    /// Consent that the user has given beforehand.
    pub consent: Consent,
    /// Ends before the first call runs.
    pub is_dry: bool,
}

/// Most steps of a run: the ids of calls have three digits for it.
const MAX_STEPS: usize = 999;

/// End of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The model's answer.
    Answer(String),
    /// The calls that would have run.
    Dry(Vec<ToolCall>),
}

/// Lets the model answer `conversation`, with the calls that it makes on the way. The messages of the run are added to
/// `conversation`.
///
/// # Errors
/// [`Error::NoReply`], [`Error::Steps`], errors of the tools and of the user's log.
pub fn run(
    conversation: &mut Conversation,
    responder: &mut dyn Responder,
    toolbox: &mut Toolbox,
    user: &mut dyn User,
    settings: &RunSettings,
) -> Result<Ending> {
    let messages = conversation.messages.iter().map(|message| message.fields().clone().into()).collect();
    user.note(&Event::Start { version: VERSION, edgecall: env!("CARGO_PKG_VERSION").into(), messages })?;
    let mut run = Run { toolbox, user, settings, has_read_untrusted: false };
    for step in 1..=settings.max_steps.min(MAX_STEPS) {
        run.refresh(step)?;
        let reply = responder.respond(conversation, run.toolbox.tools());
        let reply = reply.map_err(|NoReply { kind, source }| Error::NoReply { step, kind, source })?;
        if let Some(ending) = run.step(step, reply, conversation)? {
            return Ok(ending);
        }
    }
    Err(Error::Steps { steps: settings.max_steps.min(MAX_STEPS) })
}

/// A run without its model.
struct Run<'r> {
    toolbox: &'r mut Toolbox,
    user: &'r mut dyn User,
    settings: &'r RunSettings,
    has_read_untrusted: bool,
}

impl Run<'_> {
    /// Looks for changes of the tools.
    fn refresh(&mut self, step: usize) -> Result<()> {
        if !self.toolbox.refresh(step)? && step > 1 {
            return Ok(());
        }
        let tools = self.toolbox.tools().sources();
        self.user.note(&Event::Tools { step, tools, answers: self.toolbox.answers() })
    }

    /// Carries out the calls of `reply` and adds them with their results to `conversation`; an ending if the run is over.
    fn step(&mut self, step: usize, reply: Reply, conversation: &mut Conversation) -> Result<Option<Ending>> {
        let ids = (1..=reply.calls.len()).map(|nth| id(step, nth));
        let calls: Vec<(String, &ToolCall)> = ids.zip(&reply.calls).collect();
        let logged = calls.iter().map(|(id, call)| LoggedCall {
            id: id.clone(),
            name: call.name().to_owned(),
            arguments: call.arguments_text().to_owned(),
        });
        self.user.note(&Event::Reply { step, content: reply.content.clone(), calls: logged.collect() })?;
        if calls.is_empty() {
            let answer = reply.content.unwrap_or_default();
            conversation.messages.push(Message::text(Role::Assistant, answer.clone()));
            return self.end(step, answer).map(Some);
        }
        let written = calls.iter().map(|(id, call)| in_openais_form(id, call)).collect();
        conversation.messages.push(Message::calls(reply.content.as_deref(), written));
        for (id, call) in &calls {
            if let Some(answer) = self.answer(call) {
                return self.end(step, answer).map(Some);
            }
            let Some(result) = self.call(step, id, call)? else { continue };
            conversation.messages.push(Message::result(id, call.name(), result.content));
        }
        let calls = || calls.iter().map(|(_, call)| (*call).clone()).collect();
        Ok(self.settings.is_dry.then(|| Ending::Dry(calls())))
    }

    fn end(&mut self, step: usize, answer: String) -> Result<Ending> {
        self.user.note(&Event::Answer { step, content: answer.clone() })?;
        Ok(Ending::Answer(answer))
    }

    /// The answer in `call`, if it is a valid one of a tool that ends the run.
    fn answer(&self, call: &ToolCall) -> Option<String> {
        check(self.toolbox.tools(), call).ok().and_then(|()| self.toolbox.answer(call))
    }

    /// Carries out one call; `None` if it would run in earnest.
    fn call(&mut self, step: usize, id: &str, call: &ToolCall) -> Result<Option<ToolResult>> {
        let started = Instant::now();
        let result = match self.plan_and_run(step, id, call) {
            Ok(None) => return Ok(None),
            Ok(Some(result)) => result,
            Err(End::Told(result)) => result,
            Err(End::Run(error)) => return Err(error),
        };
        self.user.note(&Event::Result {
            step,
            id: id.to_owned(),
            name: call.name().to_owned(),
            status: result.status,
            content: result.content.clone(),
            has_output: result.has_output,
            ms: started.elapsed().as_millis() as u64,
        })?;
        Ok(Some(result))
    }

    fn plan_and_run(&mut self, step: usize, id: &str, call: &ToolCall) -> Result<Option<ToolResult>, End> {
        // The grammar ensures it; this is the last line of defence before a program starts.
        check(self.toolbox.tools(), call)
            .map_err(|error| ToolResult::error(Status::Invalid, chain(&error)))?;
        let plan = self.toolbox.plan(call)?;
        self.user.note(&Event::Plan {
            step,
            id: id.to_owned(),
            shown: plan.shown.clone(),
            notes: plan.notes.clone(),
        })?;
        if self.settings.is_dry {
            return Ok(None);
        }
        if let Some(doubt) = self.settings.consent.doubt(call.name(), plan.trust, self.has_read_untrusted) {
            let question = Question {
                tool: call.name(),
                shown: &plan.shown,
                notes: &plan.notes,
                effect: plan.trust.effect,
                doubt,
            };
            if !self.user.confirm(&question) {
                let problem = "the user does not allow this call; nothing was done";
                return Err(ToolResult::error(Status::Refused, problem).into());
            }
        }
        let result = self.toolbox.run(call, plan.action)?;
        self.has_read_untrusted |= plan.trust.untrusted_output && result.has_output;
        Ok(Some(result))
    }
}

/// End of a call without a run of its tool.
enum End {
    /// The model is told.
    Told(ToolResult),
    /// The run ends.
    Run(Error),
}

impl From<ToolResult> for End {
    fn from(result: ToolResult) -> End {
        End::Told(result)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Run(error)
    }
}

/// Id of a call: nine letters and digits, as Mistral's templates insist on.
fn id(step: usize, nth: usize) -> String {
    format!("call{step:03}{:02}", nth % 100)
}

fn in_openais_form(id: &str, call: &ToolCall) -> Value {
    json!({"id": id, "type": "function", "function": {"name": call.name(), "arguments": call.arguments()}})
}

#[cfg(test)]
mod tests;
