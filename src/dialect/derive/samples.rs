//! Values of each type, and the encoding that writes all of them.

use super::object::styles;
use crate::dialect::{Elements, Encoding, JsonStyle, Nested};
use serde_json::{Value, json};

/// The values to ask with, by type: strings (the first one is the plain word), numbers, booleans, null, lists, objects.
pub(super) fn values(word: &str) -> [Vec<Value>; 6] {
    [
        vec![
            json!(word),
            json!("it's"),
            json!("say \"hi\""),
            json!("it's \"so\""),
            json!("a\\b\\"),
            json!("one\ntwo"),
            json!(" x "),
            json!("\none\n"),
            json!(""),
            json!("<b>x & y</b>"),
            json!("Zürich 🙂"),
            json!("42"),
            json!("[1, {}]"),
        ],
        vec![json!(70_531), json!(0), json!(-3), json!(1.5), json!(-0.0), json!(1e300), json!(1e-7)],
        vec![json!(true), json!(false)],
        vec![json!(null)],
        vec![
            json!([1, "x", 2.5]),
            json!([]),
            json!(["it's", "say \"hi\"", "ü"]),
            json!([true, null, [false]]),
            json!([{"b": "x", "a": 1}, {}]),
        ],
        vec![
            json!({"b": "x", "a": 1.5}),
            json!({}),
            json!({"k": "it's \"so\"", "B": {"c": [1, "ü", null]}, "a": null}),
            json!({"z": true, "y": {}}),
        ],
    ]
}

/// A value with the text from its key to the next one.
pub(super) type Region = (Value, String);

/// The texts before and after the values in `regions` if `encoding` writes all of them. Of several ways, the one that
/// ends in `after`.
pub(super) fn fit(regions: &[Region], encoding: &Encoding, after: Option<&str>) -> Option<(String, String)> {
    let (value, region) = regions.first()?;
    let text = encoding.write(value)?;
    let mut found = None;
    for (at, _) in region.match_indices(&text) {
        let (before, behind) = (&region[..at], &region[at + text.len()..]);
        let fits = |(value, region): &Region| {
            let middle = region.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            middle.is_some() && middle == encoding.write(value).as_deref()
        };
        if regions.iter().all(fits) {
            let pair = (before.to_owned(), behind.to_owned());
            if after.is_none_or(|after| behind == after) {
                return Some(pair);
            }
            found = found.or(Some(pair));
        }
    }
    found
}

/// The first of `encodings` that writes all values in `regions`, with the texts around them.
pub(super) fn first_fit(
    regions: &[Region],
    encodings: impl IntoIterator<Item = Encoding>,
    after: Option<&str>,
) -> Option<(Encoding, String, String)> {
    encodings.into_iter().find_map(|encoding| {
        fit(regions, &encoding, after).map(|(before, behind)| (encoding, before, behind))
    })
}

/// Encodings of strings, the likely ones first.
pub(super) fn of_strings() -> Vec<Encoding> {
    vec![
        Encoding::Raw,
        Encoding::RawTrimmed,
        Encoding::RawOrCdata,
        Encoding::Json(JsonStyle::Spaced),
        Encoding::Json(JsonStyle::Ascii),
        Encoding::Python,
        Encoding::PythonString { escaped: true },
    ]
}

/// Encodings of numbers, booleans and null.
pub(super) fn of_scalars() -> Vec<Encoding> {
    vec![Encoding::Json(JsonStyle::Spaced), Encoding::Python]
}

/// Encodings of lists and objects, where strings stand between `delimiter`s.
pub(super) fn of_containers(delimiter: Option<&str>, before_tag: &str) -> Vec<Encoding> {
    let mut all: Vec<Encoding> = vec![Encoding::Json(JsonStyle::Spaced), Encoding::Python];
    if let Some(delimiter) = delimiter {
        for null in ["null", "None"] {
            for sorted in [true, false] {
                let (delimiter, null) = (delimiter.to_owned(), null.to_owned());
                all.push(Encoding::Nested(Nested { delimiter, null, sorted }));
            }
        }
    }
    all.extend(styles().skip(1).map(Encoding::Json));
    for (python, drops_null) in [(false, false), (false, true), (true, false), (true, true)] {
        let (item, before_tag) = ("item".to_owned(), before_tag.to_owned());
        all.push(Encoding::Elements(Elements { item, before_tag, python, drops_null }));
    }
    all
}
