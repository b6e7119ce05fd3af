//! judge-proxy v1: a deterministic substitute for the published LLM-as-a-judge.
//!
//! It was fitted to the published verdicts on the TFT restaurant conversations and is meaningless on other data.

use super::{Metric, Pair, Source, one_if};
use crate::bench::data::json::Json;

/// Caveat to print with every figure of this metric.
const CAVEAT: &str = "judge-proxy v1 (deterministic; agrees with the published gpt-oss-120b verdicts on 91.5% of \
                         234 rows, reads high by 0 to 6 points; blind to wrong facts in messages; not LLM-as-a-judge)";

/// Tools of the data that it was fitted to.
pub const TOOLS: [&str; 3] = [REPLY, "ReserveRestaurant", "FindRestaurants"];

const REPLY: &str = "respond_to_user";

/// The date on which the conversations take place.
const SESSION_DATE: &str = "2019-03-01";

/// 1 if the name is right and every argument of the reference is there with the same normalized value. Values of times,
/// dates and San Francisco match in several spellings. A message to the user needs only the right name.
pub struct JudgeProxy;

impl Metric for JudgeProxy {
    fn name(&self) -> &'static str {
        "judge_proxy"
    }

    fn about(&self) -> &'static str {
        CAVEAT
    }

    fn is_binary(&self) -> bool {
        true
    }

    fn applies_to(&self, source: Source<'_>) -> bool {
        match source {
            Source::Dataset(data) => data.is_public(),
            Source::Predictions(functions) => functions.iter().all(|function| TOOLS.contains(function)),
        }
    }

    fn caveat(&self) -> Option<&'static str> {
        Some(CAVEAT)
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        let Some((gold, predicted)) = pair.calls() else { return Some(0.0) };
        if gold.name != predicted.name {
            return Some(0.0);
        }
        let same = |(key, value): (&String, &Json)| {
            predicted.arguments.get(key).is_some_and(|other| normalized(key, other) == normalized(key, value))
        };
        one_if(gold.name == REPLY || gold.arguments.iter().all(same))
    }
}

/// Normal form of a value for comparison.
fn normalized(key: &str, value: &Json) -> String {
    let text = match value {
        Json::Text(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.trim().to_lowercase();
    let text = match key {
        "time" => clock(&text).unwrap_or(text),
        "city" if matches!(&*text, "sf" | "sfo") => "san francisco".into(),
        "date" if matches!(&*text, "today" | "tonight" | "this evening") => SESSION_DATE.into(),
        _ => text,
    };
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Reads a time of day as HH:MM from `7:30 pm`, `7pm`, `19:30`, `noon` or `midnight`; dots are ignored.
fn clock(text: &str) -> Option<String> {
    let text = text.replace('.', "");
    let text = text.trim();
    match text {
        "noon" => return Some("12:00".into()),
        "midnight" => return Some("00:00".into()),
        _ => {}
    }
    let (digits, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(digits), _) => (digits.trim_end(), Some(0)),
        (_, Some(digits)) => (digits.trim_end(), Some(12)),
        _ => (text, None),
    };
    let (hour, minute) = match digits.split_once(':') {
        Some((hour, minute)) if minute.len() == 2 => (number(hour)?, number(minute)?),
        // Without am or pm, a bare number may not be a time.
        None if half.is_some() => (number(digits)?, 0),
        _ => return None,
    };
    let hour = match half {
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        Some(_) => return None,
        None => hour,
    };
    (hour < 24 && minute < 60).then(|| format!("{hour:02}:{minute:02}"))
}

/// Reads a number of one or two digits.
fn number(digits: &str) -> Option<u32> {
    let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::score::metric::tests::score;

    #[test]
    fn times_are_read_in_the_ways_people_write_them() {
        for (text, expected) in [
            ("7:30 pm", Some("19:30")),
            ("7pm", Some("19:00")),
            ("7:30 p.m.", Some("19:30")),
            ("12 am", Some("00:00")),
            ("12:15pm", Some("12:15")),
            ("19:30", Some("19:30")),
            ("9:05", Some("09:05")),
            ("noon", Some("12:00")),
            ("midnight", Some("00:00")),
            ("7", None),
            ("25:00", None),
            ("19:30 pm", None),
            ("7:3", None),
            ("half past seven", None),
            ("+7 pm", None),
        ] {
            assert_eq!(clock(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_said_counts_and_not_how() {
        let gold = r#"{"name": "ReserveRestaurant", "arguments":
            {"city": "San Francisco", "date": "2019-03-01", "time": "19:30", "party_size": "2", "restaurant_name": "Al's Place"}}"#;
        for (prediction, expected) in [
            (
                r#"{"name": "ReserveRestaurant", "arguments": {"restaurant_name": "al s  place", "party_size": 2,
                    "time": "7:30 PM", "date": "Tonight", "city": "SF", "note": "window"}}"#,
                1.0,
            ),
            (
                r#"{"name": "ReserveRestaurant", "arguments": {"restaurant_name": "Al's Place", "time": "19:30"}}"#,
                0.0,
            ),
            (r#"{"name": "FindRestaurants", "arguments": {"city": "San Francisco"}}"#, 0.0),
            ("", 0.0),
        ] {
            assert_eq!(score("judge_proxy", gold, prediction), expected, "{prediction}");
        }
    }

    #[test]
    fn any_message_to_the_user_passes() {
        let say =
            |text: &str| format!(r#"{{"name": "respond_to_user", "arguments": {{"message": "{text}"}}}}"#);
        assert_eq!(score("judge_proxy", &say("Where?"), &say("When?")), 1.0);
        assert_eq!(score("judge_proxy", &say("Where?"), r#"{"name": "respond_to_user"}"#), 1.0);
    }
}
