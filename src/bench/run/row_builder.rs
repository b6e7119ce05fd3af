//! Rows of answers, of local and of served models alike.

use super::Settings;
use crate::{
    bench::{
        data::{Call, Case, DataId, Dataset, Style, json::Json, prediction},
        row::{Cost, Divergence, Role, Row, RowKey, SCHEMA_VERSION},
        score::{metric::Toolboxes, score_row},
    },
    dialect::Dialect,
    tools::ToolSet,
};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// Call formats that [`Call::parse`] reads.
const READ: &[&str] = &["hermes", "llama3", "generic"];

/// Facts about a model that its rows hold.
pub(super) struct ModelFacts {
    /// Name of the model.
    pub(super) name: String,
    /// Checkpoint of the model, if it is one with published scores.
    pub(super) checkpoint: Option<String>,
    /// Size of the file in bytes; 0 for a server.
    pub(super) file_bytes: u64,
    pub(super) bits_per_weight: Option<f64>,
    /// Role in the comparison.
    pub(super) role: Role,
}

/// An answer to one case, before it is scored.
pub(super) struct Answer {
    pub(super) key: RowKey,
    /// Raw output of the model.
    pub(super) text: String,
    /// Format of the calls in it; `None` for a format of [`Call::parse`].
    pub(super) dialect: Option<Arc<Dialect>>,
    /// Tokens of the raw output, where they are known.
    pub(super) tokens: Vec<i32>,
    pub(super) finish: String,
    pub(super) cost: Cost,
    pub(super) divergence: Option<Divergence>,
}

/// Builder of a run's rows.
pub(super) struct RowBuilder<'s> {
    settings: &'s Settings,
    data: DataId,
    toolboxes: Toolboxes<'s>,
}

impl<'s> RowBuilder<'s> {
    /// Builder of rows for the cases of `dataset`.
    pub(super) fn new(dataset: &'s Dataset, settings: &'s Settings) -> RowBuilder<'s> {
        let (data, toolboxes) = (dataset.identity(), Toolboxes::new(dataset));
        RowBuilder { settings, data, toolboxes }
    }

    /// Row of an answer to `case`, scored by every metric.
    pub(super) fn row(&self, case: &Case, model: ModelFacts, answer: Answer) -> Row {
        let read = match &answer.dialect {
            Some(dialect) => read_as(dialect, &answer.text, case.tools()).into_owned(),
            None => answer.text.clone(),
        };
        let mut row = Row {
            schema_version: SCHEMA_VERSION,
            key: answer.key,
            data: self.data.clone(),
            model: model.name,
            checkpoint: model.checkpoint,
            file_bytes: model.file_bytes,
            bits_per_weight: model.bits_per_weight,
            role: model.role,
            primary: self.settings.primary.clone(),
            margin: self.settings.margin,
            conversation: case.conversation,
            turn: case.turn,
            prompt_tail: case.last_message().to_owned(),
            gold: case.answer(Style::Student).unwrap_or_default(),
            prediction: prediction(&read, Style::Student),
            raw_output: answer.text,
            tokens: answer.tokens,
            finish: answer.finish,
            scores: BTreeMap::new(),
            call_error: None,
            judge: None,
            divergence: answer.divergence,
            cost: Some(answer.cost),
        };
        score_row(&mut row, &read, self.toolboxes.of_case(case));
        row
    }
}

/// A model's output in a format that the metrics parse: unchanged for formats of [`Call::parse`], otherwise the call
/// that `dialect` finds, in canonical form.
fn read_as<'w>(dialect: &Dialect, written: &'w str, tools: &ToolSet) -> Cow<'w, str> {
    if READ.contains(&dialect.name.as_str()) {
        return Cow::Borrowed(written);
    }
    match dialect.read_call_loosely(written, Some(tools)) {
        Ok(call) => {
            // The text and not the values: numbers may have more digits than a value keeps.
            let arguments = match Json::parse(call.arguments_text()) {
                Ok(Json::Object(arguments)) => arguments,
                _ => Default::default(),
            };
            Cow::Owned(Call { name: call.name().to_owned(), arguments }.render(Style::Student))
        }
        Err(_) => Cow::Borrowed(written),
    }
}
