//! Scan: the few metadata values of a file whose keys begin with a prefix, without a copy of the others.
//!
//! A vocabulary has hundreds of thousands of strings; a call that needs two values of a file walks over their lengths.

use super::{
    Error, Value,
    read::{self, MAX_KEY_BYTES},
    reader::{Place, Reader},
};

/// The values of the keys in `bytes`, the whole file, that begin with `prefix`, in file order. Nothing behind the
/// metadata is looked at, and repeated keys are not noticed.
///
/// # Errors
/// The first defect of the metadata.
pub fn values_with_prefix(bytes: &[u8], prefix: &str) -> Result<Vec<(String, Value)>, Error> {
    let mut reader = Reader { bytes, at: 0 };
    read::read_version(&mut reader)?;
    let (_, pair_count) = read::counts(&mut reader)?;
    let mut found = Vec::new();
    for index in 0..pair_count {
        let key = reader.name(Place::Key(index), MAX_KEY_BYTES)?;
        let type_id = reader.u32(Place::Value(key))?;
        match key.starts_with(prefix) {
            true => found.push((key.to_owned(), read::read_value(&mut reader, key, type_id)?)),
            false => skip(&mut reader, key, type_id)?,
        }
    }
    Ok(found)
}

fn skip(reader: &mut Reader<'_>, key: &str, type_id: u32) -> Result<(), Error> {
    let place = Place::Value(key);
    match (type_id, width(type_id)) {
        (8, _) => reader.skip_string(place),
        (9, _) => {
            let element = reader.u32(place)?;
            match (element, width(element)) {
                (8, _) => {
                    let count = reader.count(Place::Length(key), 8, 0)?;
                    (0..count).try_for_each(|index| reader.skip_string(Place::Element(key, index)))
                }
                (9, _) => Err(Error::NestedArray { key: key.to_owned() }),
                (_, Some(width)) => {
                    let count = reader.count(Place::Length(key), width, 0)?;
                    reader.take(count * width, place).map(drop)
                }
                (type_id, None) => {
                    Err(Error::ValueType { what: place.to_string(), offset: reader.offset() - 4, type_id })
                }
            }
        }
        (_, Some(width)) => reader.take(width, place).map(drop),
        (type_id, None) => {
            Err(Error::ValueType { what: place.to_string(), offset: reader.offset() - 4, type_id })
        }
    }
}

/// Bytes of a number or bool of this type.
fn width(type_id: u32) -> Option<u64> {
    match type_id {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Array, Gguf, Header};

    #[test]
    fn the_values_are_those_of_the_parser_whatever_stands_between() {
        let text = |text: &str| Value::String(text.to_owned());
        let metadata: Vec<(String, Value)> = [
            ("a.x", Value::U8(1)),
            ("b", Value::Array(Array::String(vec!["one".into(), String::new(), "ü".into()]))),
            ("a.y", text("why")),
            ("c", Value::Array(Array::U16(vec![1, 2, 3]))),
            ("d", Value::Array(Array::F64(vec![0.5]))),
            ("e", Value::Bool(true)),
            ("f", Value::I64(-3)),
            ("g", text("a.z")),
            ("h", Value::F32(0.5)),
            ("i", Value::Array(Array::Bool(vec![]))),
            ("a.z", Value::Array(Array::I32(vec![-1]))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let bytes = Header::new(metadata).encode();
        let whole = Gguf::parse(&bytes).unwrap();
        for prefix in ["a.", "", "g", "none"] {
            let expected: Vec<_> =
                whole.metadata.iter().filter(|(key, _)| key.starts_with(prefix)).cloned().collect();
            assert_eq!(values_with_prefix(&bytes, prefix).unwrap(), expected, "{prefix}");
        }
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for cut in 0..end {
            assert!(values_with_prefix(&bytes[..cut], "none").is_err(), "cut at {cut}");
        }
    }
}
