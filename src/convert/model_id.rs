//! Parts of a model's name: `Qwen/Qwen3-1.7B-Instruct` has an organization, a base name, a size and a
//! fine-tune. The heuristics are gguf-py's (`gguf-py/gguf/metadata.py`), since readers expect its results.

use regex::Regex;
use std::sync::LazyLock;

/// The recognized parts of a model's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ModelId {
    /// The name as a title, such as `Qwen3 1.7B Instruct`.
    pub(super) title: Option<String>,
    /// The organization: the text before the slash.
    pub(super) organization: Option<String>,
    /// The name: the text after the slash.
    pub(super) name: Option<String>,
    /// The model family, such as `Qwen3`.
    pub(super) basename: Option<String>,
    /// The kind of fine-tuning, such as `Instruct`.
    pub(super) finetune: Option<String>,
    /// A version that is not part of the base name, such as `v0.2`.
    pub(super) version: Option<String>,
    /// A size such as `1.7B`.
    pub(super) size_label: Option<String>,
}

static VERSION: LazyLock<Regex> = LazyLock::new(|| whole(r"(v|iter)?\d+([.]\d+)*"));
static QUANTIZATION: LazyLock<Regex> = LazyLock::new(|| whole(r"i?q\d(_\w)*|b?fp?(16|32)"));
static SIZE: LazyLock<Regex> =
    LazyLock::new(|| whole(r"(A|\d+x)?\d+([._]\d+)?[KMBT]\d?|small|mini|medium|large|x?xl"));
static FINETUNE: LazyLock<Regex> = LazyLock::new(|| whole(r"chat|instruct|vision|lora"));
static NOT_A_WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(v\d+(\.\d+)*|\d.*)$").expect("the expression is a constant"));

fn whole(expression: &str) -> Regex {
    Regex::new(&format!("^(?i:{expression})$")).expect("the expression is a constant")
}

/// Possible roles of one part of a name. A version may be part of the base name as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Roles {
    basename: bool,
    size_label: bool,
    finetune: bool,
    version: bool,
    quantization: bool,
}

impl Roles {
    fn count(self) -> usize {
        [self.basename, self.size_label, self.finetune, self.version, self.quantization]
            .into_iter()
            .filter(|role| *role)
            .count()
    }
}

impl ModelId {
    /// Splits `id` into its parts. `parameter_count` helps to distinguish sizes from context lengths; 0 is
    /// unknown.
    pub(super) fn parse(id: &str, parameter_count: u64) -> ModelId {
        if id.contains(' ') {
            // A sentence, not a name as on the hub.
            return ModelId { title: Some(title(id)), name: Some(id.to_owned()), ..ModelId::default() };
        }
        let (organization, name) = match id.split_once('/') {
            Some((organization, name)) => (Some(organization), name),
            None => (None, id),
        };
        let mut parts: Vec<(String, Roles)> = (name.split('-').filter(|part| !part.is_empty()))
            .enumerate()
            .map(|(i, part)| annotate(i, part, parameter_count))
            .collect();
        drop_sizes_in_words(&mut parts);
        find_basename(&mut parts);

        let join = |wanted: fn(&Roles) -> bool| {
            let parts: Vec<&str> =
                parts.iter().filter(|(_, roles)| wanted(roles)).map(|(part, _)| part.as_str()).collect();
            Some(parts).filter(|parts| !parts.is_empty())
        };
        let mut size_label = join(|roles| roles.size_label);
        if let Some(sizes) = &mut size_label {
            let mut seen = Vec::new();
            sizes.retain(|size| {
                !seen.contains(size) && {
                    seen.push(*size);
                    true
                }
            });
        }
        let joined = |parts: Option<Vec<&str>>| parts.map(|parts| parts.join("-"));
        let size_label = joined(size_label);
        let finetune = joined(join(|roles| roles.finetune));
        let version = joined(join(|roles| roles.version && !roles.basename));
        let basename = joined(join(|roles| roles.basename))
            // A name without any other part is too little to call it a base name.
            .filter(|_| size_label.is_some() || finetune.is_some() || version.is_some());
        ModelId {
            title: Some(title(name)),
            // `./model` and `../model` are paths.
            organization: organization.filter(|org| !org.starts_with('.')).map(str::to_owned),
            name: Some(name.to_owned()),
            basename,
            finetune,
            version,
            size_label,
        }
    }
}

