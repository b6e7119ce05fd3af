//! Reports as text: facts as a list, numbers in columns.

use super::{
    CheckpointReport, FileReport, SizeRow,
    report::{ChatTemplate, Facts, Need, Report, TensorRow, Tokenizer, TypeRow, WithTensors},
};
use crate::{
    display::{
        Align::{Left, Right},
        Table, group_digits, grouped,
    },
    memory::Fit,
    profile::visible,
};
use std::fmt::{self, Display, Write};

const UNKNOWN: &str = "—";
/// Width of the labels in the list of facts.
const LABEL_WIDTH: usize = 16;
const MIB: f64 = 1024.0 * 1024.0;

impl fmt::Display for WithTensors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = match self.0 {
            Report::Gguf(file) => &file.tensors,
            Report::Checkpoint(checkpoint) => &checkpoint.tensors,
        };
        write!(f, "{}\n\n{}", self.0, tensors(rows))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Gguf(report) => file(f, report),
            Report::Checkpoint(report) => checkpoint(f, report),
        }
    }
}

/// Writes the report on a GGUF file.
fn file(f: &mut fmt::Formatter<'_>, report: &FileReport) -> fmt::Result {
    let path = report.path.display().to_string();
    write!(f, "{}: GGUF version {}", plain(&path), report.gguf_version)?;
    if let Some(split) = report.split {
        let no = split.no.saturating_add(1);
        write!(f, ", file {no} of {}, figures of this file alone", split.count)?;
    }
    writeln!(f, "\n")?;
    facts(f, &report.model)?;
    tokenizer(f, report.tokenizer.as_ref())?;
    chat_template(f, report.chat_template.as_ref())?;
    if let Some(problem) = &report.profile_problem {
        fact(f, "profile", format!("cannot be used: {}", visible(problem)))?;
    }
    writeln!(f)?;
    types(f, &report.types, report.file_bytes)?;
    writeln!(f, "\n")?;
    need(f, &report.need)?;
    report.profile.as_ref().map_or(Ok(()), |profile| write!(f, "\n\n{profile}"))
}

/// Writes the report on a checkpoint.
fn checkpoint(f: &mut fmt::Formatter<'_>, report: &CheckpointReport) -> fmt::Result {
    let path = report.path.display().to_string();
    let files = if report.files == 1 { "file" } else { "files" };
    writeln!(f, "{}: checkpoint, {} safetensors {files}\n", plain(&path), report.files)?;
    facts(f, &report.model)?;
    fact(f, "output head", report.head.unwrap_or(UNKNOWN))?;
    if let Some(obstacle) = &report.obstacle {
        fact(f, "tokenizer", UNKNOWN)?;
        fact(f, "chat template", UNKNOWN)?;
        fact(f, "converts", format!("no: {}", plain_whole(obstacle)))?;
    } else {
        tokenizer(f, report.tokenizer.as_ref())?;
        chat_template(f, report.chat_template.as_ref())?;
        fact(f, "converts", "yes")?;
    }
    writeln!(f)?;
    types(f, &report.types, report.file_bytes)?;
    if !report.sizes.is_empty() {
        writeln!(f, "\n")?;
        sizes(f, report)?;
    }
    Ok(())
}

