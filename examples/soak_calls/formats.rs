//! Call formats by name, from a file, or from a chat template.

use anyhow::{Context, Result, bail};
use edgecall::{
    dialect::{self, Dialect, Source, Study, Wanted},
    schema::notation::{Form, Notation, Part, Style},
};
use std::{fs, path::Path, sync::Arc};

/// A call format under the name that the table has for it.
pub struct Format {
    pub name: String,
    pub dialect: Arc<Dialect>,
}

/// The formats in `words`, each once: names, files of formats (`.json`), or chat templates.
pub fn formats(words: &[String]) -> Result<Vec<Format>> {
    let mut all: Vec<Format> = Vec::new();
    for word in words {
        let Some(format) = format(word).with_context(|| word.clone())? else {
            eprintln!("{word}: shows no calls; left out");
            continue;
        };
        match all.iter().find(|known| same(&known.dialect, &format.dialect)) {
            Some(known) => eprintln!("{}: as {}", format.name, known.name),
            None => all.push(format),
        }
    }
    Ok(all)
}

fn format(word: &str) -> Result<Option<Format>> {
    let path = Path::new(word);
    let name = path.file_stem().map_or(word.into(), |stem| stem.to_string_lossy().into_owned());
    if let Some(dialect) = dialect::named(word) {
        return Ok(Some(Format { name: word.to_owned(), dialect }));
    }
    if path.extension().is_some_and(|extension| extension == "json") {
        let dialect = Arc::new(Dialect::parse(&fs::read(path)?)?);
        return Ok(Some(Format { name, dialect }));
    }
    if !path.exists() {
        bail!("neither a format nor a file");
    }
    let text = fs::read_to_string(path)?;
    // A token of the vocabulary is what the template names.
    let choice = Study::new(&text)?.choose(&text, &|token| text.contains(token), &Wanted::Auto)?;
    Ok((choice.source != Source::Generic).then_some(Format { name, dialect: choice.dialect }))
}

/// True if two formats write calls alike.
fn same(a: &Dialect, b: &Dialect) -> bool {
    a.first == b.first && a.next == b.next && a.last == b.last && a.arguments == b.arguments
}

/// The texts that end a string of a format, where it has no quotes.
pub fn ends(dialect: &Dialect) -> Vec<Vec<u8>> {
    let Ok(Notation::Members(members)) = dialect.notation() else { return Vec::new() };
    let text = |parts: &[Part]| -> Vec<u8> {
        parts
            .iter()
            .flat_map(|part| if let Part::Text(text) = part { text.as_bytes() } else { b"" })
            .copied()
            .collect()
    };
    let mut ends = vec![text(&members.values[0].after)];
    ends.extend(members.values.iter().filter_map(|value| match &value.form {
        Form::Styled(Style::Bare { delimiter }) => Some(delimiter.as_bytes().to_vec()),
        Form::Styled(Style::Python) => Some(b"'".to_vec()),
        Form::Cdata => Some(b"]]>".to_vec()),
        _ => None,
    }));
    ends.retain(|end| !end.is_empty());
    ends
}
