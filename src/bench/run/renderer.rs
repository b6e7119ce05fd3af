//! Prompts of a data set's cases for one model.

use super::CallSettings;
use crate::{
    bench::{Case, Dataset, Result},
    call::{self, PromptTemplate, RenderedPrompt, Request, Think, ToolFormat},
    dialect::{Dialect, Wanted},
    runtime::Vocabulary,
};
use std::sync::Arc;

/// Renders prompts with the model's own chat template, or another in its place.
pub(super) struct Renderer<'v> {
    vocabulary: &'v Vocabulary,
    dataset: &'v Dataset,
    template: PromptTemplate,
    think: Think,
    tool_format: ToolFormat,
}

impl<'v> Renderer<'v> {
    pub(super) fn new(
        vocabulary: &'v Vocabulary,
        dataset: &'v Dataset,
        calls: &CallSettings,
    ) -> Result<Renderer<'v>> {
        let template = PromptTemplate { template: calls.template.clone(), ..PromptTemplate::default() };
        let tool_format = match dataset.cases.first() {
            Some(case) => {
                let conversation = dataset.conversation(case);
                let request = Request::new(&conversation, Some(case.tools()));
                template.tool_format(vocabulary, &request, &Wanted::Auto)?
            }
            None => None,
        };
        let Some(tool_format) = tool_format else { return Err(call::Error::NoTemplate.into()) };
        Ok(Renderer { vocabulary, dataset, template, think: calls.think, tool_format })
    }

    /// Format in which the model writes tool calls.
    pub(super) fn dialect(&self) -> &Arc<Dialect> {
        &self.tool_format.dialect
    }

    /// Renders the prompt of a case.
    pub(super) fn prompt(&self, case: &Case) -> Result<RenderedPrompt> {
        let conversation = self.dataset.conversation(case);
        let request = Request::new(&conversation, Some(case.tools()));
        Ok(self.template.render(self.vocabulary, &request, Some(&self.tool_format), self.think)?)
    }
}
