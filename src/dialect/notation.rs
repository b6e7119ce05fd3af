//! The notation of a call's arguments, as schemas are compiled for it.

use super::{Arguments, Dialect, Encoding, JsonStyle, KeyForm, Members, Piece, ValueForm, head};
use crate::{
    schema::notation::{self, Form, KeySyntax, Notation, Part, Style, ValueSyntax},
    tools::Error,
};
use std::sync::Arc;

impl Dialect {
    /// The notation of the arguments of a call.
    ///
    /// # Errors
    /// [`Error::Dialect`] if no grammar describes it.
    pub fn notation(&self) -> Result<Notation, Error> {
        match &self.arguments {
            Arguments::Json(style) => Ok(Notation::Value(json(*style))),
            Arguments::Members(members) => Ok(Notation::Members(Arc::new(self.members(members)?))),
        }
    }

    fn members(&self, members: &Members) -> Result<notation::Members, Error> {
        let values = &members.values;
        let kinds =
            [&values.string, &values.number, &values.boolean, &values.null, &values.array, &values.object];
        let mut syntax = Vec::new();
        for form in kinds {
            syntax.push(self.value(form)?);
        }
        let values: [ValueSyntax; 6] =
            syntax.try_into().map_err(|_| self.wrong("a syntax for each type is expected"))?;
        let elements = self.elements(members)?;
        let behind = head::starts(&self.last).into_iter().chain(self.next_starts()).collect();
        let members = notation::Members {
            open: members.open.clone(),
            separator: members.separator.clone(),
            close: members.close.clone(),
            behind,
            key: match members.key {
                KeyForm::Plain if elements.is_some() => KeySyntax::Tag,
                KeyForm::Plain => KeySyntax::Plain,
                KeyForm::Xml => KeySyntax::Xml,
                KeyForm::Json => KeySyntax::Json,
                KeyForm::Identifier => KeySyntax::Identifier,
            },
            values,
            elements,
        }
        .normalized();
        let blank = |part: &Part| matches!(part, Part::Text(text) if text.trim().is_empty());
        let string = &members.values[0];
        if matches!(string.form, Form::Raw | Form::Trimmed | Form::Cdata) && string.after.iter().all(blank) {
            return Err(self.wrong("no text ends a string"));
        }
        if members.values.iter().all(|value| value.before.is_empty()) {
            return Err(self.wrong("no text ends a key"));
        }
        Ok(members)
    }

    /// The syntax of objects and arrays that are elements.
    fn elements(&self, members: &Members) -> Result<Option<Arc<notation::Elements>>, Error> {
        let values = &members.values;
        let containers = [&values.array, &values.object].map(|form| match &form.encoding {
            Encoding::Elements(elements) => Some(elements),
            _ => None,
        });
        let [Some(array), Some(object)] = containers else {
            return match containers {
                [None, None] => Ok(None),
                _ => Err(self.wrong("lists and objects are both elements, or neither")),
            };
        };
        if array != object {
            return Err(self.wrong("lists and objects are elements with other tags"));
        }
        let close = format!("{}</", object.before_tag);
        let ends = |form: &ValueForm| {
            form.after.first().and_then(head::literal).is_some_and(|text| text.starts_with(&close))
        };
        if ![&values.string, &values.array, &values.object].into_iter().all(ends) {
            return Err(
                self.wrong(format!("{close:?} does not follow a value, and elements are told apart by it"))
            );
        }
        Ok(Some(Arc::new(notation::Elements::new(&object.item, &object.before_tag, object.drops_null))))
    }

    fn value(&self, value: &ValueForm) -> Result<ValueSyntax, Error> {
        let parts = |pieces: &[Piece]| -> Result<Vec<Part>, Error> {
            let part = |piece: &Piece| match piece {
                Piece::Text(text) => Ok(Part::Text(text.clone())),
                Piece::Key => Ok(Part::Key),
                _ => Err(self.wrong("around a value, only text and its key are expected")),
            };
            pieces.iter().map(part).collect()
        };
        let form = match &value.encoding {
            Encoding::Raw => Form::Raw,
            Encoding::RawTrimmed => Form::Trimmed,
            Encoding::RawOrCdata => Form::Cdata,
            Encoding::Json(style) => Form::Styled(json(*style)),
            Encoding::Python | Encoding::PythonString { .. } => Form::Styled(Style::Python),
            Encoding::Delimited { delimiter } => Form::Styled(bare(delimiter)),
            Encoding::Nested(nested) => Form::Styled(bare(&nested.delimiter)),
            Encoding::Omitted => Form::Omitted,
            Encoding::Elements(elements) => Form::Elements { open: format!("{}<", elements.before_tag) },
        };
        Ok(ValueSyntax { before: parts(&value.before)?, form, after: parts(&value.after)? })
    }
}

fn json(style: JsonStyle) -> Style {
    Style::Json {
        compact: style == JsonStyle::Compact,
        ascii: style == JsonStyle::Ascii,
        indented: matches!(style, JsonStyle::Indented { .. }),
    }
}

fn bare(delimiter: &str) -> Style {
    Style::Bare { delimiter: delimiter.to_owned() }
}