/// Writes the sizes for each type, and the machine's memory in the last lines.
fn sizes(f: &mut fmt::Formatter<'_>, report: &CheckpointReport) -> fmt::Result {
    let header = ["as a file of type", "bits/weight", "file bytes", "to run (MiB)", "fits"];
    let cells = |row: &SizeRow| {
        [
            row.file_type.to_owned(),
            format!("{:.2}", row.bits_per_weight),
            grouped(row.file_bytes),
            row.memory.map_or(UNKNOWN.to_owned(), |memory| mib(memory.total_bytes)),
            row.fit.map_or(UNKNOWN, Fit::text).to_owned(),
        ]
    };
    if report.is_elsewhere {
        let [a, b, c, d, e] = header;
        let mut table =
            Table::new(&[a, b, c, d, e, "longest context"], &[Left, Right, Right, Right, Right, Right]);
        for row in &report.sizes {
            let [a, b, c, d, e] = cells(row);
            table.row([a, b, c, d, e, row.longest_n_ctx.map_or(UNKNOWN.to_owned(), grouped)]);
        }
        writeln!(f, "{table}\n")?;
    } else {
        let mut table = Table::new(&header, &[Left, Right, Right, Right, Right]);
        report.sizes.iter().for_each(|row| table.row(cells(row)));
        writeln!(f, "{table}\n")?;
    }
    let n_ctx = grouped(report.n_ctx);
    let title = format!("in each: {n_ctx} tokens, KV {}", report.kv_type.name().to_lowercase());
    let mut table = Table::new(&[&title, "MiB"], &[Left, Right]);
    let memory = report.sizes.first().and_then(|row| row.memory);
    let mut row = |label: &str, bytes: Option<u64>| {
        table.row([label.to_owned(), bytes.map_or(UNKNOWN.to_owned(), mib)]);
    };
    row("KV cache", memory.map(|memory| memory.kv_bytes));
    row("compute (estimate)", memory.map(|memory| memory.compute_bytes));
    let name = &report.machine_name;
    row(&format!("{name}, available"), report.machine.map(|machine| machine.available_bytes));
    row(&format!("{name}, all"), report.machine.map(|machine| machine.total_bytes));
    write!(f, "{table}")
}

/// The table of tensors.
fn tensors(rows: &[TensorRow]) -> impl Display {
    let mut table = Table::new(&["tensor", "type", "shape", "bytes"], &[Left, Left, Right, Right]);
    for row in rows {
        let shape: Vec<String> = row.shape.iter().map(u64::to_string).collect();
        table.row([plain(&row.name), row.type_name.to_owned(), shape.join(" × "), grouped(row.bytes)]);
    }
    table
}

fn fact(f: &mut fmt::Formatter<'_>, label: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "{label:LABEL_WIDTH$}  {value}")
}

pub(super) fn facts(f: &mut fmt::Formatter<'_>, facts: &Facts) -> fmt::Result {
    let text = |text: &Option<String>| text.as_deref().map_or(UNKNOWN.to_owned(), plain);
    let number = |n: Option<u64>| n.map_or(UNKNOWN.to_owned(), grouped);
    fact(f, "architecture", text(&facts.architecture))?;
    fact(f, "name", text(&facts.name))?;
    fact(f, "licence", text(&facts.license))?;
    fact(f, "parameters", grouped(facts.parameters))?;
    fact(f, "layers", number(facts.block_count))?;
    fact(f, "embedding", number(facts.embedding_length))?;
    fact(f, "feed-forward", number(facts.feed_forward_length))?;
    fact(f, "heads", number(facts.head_count))?;
    fact(f, "key-value heads", number(facts.head_count_kv))?;
    let length = match (facts.key_length, facts.value_length) {
        (key, value) if key == value => number(key),
        (key, value) => format!("{} (keys), {} (values)", number(key), number(value)),
    };
    fact(f, "head length", length)?;
    fact(f, "context", number(facts.context_length))?;
    let rope = facts.rope.as_ref().map_or(UNKNOWN.to_owned(), |rope| {
        let mut text = format!("base {}", rope.freq_base);
        if let Some(scaling) = &rope.scaling {
            let _ = write!(text, ", {}", plain(scaling));
        }
        if let Some(factor) = rope.factor {
            let _ = write!(text, " × {factor}");
        }
        if let Some(original) = rope.original_context_length {
            let _ = write!(text, " from {}", grouped(original));
        }
        text
    });
    fact(f, "rope", rope)?;
    fact(f, "vocabulary", number(facts.vocabulary))
}

pub(super) fn tokenizer(f: &mut fmt::Formatter<'_>, tokenizer: Option<&Tokenizer>) -> fmt::Result {
    let Some(tokenizer) = tokenizer else { return fact(f, "tokenizer", "none") };
    let pre = tokenizer.pre.as_deref().map_or(UNKNOWN.to_owned(), plain);
    fact(f, "tokenizer", format!("{}, pre-tokenizer {pre}", plain(&tokenizer.model)))?;
    let special = tokenizer.special.iter().map(|special| {
        let text = special.text.as_deref().map_or("not in the vocabulary".to_owned(), plain);
        format!("{} {} {text}", special.role, special.id)
    });
    fact(f, "special tokens", special.collect::<Vec<_>>().join(", "))?;
    let yes_or_no = |yes: Option<bool>| yes.map_or(UNKNOWN, |yes| if yes { "yes" } else { "no" });
    fact(f, "adds bos, eos", format!("{}, {}", yes_or_no(tokenizer.add_bos), yes_or_no(tokenizer.add_eos)))
}

