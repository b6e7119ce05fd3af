//! Prefill and decode speed of a model, compared with the limits of memory bandwidth and arithmetic.

use super::{
    facts::Facts,
    finding::{Finding, Topic},
    words::{cpus, threads},
};
use crate::{
    bench::speed::{Ceiling, median, ordinary_tokens, weights_of_a_token},
    gguf::TensorInfo,
    machine::{Heat, Load, Machine, Thermometer, load::Moment},
    runtime::{self, Model, Options, Session},
};
use serde::Serialize;
use std::{
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

/// Context size of the measurement, in tokens.
pub const N_CTX: usize = 640;
/// Maximum length of the prompt, in tokens.
const PREFILL: usize = 512;
/// Length of the first prompt in tokens; it is doubled as long as time allows.
const FIRST: usize = 8;
/// Maximum number of tokens to decode.
const DECODED: usize = 48;
/// Maximum number of rounds for each of prefill and decode.
const ROUNDS: usize = 3;
/// Time for each of prefill and decode; a slow machine may take one round longer.
const TIME: Duration = Duration::from_secs(5);
/// Bytes to read for the bandwidth measurement, if there is enough memory.
const MEMORY_BYTES: usize = 256 << 20;

/// Minimum share of the memory bandwidth that decode reaches on a healthy machine. Measured on two cores of an Intel
/// Xeon with AVX-512 VNNI while other programs ran: 0.43 with the Qwen3-1.7B shape in Q4_K_M.
pub const LEAST_DECODE: f64 = 0.35;
/// Minimum share of the arithmetic limit that prefill reaches with repacked weights. Measured on two cores of an Intel
/// Xeon of 2023 with AVX-512 VNNI: 0.65 to 0.90 with the Qwen3-1.7B shape in Q4_K_M, 0.18 to 0.31 with the pocket model.
pub const LEAST_PREFILL: f64 = 0.12;
/// The same for quantized weights that are not repacked. Measured as above with the pocket model: 0.08 to 0.16 in
/// Q4_1, Q5_0, Q5_1 and Q5_K.
pub const LEAST_PREFILL_AS_STORED: f64 = 0.05;
/// Maximum time of a decode besides reading weights, in seconds per layer. A layer has about thirty steps, and at each
/// the threads wait for each other. The pocket model, whose weights fit into a cache, took 0.15 to 0.33 ms per layer in
/// all.
pub const OVERHEAD_S_PER_LAYER: f64 = 0.3e-3;

/// Upper bounds of memory bandwidth and arithmetic.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limit {
    /// Number of threads in the measurement.
    pub threads: usize,
    /// Bytes read from memory per second.
    pub bytes_per_s: f64,
    /// 8-bit multiply-adds per second.
    pub multiply_adds_per_s: f64,
}

impl Limit {
    /// Measures with `threads` threads in less than two seconds, with at most a quarter of the available `memory`.
    pub fn measure(threads: usize, memory: Option<Machine>) -> Limit {
        let spare = memory.map_or(u64::MAX, |machine| machine.available_bytes / 4);
        let bytes = usize::try_from(spare).unwrap_or(usize::MAX).min(MEMORY_BYTES);
        let Ceiling { bytes_per_s, multiply_adds_per_s } = Ceiling::measure_with(threads, bytes);
        Limit { threads, bytes_per_s, multiply_adds_per_s }
    }
}

/// Measured and expected tokens per second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rate {
    /// Tokens evaluated in one batch (prefill), or decoded one by one.
    pub tokens: usize,
    /// Tokens per second; median of the rounds.
    pub tokens_per_s: f64,
    /// Tokens per second that memory and arithmetic allow; `None` if the limit for these weights is unknown.
    pub possible_tokens_per_s: Option<f64>,
    /// Tokens per second that a healthy machine reaches at least.
    pub expected_tokens_per_s: Option<f64>,
}

