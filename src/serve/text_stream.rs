//! Events of a streamed continuation.

use super::{
    events::{Event, Outcome},
    reply::given_up,
    sse::{DONE, Writer, data},
};
use crate::{
    api::{ApiError, TextChunks},
    call::Continuation,
};

/// Writer of the events of a continuation.
pub(super) struct TextStream {
    chunks: TextChunks,
    /// Bytes of the text, and tokens, that were sent.
    text: usize,
    tokens: usize,
}

impl TextStream {
    pub fn new(chunks: TextChunks) -> TextStream {
        TextStream { chunks, text: 0, tokens: 0 }
    }

    fn end(&mut self, made: &Continuation, out: &mut String) {
        let rest = made.text.get(self.text..).unwrap_or_default();
        let tokens = made.tokens.get(self.tokens..).unwrap_or_default();
        if !rest.is_empty() || !tokens.is_empty() {
            *out += &data(&self.chunks.text(rest, tokens));
        }
        for chunk in self.chunks.last(made) {
            *out += &data(&chunk);
        }
        *out += DONE;
    }
}

impl Writer for TextStream {
    fn write(&mut self, event: Option<Event>, out: &mut String) -> bool {
        let failed = |error: &ApiError, out: &mut String| *out += &data(&error.to_json());
        match event {
            Some(Event::Text(text, tokens)) => {
                self.text += text.len();
                self.tokens += tokens.len();
                *out += &data(&self.chunks.text(&text, &tokens));
                return false;
            }
            Some(Event::Reasoning(_) | Event::Call(..)) => return false,
            Some(Event::Done(Outcome::Continuation(made))) => self.end(&made, out),
            Some(Event::Done(Outcome::Failed(error))) => failed(&error, out),
            Some(Event::Done(Outcome::Answer(_) | Outcome::CutOff { .. })) | None => failed(&given_up(), out),
        }
        true
    }
}
