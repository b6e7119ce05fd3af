//! A model's answers to the fixed prompts, computed in several ways and compared with its manifest; without a manifest
//! they are compared with each other.
//!
//! The ways differ in their kernels: a prompt in one batch multiplies matrices, single tokens multiply vectors, and
//! repacked weights, flash attention and a quantized KV cache have kernels of their own. On a machine that computes
//! correctly, all ways give nearly the same probabilities. The tolerances below were measured.

use super::finding::{Finding, Topic};
use crate::{
    convert::manifest::{Answer, Answers, Top},
    display::visible,
    gguf::FlashAttention,
    runtime::{Error, KvType, Model, Options, cpu, kernels},
    verify::answers::{self, Distribution, MAX_TOKENS},
};
use serde::Serialize;
use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

/// Maximum KL divergence of an answer from the reference, in nats.
///
/// Measured with the pocket model in all thirteen types, computed with the x86-64 kernels from SSE4.2 to AVX-512 VNNI in
/// all ways, against manifests of the latter: at most 0.0031 (AVX-512), and all first tokens right; with ARM's up to
/// i8mm, emulated, at most 0.0044. With faults on purpose: scales of the wrong sign in one matrix 10 to 27, in 16
/// rows of its 256 0.06 (Q8_0) and 0.12 (Q4_K_M), in every eighth row of all matrices 7 and more; Q4_K without its
/// minima, or without the upper bits of its scales, 13. Faults in one row (0.001 to 0.008) or one block (0.0004 to
/// 0.005) stay below the maximum; the file's hash finds those.
pub const MAX_KL: f64 = 0.02;
/// Maximum with a KV cache in Q8_0. Measured as above: at most 0.0124 (AVX).
pub const MAX_KL_Q8_0_CACHE: f64 = 0.05;
/// Largest gap in log-probability, in nats, that counts as a tie: the most likely token may be another than the
/// reference's if the reference rates it within this gap of its own.
pub const TIE: f64 = 0.3;
/// Time limit for all prompts in one way; prompts that would exceed it are left out, the longest first.
const TIME: Duration = Duration::from_secs(12);

/// One way to compute answers, compared with the reference.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// Name of the way.
    pub name: &'static str,
    /// Number of compared prompts; on a slow machine not all of them.
    pub prompts: usize,
    /// Number of prompts where the most likely token is the reference's, or tied with it ([`TIE`]).
    pub top1: usize,
    /// Largest KL divergence from the reference, in nats.
    pub kl_max: f64,
    /// Mean KL divergence, in nats.
    pub kl_mean: f64,
    /// Largest KL divergence allowed; `None` if other answers are to be expected, as with a KV cache of few bits.
    pub kl_bound: Option<f64>,
    /// Reason why nothing could be compared, or a description of output that is not a probability distribution.
    pub flaw: Option<String>,
    /// True if [`Way::flaw`] is a fault of the machine, the file or the kernels.
    pub is_broken: bool,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Reference of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reference {
    /// Answers in the manifest, computed by the machine that converted the model.
    Manifest {
        /// That machine's kernels.
        kernels: String,
        /// That machine's llama.cpp build.
        engine: String,
    },
    /// This machine's answers in the first way; there is no manifest, or it has no answers.
    ThisMachine,
}

/// Comparison of all ways.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Reference of the comparison.
    pub reference: Reference,
    /// The compared ways.
    pub ways: Vec<Way>,
}

/// A comparison in progress.
pub(super) struct Checked {
    reference: Vec<Answer>,
    // Without a manifest the reference is empty until this machine's first answer.
    compared: Compared,
}

impl Checked {
    pub(super) fn begin(recorded: Option<Answers>) -> Checked {
        let (reference, answers) = match recorded {
            Some(Answers { engine, kernels, prompts }) => (Reference::Manifest { kernels, engine }, prompts),
            None => (Reference::ThisMachine, Vec::new()),
        };
        Checked { reference: answers, compared: Compared { reference, ways: Vec::new() } }
    }

