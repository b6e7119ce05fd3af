//! A model's answers to eight fixed prompts, to compare one machine, kernel or build with another.
//!
//! The prompts are texts of different kinds, tokenized by the model's own vocabulary and truncated to
//! [`MAX_TOKENS`]. An answer is the distribution after the last token: the likeliest next tokens with their
//! log-probabilities.

use super::Error;
use crate::{
    convert::manifest::{Answer, Answers, Top},
    machine::Machine,
    runtime::{self, LoadOptions, Model, Options, Session, Trust, Vocabulary, kernels},
};
use std::{fs, num::NonZeroUsize, path::Path, time::Instant};

/// Most tokens of a prompt.
pub const MAX_TOKENS: usize = 64;
/// Number of likeliest tokens that an answer records.
pub const N_TOP: usize = 8;

/// A fixed prompt. The text behind a name never changes, since manifests are compared by the names.
#[derive(Clone, Copy, Debug)]
pub struct Prompt {
    /// Its name in manifests.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The prompts, shortest first: if time runs out, the short ones are done.
pub static PROMPTS: [Prompt; 8] = [
    Prompt { name: "whitespace", text: "a\n\n\tb  c\n    d\r\n\n " },
    Prompt {
        name: "english",
        text: "The weather in the mountains changes quickly, so hikers should always carry",
    },
    Prompt {
        name: "json",
        text: "{\"name\": \"Ada Lovelace\", \"born\": 1815, \"languages\": [\"English\", \"French\"], \"address\": {\"city\":",
    },
    Prompt {
        name: "tool_call",
        text: "<|im_start|>user\nBook a table for two at eight.<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{\"name\": \"",
    },
    Prompt {
        name: "code",
        text: "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return",
    },
    Prompt { name: "numbers", text: "3.14159, 2.71828, 1,000,000, 0x1F, 1e-9, 2024-12-31 17:45, 7 * 8 =" },
    Prompt {
        name: "scripts",
        text: "Grüße aus München, schöne Straßen! 你好，世界。今天天气很好 🙂🚀 und morgen",
    },
    Prompt {
        name: "long",
        text: "The committee met on Tuesday to discuss the budget for the coming year. After a long debate about \
               schools, roads and the old bridge across the river, the members agreed that repairs could not wait \
               any longer. They asked the engineers for a plan, for an estimate of what it would cost and for a date \
               by which the work could be finished, and they decided to meet again as soon as the answers were there",
    },
];

impl Prompt {
    /// The prompt of this name.
    pub fn named(name: &str) -> Option<Prompt> {
        PROMPTS.iter().copied().find(|prompt| prompt.name == name)
    }

    /// Tokenizes the prompt, with the model's BOS token in front if the model wants one. At most
    /// [`MAX_TOKENS`], and fewer than the model's training context.
    ///
    /// # Errors
    /// Errors of the tokenizer.
    pub fn tokens(&self, vocabulary: &Vocabulary, n_ctx_train: usize) -> Result<Vec<i32>, runtime::Error> {
        let bos = vocabulary.bos().filter(|_| vocabulary.adds_bos());
        let mut tokens: Vec<i32> = bos.into_iter().chain(vocabulary.tokenize(self.text, true)?).collect();
        tokens.truncate(MAX_TOKENS.min(n_ctx_train.saturating_sub(1)).max(1));
        Ok(tokens)
    }
}

/// The probability distribution over the next token.
#[derive(Clone, Debug)]
pub struct Distribution {
    logits: Vec<f32>,
    log_sum: f64,
}

impl Distribution {
    /// The distribution of `session`'s model after `tokens`, decoded `step` at a time in an empty context.
    ///
    /// # Errors
    /// Errors of llama.cpp.
    pub fn after(
        session: &mut Session<'_>,
        tokens: &[i32],
        step: usize,
    ) -> Result<Distribution, runtime::Error> {
        session.cut(0)?;
        for piece in tokens.chunks(step.max(1)) {
            session.append(piece)?;
        }
        Ok(Distribution::new(session.logits().to_vec()))
    }

