//! Arguments that are written key by key.

use super::{
    Around, NotDerived,
    cut::{common, common_end, marks_in},
    frame::{cut_at, is_xml_of},
    probe::{Ask, Call, Probe},
    samples::{self, Region},
};
use crate::dialect::{Arguments, ByType, Encoding, KeyForm, Members, Piece, ValueForm};
use serde_json::Value;

/// Stands for the key of an argument in the text around its value. No template writes it.
const ECHO: char = '\0';

/// Facts that three arguments of plain text show.
struct Skeleton {
    /// Before the first key.
    head: String,
    /// Between a key and a text.
    before: String,
    /// After the last text, with [`ECHO`].
    tail: String,
}

/// The frame and the members.
///
/// # Errors
/// See [`NotDerived`].
pub(super) fn find(probe: &Probe<'_>) -> Result<Around, NotDerived> {
    let three = skeleton(probe)?;
    let ends = Ends::new(probe, &three)?;
    let key = key_form(probe, &three);
    let sorted = is_sorted(probe)?;
    let (values, separator) = values(probe, &ends)?;
    // What closes the text itself, such as a quote, is part of its encoding.
    let word = probe.words.value(1);
    let text = values.string.encoding.write(&Value::String(word.clone())).unwrap_or_default();
    let quote = text.split_once(&word).map_or("", |(_, quote)| quote);
    let after = format!("{quote}{}", with_echo(&values.string.after));
    let close = match ends.close.strip_prefix(&after) {
        Some(close) => close.to_owned(),
        None => {
            return Err(NotDerived::Disagree("the end of the last argument is unlike the others'".into()));
        }
    };
    if close.contains(ECHO) || separator.contains(ECHO) {
        return Err(NotDerived::Disagree("a key comes again behind its argument".into()));
    }
    let mut members = Members { open: ends.open, separator, close, key, sorted, values };
    if key == KeyForm::Json {
        quotes_to_keys(&mut members);
    }
    Ok(Around { head: ends.first, tail: ends.last, arguments: Arguments::Members(members) })
}

fn turn(probe: &Probe<'_>, call: &Call) -> Result<String, NotDerived> {
    Ok(probe.turn(&Ask::calls(std::slice::from_ref(call))).map_err(NotDerived::Fails)?.turn)
}

/// The text in `text` from `at` up to the next `word`, and the offset behind that.
fn up_to<'t>(text: &'t str, at: usize, word: &str) -> Result<(&'t str, usize), NotDerived> {
    match text[at..].find(word) {
        Some(found) => Ok((&text[at..at + found], at + found + word.len())),
        None => Err(NotDerived::NoArguments),
    }
}

fn skeleton(probe: &Probe<'_>) -> Result<Skeleton, NotDerived> {
    let words = &probe.words;
    let call = probe.call((1..=3).map(|nth| (words.key(nth), words.value(nth).into())));
    let text = turn(probe, &call)?;
    let (mut at, mut gaps) = (0, Vec::new());
    let mut keys = vec![1, 2, 3];
    keys.sort_by_key(|nth| text.find(&words.key(*nth)));
    for nth in &keys {
        let (before_key, behind) = up_to(&text, at, &words.key(*nth))?;
        let (before, end) = up_to(&text, behind, &words.value(*nth))?;
        gaps.push((before_key.to_owned(), before.to_owned()));
        at = end;
    }
    let echo = |text: &str, nth: usize| text.replace(&words.key(keys[nth]), &ECHO.to_string());
    let [first, second, third] = gaps.as_slice() else { return Err(NotDerived::NoArguments) };
    let between = [echo(&second.0, 0), echo(&third.0, 1)];
    if between[0] != between[1] {
        return Err(NotDerived::Disagree("the texts between arguments differ".into()));
    }
    if echo(&first.1, 0) != echo(&second.1, 1) || echo(&second.1, 1) != echo(&third.1, 2) {
        return Err(NotDerived::Disagree("the texts between keys and values differ".into()));
    }
    Ok(Skeleton { head: first.0.clone(), before: echo(&first.1, 0), tail: echo(&text[at..], 2) })
}

/// The texts that go away without arguments.
struct Ends {
    first: String,
    open: String,
    /// With [`ECHO`].
    close: String,
    last: String,
}

