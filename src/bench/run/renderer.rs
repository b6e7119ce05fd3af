//! Prompts of a data set's cases for one model.

use crate::{
    bench::{Case, Dataset, Result},
    call::{self, Format, Manner, Request, Think},
    runtime::Vocabulary,
    tools::dialect::Dialect,
};

/// Renders prompts with the model's own chat template, without reasoning.
pub(super) struct Renderer<'v> {
    vocabulary: &'v Vocabulary,
    dataset: &'v Dataset,
    manner: Manner,
}

impl<'v> Renderer<'v> {
    pub(super) fn new(vocabulary: &'v Vocabulary, dataset: &'v Dataset) -> Result<Renderer<'v>> {
        let manner = match dataset.cases.first() {
            Some(case) => {
                let conversation = dataset.conversation(case);
                let request = Request::new(&conversation, Some(&dataset.job.tools));
                Format::default().manner(vocabulary, &request, None)?
            }
            None => None,
        };
        let Some(manner) = manner else { return Err(call::Error::NoTemplate.into()) };
        Ok(Renderer { vocabulary, dataset, manner })
    }

    /// Format in which the model writes tool calls.
    pub(super) fn dialect(&self) -> &'static dyn Dialect {
        self.manner.dialect
    }

    /// Renders the prompt of a case.
    pub(super) fn prompt(&self, case: &Case) -> Result<String> {
        let conversation = self.dataset.conversation(case);
        let request = Request::new(&conversation, Some(&self.dataset.job.tools));
        Ok(Format::default().render(self.vocabulary, &request, Some(&self.manner), Think::Off)?)
    }
}