impl ModelId {
    /// The parts of `self`, completed with those of `other`.
    pub(super) fn or(self, other: ModelId) -> ModelId {
        ModelId {
            title: self.title.or(other.title),
            organization: self.organization.or(other.organization),
            name: self.name.or(other.name),
            basename: self.basename.or(other.basename),
            finetune: self.finetune.or(other.finetune),
            version: self.version.or(other.version),
            size_label: self.size_label.or(other.size_label),
        }
    }
}

fn annotate(index: usize, part: &str, parameter_count: u64) -> (String, Roles) {
    let mut roles = Roles::default();
    if VERSION.is_match(part) {
        roles.version = true;
    } else if QUANTIZATION.is_match(part) {
        roles.quantization = true;
        return (part.to_uppercase(), roles);
    } else if index > 0 && SIZE.is_match(part) {
        let mut label = size_label(part);
        if is_another_size(&label, parameter_count) {
            // Most likely a context length.
            roles.finetune = true;
            let last = label.pop().unwrap_or_default();
            label.extend(last.to_lowercase());
        } else {
            roles.size_label = true;
        }
        return (label, roles);
    } else if index > 0 && FINETUNE.is_match(part) {
        roles.finetune = true;
    }
    (part.to_owned(), roles)
}

/// Normalizes a size: `7b1` to `7.1B`, `1_7b` to `1.7B`; words are unchanged.
fn size_label(part: &str) -> String {
    let mut chars: Vec<char> = part.replace('_', ".").chars().collect();
    if let [.., unit, digit] = chars[..]
        && digit.is_ascii_digit()
    {
        chars.truncate(chars.len() - 2);
        chars.extend(['.', digit, unit]);
    }
    if let [.., before, unit] = &mut chars[..]
        && before.is_ascii_digit()
        && "kmbt".contains(*unit)
    {
        *unit = unit.to_ascii_uppercase();
    }
    chars.into_iter().collect()
}

/// True if a size cannot be this model's: it differs from the parameter count by more than 7/8 of that.
fn is_another_size(label: &str, parameter_count: u64) -> bool {
    if parameter_count == 0 {
        return false;
    }
    let Some(unit) = label.chars().next_back() else { return false };
    let Some(power) = " KMBT".find(unit) else { return false };
    let Ok(number) = label[..label.len() - unit.len_utf8()].parse::<f64>() else { return false };
    let label_count = number * 1000f64.powi(power as i32);
    let limit = u128::from(parameter_count) * 7 / 8;
    (label_count - parameter_count as f64).abs() > limit as f64
}

/// Drops sizes in words if there is one in digits, such as `large` beside `7B`.
fn drop_sizes_in_words(parts: &mut [(String, Roles)]) {
    let has_digit = |part: &str| part.contains(|c: char| c.is_ascii_digit());
    if parts.iter().any(|(part, roles)| roles.size_label && has_digit(part)) {
        for (part, roles) in parts.iter_mut() {
            roles.size_label &= !part.chars().all(char::is_alphabetic);
        }
    }
}

/// Marks the base name: the leading words and versions, without trailing versions. Other words become
/// fine-tunes.
fn find_basename(parts: &mut [(String, Roles)]) {
    let mut at_start = true;
    for (part, roles) in parts.iter_mut() {
        let unknown = roles.count() == 0;
        if at_start && (roles.version || unknown && part.starts_with(char::is_alphabetic)) {
            roles.basename = true;
        } else {
            at_start = false;
            roles.finetune |= unknown;
        }
    }
    for (_, roles) in parts.iter_mut().rev() {
        if !(roles.basename && roles.count() > 1) {
            break;
        }
        roles.basename = false;
    }
}

