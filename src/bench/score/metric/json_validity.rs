//! Validity of the answer as JSON.

use super::{Metric, Pair, one_if};

/// 1 if there is complete JSON at the position of the call, even if it is not a call.
pub struct JsonValidity;

impl Metric for JsonValidity {
    fn name(&self) -> &'static str {
        "json_validity"
    }

    fn about(&self) -> &'static str {
        "the share of answers with complete JSON in the place of a call, right or wrong"
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn needs_label(&self) -> bool {
        false
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        one_if(pair.raw.map_or_else(|error| error.is_json(), |()| true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_own_text_is_looked_at_where_it_was_kept() {
        let score = |prediction: &str, raw| JsonValidity.score(&Pair::new("", prediction, raw, None));
        assert_eq!(score("", None), Some(0.0));
        assert_eq!(score("", Some(r#"{"name": 3}"#)), Some(1.0));
        assert_eq!(score("", Some(r#"{"name": "f""#)), Some(0.0));
        assert_eq!(score(r#"{"name": "f"}"#, None), Some(1.0));
    }
}
