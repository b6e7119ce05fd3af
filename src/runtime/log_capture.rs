//! Capture of llama.cpp's error log, since its functions only report that they failed.

use std::sync::{Arc, Mutex, PoisonError};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber, dispatcher,
    field::{Field, Visit},
    span,
};

/// Target of llama.cpp's events in `tracing`, set by llama-cpp-2.
const TARGET: &str = "llama-cpp-2";
/// Most messages that are kept, and most characters of each: a malformed file can cause many.
const MAX_KEPT: usize = 4;
const MAX_CHARS: usize = 300;
/// Prefixes that llama.cpp logs at every failure, with or without a reason.
const EMPTY_PREFIXES: [&str; 2] = ["failed to load model", "failed to initialize the context: "];

/// Runs `work` and returns llama.cpp's messages from this thread: its errors, or its last warnings if there
/// were no errors. The existing log receives everything, too.
pub(super) fn capture<T>(work: impl FnOnce() -> T) -> (T, Option<String>) {
    let messages = Arc::new(Mutex::new(Messages::default()));
    let listener = Recorder { messages: messages.clone(), others: dispatcher::get_default(Dispatch::clone) };
    let done = dispatcher::with_default(&Dispatch::new(listener), work);
    let messages = std::mem::take(&mut *messages.lock().unwrap_or_else(PoisonError::into_inner));
    (done, messages.reason())
}

#[derive(Default)]
struct Messages {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Messages {
    fn add(&mut self, level: &Level, text: &str) {
        let text =
            EMPTY_PREFIXES.iter().fold(text.trim(), |text, words| text.strip_prefix(words).unwrap_or(text));
        if text.is_empty() {
            return;
        }
        // Messages quote names from the file, which may contain anything.
        let shown = |c: char| if c.is_control() { c.escape_debug().collect() } else { c.to_string() };
        let text: String = text.trim().chars().take(MAX_CHARS).map(shown).collect();
        let kept = if *level == Level::ERROR { &mut self.errors } else { &mut self.warnings };
        if kept.len() < MAX_KEPT {
            kept.push(text);
        } else if *level != Level::ERROR {
            kept.remove(0);
            kept.push(text);
        }
    }

    fn reason(self) -> Option<String> {
        let kept = if self.errors.is_empty() { self.warnings } else { self.errors };
        (!kept.is_empty()).then(|| kept.join("; "))
    }
}

/// Captures errors and warnings, and forwards everything.
struct Recorder {
    messages: Arc<Mutex<Messages>>,
    others: Dispatch,
}

fn is_captured(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target() == TARGET && *metadata.level() <= Level::WARN
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_captured(metadata) || self.others.enabled(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if is_captured(metadata) {
            let mut message = Message(String::new());
            event.record(&mut message);
            let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
            messages.add(metadata.level(), &message.0);
        }
        if self.others.enabled(metadata) {
            self.others.event(event);
        }
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.others.new_span(span)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.others.record(span, values);
    }

    fn record_follows_from(&self, span: &span::Id, follows: &span::Id) {
        self.others.record_follows_from(span, follows);
    }

    fn enter(&self, span: &span::Id) {
        self.others.enter(span);
    }

    fn exit(&self, span: &span::Id) {
        self.others.exit(span);
    }

    fn clone_span(&self, span: &span::Id) -> span::Id {
        self.others.clone_span(span)
    }

    fn try_close(&self, span: span::Id) -> bool {
        self.others.try_close(span)
    }
}

/// The text of an event.
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_the_reason_and_warnings_only_where_there_are_none() {
        let (done, reason) = capture(|| {
            tracing::warn!(target: "llama-cpp-2", "an empty token");
            tracing::error!(target: "llama-cpp-2", "error loading model: missing tensor 'a\nb'");
            tracing::error!(target: "llama-cpp-2", "failed to load model");
            tracing::error!("of somebody else");
            7
        });
        assert_eq!((done, reason.as_deref()), (7, Some("error loading model: missing tensor 'a\\nb'")));
        let (_, reason) =
            capture(|| (0..9).for_each(|i| tracing::warn!(target: "llama-cpp-2", "warning {i}")));
        assert_eq!(reason.as_deref(), Some("warning 5; warning 6; warning 7; warning 8"));
        assert_eq!(capture(|| tracing::info!(target: "llama-cpp-2", "fine")).1, None);
    }

    #[test]
    fn the_log_goes_on_where_it_went() {
        let ((), outer) = capture(|| {
            let ((), inner) = capture(|| tracing::error!(target: "llama-cpp-2", "heard twice"));
            assert_eq!(inner.as_deref(), Some("heard twice"));
        });
        assert_eq!(outer.as_deref(), Some("heard twice"));
    }
}
