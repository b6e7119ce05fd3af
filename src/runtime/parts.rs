//! The files of a split model, found by the name of the first and all checked.
//!
//! llama.cpp searches for the parts itself, and asserts the type of a key in each.

use crate::{
    gguf::{Gguf, TensorInfo, Value},
    guard::{self, Error as Flaw, Trust, shown},
    mmap::Map,
    runtime::{Error, FileStat, ModelFile},
};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// A model's metadata and the tensors of all its files.
pub struct Parts {
    /// The first file.
    pub first: Gguf,
    /// The tensors of all files.
    pub tensors: Vec<TensorInfo>,
    /// True if every file can be mapped.
    pub is_mappable: bool,
    /// The files.
    pub files: Vec<ModelFile>,
}

impl Parts {
    /// Reads the model file at `path`, and the other parts if it is the first of several.
    pub fn read(path: &Path) -> Result<Parts, Error> {
        let (mut first, file) = parse_file(path)?;
        let mut files = vec![file];
        let mut is_mappable = first.is_mappable();
        let mut tensors = std::mem::take(&mut first.tensors);
        let refuse = |flaw| Error::refused(path, flaw);
        let count = part_number(&first, "split.count").map_err(refuse)?.unwrap_or(0);
        let no = part_number(&first, "split.no").map_err(refuse)?.unwrap_or(0);
        if count > 1 {
            let names = names(path, no, count).map_err(refuse)?;
            for (index, path) in names.iter().enumerate().skip(1) {
                let (part, file) = parse_file(path)?;
                files.push(file);
                check_part(&part, index as u64, count).map_err(|flaw| Error::refused(path, flaw))?;
                is_mappable &= part.is_mappable();
                tensors.extend(part.tensors);
            }
            check_whole(&first, &tensors).map_err(refuse)?;
        }
        Ok(Parts { first, tensors, is_mappable, files })
    }

    /// Reads only the file at `path`.
    pub fn read_first(path: &Path) -> Result<Gguf, Error> {
        Ok(parse_file(path)?.0)
    }

    /// Checks the metadata and tensors of the files.
    pub fn check(&self, path: &Path, trust: Trust) -> Result<(), Error> {
        guard::check_model(&self.first, &self.tensors, trust).map_err(|flaw| Error::refused(path, flaw))
    }
}

fn parse_file(path: &Path) -> Result<(Gguf, ModelFile), Error> {
    let open = |source| Error::Open { path: path.to_path_buf(), source };
    // Checked before it is opened, since opening a pipe would block.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(Error::Folder { path: path.to_path_buf() }),
        Ok(metadata) if !metadata.is_file() => return Err(Error::Irregular { path: path.to_path_buf() }),
        _ => {}
    }
    let stat = FileStat::read(path).map_err(open)?;
    let file = Map::open(path).map_err(open)?;
    let gguf = Gguf::parse(&file).map_err(|source| Error::Gguf { path: path.to_path_buf(), source })?;
    let data_start = gguf.data_start;
    Ok((gguf, ModelFile { path: path.to_path_buf(), stat, data_start }))
}

fn part_number(gguf: &Gguf, key: &str) -> Result<Option<u64>, Flaw> {
    match gguf.value(key) {
        None => Ok(None),
        Some(&Value::U16(number)) => Ok(Some(number.into())),
        Some(other) => {
            Err(Flaw::Key { key: key.to_owned(), found: shown(other), expected: "a u16".to_owned() })
        }
    }
}

/// The paths of all parts, derived from the name of the first.
fn names(path: &Path, no: u64, count: u64) -> Result<Vec<PathBuf>, Flaw> {
    let ending = |index: u64| format!("-{:05}-of-{count:05}.gguf", index + 1);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(stem) = name.strip_suffix(&ending(no)) else {
        return Err(Flaw::PartName { no: no + 1, count, expected: ending(no) });
    };
    let named = |index| format!("{stem}{}", ending(index));
    if no != 0 {
        return Err(Flaw::NotFirstPart { no: no + 1, count, first: named(0) });
    }
    Ok((0..count).map(|index| path.with_file_name(named(index))).collect())
}

fn check_part(part: &Gguf, index: u64, count: u64) -> Result<(), Flaw> {
    for (key, expected) in [("split.no", index), ("split.count", count)] {
        if part_number(part, key)? != Some(expected) {
            let found = part.value(key).map_or_else(|| "missing".to_owned(), shown);
            return Err(Flaw::Key { key: key.to_owned(), found, expected: format!("a u16 of {expected}") });
        }
    }
    Ok(())
}

fn check_whole(first: &Gguf, tensors: &[TensorInfo]) -> Result<(), Flaw> {
    const KEY: &str = "split.tensors.count";
    let mut seen = HashSet::new();
    if let Some(twice) = tensors.iter().find(|tensor| !seen.insert(tensor.name.as_str())) {
        return Err(Flaw::TensorInTwoParts { name: twice.name.clone() });
    }
    let expected = "an i32, the number of tensors in all parts";
    match first.value(KEY) {
        None => Err(Flaw::MissingKey { key: KEY.to_owned(), expected: expected.to_owned() }),
        Some(&Value::I32(count)) if i64::from(count) == tensors.len() as i64 => Ok(()),
        Some(&Value::I32(count)) if count >= 0 => {
            Err(Flaw::PartTensors { found: tensors.len() as u64, expected: count as u64 })
        }
        Some(other) => {
            Err(Flaw::Key { key: KEY.to_owned(), found: shown(other), expected: expected.to_owned() })
        }
    }
}