    /// Compares the answers of a model whose weights are not repacked.
    pub(super) fn as_stored(&mut self, model: &Model, options: &Options, progress: &mut dyn FnMut(&str)) {
        let plain = Options { threads: options.threads, ..Options::default() };
        self.ask("weights as stored", model, &plain, MAX_TOKENS, progress);
    }

    /// Compares the answers of a model loaded as for calls, in the way that calls are made and in others.
    pub(super) fn as_called(&mut self, model: &Model, options: &Options, progress: &mut dyn FnMut(&str)) {
        let float = Options { kv_type: KvType::default(), flash_attention: FlashAttention::Off, ..*options };
        self.ask("as calls are made", model, options, MAX_TOKENS, progress);
        self.ask("token by token", model, &float, 1, progress);
        if cpu::threads(options.threads).is_ok_and(|threads| threads > 1) {
            let one = Options { threads: NonZeroUsize::new(1), ..float };
            self.ask("one thread", model, &one, MAX_TOKENS, progress);
        }
        let flash = Options { flash_attention: FlashAttention::On, ..float };
        self.ask("flash attention", model, &flash, MAX_TOKENS, progress);
        if let Some(kv_type) = KvType::named("q8_0") {
            self.ask("KV cache in q8_0", model, &Options { kv_type, ..flash }, MAX_TOKENS, progress);
        }
    }

    pub(super) fn finish(self) -> Compared {
        self.compared
    }

    fn ask(
        &mut self,
        name: &'static str,
        model: &Model,
        options: &Options,
        step: usize,
        progress: &mut dyn FnMut(&str),
    ) {
        progress(&format!("answers, {name}"));
        let started = Instant::now();
        let mut way = Way {
            name,
            prompts: 0,
            top1: 0,
            kl_max: 0.0,
            kl_mean: 0.0,
            kl_bound: bound(options.kv_type),
            flaw: None,
            is_broken: false,
            seconds: 0.0,
        };
        if let Err(error) = self.compare(&mut way, model, options, step) {
            // A KV type whose blocks do not divide a head is not a fault.
            way.is_broken = !matches!(error, Error::Context { .. });
            way.flaw = Some(error.to_string());
        }
        way.kl_mean /= way.prompts.max(1) as f64;
        way.seconds = started.elapsed().as_secs_f64();
        self.compared.ways.push(way);
    }

    fn compare(&mut self, way: &mut Way, model: &Model, options: &Options, step: usize) -> Result<(), Error> {
        let mut session = answers::session(model, options)?;
        let is_first = self.compared.ways.is_empty() && self.compared.reference == Reference::ThisMachine;
        let (started, mut s_per_token) = (Instant::now(), 0.0_f64);
        for (prompt, tokens) in answers::prompts(model)? {
            let next = Duration::from_secs_f64(s_per_token * tokens.len() as f64);
            if started.elapsed() + next > TIME {
                break;
            }
            let asked = Instant::now();
            let said = Distribution::after(&mut session, &tokens, step)?;
            s_per_token = s_per_token.max(asked.elapsed().as_secs_f64() / tokens.len() as f64);
            if let Some(flaw) = said.flaw() {
                way.flaw = Some(format!("{flaw}, after the prompt `{}`", prompt.name));
                way.is_broken = true;
                return Ok(());
            }
            if is_first {
                self.reference.push(answers::answer(prompt, &tokens, &said));
            }
            let is_same = |answer: &&Answer| answer.prompt == prompt.name && answer.n_tokens == tokens.len();
            // Another version's manifest may have other prompts.
            if let Some(reference) = self.reference.iter().find(is_same) {
                way.add(&reference.top, &said);
            }
        }
        if way.prompts == 0 {
            way.flaw = Some("the reference has none of these prompts".to_owned());
        }
        Ok(())
    }
}

impl Way {
    fn add(&mut self, reference: &[Top], said: &Distribution) {
        let kl = said.kl_from(reference);
        self.prompts += 1;
        self.kl_max = self.kl_max.max(kl);
        self.kl_mean += kl;
        let here = said.top(1).first().map(|top| top.token);
        let logprob = |token| reference.iter().find(|top| Some(top.token) == token).map(|top| top.logprob);
        let is_tie = |logprob: f64| reference.first().is_some_and(|first| first.logprob - logprob <= TIE);
        self.top1 += usize::from(logprob(here).is_some_and(is_tie));
    }

