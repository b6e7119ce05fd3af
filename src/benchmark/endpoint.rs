//! A model behind an OpenAI-compatible server, answering the cases of a data set.
//!
//! Either our own prompt is sent, whose hash is that of local rows, or the messages and tools, and the server writes
//! the prompt. Nothing is known of the server's engine but what it says, so its rows carry that in place of a file.

mod prompts;
mod request;
mod served;

pub use prompts::Template;
pub use served::identify;

use super::{
    Case, Dataset, Error, Mode, Row, RowKey,
    answer::{Style, prediction},
    metric::Toolbox,
    published,
    row::{Arm, Cost, Rendering, Role, RowFile, SCHEMA_VERSION, Served},
    run,
};
use crate::{Result, http::Client};
use prompts::Prompt;
use request::Asked;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// Who writes the prompts.
pub enum Prompts<'p> {
    /// This program, with a model's chat template.
    Ours(&'p Template),
    /// The server.
    Servers,
}

/// A model behind a server, and what it is asked.
pub struct Endpoint<'s> {
    /// The server.
    pub client: &'s Client,
    /// What the server calls the model.
    pub model: String,
    /// What the server says of itself, from [`identify`].
    pub server: String,
    /// Who writes the prompts.
    pub prompts: Prompts<'s>,
    /// The data.
    pub dataset: &'s Dataset,
    /// The cases that are run, as indices of [`Dataset::cases`].
    pub cases: Vec<usize>,
    /// What its rows are for.
    pub role: Role,
    /// The most tokens of an answer.
    pub max_tokens: usize,
    /// The metric that decides.
    pub primary: String,
    /// The loss that one could live with, as a share.
    pub margin: f64,
}

impl Endpoint<'_> {
    /// How many rows it makes.
    pub fn row_count(&self) -> usize {
        self.cases.len()
    }

    /// Makes the rows that `done` does not have yet and hands each to `sink`, in order; [`Endpoint::check`] comes first.
    ///
    /// # Errors
    /// A prompt that cannot be written, a server that gives no answer, and what `sink` says.
    pub fn run(&self, done: &RowFile, sink: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let (done, arm) = (done.done(), self.arm());
        let toolbox = Toolbox::new(&self.dataset.job.tools);
        let mut plain = false;
        for &index in &self.cases {
            let case = &self.dataset.cases[index];
            if !done.contains_key(&(arm.clone(), case.conversation, case.turn)) {
                sink(self.row(case, &arm, &toolbox, &mut plain)?)?;
            }
        }
        Ok(())
    }

    fn row(&self, case: &Case, arm: &Arm, toolbox: &Toolbox, plain: &mut bool) -> Result<Row> {
        let mut asked = self.asked(case)?;
        let answered = asked.send(self.client, plain)?;
        let read = match self.prompts {
            Prompts::Ours(template) => run::read_as(template.dialect(), &answered.text).into_owned(),
            Prompts::Servers => answered.text.clone(),
        };
        let cost = Cost {
            host: run::host(),
            prompt_tokens: answered.prompt_tokens,
            computed_tokens: answered.computed_tokens,
            generated_tokens: answered.generated_tokens,
            wall_s: answered.seconds,
            ..Cost::default()
        };
        let mut row = Row {
            schema_version: SCHEMA_VERSION,
            key: RowKey { arm: arm.clone(), prompt_sha256: asked.sha256, kernels: String::new() },
            data: self.dataset.identity(),
            model: self.model.clone(),
            checkpoint: published::checkpoint(&self.model),
            file_bytes: 0,
            bits_per_weight: None,
            role: self.role,
            primary: self.primary.clone(),
            margin: self.margin,
            conversation: case.conversation,
            turn: case.turn,
            prompt_tail: run::tail(case),
            gold: case.answer(Style::Student).unwrap_or_default(),
            prediction: prediction(&read, Style::Student),
            raw_output: answered.text,
            tokens: Vec::new(),
            finish: answered.finish,
            scores: BTreeMap::new(),
            rejection: None,
            judge: None,
            drift: None,
            cost: Some(cost),
        };
        row.rescore_read_as(&read, toolbox, self.dataset.is_public());
        Ok(row)
    }

    fn asked(&self, case: &Case) -> Result<Asked> {
        Ok(match self.prompts {
            Prompts::Ours(template) => {
                let Prompt { sent, sha256 } = template.prompt(self.dataset, case)?;
                Asked::completion(&self.model, sent, sha256, self.max_tokens, template.ends())
            }
            Prompts::Servers => Asked::chat(&self.model, self.dataset, case, self.max_tokens),
        })
    }

    fn arm(&self) -> Arm {
        let rendering = match self.prompts {
            Prompts::Ours(_) => Rendering::Ours,
            Prompts::Servers => Rendering::Server,
        };
        let served = Served { model: self.model.clone(), server: self.server.clone(), rendering };
        Arm::served(served, self.max_tokens)
    }

    /// Refuses to add to `done`, the rows of the file at `path`, where they are of another sweep, or of another server under
    /// the same name.
    ///
    /// # Errors
    /// [`Error::OtherKey`], and a prompt that cannot be written.
    pub fn check(&self, path: &Path, done: &RowFile) -> Result<()> {
        let (data, arm) = (self.dataset.identity(), self.arm());
        let cases = &self.dataset.cases;
        let prompt = |row: &Row| {
            let case = cases.iter().find(|case| (case.conversation, case.turn) == row.case());
            case.map(|case| self.asked(case).map(|asked| asked.sha256)).transpose()
        };
        for (row, &line) in done.rows.iter().zip(&done.lines) {
            let served = row.key.arm.endpoint.as_ref();
            let same_model = served.filter(|served| {
                Some(&served.model) == arm.endpoint.as_ref().map(|ours| &ours.model)
                    && Some(served.rendering) == arm.endpoint.as_ref().map(|ours| ours.rendering)
            });
            let problem = if row.data != data {
                "the data are others".to_owned()
            } else if row.primary != self.primary {
                format!("the primary metric is {}, not {}", row.primary, self.primary)
            } else if let Some(served) = same_model.filter(|served| served.server != self.server) {
                format!("the server was `{}` and is `{}`", served.server, self.server)
            } else if same_model.is_some() && row.role != self.role {
                "the reference is another model".to_owned()
            } else if same_model.is_some()
                && prompt(row)?.is_some_and(|ours: String| ours != row.key.prompt_sha256)
            {
                "the prompt is written otherwise".to_owned()
            } else {
                continue;
            };
            let (path, other) = (path.to_path_buf(), "this run".into());
            return Err(Error::OtherKey { path, line, other, problem }.into());
        }
        Ok(())
    }
}

impl Arm {
    /// The arm of a model behind a server: what is not known of it is left empty.
    pub fn served(served: Served, max_tokens: usize) -> Arm {
        Arm {
            file_sha256: String::new(),
            mode: Mode::Free,
            max_tokens,
            kv_type: String::new(),
            repack: false,
            threads: 0,
            n_ubatch: 0,
            flash_attention: false,
            engine: format!("edgecall {}", env!("CARGO_PKG_VERSION")),
            rules: 0,
            endpoint: Some(served),
        }
    }
}

/// A number that JSON has as a whole one; 0 if it has none.
fn count(value: &Value) -> usize {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
}
