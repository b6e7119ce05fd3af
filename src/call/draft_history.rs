//! Drafts from the cache: earlier answers with the same tools, and the measured costs of decodes.

use super::{Call, Result};
use crate::{
    cache::{Cache, Key},
    runtime::{Drafter, Session},
};
use serde_json::Value;

/// Entries of the cache that drafts are made with; without a cache there are none.
pub(super) struct DraftHistory<'c> {
    can_draft: bool,
    cache: Option<&'c Cache>,
    answers: Option<Key>,
    costs: Option<Key>,
}

impl<'c> DraftHistory<'c> {
    /// Finds the entries for the call's model and tools, and for the settings of `session`.
    pub(super) fn open(call: &Call<'c>, session: &Session<'_>) -> DraftHistory<'c> {
        let Call { model, request, cache, .. } = *call;
        let answers = cache
            .zip(request.tools)
            .and_then(|(cache, tools)| cache.answers_key(model, &Value::Array(tools.sources()).to_string()));
        let costs = cache.and_then(|cache| cache.costs_key(model, session));
        DraftHistory { can_draft: session.can_draft(), cache, answers, costs }
    }

    /// The drafter for an answer after `text`; it also guesses the `words` of the answer's schema. `None` if drafts are
    /// off, or if the model's memory cannot be cut after a wrong one.
    pub(super) fn drafter(
        &self,
        call: &Call<'_>,
        text: &[i32],
        words: impl FnOnce() -> Result<Vec<Vec<i32>>>,
    ) -> Result<Option<Drafter>> {
        if call.settings.exact || !self.can_draft {
            return Ok(None);
        }
        let earlier =
            self.cache.zip(self.answers).map(|(cache, key)| cache.answers(&key)).unwrap_or_default();
        let costs = self.cache.zip(self.costs).and_then(|(cache, key)| cache.costs(&key));
        match call.settings.draft.drafter(text, earlier, costs) {
            Some(drafter) => Ok(Some(drafter.with_words(words()?))),
            None => Ok(None),
        }
    }

    /// Adds a complete answer, which later ones often repeat, and the costs measured by its drafter.
    pub(super) fn keep(&self, answer: &[i32], drafter: Option<&Drafter>) {
        let Some(cache) = self.cache else { return };
        if let Some(key) = &self.answers {
            cache.add_answer(key, answer);
        }
        if let (Some(key), Some(costs)) = (&self.costs, drafter.and_then(Drafter::costs)) {
            cache.keep_costs(key, costs);
        }
    }
}