    /// True if the answers are wrong or could not be computed because of a fault.
    pub fn is_wrong(&self) -> bool {
        let differs = self.kl_bound.is_some_and(|bound| self.kl_max > bound || self.top1 < self.prompts);
        self.is_broken || differs
    }
}

/// Largest KL divergence allowed with a KV cache of this type; `None` for types whose own loss may be larger.
fn bound(kv_type: KvType) -> Option<f64> {
    match kv_type.name {
        "q8_0" => Some(MAX_KL_Q8_0_CACHE),
        _ => kv_type.ggml_type.is_float().then_some(MAX_KL),
    }
}

impl Compared {
    /// Findings on wrong answers.
    pub fn findings(&self) -> Vec<Finding> {
        let wrong: Vec<&Way> = self.ways.iter().filter(|way| way.is_wrong()).collect();
        if wrong.is_empty() && !self.is_compared() {
            return vec![self.nothing_compared()];
        }
        if let (true, Reference::ThisMachine) = (wrong.is_empty(), &self.reference) {
            return vec![Finding::note(
                Topic::Answers,
                "there are no answers of another machine to compare with: the model's ways to compute agree, and all may \
                 be wrong",
                "convert the checkpoint with `edgecall convert`, which writes them into the manifest beside the file",
            )];
        }
        if wrong.is_empty() {
            return Vec::new();
        }
        let what: Vec<String> = wrong
            .iter()
            .map(|way| match &way.flaw {
                Some(flaw) => format!("{}: {flaw}", way.name),
                None => {
                    let Way { name, top1, prompts, kl_max, .. } = way;
                    format!("{name}: KL up to {kl_max:.4} nats, {top1} of {prompts} first tokens right")
                }
            })
            .collect();
        let what = format!("the model computes other answers than {} ({})", self.expected(), what.join("; "));
        vec![Finding::wrong(Topic::Answers, what, self.remedy(&wrong))]
    }

    /// True if an answer was compared in some way.
    fn is_compared(&self) -> bool {
        self.ways.iter().any(|way| way.prompts > 0)
    }

    fn nothing_compared(&self) -> Finding {
        let why = match &self.reference {
            Reference::Manifest { .. } => {
                "the manifest has none of this version's prompts, as that of another version of edgecall"
            }
            Reference::ThisMachine => "the model gave none",
        };
        Finding::note(
            Topic::Answers,
            format!("no answer could be compared: {why}"),
            "convert the checkpoint again with this version's `edgecall convert`",
        )
    }