impl Ends {
    fn new(probe: &Probe<'_>, three: &Skeleton) -> Result<Ends, NotDerived> {
        let one = turn(probe, &probe.plain_call())?;
        let (head, behind) = up_to(&one, 0, &probe.words.key(1))?;
        let (_, end) = up_to(&one, behind, &probe.words.value(1))?;
        let tail = one[end..].replace(&probe.words.key(1), &ECHO.to_string());
        if head != three.head || tail != three.tail {
            return Err(NotDerived::Disagree("one argument is written unlike three".into()));
        }
        let none = turn(probe, &probe.call([]))?;
        let start = common(head, &none);
        let rest = &none[start..];
        let end = common_end(&tail, rest);
        if end < rest.len() {
            return Err(NotDerived::Disagree("a call without arguments is framed otherwise".into()));
        }
        let split = tail.len() - end;
        let (mut start, mut split) = (start, split);
        // `<function=f>` and `</function>` begin alike: the frame is not cut inside a mark.
        let inside = |at: usize| {
            let open = head[..at].rfind('<').filter(|open| !head[*open..at].contains('>'));
            open.or_else(|| {
                marks_in(head).find(|mark| mark.start < at && at < mark.end).map(|mark| mark.start)
            })
        };
        if let Some(from) = inside(start)
            && tail[..split].ends_with(&head[from..start])
        {
            split -= start - from;
            start = from;
        }
        Ok(Ends {
            first: head[..start].to_owned(),
            open: head[start..].to_owned(),
            close: tail[..split].to_owned(),
            last: tail[split..].to_owned(),
        })
    }
}

/// True if keys come out in alphabetical order whatever order they have.
fn is_sorted(probe: &Probe<'_>) -> Result<bool, NotDerived> {
    let words = &probe.words;
    let text = turn(probe, &probe.call([2, 1].map(|nth| (words.key(nth), words.value(nth).into()))))?;
    Ok(text.find(&words.key(1)) < text.find(&words.key(2)))
}

fn key_form(probe: &Probe<'_>, three: &Skeleton) -> KeyForm {
    let odd = format!("{}\"&<", probe.words.key(1));
    let text = turn(probe, &probe.call([(odd.clone(), probe.words.value(1).into())])).unwrap_or_default();
    let is_call = three.before.trim_end_matches(['\'', '"']) == "=" && three.head.ends_with('(');
    match () {
        () if is_call => KeyForm::Identifier,
        () if text.contains(&odd) => KeyForm::Plain,
        () if text.contains(&odd.replace('"', "\\\"")) && three.head.ends_with('"') => KeyForm::Json,
        () if is_xml_of(&text, &odd) => KeyForm::Xml,
        () => KeyForm::Plain,
    }
}

/// Moves the quotes around keys from the text around them to the keys.
fn quotes_to_keys(members: &mut Members) {
    let cut = |text: &mut String| {
        if text.ends_with('"') {
            text.pop();
        }
    };
    cut(&mut members.open);
    cut(&mut members.separator);
    let ByType { string, number, boolean, null, array, object } = &mut members.values;
    for form in [string, number, boolean, null, array, object] {
        if let Some(Piece::Text(text)) = form.before.first_mut()
            && let Some(rest) = text.strip_prefix('"')
        {
            *text = rest.to_owned();
        }
    }
}

/// An encoding with the texts around values.
type Fitted = (Encoding, String, String);