    /// The distribution for `logits`, one per token of the vocabulary.
    pub fn new(logits: Vec<f32>) -> Distribution {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
        Distribution { logits, log_sum: f64::from(most) + sum.ln() }
    }

    /// The reason why these cannot be a model's logits: one is not finite, or all are the same. `None` if they
    /// can.
    pub fn flaw(&self) -> Option<&'static str> {
        let finite = self.logits.iter().all(|logit| logit.is_finite());
        let differ = self.logits.windows(2).any(|pair| pair[0] != pair[1]);
        match (finite, differ) {
            (false, _) => Some("logits that are no numbers"),
            (true, false) => Some("the same logit for every token"),
            (true, true) => None,
        }
    }

    /// Natural logarithm of the probability of `token`; minus infinity outside the vocabulary.
    pub fn logprob(&self, token: i32) -> f64 {
        let logit = usize::try_from(token).ok().and_then(|token| self.logits.get(token));
        logit.map_or(f64::NEG_INFINITY, |&logit| f64::from(logit) - self.log_sum)
    }

    /// The `count` likeliest tokens, likeliest first, with log-probabilities rounded to five decimals.
    pub fn top(&self, count: usize) -> Vec<Top> {
        let mut order: Vec<usize> = (0..self.logits.len()).collect();
        let count = count.min(order.len());
        let by_logit = |a: &usize, b: &usize| self.logits[*b].total_cmp(&self.logits[*a]).then(a.cmp(b));
        if count < order.len() {
            order.select_nth_unstable_by(count, by_logit);
            order.truncate(count);
        }
        order.sort_unstable_by(by_logit);
        let top = |index: usize| {
            let token = i32::try_from(index).unwrap_or(i32::MAX);
            // Adding 0.0 turns -0.0 into 0.0.
            Top { token, logprob: (self.logprob(token) * 1e5).round() / 1e5 + 0.0 }
        };
        order.into_iter().map(top).collect()
    }

    /// KL divergence of these probabilities from those of `reference`, in nats. All tokens that `reference`
    /// does not list count as one, so the result is at most the divergence over all tokens.
    pub fn kl_from(&self, reference: &[Top]) -> f64 {
        let (mut kl, mut p_listed, mut q_listed) = (0.0, 0.0, 0.0);
        for top in reference {
            let (p, log_q) = (top.logprob.exp(), self.logprob(top.token));
            kl += p * (top.logprob - log_q);
            p_listed += p;
            q_listed += log_q.exp();
        }
        // Both may come out slightly negative, since the reference is rounded.
        let (p, q) = (1.0 - p_listed, (1.0 - q_listed).max(1e-12));
        if p > 0.0 {
            kl += p * (p / q).ln();
        }
        kl.max(0.0)
    }
}

/// All prompts, tokenized by the model.
///
/// # Errors
/// Errors of the tokenizer.
pub fn prompts(model: &Model) -> Result<Vec<(Prompt, Vec<i32>)>, runtime::Error> {
    let tokens = |prompt: &Prompt| Ok((*prompt, prompt.tokens(model.vocabulary(), model.n_ctx_train())?));
    PROMPTS.iter().map(tokens).collect()
}

/// The record of an answer for a manifest.
pub fn answer(prompt: Prompt, tokens: &[i32], said: &Distribution) -> Answer {
    Answer { prompt: prompt.name.to_owned(), n_tokens: tokens.len(), top: said.top(N_TOP) }
}

/// Creates a session for the prompts, with a small context: each is at most [`MAX_TOKENS`] long.
///
/// # Errors
/// As [`Session::new`].
pub fn session<'m>(model: &'m Model, options: &Options) -> Result<Session<'m>, runtime::Error> {
    let options = Options { n_ctx: None, n_ubatch: NonZeroUsize::new(MAX_TOKENS), ..*options };
    let most = MAX_TOKENS.min(model.n_ctx_train().saturating_sub(1));
    Session::new(model, most.max(1), 1, &options)
}

