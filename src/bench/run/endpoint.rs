//! A model behind an OpenAI-compatible server that answers the cases of a data set.
//!
//! The request holds either a prompt rendered here, with the same hash as that of local rows, or messages and tools,
//! and then the server renders the prompt. The server's file and settings are not known, so its rows hold its own
//! description of itself in their place.

mod prompts;
mod request;
mod served;
mod tokenize;

pub use prompts::Template;
pub use served::identify;

use super::{
    Settings, host,
    row_builder::{Answer, ModelFacts, RowBuilder},
};
use crate::{
    bench::{
        Error, Result,
        data::{Case, Dataset, published},
        row::{Cost, Rendering, Role, Row, RowFile, RowKey, Served, Variant},
    },
    chat::{self, Message},
    http::Client,
};
use request::Request;
use serde_json::Value;
use std::path::Path;

/// Renderer of the prompts: edgecall or the server.
pub enum Prompts<'p> {
    /// This program, with the model's chat template.
    Ours(&'p Template),
    /// The server.
    Servers,
}

/// A model behind a server, with the cases and limits of a run.
pub struct Endpoint<'s> {
    /// The server.
    pub client: &'s Client,
    /// Name of the model on the server.
    pub model: String,
    /// The server's description of itself, from [`identify`].
    pub server: String,
    /// Renderer of the prompts: edgecall or the server.
    pub prompts: Prompts<'s>,
    /// The data.
    pub dataset: &'s Dataset,
    /// Cases to run, as indices into [`Dataset::cases`].
    pub cases: Vec<usize>,
    /// Role of its rows in the comparison.
    pub role: Role,
    /// Settings that all rows of the run share; a server decodes freely, whatever the modes.
    pub settings: Settings,
}

impl Endpoint<'_> {
    /// Number of rows that a complete run has.
    pub fn row_count(&self) -> usize {
        self.cases.len()
    }

    /// Makes the rows that are missing from `done` and passes each to `sink`, in order. Call [`Endpoint::check`] first.
    ///
    /// # Errors
    /// A prompt that cannot be rendered, a server that does not answer, and any error of `sink`.
    pub fn run(&self, done: &RowFile, sink: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let (done, variant) = (done.done(), self.variant());
        let builder = RowBuilder::new(self.dataset, &self.settings);
        let mut plain = false;
        for &index in &self.cases {
            let case = &self.dataset.cases[index];
            if !done.contains_key(&(variant.clone(), case.conversation, case.turn)) {
                let answer = self.answer(case, variant.clone(), &mut plain)?;
                sink(builder.row(case, self.facts(), answer))?;
            }
        }
        Ok(())
    }

    /// Asks for one answer. `plain` is true once the server has refused fields beyond OpenAI's API.
    fn answer(&self, case: &Case, variant: Variant, plain: &mut bool) -> Result<Answer> {
        let mut request = self.request(case)?;
        let parts = request.parts();
        if !parts.is_empty()
            && let Some(tokens) = tokenize::tokens(self.client, &self.model, parts)?
        {
            request = request.with_tokens(tokens);
        }
        let reply = request.send(self.client, plain)?;
        let cost = Cost {
            host: host(),
            prompt_tokens: reply.prompt_tokens,
            computed_tokens: reply.computed_tokens,
            generated_tokens: reply.generated_tokens,
            wall_s: reply.seconds,
            ..Cost::default()
        };
        Ok(Answer {
            key: RowKey { variant, prompt_sha256: request.sha256, kernels: String::new() },
            text: reply.text,
            dialect: match self.prompts {
                Prompts::Ours(template) => Some(template.dialect().clone()),
                Prompts::Servers => None,
            },
            tokens: Vec::new(),
            finish: reply.finish,
            cost,
            divergence: None,
        })
    }

    /// Facts about the model, for its rows.
    fn facts(&self) -> ModelFacts {
        ModelFacts {
            name: self.model.clone(),
            checkpoint: published::checkpoint(&self.model),
            file_bytes: 0,
            bits_per_weight: None,
            role: self.role,
        }
    }

    fn request(&self, case: &Case) -> Result<Request> {
        Ok(match self.prompts {
            Prompts::Ours(template) => {
                let prompt = template.prompt(self.dataset, case)?;
                Request::completion(&self.model, prompt, self.settings.max_tokens, template.ends())
            }
            Prompts::Servers => Request::chat(&self.model, self.dataset, case, self.settings.max_tokens),
        })
    }

    /// The cases in which a message spells special tokens such as `<|im_end|>` and this server reads them as such, unlike
    /// a local model: it renders the prompt itself, its tokenizer is not known, or it has no `/tokenize`. The server is
    /// asked only if there are such cases.
    ///
    /// # Errors
    /// A prompt that cannot be rendered, or a server that does not answer.
    pub fn misread(&self) -> Result<Vec<&Case>> {
        let knows_specials = matches!(self.prompts, Prompts::Ours(template) if template.knows_specials());
        let mut found = Vec::new();
        for case in self.cases.iter().map(|&index| &self.dataset.cases[index]) {
            let spells = match knows_specials {
                true => !self.request(case)?.parts().is_empty(),
                false => case.messages().iter().any(spells_special),
            };
            found.extend(spells.then_some(case));
        }
        if knows_specials && !found.is_empty() && tokenize::tokens(self.client, &self.model, ["a"])?.is_some()
        {
            found.clear();
        }
        Ok(found)
    }

    fn variant(&self) -> Variant {
        let rendering = match self.prompts {
            Prompts::Ours(_) => Rendering::Ours,
            Prompts::Servers => Rendering::Server,
        };
        let served = Served { model: self.model.clone(), server: self.server.clone(), rendering };
        Variant::served(served, self.settings.max_tokens)
    }

    /// Checks that this run may append to `done`, the rows of the file at `path`.
    ///
    /// # Errors
    /// [`Error::OtherKey`] if those rows are of other data, another primary metric, or another server, role or prompt
    /// for the same model; also a prompt that cannot be rendered.
    pub fn check(&self, path: &Path, done: &RowFile) -> Result<()> {
        let (data, variant) = (self.dataset.identity(), self.variant());
        let cases = &self.dataset.cases;
        let prompt = |row: &Row| {
            let case = cases.iter().find(|case| (case.conversation, case.turn) == row.case());
            case.map(|case| self.request(case).map(|request| request.sha256)).transpose()
        };
        for (row, &line) in done.rows.iter().zip(&done.lines) {
            let served = row.key.variant.endpoint.as_ref();
            let same_model = served.filter(|served| {
                Some(&served.model) == variant.endpoint.as_ref().map(|ours| &ours.model)
                    && Some(served.rendering) == variant.endpoint.as_ref().map(|ours| ours.rendering)
            });
            let problem = if row.data != data {
                "the data are others".to_owned()
            } else if row.primary != self.settings.primary {
                format!("the primary metric is {}, not {}", row.primary, self.settings.primary)
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
            return Err(Error::OtherKey { path, line, other, problem });
        }
        Ok(())
    }
}

/// True if the text of a message that the model did not write looks like special tokens.
fn spells_special(message: &Message) -> bool {
    message.role() != chat::Role::Assistant && message.content().is_some_and(tokenize::spells_special)
}

/// The value as an unsigned integer; 0 if it is not one.
fn count(value: &Value) -> usize {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
}