/// The forms of values, and the text between arguments.
fn values(probe: &Probe<'_>, ends: &Ends) -> Result<(ByType<ValueForm>, String), NotDerived> {
    let [strings, numbers, booleans, nulls, lists, objects] = samples::values(&probe.words.value(1));
    let ask = |values: Vec<Value>| regions(probe, values);
    let missing = |what: &str| NotDerived::Encoding(what.to_owned());
    let number = samples::first_fit(&ask(numbers)?.0, samples::of_scalars(), None);
    let number = number.ok_or_else(|| missing("numbers"))?;
    let after = Some(number.2.as_str());
    let string = strings_fit(&ask(strings)?.0, &number).ok_or_else(|| missing("strings"))?;
    let delimiter = match &string.0 {
        Encoding::Delimited { delimiter } => Some(delimiter.as_str()),
        _ => None,
    };
    let before_tag = string.2.split_once(&format!("</{ECHO}")).map_or("", |(before, _)| before).to_owned();
    let fitted = |values: Vec<Value>, encodings: Vec<Encoding>, what: &str| {
        let (regions, omitted) = ask(values)?;
        if omitted {
            return Ok((Encoding::Omitted, number.1.clone(), number.2.clone()));
        }
        samples::first_fit(&regions, encodings, after).ok_or_else(|| missing(what))
    };
    let containers = || samples::of_containers(delimiter, &before_tag);
    let boolean = fitted(booleans, samples::of_scalars(), "booleans")?;
    let null = fitted(nulls, samples::of_scalars(), "null")?;
    let array = fitted(lists, containers(), "lists")?;
    let object = fitted(objects, containers(), "objects")?;
    let all = ByType { string, number: number.clone(), boolean, null, array, object };
    Ok(forms(all, ends))
}

/// The encoding of strings. A text that stands on both sides of them and of no number delimits them.
fn strings_fit(regions: &[Region], number: &Fitted) -> Option<Fitted> {
    let (encoding, before, behind) = samples::first_fit(regions, samples::of_strings(), None)?;
    if encoding != Encoding::Raw {
        return Some((encoding, before, behind));
    }
    let delimiter = before.strip_prefix(number.1.as_str()).zip(behind.strip_suffix(number.2.as_str()));
    match delimiter {
        Some((open, close)) if !open.is_empty() && open == close => {
            let encoding = match open {
                "'" => Encoding::PythonString { escaped: false },
                _ => Encoding::Delimited { delimiter: open.to_owned() },
            };
            Some((encoding, number.1.clone(), number.2.clone()))
        }
        _ => Some((encoding, before, behind)),
    }
}

/// The forms by type, and the text between arguments that all of them end with.
fn forms(all: ByType<Fitted>, ends: &Ends) -> (ByType<ValueForm>, String) {
    let string = &all.string.2;
    let separator = if string.contains(ECHO) {
        // What the end of the last argument has, too, belongs to the argument.
        string[common(string, &ends.close)..].to_owned()
    } else {
        let others = [&all.number, &all.boolean, &all.null, &all.array, &all.object];
        let same = others.iter().map(|fitted| common_end(string, &fitted.2)).min().unwrap_or(0);
        let from = string.len() - same;
        let from = marks_in(string).find(|mark| mark.start < from && from < mark.end).map_or(from, |m| m.end);
        string[from..].to_owned()
    };
    let form = |(encoding, before, behind): Fitted| ValueForm {
        before: with_keys(&before),
        encoding,
        after: with_keys(behind.strip_suffix(&separator).unwrap_or(&behind)),
    };
    let ByType { string, number, boolean, null, array, object } = all;
    let forms = ByType {
        string: form(string),
        number: form(number),
        boolean: form(boolean),
        null: form(null),
        array: form(array),
        object: form(object),
    };
    (forms, separator)
}

fn with_keys(text: &str) -> Vec<Piece> {
    cut_at(text, &[(ECHO.to_string(), Piece::Key)])
}

fn with_echo(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        _ => ECHO.to_string(),
    };
    pieces.iter().map(text).collect()
}

/// The text from each key to the next one in a call with these values; and true if no key is there.
fn regions(probe: &Probe<'_>, values: Vec<Value>) -> Result<(Vec<Region>, bool), NotDerived> {
    let words = &probe.words;
    let key = |nth: usize| words.key(nth + 10);
    let last = values.len();
    let mut arguments: Vec<(String, Value)> =
        values.iter().enumerate().map(|(nth, value)| (key(nth), value.clone())).collect();
    arguments.push((key(last), words.value(3).into()));
    let text = turn(probe, &probe.call(arguments))?;
    if (0..last).all(|nth| !text.contains(&key(nth))) {
        return Ok((Vec::new(), true));
    }
    let (_, mut at) = up_to(&text, 0, &key(0))?;
    let mut regions = Vec::new();
    for (nth, value) in values.into_iter().enumerate() {
        let (region, end) = up_to(&text, at, &key(nth + 1))?;
        regions.push((value, region.replace(&key(nth), &ECHO.to_string())));
        at = end;
    }
    Ok((regions, false))
}
