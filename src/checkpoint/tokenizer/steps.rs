//! Bound on the work that the parts of `tokenizer.json` ask for, found without running them; and panics of the
//! `tokenizers` crate made errors.
//!
//! A normalizer, a pre-tokenizer or a decoder is a stack of steps, each of which may make its text longer. The growth
//! of a whole stack is the product of that of its steps, so a few kilobytes of steps can fill any memory.

use super::{Error, file::File};
use serde_json::Value;
use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

/// Most steps of a part. Published tokenizers have at most about ten.
const MAX_STEPS: usize = 64;
/// Largest growth of a text in one part. Two byte-level steps after replacements stay far below.
const MAX_GROWTH: u64 = 1024;
/// Most bytes that a step may add to a text of any length.
const MAX_ADDED_BYTES: u64 = 1 << 16;

/// Checks the parts of `file`.
///
/// # Errors
/// [`Error::TooManySteps`], [`Error::Precompiled`].
pub(super) fn check(file: &File) -> Result<(), Error> {
    let parts = [
        ("normalizer", &file.normalizer),
        ("pre_tokenizer", &file.pre_tokenizer),
        ("post_processor", &file.post_processor),
        ("decoder", &file.decoder),
    ];
    let mut before_model = Cost::default();
    for (part, value) in parts {
        let mut cost = Cost::default();
        cost.add(value);
        if cost.has_precompiled {
            return Err(Error::Precompiled);
        }
        if matches!(part, "normalizer" | "pre_tokenizer") {
            // The one works on what the other made.
            before_model.steps += cost.steps;
            before_model.growth = before_model.growth.saturating_mul(cost.growth);
            cost.growth = before_model.growth;
        }
        if cost.steps > MAX_STEPS || cost.growth > MAX_GROWTH || cost.added_bytes > MAX_ADDED_BYTES {
            return Err(Error::TooManySteps { part });
        }
    }
    Ok(())
}

/// Cost of the steps of a part.
struct Cost {
    steps: usize,
    growth: u64,
    added_bytes: u64,
    has_precompiled: bool,
}

impl Default for Cost {
    fn default() -> Cost {
        Cost { steps: 0, growth: 1, added_bytes: 0, has_precompiled: false }
    }
}

impl Cost {
    /// Adds the step `value` and those inside it. Files cannot nest deeper than the JSON parser allows.
    fn add(&mut self, value: &Value) {
        let Some(step) = value.as_object() else { return };
        self.steps += 1;
        let has = |key: &str| step.contains_key(key);
        let text_bytes =
            |key: &str| step.get(key).and_then(Value::as_str).map_or(0, |text| text.len() as u64);
        // By their fields where they have some of their own: the crate takes many steps without a type, too.
        self.has_precompiled |= has("precompiled_charsmap");
        if has("pattern") && has("content") {
            // An empty pattern, or one with a short or empty match, fits before every byte.
            let replaced = step.get("pattern").and_then(|pattern| pattern.get("String"));
            match replaced.and_then(Value::as_str).map_or(0, |text| text.len() as u64) {
                0 => self.grow(text_bytes("content") + 1),
                bytes => self.grow(text_bytes("content").div_ceil(bytes)),
            }
        }
        if has("replacement") {
            self.grow(text_bytes("replacement"));
        }
        if has("single") {
            self.add_template(step.get("single"), step.get("special_tokens"));
        }
        self.added_bytes += text_bytes("prepend");
        match step.get("type").and_then(Value::as_str) {
            // A byte that is not ASCII becomes a letter of two bytes.
            Some("ByteLevel") => self.grow(2),
            // The longest common decomposition of a character.
            Some("NFKD" | "NFKC" | "NFD" | "BertNormalizer" | "Nmt") => self.grow(4),
            _ => {}
        }
        for list in ["normalizers", "pretokenizers", "processors", "decoders"] {
            step.get(list).and_then(Value::as_array).into_iter().flatten().for_each(|step| self.add(step));
        }
    }

    /// Each place of the text in a template is a copy of it, and each special token is a list of ids.
    fn add_template(&mut self, single: Option<&Value>, special_tokens: Option<&Value>) {
        let pieces = single.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.grow(pieces.iter().filter(|piece| piece.get("Sequence").is_some()).count() as u64);
        for id in pieces.iter().filter_map(|piece| piece.get("SpecialToken")?.get("id")?.as_str()) {
            let token = special_tokens.and_then(|tokens| tokens.get(id)?.get("ids")?.as_array());
            self.added_bytes += token.map_or(1, Vec::len) as u64;
        }
    }

    fn grow(&mut self, factor: u64) {
        self.growth = self.growth.saturating_mul(factor.max(1));
    }
}

