//! Step 3, constrain: request and dialect -> the form of the answer, with its grammar and its parser.

use super::{Call, Result, prompt::Prompt, response_format::ResponseFormat};

/// The form of the answer that the request asks for.
pub(super) fn constrain<'c>(call: &Call<'c>, prompt: &Prompt) -> Result<ResponseFormat<'c>> {
    ResponseFormat::new(call.request, prompt.dialect.as_ref())
}
