//! Files of one run, merged.

use super::{Row, RowFile, Start, Variant, speed};
use crate::bench::Error;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Merges the files of a run that was split into shards; the order of the rows does not depend on that of the files.
///
/// All rows must be of the same data, primary metric and margin, and local ones of the same
/// [`RULES`](crate::bench::run::RULES). Each shard runs all models and modes, so its variants must be among those of the file
/// that has the most; each served model is checked separately. If two files have the same row, prompt and answer must
/// be equal.
///
/// # Errors
/// [`Error::OtherKey`] with the file, the line and the difference.
pub fn merge(files: &[(PathBuf, RowFile)]) -> Result<RowFile, Error> {
    // Rows of a server may be made in a run of their own, on any machine that reaches it.
    let mut bases: BTreeMap<_, (&Path, Vec<Variant>)> = BTreeMap::new();
    for (path, file) in files {
        let mut variants: Vec<Variant> = file.rows.iter().map(|row| row.key.variant.clone()).collect();
        variants.sort_unstable();
        variants.dedup();
        let mut groups: BTreeMap<_, Vec<Variant>> = BTreeMap::new();
        for variant in variants {
            groups.entry(variant.group()).or_default().push(variant);
        }
        for (group, variants) in groups {
            let base = bases.entry(group).or_insert((path, Vec::new()));
            if variants.len() > base.1.len() {
                *base = (path, variants);
            }
        }
    }
    let mut merged: BTreeMap<(Variant, usize, usize), Row> = BTreeMap::new();
    let mut first: Option<(&Path, &Row)> = None;
    let mut first_here: Option<(&Path, &Row)> = None;
    for (path, file) in files {
        for (row, line) in file.rows.iter().zip(&file.lines) {
            let refuse = |other: &Path, problem: String| Error::OtherKey {
                path: path.clone(),
                line: *line,
                other: other.to_path_buf(),
                problem,
            };
            let (first_path, first_row) = *first.get_or_insert((path, row));
            if let Some(problem) = other_run(first_row, row) {
                return Err(refuse(first_path, problem));
            }
            if row.key.variant.endpoint.is_none() {
                let (path, local) = *first_here.get_or_insert((path, row));
                if local.key.variant.rules != row.key.variant.rules {
                    return Err(refuse(path, other_rules(local.key.variant.rules, row.key.variant.rules)));
                }
            }
            let (base_path, variants) = &bases[&row.key.variant.group()];
            if !variants.contains(&row.key.variant) {
                return Err(refuse(base_path, other_variant(variants, &row.key.variant)));
            }
            let identity = (row.key.variant.clone(), row.conversation, row.turn);
            match merged.get(&identity) {
                None => {
                    merged.insert(identity, row.clone());
                }
                Some(had) if had.key.prompt_sha256 != row.key.prompt_sha256 => {
                    return Err(refuse(base_path, case_words(row) + " was asked with another prompt"));
                }
                Some(had) if had.raw_output != row.raw_output => {
                    return Err(refuse(base_path, case_words(row) + " was answered differently"));
                }
                Some(had) if had.judge.is_none() && row.judge.is_some() => {
                    merged.insert(identity, row.clone());
                }
                Some(_) => {}
            }
        }
    }
    let mut rows: Vec<Row> = merged.into_values().collect();
    sort(&mut rows);
    let mut starts: Vec<Start> = Vec::new();
    for start in files.iter().flat_map(|(_, file)| &file.starts) {
        if !starts.contains(start) {
            starts.push(start.clone());
        }
    }
    let speeds = speed::merge(files, rows.first().map(|row| &row.data))?;
    Ok(RowFile { starts, lines: (1..=rows.len()).collect(), rows, speeds, ..RowFile::default() })
}

/// Sorts rows for a report: by mode, then the reference first, then the largest file first.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let key = |row: &Row| (row.key.variant.mode, row.role, std::cmp::Reverse(row.file_bytes));
        key(a)
            .cmp(&key(b))
            .then_with(|| a.model.cmp(&b.model))
            .then_with(|| a.key.variant.cmp(&b.key.variant))
            .then_with(|| a.case().cmp(&b.case()))
    });
}

fn case_words(row: &Row) -> String {
    format!("call {} of conversation {} by {}", row.turn, row.conversation, row.model)
}

/// Message for rows of other decoding rules than `ours`.
pub(in crate::bench) fn other_rules(ours: u32, theirs: u32) -> String {
    let named = |rules: u32| match rules {
        0 => "rules from before they had a number".to_owned(),
        rules => format!("rules {rules}"),
    };
    format!(
        "its tokens were made by {}, not {}: what differs between rows of both need not be the model",
        named(theirs),
        named(ours)
    )
}

/// Difference that makes two rows parts of different runs, if any.
fn other_run(a: &Row, b: &Row) -> Option<String> {
    if a.data.test_md5 != b.data.test_md5 {
        return Some("the test set is another one".into());
    }
    if a.data.job_sha256 != b.data.job_sha256 {
        return Some("task or tools are others".into());
    }
    if a.primary != b.primary {
        return Some(format!("the primary metric is {}, not {}", b.primary, a.primary));
    }
    (a.margin != b.margin).then(|| format!("the margin is {}, not {}", b.margin, a.margin))
}

/// Difference between a variant and the most similar one of `variants`.
fn other_variant(variants: &[Variant], variant: &Variant) -> String {
    let fields = |variant: &Variant| {
        [
            ("model file", variant.file_sha256.clone()),
            ("mode", variant.mode.to_string()),
            ("max tokens", variant.max_tokens.to_string()),
            ("KV type", variant.kv_type.clone()),
            ("repack", variant.repack.to_string()),
            ("threads", variant.threads.to_string()),
            ("n_ubatch", variant.n_ubatch.to_string()),
            ("flash attention", variant.flash_attention.to_string()),
            ("engine", variant.engine.clone()),
            ("settings of the calls", variant.settings_words()),
            ("server", variant.endpoint.as_ref().map_or("none".into(), |served| served.server.clone())),
        ]
    };
    let differing = |other: &Variant| -> Vec<String> {
        let pairs = fields(variant).into_iter().zip(fields(other));
        pairs
            .filter(|(a, b)| a != b)
            .map(|((name, ours), (_, theirs))| format!("{name} {ours}, not {theirs}"))
            .collect()
    };
    variants.iter().map(differing).min_by_key(Vec::len).unwrap_or_default().join("; ")
}