impl Rate {
    /// True if the expected speed is reached; `None` if nothing is expected.
    fn is_expected(&self) -> Option<bool> {
        self.expected_tokens_per_s.map(|expected| self.tokens_per_s >= expected)
    }
}

/// Prefill and decode speed.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// Seconds to load the weights.
    pub load_s: f64,
    /// Speed of a prompt in one batch.
    pub prefill: Rate,
    /// Speed of tokens one by one.
    pub decode: Rate,
    /// Temperature and frequency of the CPU after the measurement, and throttling during it.
    pub heat: Heat,
    /// Load of other programs during the measurement.
    pub load: Option<Load>,
}

impl Speed {
    /// Measures `model` with the options of calls.
    ///
    /// # Errors
    /// A context that cannot be created, or a decode that fails.
    pub fn measure(
        model: &Model,
        options: &Options,
        limit: &Limit,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Speed, runtime::Error> {
        let (thermometer, moment) = (Thermometer::start(), Moment::now(Path::new("/")));
        let n_ctx = N_CTX.min(model.n_ctx_train());
        let options = Options { n_ctx: NonZeroUsize::new(n_ctx), ..*options };
        let mut session = Session::new(model, 1, 1, &options)?;
        let tokens = ordinary_tokens(model, n_ctx);
        // The first tokens read the weights from disk.
        progress("the first tokens");
        session.append(&tokens[..FIRST.min(n_ctx / 2)])?;
        progress("prefill");
        let most = PREFILL.min(n_ctx.saturating_sub(DECODED)).max(1);
        let length = affordable(most, |length| {
            session.cut(0)?;
            let started = Instant::now();
            session.append(&tokens[..length])?;
            Ok(started.elapsed())
        })?;
        let prefill = rounds(|| {
            session.cut(0)?;
            let started = Instant::now();
            session.append(&tokens[..length])?;
            Ok(length as f64 / started.elapsed().as_secs_f64())
        })?;
        progress("decode");
        let decode = rounds(|| {
            session.cut(length)?;
            let (started, mut decoded) = (Instant::now(), 0);
            for token in tokens.iter().cycle().take(DECODED.min(n_ctx - length)) {
                session.append(&[*token])?;
                std::hint::black_box(session.logits().first());
                decoded += 1;
                if started.elapsed() > TIME {
                    break;
                }
            }
            Ok(f64::from(decoded) / started.elapsed().as_secs_f64())
        })?;
        let (possible_prefill, possible_decode) = possible(model, limit);
        let rate = |tokens, tokens_per_s, possible: Option<f64>, expected: Option<f64>| Rate {
            tokens,
            tokens_per_s,
            possible_tokens_per_s: possible,
            expected_tokens_per_s: expected,
        };
        let expected_decode =
            1.0 / (1.0 / (LEAST_DECODE * possible_decode) + OVERHEAD_S_PER_LAYER * layers(model));
        let expected_prefill = possible_prefill.map(|possible| {
            1.0 / (1.0 / (least_prefill(model) * possible)
                + OVERHEAD_S_PER_LAYER * layers(model) / length as f64)
        });
        Ok(Speed {
            load_s: model.load_time().as_secs_f64(),
            prefill: rate(length, prefill, possible_prefill, expected_prefill),
            decode: rate(DECODED, decode, Some(possible_decode), Some(expected_decode)),
            heat: thermometer.read(),
            load: moment.and_then(|moment| moment.until_now()),
        })
    }

    /// True if decode reached the expected speed, and prefill did not miss it.
    pub(super) fn is_judged(&self) -> bool {
        self.decode.is_expected() == Some(true) && self.prefill.is_expected() != Some(false)
    }

    /// Findings on a speed below the expected one, with the likely reasons.
    pub fn findings(&self, machine: &Facts) -> Vec<Finding> {
        let slow = |what: &str, rate: &Rate| {
            let expected = rate.expected_tokens_per_s.filter(|_| rate.is_expected() == Some(false))?;
            let measured = rate.tokens_per_s;
            Some(format!(
                "{what} makes {measured:.1} tokens a second, and this machine should make {expected:.1}"
            ))
        };
        let slow: Vec<String> =
            [slow("prefill", &self.prefill), slow("decode", &self.decode)].into_iter().flatten().collect();
        let mut found = Vec::new();
        if self.heat.throttled == Some(true) {
            found.push(Finding::wrong(
                Topic::Sensors,
                "the CPU was held back while the model ran",
                "cool it, and on a Raspberry Pi check the supply",
            ));
        }
        if !slow.is_empty() {
            let remedy = match self.reasons(machine).as_slice() {
                [] => "no reason is known: report it with this report's JSON".to_owned(),
                reasons => format!("likely because {}", reasons.join(", and because ")),
            };
            found.push(Finding::wrong(Topic::Speed, slow.join("; "), remedy));
        }
        found
    }

    fn reasons(&self, machine: &Facts) -> Vec<String> {
        let mut reasons = Vec::new();
        let allowed = machine.limits.as_ref().map(|limits| limits.allowed_cpus);
        if let Some(allowed) = allowed.filter(|&allowed| allowed < machine.threads) {
            reasons.push(format!("{} compute on {}", threads(machine.threads), cpus(allowed)));
        }
        if self.heat.throttled == Some(true) {
            reasons.push("the CPU is held back by its heat or its supply".to_owned());
        }
        let others = [machine.load, self.load].into_iter().flatten();
        let busiest = others.map(|load| load.others_cpus + load.stolen_cpus).fold(0.0, f64::max);
        if busiest > 0.1 {
            reasons.push(format!("other programs took {busiest:.1} CPUs"));
        }
        if self.load.is_some_and(|load| load.swapped_pages > 0) {
            reasons.push("the machine swapped".to_owned());
        }
        let quota = machine.limits.as_ref().and_then(|limits| limits.quota_cpus);
        if let Some(quota) = quota.filter(|&quota| quota < machine.threads as f64) {
            reasons.push(format!("a control group gives {quota:.1} CPUs' time"));
        }
        if !machine.unused_features.is_empty() {
            reasons.push(format!("the kernels do not use {}", machine.unused_features.join(", ")));
        }
        if let Some((mhz, max)) = self.heat.mhz.zip(machine.max_mhz).filter(|(mhz, max)| *mhz < 0.8 * max) {
            reasons.push(format!("the CPU ran at {mhz:.0} of {max:.0} MHz"));
        }
        reasons
    }
}

/// Length of a prompt, at most `most`, for which all rounds take about [`TIME`].
fn affordable(
    most: usize,
    mut time: impl FnMut(usize) -> Result<Duration, runtime::Error>,
) -> Result<usize, runtime::Error> {
    let mut length = FIRST.min(most);
    while 2 * length <= most && time(length)? < TIME / ROUNDS as u32 / 2 {
        length *= 2;
    }
    Ok(length)
}

/// Median of a few rounds, as many as time allows.
fn rounds(mut run: impl FnMut() -> Result<f64, runtime::Error>) -> Result<f64, runtime::Error> {
    let (mut rates, started) = (Vec::new(), Instant::now());
    while rates.len() < ROUNDS && (rates.is_empty() || started.elapsed() < TIME) {
        rates.push(run()?);
    }
    Ok(median(&rates).unwrap_or(0.0))
}

/// Tokens per second that `limit` allows for prefill and decode. For prefill only if most weights are quantized, since
/// those are multiplied as 8-bit integers.
fn possible(model: &Model, limit: &Limit) -> (Option<f64>, f64) {
    let (bytes, products) = weights_of_a_token(model);
    let is_quantized = are_most(model, |tensor| !tensor.ggml_type.is_float());
    let prefill = is_quantized.then(|| limit.multiply_adds_per_s / products.max(1) as f64);
    (prefill, limit.bytes_per_s / bytes.max(1) as f64)
}

fn least_prefill(model: &Model) -> f64 {
    let is_rearranged = are_most(model, model.load_options().is_repacked());
    if is_rearranged { LEAST_PREFILL } else { LEAST_PREFILL_AS_STORED }
}

/// True if most matrix weights are in tensors for which `are` is true.
fn are_most(model: &Model, are: impl Fn(&TensorInfo) -> bool) -> bool {
    let matrices = || model.header().tensors.iter().filter(|tensor| tensor.dims.len() > 1);
    let all: u64 = matrices().map(TensorInfo::element_count).sum();
    let such: u64 = matrices().filter(|tensor| are(tensor)).map(TensorInfo::element_count).sum();
    2 * such > all
}

fn layers(model: &Model) -> f64 {
    let header = model.header();
    let key = header.architecture().map(|name| format!("{name}.block_count"));
    key.and_then(|key| header.u64(&key)).unwrap_or(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn speed(prefill: f64, decode: f64) -> Speed {
        let rate = |tokens_per_s, expected| Rate {
            tokens: 64,
            tokens_per_s,
            possible_tokens_per_s: Some(2.0 * expected),
            expected_tokens_per_s: Some(expected),
        };
        Speed {
            load_s: 1.0,
            prefill: rate(prefill, 100.0),
            decode: rate(decode, 10.0),
            heat: Heat { celsius: None, mhz: Some(1500.0), throttled: Some(false) },
            load: Some(Load { others_cpus: 0.0, stolen_cpus: 0.0, swapped_pages: 0 }),
        }
    }

    fn machine() -> Facts {
        let root = crate::machine::fixture(&[]);
        let facts = Facts::gather(root.path(), crate::runtime::kernels::active().unwrap(), 4, None);
        Facts { unused_features: Vec::new(), max_mhz: Some(1500.0), ..facts }
    }

    #[test]
    fn prompts_are_as_long_as_there_is_time_for() {
        let length = |tokens_per_s: f64| {
            affordable(512, |length| Ok(Duration::from_secs_f64(length as f64 / tokens_per_s))).unwrap()
        };
        assert_eq!((length(1e6), length(60.0), length(1.5)), (512, 64, 8));
        assert_eq!(affordable(5, |_| Ok(Duration::ZERO)).unwrap(), 5);
    }

    #[test]
    fn what_is_fast_enough_is_no_finding() {
        assert_eq!(speed(120.0, 11.0).findings(&machine()), []);
        assert!(speed(120.0, 11.0).is_judged());
    }

    #[test]
    fn what_is_slow_is_named_with_the_reasons_that_are_there() {
        let found = speed(120.0, 5.0).findings(&machine());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].topic, found[0].severity), (Topic::Speed, Severity::Wrong));
        assert_eq!(found[0].what, "decode makes 5.0 tokens a second, and this machine should make 10.0");
        assert!(found[0].remedy.starts_with("no reason is known"), "{}", found[0].remedy);
        let mut slow = speed(50.0, 5.0);
        slow.load = Some(Load { others_cpus: 1.5, stolen_cpus: 0.0, swapped_pages: 3 });
        slow.heat.mhz = Some(600.0);
        let machine = Facts { unused_features: vec!["AVX2"], ..machine() };
        let remedy = &slow.findings(&machine)[0].remedy;
        for reason in ["1.5 CPUs", "swapped", "AVX2", "600 of 1500 MHz"] {
            assert!(remedy.contains(reason), "{remedy}");
        }
        assert!(!slow.is_judged());
    }

    #[test]
    fn two_threads_on_one_cpu_are_the_first_reason() {
        let root = crate::machine::fixture(&[("proc/self/status", "Cpus_allowed_list:\t0\n")]);
        let facts = Facts::gather(root.path(), crate::runtime::kernels::active().unwrap(), 2, None);
        let remedy = &speed(50.0, 5.0).findings(&facts)[0].remedy;
        assert!(remedy.starts_with("likely because 2 threads compute on 1 CPU"), "{remedy}");
    }
}
