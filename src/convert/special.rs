//! Special tokens: the ids of BOS, EOS and so on, and which of them llama.cpp adds to a prompt.
//!
//! The rules are those of gguf-py's `SpecialVocab` (`gguf-py/gguf/vocab.py`), quirks included, so that the keys
//! come out the same.

use crate::checkpoint::tokenizer::Tokenizer;
use serde_json::{Map, Value};

/// The kinds of special token, in the order of lookup and of writing.
pub(super) const KINDS: [&str; 7] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];

/// The special tokens of a tokenizer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SpecialTokens {
    /// Kind and id, in the order found.
    pub(super) ids: Vec<(&'static str, u32)>,
    /// Kind, and true if llama.cpp shall add it, in the order found.
    pub(super) add: Vec<(&'static str, bool)>,
}

/// An invalid token id in config.json.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadId {
    /// The key in config.json.
    pub(super) key: String,
    /// The value.
    pub(super) value: String,
}

impl SpecialTokens {
    /// Looks up `kinds` in the tokenizer's files, then those still missing in `config` (config.json).
    pub(super) fn find(
        tokenizer: &Tokenizer,
        config: &Map<String, Value>,
        kinds: &[&'static str],
    ) -> Result<SpecialTokens, BadId> {
        let mut found = SpecialTokens::default();
        // An empty tokenizer_config.json counts as none.
        let settings = tokenizer.config().filter(|config| !config.is_empty());
        let mut names = Names::new(settings, kinds);
        names.read_post_processor(tokenizer.post_processor(), &mut found);
        if let Some(settings) = settings {
            for &kind in &names.kinds {
                if let Some(Value::Bool(add)) = settings.get(&format!("add_{kind}_token")) {
                    // The post-processor takes precedence over the configuration.
                    found.add_default(kind, *add);
                }
                let text = names.get(kind).and_then(token_text);
                if let Some(id) = text.and_then(|text| tokenizer.added_id(text)) {
                    found.id_default(kind, id);
                }
            }
        }
        for &kind in &names.kinds {
            let key = format!("{kind}_token_id");
            let value = match config.get(&key) {
                None | Some(Value::Null) => config.get("text_config").and_then(|inner| inner.get(&key)),
                value => value,
            };
            // A list of ids, as for several EOS tokens, is ignored.
            if let Some(number) = value.filter(|v| v.is_i64() || v.is_u64()) {
                let id = number.as_u64().and_then(|id| u32::try_from(id).ok());
                let id = id.ok_or_else(|| BadId { key, value: number.to_string() })?;
                found.id_default(kind, id);
            }
        }
        Ok(found)
    }

    /// The id of `kind`.
    pub(super) fn id(&self, kind: &str) -> Option<u32> {
        self.ids.iter().find(|(k, _)| *k == kind).map(|(_, id)| *id)
    }

    /// Sets the id of `kind` unless it has one.
    pub(super) fn id_default(&mut self, kind: &'static str, id: u32) {
        if self.id(kind).is_none() {
            self.ids.push((kind, id));
        }
    }

    fn add_default(&mut self, kind: &'static str, add: bool) {
        if !self.add.iter().any(|(k, _)| *k == kind) {
            self.add.push((kind, add));
        }
    }

    fn set_add(&mut self, kind: &'static str, add: bool) {
        match self.add.iter_mut().find(|(k, _)| *k == kind) {
            Some(entry) => entry.1 = add,
            None => self.add.push((kind, add)),
        }
    }
}

/// The `X_token` settings, with the post-processor's corrections.
struct Names {
    settings: Vec<(&'static str, Value)>,
    kinds: Vec<&'static str>,
    configured: bool,
    bos: Value,
    cls: Value,
    eos: Value,
    sep: Value,
}

impl Names {
    fn new(settings: Option<&Map<String, Value>>, kinds: &[&'static str]) -> Names {
        let setting =
            |kind: &str| settings.and_then(|s| s.get(&format!("{kind}_token"))).cloned().unwrap_or_default();
        let mut names = Names {
            settings: kinds.iter().map(|kind| (*kind, setting(kind))).collect(),
            kinds: kinds.to_vec(),
            configured: settings.is_some(),
            bos: setting("bos"),
            cls: setting("cls"),
            eos: setting("eos"),
            sep: setting("sep"),
        };
        // BERT-like models use other names.
        if !truthy(&names.bos) && truthy(&names.cls) {
            names.bos = names.cls.clone();
            names.set("bos", names.cls.clone());
        }
        if !truthy(&names.eos) && truthy(&names.sep) {
            names.eos = names.sep.clone();
            names.set("eos", names.sep.clone());
        }
        names
    }

    fn get(&self, kind: &str) -> Option<&Value> {
        self.settings.iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    fn set(&mut self, kind: &'static str, value: Value) {
        if !self.configured {
            return;
        }
        match self.settings.iter_mut().find(|(k, _)| *k == kind) {
            Some(entry) => entry.1 = value,
            None => self.settings.push((kind, value)),
        }
    }

    fn read_post_processor(&mut self, post_processor: &Value, found: &mut SpecialTokens) {
        let alone = std::slice::from_ref(post_processor);
        let processors = match post_processor.get("processors") {
            Some(Value::Array(list)) => list.as_slice(),
            _ => alone,
        };
        for processor in processors {
            match processor.get("type").and_then(Value::as_str) {
                Some("ByteLevel") => {
                    found.add_default("bos", false);
                    found.add_default("eos", false);
                }
                Some("RobertaProcessing") => self.read_roberta(processor, found),
                Some("TemplateProcessing") => self.read_template(processor, found),
                _ => {}
            }
        }
    }

    fn read_roberta(&mut self, processor: &Value, found: &mut SpecialTokens) {
        for kind in ["bos", "eos", "sep"] {
            found.set_add(kind, true);
        }
        let token = |key, otherwise: &Value| match processor.get(key) {
            Some(pair) => pair.get(0).cloned().unwrap_or_default(),
            None => otherwise.clone(),
        };
        if !truthy(&self.cls) && self.configured {
            self.cls = token("cls", &self.bos);
            self.set("cls", self.cls.clone());
        }
        if !truthy(&self.sep) && self.configured {
            self.sep = token("sep", &self.eos);
            self.set("sep", self.sep.clone());
        }
    }

    fn read_template(&mut self, processor: &Value, found: &mut SpecialTokens) {
        let list = |key| processor.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let single = list("single");
        let (mut first, mut last) = (None, None);
        if let [head, .., tail] = single {
            first = special_id(head);
            last = special_id(tail);
        }
        if let Some(first) = first {
            if !self.configured {
                self.bos = first.clone();
            } else if *first != self.bos && *first != self.cls {
                if !truthy(&self.bos) {
                    self.bos = first.clone();
                    self.set("bos", first.clone());
                }
                if !truthy(&self.cls) {
                    self.cls = first.clone();
                    self.set("cls", first.clone());
                }
            }
            found.set_add("bos", *first == self.bos || *first == self.cls);
        }
        if let Some(last) = last {
            if !self.configured {
                self.eos = last.clone();
            } else if *last != self.eos {
                // The former EOS ends a turn or a message; the template's last token ends the text.
                for kind in ["eot", "eom"] {
                    if !self.kinds.contains(&kind) {
                        self.kinds.push(kind);
                        self.set(kind, self.eos.clone());
                        break;
                    }
                }
                self.eos = last.clone();
                self.set("eos", last.clone());
            }
            found.set_add("eos", *last == self.eos);
        }
        self.read_pair(list("pair"), first, last, found);
    }

    /// Reads a pair template, `[first] A [sep] [eos] B [last]`, to find out if a separator is between the
    /// texts.
    fn read_pair(
        &mut self,
        pair: &[Value],
        first: Option<&Value>,
        last: Option<&Value>,
        found: &mut SpecialTokens,
    ) {
        let mut inner = pair;
        if let (Some(first), [head, rest @ ..]) = (first, inner)
            && special_id(head) == Some(first)
        {
            inner = rest;
        }
        if let (Some(last), Some(tail), [rest @ .., _]) = (last, pair.last(), inner)
            && special_id(tail) == Some(last)
        {
            inner = rest;
        }
        let sequence = |entry: &Value| entry.get("Sequence")?.get("id")?.as_str().map(str::to_owned);
        let [a, between @ .., b] = inner else { return };
        if between.is_empty() || sequence(a).as_deref() != Some("A") || sequence(b).as_deref() != Some("B") {
            return;
        }
        let separates =
            |entry: &Value| special_id(entry).is_some_and(|id| *id == self.sep || *id == self.eos);
        let mut add = separates(&between[0]) && last.is_none();
        if let [_, second] = between {
            add |= separates(second);
        }
        found.set_add("sep", add);
        if add && !truthy(&self.sep) {
            self.set("sep", self.eos.clone());
        }
    }
}

/// The name of the special token in an entry of a template; `None` for other entries.
fn special_id(piece: &Value) -> Option<&Value> {
    piece.get("SpecialToken")?.get("id").filter(|id| truthy(id))
}

/// A setting's text: a string, or the `content` of an added token object.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content").and_then(Value::as_str))
}

/// True if Python's `bool` would be.
fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