/// The answers of the model in the file at `path`, with the engine and kernels that computed them. Weights are
/// not repacked, and flash attention is off. `go_on` is called with the number of prompts answered so far; if
/// it returns false, the result is `None`.
///
/// # Errors
/// [`Error::NoMemory`] if the file is larger than the available memory, [`Error::NoAnswer`] if the logits for a
/// prompt are unusable, errors of llama.cpp.
pub fn answers(
    path: &Path,
    threads: Option<NonZeroUsize>,
    mut go_on: impl FnMut(usize) -> bool,
) -> Result<Option<(Answers, AnswersReport)>, Error> {
    let started = Instant::now();
    let file_bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let available_bytes = Machine::this().map_or(u64::MAX, |machine| machine.available_bytes);
    if file_bytes > available_bytes {
        return Err(Error::NoMemory { file_bytes, available_bytes });
    }
    let model = Model::load_with(path, LoadOptions { trust: Trust::Checked, repack: false })?;
    let mut session = session(&model, &Options { threads, ..Options::default() })?;
    let (mut said, mut tokens) = (Vec::new(), 0);
    for (prompt, prompt_tokens) in prompts(&model)? {
        if !go_on(said.len()) {
            return Ok(None);
        }
        let distribution = Distribution::after(&mut session, &prompt_tokens, MAX_TOKENS)?;
        if let Some(flaw) = distribution.flaw() {
            return Err(Error::NoAnswer { prompt: prompt.name, flaw });
        }
        said.push(answer(prompt, &prompt_tokens, &distribution));
        tokens += prompt_tokens.len();
    }
    let report = AnswersReport { prompts: said.len(), tokens, seconds: started.elapsed().as_secs_f64() };
    let (engine, kernels) = (runtime::ENGINE.to_owned(), kernels::name().to_owned());
    let answers = Answers { engine, kernels, prompts: said };
    Ok(Some((answers, report)))
}

/// Size and duration of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnswersReport {
    /// Prompts that were answered.
    pub prompts: usize,
    /// Tokens of those.
    pub tokens: usize,
    /// Seconds, loading included.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn a_prompts_text_stays_the_same_under_its_name() {
        let texts: Vec<String> =
            PROMPTS.iter().map(|prompt| format!("{}\0{}\0", prompt.name, prompt.text)).collect();
        let hash: String =
            Sha256::digest(texts.concat()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hash, "f254b0ffe69ce646",
            "give a changed text a new name: manifests are compared by the name"
        );
    }

    #[test]
    fn probabilities_are_those_of_the_logits() {
        let said = Distribution::new(vec![0.0, 3.0_f32.ln(), f32::NEG_INFINITY, 6.0_f32.ln()]);
        assert!((said.logprob(3) - 0.6_f64.ln()).abs() < 1e-6);
        assert_eq!(said.logprob(9), f64::NEG_INFINITY);
        let top = said.top(2);
        assert_eq!(top.iter().map(|top| top.token).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(top[0].logprob, -0.51083);
    }

    #[test]
    fn a_distribution_is_nothing_from_itself_and_far_from_another() {
        let a = Distribution::new((0..100).map(|i| (i % 7) as f32).collect());
        let b = Distribution::new((0..100).map(|i| ((i + 3) % 7) as f32).collect());
        assert!(a.kl_from(&a.top(N_TOP)) < 1e-4);
        assert!(b.kl_from(&a.top(N_TOP)) > 0.3);
        // Two tokens, 3/4 and 1/4 against 1/2 each.
        let reference = Distribution::new(vec![3.0_f32.ln(), 0.0]).top(1);
        let kl = Distribution::new(vec![0.0, 0.0]).kl_from(&reference);
        assert!((kl - (0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln())).abs() < 1e-4, "{kl}");
    }

    #[test]
    fn no_number_and_no_difference_are_flaws() {
        let flaw = |logits: Vec<f32>| Distribution::new(logits).flaw();
        assert_eq!(flaw(vec![1.0, 2.0]), None);
        assert!(flaw(vec![1.0, f32::NAN]).unwrap().contains("no numbers"));
        assert!(flaw(vec![1.0, f32::INFINITY]).unwrap().contains("no numbers"));
        assert!(flaw(vec![1.0, 1.0]).unwrap().contains("the same"));
        assert!(flaw(Vec::new()).is_some());
    }
}
