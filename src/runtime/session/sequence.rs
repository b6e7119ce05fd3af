//! One sequence of tokens in a context: what belongs to it alone. Its functions take the context that it lives in, so
//! that several sequences can share one.

use super::checkpoints::Checkpoints;
use super::context::SessionContext;
use super::open::N_BATCH;
use crate::runtime::Error;

/// The tokens of one sequence that were decoded in a context.
pub(super) struct SequenceState {
    /// llama.cpp's `seq_id` in its context.
    pub id: i32,
    /// Number of tokens in the context.
    pub n_past: usize,
    /// The decoded tokens, by position.
    pub tokens: Vec<i32>,
    /// Number of the decode with the logits, and their row in it.
    pub logits: Option<(u64, usize)>,
    /// Drafted tokens that were decoded after `tokens` and are not part of the text yet; the rows after that of the
    /// logits are theirs.
    pub ahead: Vec<i32>,
    /// States to which a memory that cannot be cut goes back.
    checkpoints: Checkpoints,
}

impl SequenceState {
    /// An empty sequence.
    pub fn new(id: i32) -> SequenceState {
        SequenceState {
            id,
            n_past: 0,
            tokens: Vec::new(),
            logits: None,
            ahead: Vec::new(),
            checkpoints: Checkpoints::default(),
        }
    }

    /// Appends `tokens`, and decodes `draft` in the same batch as the last of them; see
    /// [`Session::append_drafted`](super::Session::append_drafted).
    pub fn append(
        &mut self,
        context: &mut SessionContext<'_>,
        tokens: &[i32],
        draft: &[i32],
    ) -> Result<usize, Error> {
        let known = self.ahead.iter().zip(tokens).take_while(|(guess, token)| guess == token).count();
        if tokens.len() > context.n_ctx - self.n_past {
            return Err(Error::ContextFull { n_ctx: context.n_ctx });
        }
        if known > 0 {
            self.tokens.extend(self.ahead.drain(..known));
            self.n_past += known;
            self.logits = self.logits.map(|(decode, row)| (decode, row + known));
        }
        let tokens = &tokens[known..];
        if tokens.is_empty() {
            return Ok(0);
        }
        self.forget_guesses(context)?;
        // llama.cpp may have reduced n_batch, and it aborts on a larger batch.
        let n_batch = N_BATCH.min(context.n_batch());
        let mut chunks = tokens.chunks(n_batch).peekable();
        let mut decoded = 0;
        while let Some(chunk) = chunks.next() {
            let room = (context.n_ctx - self.n_past - chunk.len()).min(n_batch - chunk.len());
            let guesses =
                if chunks.peek().is_none() && context.can_be_cut { room.min(draft.len()) } else { 0 };
            self.decode(context, chunk, &draft[..guesses])?;
            decoded += chunk.len() + guesses;
        }
        Ok(decoded)
    }

    /// The logits after the last token; empty before the first, and after a decode of another sequence.
    pub fn logits<'c>(&self, context: &'c SessionContext<'_>) -> &'c [f32] {
        let row = self.logits.filter(|(decode, _)| *decode == context.decodes).map(|(_, row)| row);
        row.and_then(|row| context.logits(row)).unwrap_or_default()
    }

    /// Removes all but the first `n_past` tokens, at least one, and decodes the last kept one again for its logits.
    ///
    /// A memory that cannot be cut goes back to a checkpoint. Tokens behind the last checkpoint are decoded again one at
    /// a time, as in exact decoding; those between two checkpoints, a piece of the prompt, together, as they were.
    pub fn rewind(&mut self, context: &mut SessionContext<'_>, n_past: usize) -> Result<(), Error> {
        let n_past = n_past.min(self.n_past);
        if n_past == 0 {
            return Err(Error::Rewind { n_past });
        }
        if context.can_be_cut {
            let last = self.tokens[n_past - 1];
            self.remove(context, n_past - 1)?;
            return self.decode(context, &[last], &[]);
        }
        let (is_behind, start) = (n_past > self.checkpoints.last(), self.checkpoints.before(n_past));
        let again = self.tokens[start..n_past].to_vec();
        self.remove(context, start)?;
        if is_behind && start > 0 {
            again.iter().try_for_each(|&token| self.append(context, &[token], &[]).map(drop))
        } else {
            self.append(context, &again, &[]).map(drop)
        }
    }

    /// Removes all but the first `n_past` tokens without decoding.
    pub fn cut(&mut self, context: &mut SessionContext<'_>, n_past: usize) -> Result<(), Error> {
        if n_past >= self.n_past {
            return self.forget_guesses(context);
        }
        self.remove(context, n_past)
    }

    /// True if [`SequenceState::cut`] can cut there.
    pub fn can_be_cut_at(&self, context: &SessionContext<'_>, n_past: usize) -> bool {
        context.can_be_cut || n_past == 0 || n_past >= self.n_past || self.checkpoints.at(n_past).is_some()
    }

    /// Keeps the state after the last token, if the memory cannot be cut without it.
    pub fn keep_checkpoint(&mut self, context: &mut SessionContext<'_>) {
        if context.can_be_cut || self.n_past <= self.checkpoints.last() {
            return;
        }
        if let Some(state) = context.with(|raw| raw.recurrent_state(self.id)) {
            self.checkpoints.add(self.n_past, state);
        }
    }

    fn remove(&mut self, context: &mut SessionContext<'_>, n_past: usize) -> Result<(), Error> {
        self.logits = None;
        self.ahead.clear();
        let is_cut = match self.checkpoints.at(n_past) {
            _ if n_past == 0 => {
                context.clear(self.id);
                true
            }
            _ if context.can_be_cut => context.cut(self.id, n_past),
            // Nothing was removed: the sequence stays as it is.
            None => return Err(Error::Rewind { n_past }),
            Some(state) => context.cut_to(self.id, n_past, state),
        };
        let n_past = if is_cut { n_past } else { 0 };
        self.n_past = n_past;
        self.tokens.truncate(n_past);
        self.checkpoints.cut(n_past);
        if is_cut { Ok(()) } else { Err(Error::Rewind { n_past }) }
    }

    /// Removes drafted tokens from the context.
    pub fn forget_guesses(&mut self, context: &mut SessionContext<'_>) -> Result<(), Error> {
        if self.ahead.is_empty() {
            return Ok(());
        }
        self.ahead.clear();
        if context.cut(self.id, self.n_past) { Ok(()) } else { Err(Error::Rewind { n_past: self.n_past }) }
    }

    fn decode(
        &mut self,
        context: &mut SessionContext<'_>,
        tokens: &[i32],
        guesses: &[i32],
    ) -> Result<(), Error> {
        self.logits = None;
        let last = tokens.len() - 1;
        let together;
        let all = if guesses.is_empty() {
            tokens
        } else {
            together = [tokens, guesses].concat();
            &together
        };
        context.decode(self.id, all, self.n_past, last)?;
        self.n_past += tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.ahead.extend_from_slice(guesses);
        self.logits = Some((context.decodes, last));
        Ok(())
    }
}