/// Converts `qwen3-1.7b-random` to a title: `Qwen3 1.7b Random`. Acronyms and versions keep their case.
pub(super) fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let words: Vec<String> = words.split_whitespace().map(title_word).collect();
    words.join(" ")
}

fn title_word(word: &str) -> String {
    let lower = word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase);
    if !lower || NOT_A_WORD.is_match(word) {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut inside = false;
    for c in word.chars() {
        if c.is_alphabetic() && !inside {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        inside = c.is_alphabetic();
    }
    out
}

/// A parameter count with at least two digits: `40M`, `3.5M`, `1.7B`.
pub(super) fn rounded_count(parameter_count: u64) -> String {
    let count = parameter_count as f64;
    let (scaled, unit) = match parameter_count {
        1_000_000_000_001.. => (count * 1e-12, "T"),
        1_000_000_001.. => (count * 1e-9, "B"),
        1_000_001.. => (count * 1e-6, "M"),
        _ => (count * 1e-3, "K"),
    };
    let digits = match scaled.round_ties_even() as u64 {
        0 => 0,
        n => n.ilog10() as usize + 1,
    };
    format!("{scaled:.*}{unit}", 2usize.saturating_sub(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values: gguf-py's `Metadata.get_model_id_components` and `id_to_title`.
    #[test]
    fn names_fall_into_the_references_parts() {
        let table: &[(&str, u64, [&str; 6])] = &[
            // name, parameters, [title, organization, basename, finetune, version, size label]
            ("Qwen/Qwen3-1.7B", 1720574976, ["Qwen3 1.7B", "Qwen", "Qwen3", "", "", "1.7B"]),
            ("Qwen3-0.6B-Base", 596049920, ["Qwen3 0.6B Base", "", "Qwen3", "Base", "", "0.6B"]),
            ("Qwen2.5-7B-Instruct", 7615616512, ["Qwen2.5 7B Instruct", "", "Qwen2.5", "Instruct", "", "7B"]),
            (
                "meta-llama/Meta-Llama-3-8B-Instruct",
                8030261248,
                ["Meta Llama 3 8B Instruct", "meta-llama", "Meta-Llama-3", "Instruct", "", "8B"],
            ),
            (
                "meta-llama/Llama-3.2-1B",
                1235814400,
                ["Llama 3.2 1B", "meta-llama", "Llama-3.2", "", "", "1B"],
            ),
            (
                "HuggingFaceTB/SmolLM2-135M-Instruct",
                134515008,
                ["SmolLM2 135M Instruct", "HuggingFaceTB", "SmolLM2", "Instruct", "", "135M"],
            ),
            (
                "mistralai/Mistral-7B-Instruct-v0.2",
                7241732096,
                ["Mistral 7B Instruct v0.2", "mistralai", "Mistral", "Instruct", "v0.2", "7B"],
            ),
            (
                "bigscience/bloom-7b1-petals",
                7069016064,
                ["Bloom 7b1 Petals", "bigscience", "bloom", "petals", "", "7.1B"],
            ),
            (
                "NousResearch/Yarn-Llama-2-7b-128k",
                6738415616,
                ["Yarn Llama 2 7b 128k", "NousResearch", "Yarn-Llama-2", "128k", "", "7B"],
            ),
            (
                "MaziyarPanahi/GreenNode-mini-7B-multilingual-v1olet-Mistral-7B-Instruct-v0.1",
                7241732096,
                [
                    "GreenNode Mini 7B Multilingual V1Olet Mistral 7B Instruct v0.1",
                    "MaziyarPanahi",
                    "GreenNode-mini",
                    "multilingual-v1olet-Mistral-Instruct",
                    "v0.1",
                    "7B",
                ],
            ),
            ("Qwen1.5-MoE-A2.7B-Chat", 0, ["Qwen1.5 MoE A2.7B Chat", "", "Qwen1.5-MoE", "Chat", "", "A2.7B"]),
            (
                "mistralai/Mixtral-8x7B-Instruct-v0.1",
                46702792704,
                ["Mixtral 8x7B Instruct v0.1", "mistralai", "Mixtral", "Instruct", "v0.1", "8x7B"],
            ),
            (
                "microsoft/Phi-3-mini-4k-instruct",
                3821079552,
                ["Phi 3 Mini 4k Instruct", "microsoft", "Phi-3", "4k-instruct", "", "mini"],
            ),
            ("gpt2-xl", 1557611200, ["Gpt2 Xl", "", "gpt2", "", "", "xl"]),
            (
                "google/switch-large-128_expert-1T",
                0,
                ["Switch Large 128_expert 1T", "google", "switch-large", "128_expert", "", "1T"],
            ),
            (
                "stabilityai/stablelm-2-1_6b",
                1644515328,
                ["Stablelm 2 1_6b", "stabilityai", "stablelm-2", "", "", "1.6B"],
            ),
            (
                "DeepSeek-R1-Distill-Qwen-1.5B",
                1777088000,
                ["DeepSeek R1 Distill Qwen 1.5B", "", "DeepSeek-R1-Distill-Qwen", "", "", "1.5B"],
            ),
            (
                "distillabs/tft-benchmark-s4-direct-Qwen3-1.7B",
                1720574976,
                [
                    "Tft Benchmark S4 Direct Qwen3 1.7B",
                    "distillabs",
                    "tft-benchmark-s4-direct-Qwen3",
                    "",
                    "",
                    "1.7B",
                ],
            ),
            ("qwen3-tied", 3300000, ["Qwen3 Tied", "", "", "", "", ""]),
            ("tiny-qwen3", 40000000, ["Tiny Qwen3", "", "", "", "", ""]),
            ("Llama-3-70B-Q4_K_M", 70553706496, ["Llama 3 70B Q4_K_M", "", "Llama-3", "", "", "70B"]),
            ("model-bf16", 0, ["Model Bf16", "", "", "", "", ""]),
            ("A human sentence 7B", 0, ["A Human Sentence 7B", "", "", "", "", ""]),
            ("./local-model-7B", 0, ["Local Model 7B", "", "local-model", "", "", "7B"]),
            ("../x-1B", 0, ["X 1B", "", "x", "", "", "1B"]),
            ("pocket", 5770000, ["Pocket", "", "", "", "", ""]),
            ("--a--", 0, ["A", "", "", "", "", ""]),
            ("checkpoint-1200", 0, ["Checkpoint 1200", "", "checkpoint", "", "1200", ""]),
            ("v2", 0, ["v2", "", "", "", "v2", ""]),
            ("7B", 0, ["7B", "", "", "7B", "", ""]),
            (
                "Qwen3-1.7B-large-1.7B-large",
                1720574976,
                ["Qwen3 1.7B Large 1.7B Large", "", "Qwen3", "large-large", "", "1.7B"],
            ),
            ("kimi-K2.5", 0, ["Kimi K2.5", "", "", "", "", ""]),
            ("iter5-chat", 0, ["Iter5 Chat", "", "iter5", "chat", "", ""]),
        ];
        for &(id, parameter_count, parts) in table {
            let found = ModelId::parse(id, parameter_count);
            let found = [
                found.title,
                found.organization,
                found.basename,
                found.finetune,
                found.version,
                found.size_label,
            ];
            assert_eq!(found.map(Option::unwrap_or_default), parts, "{id}");
        }
    }

    #[test]
    fn counts_are_rounded_to_two_digits() {
        for (count, label) in [
            (1, "0.00K"),
            (1_720_574_976, "1.7B"),
            (5_770_000, "5.8M"),
            (39_700_000, "40M"),
            (999_999, "1000K"),
            (1_000_000, "1000K"),
            (8_030_261_248, "8.0B"),
            (70_553_706_496, "71B"),
        ] {
            assert_eq!(rounded_count(count), label);
        }
    }
}
