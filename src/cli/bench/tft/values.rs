//! Values of the options.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::bench::{Mode, Split, score::metric::METRICS};

pub(super) fn modes() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(Mode::name))
        .map(|name| Mode::ALL.into_iter().find(|mode| mode.name() == name).expect("clap takes no other name"))
}

pub(super) fn splits() -> impl TypedValueParser<Value = Split> {
    PossibleValuesParser::new(Split::ALL.map(|(name, _)| name)).map(|name| {
        let found = Split::ALL.into_iter().find(|(known, _)| *known == name);
        found.expect("clap takes no other name").1
    })
}

pub(super) fn metrics() -> PossibleValuesParser {
    PossibleValuesParser::new(METRICS.iter().map(|metric| metric.name()))
}

pub(super) fn shard(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("expected I/N with I from 1 to N, such as 2/3".into()),
    }
}

pub(super) fn points(text: &str) -> Result<f64, String> {
    let points = text.parse().ok().filter(|points: &f64| *points > 0.0 && *points < 100.0);
    points.ok_or_else(|| "expected points between 0 and 100, such as 3".into())
}

pub(super) fn gate(text: &str) -> Result<(String, f64), String> {
    let parts = text.split_once('=').and_then(|(name, x)| Some((name, x.parse().ok()?)));
    let Some((name, least)) = parts.filter(|(_, x): &(_, f64)| (0.0..=1.0).contains(x)) else {
        return Err("expected METRIC=X with X from 0 to 1, such as staged_tool_call=0.7".into());
    };
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name()).collect();
    match names.contains(&name) {
        true => Ok((name.to_owned(), least)),
        false => Err(format!("`{name}` is no metric; there are {}", names.join(", "))),
    }
}
