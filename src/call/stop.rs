//! Stop strings: texts that end a free text before them, as OpenAI's `stop`.

use super::{Error, Result};

/// Most stop strings of a request, as in OpenAI's API.
pub const MOST_STOPS: usize = 4;

/// Stop strings, at most [`MOST_STOPS`], none of them empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopStrings(Vec<String>);

impl StopStrings {
    /// The strings of a request's field or option `field`.
    ///
    /// # Errors
    /// [`Error::Field`] if there are too many, or if one is empty.
    pub fn new(field: &str, strings: Vec<String>) -> Result<StopStrings> {
        let problem = if strings.len() > MOST_STOPS {
            format!("has {} strings; up to {MOST_STOPS} can be held", strings.len())
        } else if strings.iter().any(String::is_empty) {
            "has an empty string, which would end every answer at once; leave it out".to_owned()
        } else {
            return Ok(StopStrings(strings));
        };
        Err(Error::Field { field: field.to_owned(), problem })
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The strings.
    pub fn strings(&self) -> &[String] {
        &self.0
    }

    /// Offset of the first of them in `text`, of which the first `searched` bytes hold none; `searched` is set to the
    /// length of `text` if there is none.
    pub(super) fn find(&self, text: &str, searched: &mut usize) -> Option<usize> {
        // One may begin before the end of what was searched.
        let longest = self.0.iter().map(String::len).max()?;
        let mut from = searched.saturating_sub(longest).min(text.len());
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        let first = self.0.iter().filter_map(|stop| text[from..].find(stop.as_str())).min();
        if first.is_none() {
            *searched = text.len();
        }
        first.map(|at| from + at)
    }

    /// The beginning of `text` that is part of the answer whatever follows: the rest may be the beginning of one of them.
    pub(super) fn settled<'t>(&self, text: &'t str) -> &'t str {
        let begins = |stop: &String| {
            let most = stop.len().min(text.len());
            let lengths = (1..=most).rev().filter(|&length| stop.is_char_boundary(length));
            lengths.map(|length| &stop[..length]).find(|start| text.ends_with(start)).map_or(0, str::len)
        };
        &text[..text.len() - self.0.iter().map(begins).max().unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(strings: &[&str]) -> StopStrings {
        StopStrings::new("stop", strings.iter().map(ToString::to_string).collect()).unwrap()
    }

    /// Offset at which a text that grows by `step` bytes is stopped, and what was shown of it before.
    fn stopped<'t>(stops: &StopStrings, text: &'t str, step: usize) -> (Option<usize>, &'t str) {
        let (mut searched, mut shown) = (0, "");
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end) && end % step == 0) {
            if let Some(at) = stops.find(&text[..end], &mut searched) {
                return (Some(at), shown);
            }
            let settled = stops.settled(&text[..end]);
            assert!(settled.starts_with(shown), "what was shown is taken back: {settled:?}");
            shown = settled;
        }
        (None, shown)
    }

    #[test]
    fn a_stop_string_is_found_however_the_text_is_cut_and_nothing_of_it_is_shown() {
        let text = "eins\nzwei: drei ENENDE vier";
        for step in 1..=text.len() {
            let (at, shown) = stopped(&stops(&["ENDE", "vier"]), text, step);
            if let Some(end) = at {
                assert_eq!(at, text.find("ENDE"), "{step}");
                assert!(text[..end].starts_with(shown), "{step}: {shown:?}");
            }
        }
        assert_eq!(stopped(&stops(&["ENDE"]), text, 1).0, text.find("ENDE"));
        assert_eq!(stopped(&stops(&["\n", "zwei"]), text, 7).0, Some(4));
        assert_eq!(stopped(&stops(&["fünf"]), text, 1), (None, text));
    }

    #[test]
    fn only_what_may_become_a_stop_string_is_held_back() {
        let stops = stops(&["---", "ééé"]);
        assert_eq!(stops.settled("a-b"), "a-b");
        assert_eq!(stops.settled("a-b--"), "a-b");
        assert_eq!(stops.settled("aéé"), "a");
        assert_eq!(stops.settled("é-"), "é");
        assert_eq!(stops.settled(""), "");
    }

    #[test]
    fn more_than_four_stop_strings_and_empty_ones_are_refused() {
        let five = StopStrings::new("stop", vec!["a".into(); 5]).unwrap_err().to_string();
        assert!(five.contains("`stop` has 5 strings; up to 4"), "{five}");
        let empty = StopStrings::new("stop", vec!["a".into(), String::new()]).unwrap_err().to_string();
        assert!(empty.contains("empty string"), "{empty}");
        assert!(StopStrings::default().is_empty());
    }
}
