//! Numbers for Prometheus: `GET /metrics`.

use crate::call::Timings;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::{Duration, Instant};

/// Bounds of times in seconds.
const SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
/// Bounds of the time for a token in seconds.
const TOKEN_SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// Status and code of an answer.
type Label = Vec<(&'static str, String)>;

/// The numbers of a server.
pub(super) struct Metrics {
    registry: Registry,
    answers: Family<Label, Counter>,
    waiting: Gauge,
    slots: Gauge,
    busy: Gauge,
    tokens: Family<Label, Counter>,
    decodes: Counter,
    first_token: Histogram,
    per_token: Histogram,
    duration: Histogram,
}

impl Metrics {
    /// The numbers of a server of `count` slots.
    pub fn new(count: usize) -> Metrics {
        let seconds = || Histogram::new(SECONDS);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("edgecall"),
            answers: Family::default(),
            waiting: Gauge::default(),
            slots: Gauge::default(),
            busy: Gauge::default(),
            tokens: Family::default(),
            decodes: Counter::default(),
            first_token: seconds(),
            per_token: Histogram::new(TOKEN_SECONDS),
            duration: seconds(),
        };
        let Metrics {
            registry,
            answers,
            waiting,
            slots,
            busy,
            tokens,
            decodes,
            first_token,
            per_token,
            duration,
        } = &mut metrics;
        registry.register("answers", "Answers by HTTP status and error code", answers.clone());
        registry.register("requests_waiting", "Requests that wait for a slot", waiting.clone());
        registry.register("slots", "Requests that are answered at once at most", slots.clone());
        registry.register("slots_busy", "Requests that are being answered", busy.clone());
        let kinds = "Tokens by kind: prompt; cached among them; generated; forced by the grammar among them; drafted; \
                     accepted among the drafted";
        registry.register("tokens", kinds, tokens.clone());
        registry.register("decodes", "Decodes while generating", decodes.clone());
        let unit = || Unit::Seconds;
        let first = "Time from a request to its first generated token";
        registry.register_with_unit("time_to_first_token", first, unit(), first_token.clone());
        let each = "Time for each generated token after the first";
        registry.register_with_unit("time_per_token", each, unit(), per_token.clone());
        let whole = "Time from a request to its answer";
        registry.register_with_unit("request_duration", whole, unit(), duration.clone());
        metrics.slots.set(i64::try_from(count).unwrap_or(i64::MAX));
        metrics
    }

    /// Counts an answer.
    pub fn answered(&self, status: u16, code: &str) {
        let label = vec![("status", status.to_string()), ("code", code.to_owned())];
        self.answers.get_or_create(&label).inc();
    }

    /// Notes that a request is being answered, or no longer.
    pub fn busy(&self, is_busy: bool) {
        self.busy.inc_by(if is_busy { 1 } else { -1 });
    }

    /// Counts what a call took; `received` is when its request was read.
    pub fn called(&self, timings: &Timings, received: Instant) {
        let count = |kind: &str, tokens: usize| {
            self.tokens.get_or_create(&vec![("kind", kind.to_owned())]).inc_by(tokens as u64);
        };
        count("prompt", timings.prompt_tokens);
        count("cached", timings.restored_tokens + timings.kept_tokens);
        count("generated", timings.generated_tokens);
        count("forced", timings.steps.forced);
        count("drafted", timings.steps.drafted);
        count("accepted", timings.steps.accepted);
        self.decodes.inc_by(timings.steps.decodes as u64);
        self.duration.observe(received.elapsed().as_secs_f64());
        if let Some(first) = timings.first_choice {
            self.first_token.observe(first.saturating_duration_since(received).as_secs_f64());
            let later = timings.generated_tokens.saturating_sub(1).max(1);
            let time: Duration = first.elapsed();
            self.per_token.observe(time.as_secs_f64() / later as f64);
        }
    }

    /// All numbers as text; `places` are requests that wait or are answered.
    pub fn text(&self, places: usize) -> String {
        self.waiting.set(places as i64 - self.busy.get());
        let mut text = String::new();
        // Writing to memory does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