    fn expected(&self) -> &'static str {
        match self.reference {
            Reference::Manifest { .. } => "its manifest",
            Reference::ThisMachine => "in another way",
        }
    }

    fn remedy(&self, wrong: &[&Way]) -> String {
        let is_wrong = |name| wrong.iter().any(|way| way.name == name);
        let kernels = kernels::name();
        match wrong {
            [way] if way.name == "KV cache in q8_0" => "keep the KV cache in f16".to_owned(),
            [way] if way.name == "flash attention" => "compute attention without flash attention".to_owned(),
            _ if is_wrong("weights as stored") => match &self.reference {
                Reference::Manifest { kernels: theirs, engine } => format!(
                    "the file was changed, or the kernels of this machine ({kernels}) are broken: compare the file's \
                     SHA-256 with its manifest, then try other kernels; the manifest is of {} with {}",
                    visible(theirs),
                    visible(engine)
                ),
                Reference::ThisMachine => {
                    format!(
                        "the file is broken, or the kernels of this machine ({kernels}) are: convert it again"
                    )
                }
            },
            _ => {
                format!("try other kernels than {kernels}, or weights that are not rearranged, and report it")
            }
        }
    }

    pub(super) fn verdict(&self) -> &'static str {
        match self.reference {
            _ if !self.is_compared() => "no answer of the model could be compared",
            Reference::Manifest { .. } => "the model answers as its manifest says",
            Reference::ThisMachine => "the model's answers agree with each other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn top(logprobs: &[(i32, f64)]) -> Vec<Top> {
        logprobs.iter().map(|&(token, logprob)| Top { token, logprob }).collect()
    }

    fn way(name: &'static str) -> Way {
        let kl_bound = Some(MAX_KL);
        Way {
            name,
            prompts: 8,
            top1: 8,
            kl_max: 0.0,
            kl_mean: 0.0,
            kl_bound,
            flaw: None,
            is_broken: false,
            seconds: 0.0,
        }
    }

    #[test]
    fn another_first_token_is_right_only_where_both_are_nearly_as_likely() {
        let said = Distribution::new(vec![1.0, 1.1, -9.0]);
        let mut compared = Way { prompts: 0, top1: 0, ..way("a") };
        compared.add(&top(&[(0, -0.6), (1, -0.8)]), &said);
        assert_eq!((compared.prompts, compared.top1), (1, 1));
        compared.add(&top(&[(0, -0.3), (1, -1.4)]), &said);
        compared.add(&top(&[(0, -0.1)]), &said);
        assert_eq!((compared.prompts, compared.top1), (3, 1));
        assert!(compared.is_wrong());
    }

    #[test]
    fn a_divergence_beyond_the_bound_is_wrong_and_within_it_is_not() {
        assert!(!Way { kl_max: MAX_KL, ..way("a") }.is_wrong());
        assert!(Way { kl_max: 1.01 * MAX_KL, ..way("a") }.is_wrong());
        let coarse = Way { kl_max: 9.0, top1: 0, kl_bound: None, ..way("KV cache in q4_0") };
        assert!(!coarse.is_wrong(), "a cache of few bits has a loss of its own");
        assert!(Way { is_broken: true, ..coarse }.is_wrong());
    }

    #[test]
    fn where_no_answer_is_compared_a_note_says_so_and_the_verdict_does_not_praise() {
        let nothing = || Way { prompts: 0, top1: 0, flaw: Some("none".into()), ..way("weights as stored") };
        for reference in [
            Reference::Manifest { kernels: "AVX2".into(), engine: "llama.cpp".into() },
            Reference::ThisMachine,
        ] {
            let mut compared = Compared { reference, ways: vec![nothing(), nothing()] };
            let found = compared.findings();
            assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
            assert!(found[0].what.starts_with("no answer could be compared: "), "{}", found[0].what);
            assert_eq!(compared.verdict(), "no answer of the model could be compared");
            compared.ways.push(way("as calls are made"));
            assert_ne!(compared.verdict(), "no answer of the model could be compared");
            compared.ways = vec![Way { is_broken: true, ..nothing() }];
            assert_eq!(compared.findings()[0].severity, Severity::Wrong);
        }
    }

    #[test]
    fn findings_name_the_ways_that_are_wrong_and_what_to_do() {
        let reference = Reference::Manifest { kernels: "AVX2".into(), engine: "llama.cpp".into() };
        let mut compared =
            Compared { reference, ways: vec![way("weights as stored"), way("KV cache in q8_0")] };
        assert_eq!(compared.findings(), []);
        compared.ways[1].kl_max = 3.0;
        let found = compared.findings();
        assert_eq!((found.len(), found[0].severity), (1, Severity::Wrong));
        assert_eq!(found[0].remedy, "keep the KV cache in f16");
        compared.ways[0].top1 = 2;
        let found = &compared.findings()[0];
        assert!(found.what.contains("weights as stored: KL up to 0.0000 nats, 2 of 8"), "{}", found.what);
        assert!(found.remedy.contains("the manifest is of AVX2"), "{}", found.remedy);
        compared.reference = Reference::Manifest { kernels: "\u{1b}[31m".into(), engine: "a\nb".into() };
        assert!(compared.findings()[0].remedy.ends_with("is of \\u{1b}[31m with a\\nb"));
        compared.reference = Reference::ThisMachine;
        compared.ways = vec![way("weights as stored")];
        let found = compared.findings();
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        assert!(found[0].remedy.contains("edgecall convert"));
    }
}
