//! LLM-as-a-judge: a model behind a server decides if a call is as good as the reference.
//!
//! The prompt of the published judge is not public. The prompt here wraps the data set's own criteria, and its name and
//! hash are stored with every verdict. Compare a judge's means with published ones only together with its
//! [calibration](super::predictions::calibrate).

mod cache;
mod summary;
mod wrapper;

pub use cache::Cache;
pub use summary::JudgeSummary;
pub(in crate::bench) use summary::judges;
pub use wrapper::{Question, WRAPPER};

use crate::{
    bench::{
        Result,
        data::{Call, Case, Dataset},
        row::{JudgeConfig, JudgeVotes, Row},
        score::metric::{LlmJudge, Metric},
    },
    hash::hex,
    http::{Client, Error},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// A judge behind a server.
pub struct Judge<'j> {
    /// The server.
    pub client: &'j Client,
    /// Configuration of the judge.
    pub config: JudgeConfig,
    /// Criteria that the judge applies.
    pub criteria: String,
    /// Votes per question; an odd number avoids ties.
    pub votes: usize,
    /// Maximum number of requests in flight.
    pub concurrency: usize,
    /// Votes of earlier runs.
    pub cache: Mutex<Cache>,
}

/// A vote to request.
struct VoteRequest<'q> {
    key: String,
    question: &'q Question,
    vote: usize,
}

impl Judge<'_> {
    /// Judges the labelled rows that have no verdict of this judge, and returns the number of rows that changed. A
    /// verdict is stored in `row.judge` and as the score of [`LlmJudge`]. `progress` is called after each requested vote
    /// with the number of finished votes and of all.
    ///
    /// # Errors
    /// A server that does not answer, or a cache that cannot be written. Votes received before the error stay in the
    /// cache.
    pub fn judge_rows(
        &self,
        rows: &mut [Row],
        dataset: &Dataset,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<usize> {
        let cases: BTreeMap<(usize, usize), &Case> =
            dataset.cases.iter().map(|case| ((case.conversation, case.turn), case)).collect();
        let is_judged = |row: &Row| {
            row.judge.as_ref().is_some_and(|had| had.config == self.config && had.votes.len() == self.votes)
        };
        let open: Vec<usize> = (0..rows.len())
            .filter(|&i| rows[i].is_labelled() && !is_judged(&rows[i]) && cases.contains_key(&rows[i].case()))
            .collect();
        let question = |row: &Row| {
            let (Ok(gold), Ok(predicted)) = (Call::parse(&row.gold), Call::parse(&row.prediction)) else {
                return None;
            };
            Some(Question::new(&self.criteria, cases[&row.case()].messages(), &gold, &predicted))
        };
        let questions: Vec<Option<Question>> = open.iter().map(|&i| question(&rows[i])).collect();
        for (&i, votes) in open.iter().zip(self.ask(&questions, progress)?) {
            let row = &mut rows[i];
            let judged = JudgeVotes { config: self.config.clone(), votes };
            row.scores.remove(LlmJudge.name());
            row.scores.extend(
                judged.verdict().map(|good| (LlmJudge.name().to_owned(), if good { 1.0 } else { 0.0 })),
            );
            row.judge = Some(judged);
        }
        Ok(open.len())
    }

    /// Returns the votes on each question; bad votes where the question is `None`.
    ///
    /// # Errors
    /// As for [`Judge::judge_rows`].
    pub fn ask(
        &self,
        questions: &[Option<Question>],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<Vec<Option<bool>>>> {
        // Models often give the same answer; the question about it is sent once.
        let (mut requests, mut seen) = (Vec::new(), BTreeSet::new());
        for question in questions.iter().flatten() {
            for vote in 0..self.votes {
                let key = self.key(question, vote);
                if self.cached(&key).is_none() && seen.insert(key.clone()) {
                    requests.push(VoteRequest { key, question, vote });
                }
            }
        }
        self.request_all(&requests, progress)?;
        let votes = |question: &Option<Question>| match question {
            None => vec![Some(false); self.votes],
            Some(question) => {
                (0..self.votes).map(|vote| self.cached(&self.key(question, vote)).flatten()).collect()
            }
        };
        Ok(questions.iter().map(votes).collect())
    }

    /// Requests all votes on several threads; the first error stops them.
    fn request_all(
        &self,
        requests: &[VoteRequest<'_>],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<()> {
        let (next, done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let work = || -> Result<()> {
            while !failed.load(Ordering::Relaxed) {
                let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let stored = self.request_vote(request).and_then(|(vote, reply)| {
                    let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
                    cache.insert(&request.key, vote, &reply)
                });
                stored.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, requests.len());
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads = self.concurrency.clamp(1, requests.len().max(1));
            // Fewer threads, if the system starts no more; the calling one works, too.
            let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let workers: Vec<_> = (1..threads).map_while(start).collect();
            let own = work();
            let results = workers.into_iter().map(|worker| worker.join().expect("a worker does not panic"));
            results.collect::<Vec<_>>().into_iter().fold(own, Result::and)
        })
    }

    /// Requests one vote, and returns it with the reply's text; `None` if the reply has no readable verdict.
    fn request_vote(&self, request: &VoteRequest<'_>) -> Result<(Option<bool>, String)> {
        let path = "/chat/completions";
        let body = json!({
            "model": self.config.model,
            "messages": [
                {"role": "system", "content": WRAPPER},
                {"role": "user", "content": request.question.text()},
            ],
            "temperature": self.config.temperature,
            "max_tokens": self.config.max_tokens,
            "seed": request.vote,
            "stream": false,
        });
        let reply = self.client.post(path, &body)?;
        let choice = &reply.json["choices"][0];
        if !choice["message"].is_object() {
            let begins = reply.json.to_string().chars().take(200).collect();
            let url = format!("{}{path}", self.client.base());
            return Err(Error::Incomplete { url, missing: "`choices[0].message`", begins }.into());
        }
        let content = choice["message"]["content"].as_str().unwrap_or_default();
        // Reasoning that was cut off may mention both verdicts.
        let vote = if choice["finish_reason"] == "length" { None } else { wrapper::verdict(content) };
        Ok((vote, content.to_owned()))
    }

    fn cached(&self, key: &str) -> Option<Option<bool>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    /// Key of a vote in the cache: a SHA-256 of everything that it depends on.
    fn key(&self, question: &Question, vote: usize) -> String {
        let JudgeConfig { model, wrapper, temperature, max_tokens, .. } = &self.config;
        let all = json!([model, wrapper, question.text(), temperature, max_tokens, vote]);
        hex(&Sha256::digest(all.to_string()))
    }
}

impl JudgeConfig {
    /// Configuration of a judge with these criteria.
    pub fn new(model: &str, criteria: &str, temperature: f64, max_tokens: usize) -> JudgeConfig {
        JudgeConfig {
            model: model.to_owned(),
            wrapper: wrapper::name(),
            criteria_sha256: hex(&Sha256::digest(criteria)),
            temperature,
            max_tokens,
        }
    }
}
