//! Calls written in a format.

use super::{Dialect, head};
use crate::tools::ToolCall;

impl Dialect {
    /// Writes the call as the model would.
    pub fn write(&self, call: &ToolCall) -> String {
        let first = head::text(&self.first, call.name(), self.count.map_or(0, |count| count.start));
        format!("{first}{}{}", call.arguments_text(), head::text(&self.last, call.name(), 0))
    }
}