pub(super) fn chat_template(f: &mut fmt::Formatter<'_>, template: Option<&ChatTemplate>) -> fmt::Result {
    let Some(template) = template else { return fact(f, "chat template", "none") };
    let tools = if template.takes_tools { "takes tools" } else { "knows no tools" };
    let named: String = template.named.iter().map(|name| format!(", also `{}`", plain(name))).collect();
    fact(f, "chat template", format!("{} bytes, {tools}{named}", grouped(template.bytes)))
}

fn types(f: &mut fmt::Formatter<'_>, rows: &[TypeRow], file_bytes: u64) -> fmt::Result {
    let header = ["type", "tensors", "weights", "bytes", "bits/weight"];
    let mut table = Table::new(&header, &[Left, Right, Right, Right, Right]);
    let bits = |weights, bytes| match weights {
        0 => UNKNOWN.to_owned(),
        weights => format!("{:.2}", bytes as f64 * 8.0 / weights as f64),
    };
    let mut all = (0, 0, 0);
    for row in rows {
        let [tensors, weights, bytes] = [row.tensors, row.weights, row.bytes].map(grouped);
        table.row([row.type_name.to_owned(), tensors, weights, bytes, bits(row.weights, row.bytes)]);
        all = (all.0 + row.tensors, all.1 + row.weights, all.2 + row.bytes);
    }
    let (tensors, weights, bytes) = all;
    let label = "all".to_owned();
    table.row([label, grouped(tensors), grouped(weights), grouped(bytes), bits(weights, bytes)]);
    table.row(["disk".to_owned(), String::new(), String::new(), grouped(file_bytes), String::new()]);
    write!(f, "{table}")
}

fn need(f: &mut fmt::Formatter<'_>, need: &Need) -> fmt::Result {
    let title = format!("to run: {} tokens, KV {}", grouped(need.n_ctx), need.kv_type.name().to_lowercase());
    let mut table = Table::new(&[&title, "MiB"], &[Left, Right]);
    let mut row = |label: &str, bytes: Option<u64>| {
        table.row([label.to_owned(), bytes.map_or(UNKNOWN.to_owned(), mib)]);
    };
    let memory = need.memory;
    row("weights (mapped)", Some(need.weights_bytes));
    row("KV cache", memory.map(|memory| memory.kv_bytes));
    row("compute (estimate)", memory.map(|memory| memory.compute_bytes));
    row("total", memory.map(|memory| memory.total_bytes));
    let name = &need.machine_name;
    row(&format!("{name}, available"), need.machine.map(|machine| machine.available_bytes));
    row(&format!("{name}, all"), need.machine.map(|machine| machine.total_bytes));
    table.row(["fits".to_owned(), need.fit.map_or(UNKNOWN, |fit| fit.text()).to_owned()]);
    if need.is_elsewhere {
        let longest = need.longest_n_ctx.map_or(UNKNOWN.to_owned(), grouped);
        table.row(["longest context (tokens)".to_owned(), longest]);
    }
    write!(f, "{table}")
}

fn mib(bytes: u64) -> String {
    let text = format!("{:.1}", bytes as f64 / MIB);
    match text.split_once('.') {
        Some((whole, tenth)) => format!("{}.{tenth}", group_digits(whole)),
        None => text,
    }
}

/// Text from a file, with control characters escaped and cut to the length of a line.
fn plain(text: &str) -> String {
    const MAX_CHARS: usize = 120;
    match text.char_indices().nth(MAX_CHARS) {
        None => plain_whole(text),
        Some((end, _)) => format!("{}…", plain_whole(&text[..end])),
    }
}

/// Text from a file, with control characters escaped.
fn plain_whole(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if c.is_control() { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(mib(4_697_620_480), "4,480.0");
    }

    #[test]
    fn text_from_a_file_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(plain(&"x".repeat(130)).chars().count(), 121);
    }
}
