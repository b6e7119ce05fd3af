//! Strings: terminals for patterns, formats and lengths.

use super::emitter::Emitter;
use super::shortest::{Length, bounded};
use crate::json;
use crate::schema::normal::Shape;
use crate::schema::options::Meaning;
use crate::schema::report::Status;
use crate::schema::terminal::encode::Spelling;
use crate::schema::terminal::format::{self, Format};
use crate::schema::terminal::literal::spelled;
use crate::schema::terminal::pattern;

impl Emitter<'_> {
    /// The terminal for the strings of a shape; `None` if there are none.
    pub(super) fn string(&mut self, shape: &Shape<'_>) -> Option<String> {
        let parts = self.string_parts(shape)?;
        let terminal = self.all_of(parts);
        let name = self.delimited(terminal);
        if shape.min_length > 0 {
            self.rules.lengths.add(&name, Length::Sum(bounded(shape.min_length), Vec::new()));
        }
        Some(name)
    }

    /// Terminals and complements of terminals that a string must all match; `None` if no string can.
    pub(super) fn string_parts(&mut self, shape: &Shape<'_>) -> Option<Vec<String>> {
        let spelling = self.spelling();
        let mut parts = Vec::new();
        for (id, text) in &shape.patterns {
            match pattern::conditions(text, spelling) {
                Ok(conditions) => parts.extend(conditions.into_iter().map(|(not, regex)| {
                    let terminal = self.rules.terminal(format!("/{regex}/"));
                    if not { format!("~{terminal}") } else { terminal }
                })),
                Err(why) => self.normal.relax(*id, "pattern", why.note()),
            }
        }
        for (id, name) in &shape.formats {
            match format::format(name, self.normal.meaning) {
                Format::Exact(text) => {
                    parts.push(self.rules.terminal(format!("/{}/", format::written(&text, spelling))));
                    self.normal.mark(*id, "format", Status::Enforced, "");
                }
                Format::Wider(text) => {
                    parts.push(self.rules.terminal(format!("/{}/", format::written(&text, spelling))));
                    self.normal.relax(*id, "format", "the grammar is wider than the format");
                }
                Format::Unwritten => self.normal.relax(*id, "format", "no grammar describes it"),
                Format::Unknown => {
                    self.normal.mark(*id, "format", Status::Annotation, "not a format of the standard");
                }
            }
        }
        let mut left_out = Vec::new();
        for text in &shape.not_patterns {
            let regex = pattern::written(text, spelling).ok()?;
            left_out.push(self.rules.terminal(format!("/{regex}/")));
        }
        for name in &shape.not_formats {
            let Format::Exact(text) = format::format(name, Meaning::Standard) else { return None };
            left_out.push(self.rules.terminal(format!("/{}/", format::written(&text, spelling))));
        }
        if shape.max_length.is_some_and(|most| most < shape.min_length) {
            return None;
        }
        let excluded: Vec<String> = shape
            .excluded
            .iter()
            .filter_map(|v| json::string_text(v))
            .map(|text| spelled(text, spelling))
            .collect();
        let canonical = !parts.is_empty() || !excluded.is_empty() || !left_out.is_empty();
        let character = if canonical { spelling.canonical_char() } else { spelling.any_char() };
        let quote = spelling.quote();
        let (min, max) = self.counted_lengths(shape);
        let most = max.map_or(String::new(), |n| n.to_string());
        if min > 0 || max.is_some() {
            parts.push(self.rules.terminal(format!("/{quote}{character}{{{min},{most}}}{quote}/")));
        } else if parts.is_empty() && spelling == Spelling::Python && !canonical {
            parts.push(self.any_string());
        } else if parts.is_empty() {
            parts.push(self.rules.terminal(format!("/{quote}{character}*{quote}/")));
        }
        if !excluded.is_empty() {
            parts.push(format!("~({})", excluded.join(" | ")));
        }
        parts.extend(left_out.into_iter().map(|name| format!("~{name}")));
        Some(parts)
    }
}