thread_local! {
    /// True while a panic of this thread is made an error.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` in the `tokenizers` crate, which panics on some files and texts instead of refusing them.
///
/// # Errors
/// [`Error::Panic`] with its message; the error of `work`.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static HOOK: Once = Once::new();
    // The standard hook prints the panic; what is made an error is printed as that.
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CAUGHT.get() {
                before(info);
            }
        }));
    });
    let was_caught = IS_CAUGHT.replace(true);
    // The encoder is not used again after a panic: the error ends the conversion.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(was_caught);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::Panic { message: text.lines().next().unwrap_or_default().chars().take(200).collect() })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Tokenizer, tests as beside};
    use serde_json::{Value, json};

    fn opened(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, String> {
        let mut file = beside::tokenizer_json();
        change(&mut file);
        let dir = beside::checkpoint(&[("tokenizer.json", file)]);
        Tokenizer::open(dir.path()).map_err(|error| crate::display::chain(&error))
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let error = opened(change).err().unwrap();
        assert!(error.contains("/tokenizer.json: "), "{error}");
        error
    }

    #[test]
    fn files_on_which_the_crate_panics_are_refused_by_name() {
        let prefix = refusal(|file| file["model"]["continuing_subword_prefix"] = json!("##"));
        assert!(prefix.contains("the tokenizers library fails on it"), "{prefix}");
        for text in ["AAAA", "", "////////"] {
            let step = json!({"type": "Precompiled", "precompiled_charsmap": text});
            let refused = refusal(|file| file["normalizer"] = step.clone());
            assert!(refused.contains("a `Precompiled` normalizer is SentencePiece's"), "{refused}");
            refusal(|file| file["normalizer"] = json!({"type": "Sequence", "normalizers": [step]}));
        }
        let template = |single: Value| json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}});
        let unknown = json!([{"SpecialToken": {"id": "nope", "type_id": 0}}]);
        match opened(|file| file["post_processor"] = template(unknown.clone())) {
            Ok(tokenizer) => assert!(tokenizer.encode_with_specials("ab").is_err()),
            Err(error) => assert!(error.contains("/tokenizer.json: "), "{error}"),
        }
        let pair = json!([{"Sequence": {"id": "B", "type_id": 0}}]);
        let tokenizer = opened(|file| file["post_processor"] = template(pair));
        assert!(tokenizer.map_or(true, |tokenizer| tokenizer.encode_with_specials("ab").is_err()));
    }

    #[test]
    fn a_decoder_that_panics_is_an_error_of_its_text() {
        let strip = json!({"type": "Strip", "content": "a", "start": 0, "stop": 9});
        let tokenizer = opened(|file| file["decoder"] = strip).unwrap();
        let error = tokenizer.decode(&[0]).unwrap_err().to_string();
        assert!(error.starts_with("the tokenizers library fails on it"), "{error}");
    }

    #[test]
    fn stacks_of_steps_that_grow_a_text_without_bound_are_refused_before_they_run() {
        let bytes =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let replace = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"});
        let regex = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "aaaa"});
        let twice = json!({"type": "TemplateProcessing", "pair": [], "special_tokens": {},
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]});
        let strip = json!({"type": "StripAccents"});
        for (part, list, step, count) in [
            ("pre_tokenizer", "pretokenizers", &bytes, 40),
            ("normalizer", "normalizers", &bytes, 40),
            ("normalizer", "normalizers", &replace, 20),
            ("normalizer", "normalizers", &regex, 20),
            ("normalizer", "normalizers", &strip, 5_000),
            ("decoder", "decoders", &replace, 20),
            ("post_processor", "processors", &twice, 40),
        ] {
            let error = refusal(|file| {
                file[part] = json!({"type": "Sequence", list: vec![step; count]});
            });
            assert!(error.contains(&format!("`{part}` has more steps")), "{error}");
        }
        let nested = refusal(|file| {
            let pair = |inner: Value| json!({"type": "Sequence", "pretokenizers": [bytes, inner]});
            file["pre_tokenizer"] = (0..30).fold(bytes.clone(), |inner, _| pair(inner));
        });
        assert!(nested.contains("`pre_tokenizer` has more steps"), "{nested}");
        let both = refusal(|file| {
            file["normalizer"] = json!({"type": "Sequence", "normalizers": vec![&bytes; 6]});
            file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": vec![&bytes; 6]});
        });
        assert!(both.contains("`pre_tokenizer` has more steps"), "{both}");
    }

    #[test]
    fn stacks_of_published_tokenizers_are_read() {
        let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let bytes =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let deepseek: Vec<Value> =
            ["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "\\s+$", "[一-龥]+", "\\p{N}"].map(split).to_vec();
        let steps = [deepseek, vec![bytes]].concat();
        opened(|file| {
            file["normalizer"] = json!({"type": "NFC"});
            file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": steps});
        })
        .unwrap();
    }
}
