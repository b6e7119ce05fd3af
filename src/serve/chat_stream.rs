//! Events of a streamed chat answer.

use super::{
    events::{Event, Outcome},
    reply::{completion, given_up},
    sse::{DONE, Writer, data},
};
use crate::{
    api::{ApiError, Chunks},
    call::{Answer, PartialCall},
};

/// Writer of the events of a chat answer.
pub(super) struct ChatStream {
    chunks: Chunks,
    has_begun: bool,
    is_done: bool,
    sent: Sent,
}

/// The beginning of an answer that was sent.
#[derive(Default)]
struct Sent {
    reasoning: bool,
    text: String,
    /// Number of tokens whose log probabilities were sent.
    tokens: usize,
    /// Arguments of each call.
    calls: Vec<String>,
}

impl Writer for ChatStream {
    fn write(&mut self, event: Option<Event>, out: &mut String) -> bool {
        if !self.has_begun {
            self.has_begun = true;
            *out += &data(&self.chunks.first());
        }
        match event {
            Some(Event::Reasoning(text)) => self.reasoning(&text, out),
            Some(Event::Text(text, tokens)) => {
                self.sent.text += &text;
                self.sent.tokens += tokens.len();
                *out += &data(&self.chunks.text(&text, &tokens));
            }
            Some(Event::Call(index, call)) => {
                if self.call(index, &call, out).is_none() {
                    self.fail(&taken_back(), out);
                }
            }
            Some(Event::Done(outcome)) => self.end(&outcome, out),
            // The thread with the model has ended.
            None => self.fail(&given_up(), out),
        }
        self.is_done
    }
}

impl ChatStream {
    pub fn new(chunks: Chunks) -> ChatStream {
        ChatStream { chunks, has_begun: false, is_done: false, sent: Sent::default() }
    }

    fn reasoning(&mut self, text: &str, out: &mut String) {
        self.sent.reasoning = true;
        *out += &data(&self.chunks.reasoning(text));
    }

    /// The rest of the call at `index`; `None` if what was sent is not its beginning.
    fn call(&mut self, index: usize, call: &PartialCall, out: &mut String) -> Option<()> {
        if index == self.sent.calls.len() {
            self.sent.calls.push(String::new());
            *out += &data(&self.chunks.call(index, &call.name));
        }
        let sent = self.sent.calls.get_mut(index)?;
        let fresh = call.arguments.strip_prefix(sent.as_str())?;
        if !fresh.is_empty() {
            *out += &data(&self.chunks.arguments(index, fresh));
            call.arguments.clone_into(sent);
        }
        Some(())
    }

    /// The rest of a complete answer, and its end.
    fn end(&mut self, outcome: &Outcome, out: &mut String) {
        let completion = match completion(outcome, "") {
            Ok(completion) => completion,
            Err(error) => return self.fail(&error, out),
        };
        if let Outcome::Answer(answer) = outcome
            && self.rest(answer, out).is_none()
        {
            return self.fail(&taken_back(), out);
        }
        for chunk in self.chunks.last(&completion) {
            *out += &data(&chunk);
        }
        *out += DONE;
        self.is_done = true;
    }

    /// The rest of `answer`; `None` if what was sent is not its beginning.
    fn rest(&mut self, answer: &Answer, out: &mut String) -> Option<()> {
        if let Some(text) =
            answer.reasoning.as_deref().filter(|text| !text.is_empty() && !self.sent.reasoning)
        {
            self.reasoning(text, out);
        }
        let fresh = answer.content.as_deref().unwrap_or_default().strip_prefix(&self.sent.text)?;
        let tokens = answer.tokens.get(self.sent.tokens..).unwrap_or_default();
        let has_logprobs = tokens.iter().any(|token| token.logprob.is_some());
        if !fresh.is_empty() {
            *out += &data(&self.chunks.text(fresh, tokens));
        } else if has_logprobs {
            *out += &data(&self.chunks.tokens(tokens));
        }
        for (index, call) in answer.calls.iter().enumerate() {
            let call =
                PartialCall { name: call.name().to_owned(), arguments: call.arguments_text().to_owned() };
            self.call(index, &call, out)?;
        }
        (self.sent.calls.len() == answer.calls.len()).then_some(())
    }

    fn fail(&mut self, error: &ApiError, out: &mut String) {
        self.is_done = true;
        *out += &data(&error.to_json());
    }
}

/// The error of an answer whose beginning was sent and then taken back.
fn taken_back() -> ApiError {
    let message = "the model took back a part of its answer that was already sent; ask without `stream`";
    ApiError::new(500, "server_error", message).with_code("taken_back")
}
