//! The local model as the one that answers.

use super::super::call::{self, answer, answer::OutputArg};
use edgecall::{
    agent::{NoReply, Reply, Responder},
    cache::Cache,
    call::{Call, Choice, ModelTexts, PromptTemplate, Request, Settings, StopStrings, ask_keeping},
    chat::Conversation,
    runtime::Model,
    schema::KeyOrder,
    tools::ToolSet,
};
use std::{num::NonZeroUsize, ops::ControlFlow, time::Instant};

/// Form of the answers: all of a request but its conversation and its tools.
pub(super) struct Form {
    /// A call or text.
    pub choice: Choice,
    /// Most calls in one answer.
    pub parallel: NonZeroUsize,
    /// Order of keys in arguments.
    pub key_order: KeyOrder,
    /// Closes a call that the budget cuts off.
    pub close_at_budget: bool,
    /// Strings that end a text.
    pub stop: StopStrings,
}

impl Form {
    /// A request in this form.
    pub fn request<'r>(&self, conversation: &'r Conversation, tools: &'r ToolSet) -> Request<'r> {
        Request {
            choice: self.choice.clone(),
            parallel: self.parallel,
            key_order: self.key_order,
            close_at_budget: self.close_at_budget,
            stop: self.stop.clone(),
            ..Request::new(conversation, Some(tools))
        }
    }
}

/// A model on this machine.
pub(super) struct Local<'m> {
    /// The model.
    pub model: &'m Model,
    /// Template of the prompts.
    pub template: &'m PromptTemplate,
    /// Settings of each step.
    pub settings: &'m Settings,
    /// Cache of prompt states: a step begins where the last one ended.
    pub cache: Option<&'m Cache>,
    /// Form of the answers.
    pub form: Form,
    /// Prints time and token counts of each step.
    pub shows_timings: bool,
    /// Steps so far.
    pub step: usize,
    /// Calls as the model wrote them.
    pub texts: ModelTexts,
}

impl Responder for Local<'_> {
    fn respond(&mut self, conversation: &Conversation, tools: &ToolSet) -> Result<Reply, NoReply> {
        self.step += 1;
        let started = Instant::now();
        let request = self.form.request(conversation, tools);
        let call = Call {
            model: self.model,
            template: self.template,
            request: &request,
            settings: self.settings,
            cache: self.cache,
        };
        let go_on = &mut |_: &str| ControlFlow::Continue(());
        let answer = ask_keeping(&call, &mut self.texts, go_on).map_err(|error| {
            call::show_partial(&error, None);
            NoReply { kind: error.kind(), source: Box::new(error) }
        })?;
        answer::comment(&answer, OutputArg::Call);
        if self.shows_timings {
            let t = &answer.timings;
            super::say(&format!(
                "step {}: {:.2} s, {} prompt tokens ({} restored), {} generated",
                self.step,
                started.elapsed().as_secs_f64(),
                t.prompt_tokens,
                t.restored_tokens,
                t.generated_tokens
            ));
        }
        Ok(Reply { content: answer.content, calls: answer.calls })
    }
}
