//! LLM-as-a-judge: a model behind a server says whether a call is as good as the reference.
//!
//! How the published judge was asked is not public, so this is a wrapper of our own around the data's criteria; its name
//! and hash stand beside every verdict. A judge's means can be set beside published ones only with
//! [`calibration`] at hand.

mod cache;
pub mod calibration;
mod wrapper;

pub use cache::Cache;
pub use wrapper::{Question, WRAPPER};

use super::{Case, Dataset, Row, answer::Call, dataset::hex};
use crate::{
    Result,
    http::{Client, Error},
};
use serde::{Deserialize, Serialize};
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

/// The metric that a verdict is.
pub const METRIC: &str = "llm_judge";

/// How verdicts are made: all that they depend on beside the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manner {
    /// What the server calls the judge.
    pub model: String,
    /// The name of the text around the question, and the beginning of its SHA-256.
    pub wrapper: String,
    /// The SHA-256 of the criteria, in hex.
    pub criteria_sha256: String,
    /// How freely tokens are chosen.
    pub temperature: f64,
    /// The most tokens of thought and verdict together.
    pub max_tokens: usize,
}

/// What a judge said of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// How it was asked.
    #[serde(flatten)]
    pub manner: Manner,
    /// Its votes: good, bad, or nothing that could be read. An answer that is no call is bad without asking.
    pub votes: Vec<Option<bool>>,
}

impl Judged {
    /// What most of the readable votes say; `None` where as many say the other, or none says anything.
    pub fn verdict(&self) -> Option<bool> {
        let count = |wanted| self.votes.iter().filter(|vote| **vote == Some(wanted)).count();
        match count(true).cmp(&count(false)) {
            std::cmp::Ordering::Greater => Some(true),
            std::cmp::Ordering::Less => Some(false),
            std::cmp::Ordering::Equal => None,
        }
    }
}

/// A judge behind a server.
pub struct Judge<'j> {
    /// The server.
    pub client: &'j Client,
    /// How verdicts are made.
    pub manner: Manner,
    /// What the judge goes by.
    pub criteria: String,
    /// How often each question is put; odd, so that most of the votes say something.
    pub votes: usize,
    /// Questions that are open at a time.
    pub concurrency: usize,
    /// Votes that were given before.
    pub cache: Mutex<Cache>,
}

/// One vote that is wanted.
struct Ballot<'q> {
    key: String,
    question: &'q Question,
    vote: usize,
}

impl Judge<'_> {
    /// Puts verdicts into the rows with a right answer that have none of this judge's, in `row.judge` and as [`METRIC`] among the scores, and
    /// gives the number of rows that changed. `progress` is called after each vote that was asked for, with the number of
    /// those that are done and of all.
    ///
    /// # Errors
    /// A server that gives no answer, a cache that cannot be written; votes that were given are in the cache all the same.
    pub fn judge_rows(
        &self,
        rows: &mut [Row],
        dataset: &Dataset,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<usize> {
        let cases: BTreeMap<(usize, usize), &Case> =
            dataset.cases.iter().map(|case| ((case.conversation, case.turn), case)).collect();
        let is_judged = |row: &Row| {
            row.judge.as_ref().is_some_and(|had| had.manner == self.manner && had.votes.len() == self.votes)
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
            let judged = Judged { manner: self.manner.clone(), votes };
            row.scores.remove(METRIC);
            row.scores.extend(judged.verdict().map(|good| (METRIC.to_owned(), if good { 1.0 } else { 0.0 })));
            row.judge = Some(judged);
        }
        Ok(open.len())
    }

    /// The votes on each question; bad without asking where there is none.
    ///
    /// # Errors
    /// As [`Judge::judge_rows`].
    pub fn ask(
        &self,
        questions: &[Option<Question>],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<Vec<Option<bool>>>> {
        // Models that give the same answer are asked about once.
        let (mut ballots, mut seen) = (Vec::new(), BTreeSet::new());
        for question in questions.iter().flatten() {
            for vote in 0..self.votes {
                let key = self.key(question, vote);
                if self.cached(&key).is_none() && seen.insert(key.clone()) {
                    ballots.push(Ballot { key, question, vote });
                }
            }
        }
        self.poll(&ballots, progress)?;
        let votes = |question: &Option<Question>| match question {
            None => vec![Some(false); self.votes],
            Some(question) => {
                (0..self.votes).map(|vote| self.cached(&self.key(question, vote)).flatten()).collect()
            }
        };
        Ok(questions.iter().map(votes).collect())
    }

    /// Asks for all votes, several at a time; the first failure ends it.
    fn poll(&self, ballots: &[Ballot<'_>], progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        let (next, done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let work = || -> Result<()> {
            while !failed.load(Ordering::Relaxed) {
                let Some(ballot) = ballots.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let cast = self.cast(ballot).and_then(|(vote, reply)| {
                    let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
                    Ok(cache.insert(&ballot.key, vote, &reply)?)
                });
                cast.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, ballots.len());
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads = self.concurrency.clamp(1, ballots.len().max(1));
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let results = workers.into_iter().map(|worker| worker.join().expect("a worker does not panic"));
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// One vote: what could be read of the reply, and the reply.
    fn cast(&self, ballot: &Ballot<'_>) -> Result<(Option<bool>, String)> {
        let path = "/chat/completions";
        let body = json!({
            "model": self.manner.model,
            "messages": [
                {"role": "system", "content": WRAPPER},
                {"role": "user", "content": ballot.question.text()},
            ],
            "temperature": self.manner.temperature,
            "max_tokens": self.manner.max_tokens,
            "seed": ballot.vote,
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
        // A thought that was cut off may have named both verdicts.
        let vote = if choice["finish_reason"] == "length" { None } else { wrapper::verdict(content) };
        Ok((vote, content.to_owned()))
    }

    fn cached(&self, key: &str) -> Option<Option<bool>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    /// What a vote is found by in the cache.
    fn key(&self, question: &Question, vote: usize) -> String {
        let Manner { model, wrapper, temperature, max_tokens, .. } = &self.manner;
        let all = json!([model, wrapper, question.text(), temperature, max_tokens, vote]);
        hex(&Sha256::digest(all.to_string()))
    }
}

impl Manner {
    /// The manner of the judge of this name with these criteria.
    pub fn new(model: &str, criteria: &str, temperature: f64, max_tokens: usize) -> Manner {
        Manner {
            model: model.to_owned(),
            wrapper: wrapper::name(),
            criteria_sha256: hex(&Sha256::digest(criteria)),
            temperature,
            max_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_the_readable_votes_decide() {
        let verdict = |votes: &[Option<bool>]| {
            Judged { manner: Manner::new("m", "c", 0.0, 1024), votes: votes.to_vec() }.verdict()
        };
        let (good, bad) = (Some(true), Some(false));
        assert_eq!(verdict(&[good, bad, good]), Some(true));
        assert_eq!(verdict(&[bad, None, None]), Some(false));
        assert_eq!(verdict(&[good, bad, None]), None);
        assert_eq!(verdict(&[None]), None);
        assert_eq!(verdict(&[]), None);
    }
}
