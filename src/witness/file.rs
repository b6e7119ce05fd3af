//! The witness as `scripts/witness.py` writes it, read with limits and checked field by field.

use super::{Error, mark::Mark};
use crate::{arch::Config, checkpoint, convert::manifest::Top, files, json};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

/// Most bytes of a witness; one of 20 conversations has some hundred thousand.
const MAX_BYTES: u64 = 256 << 20;
/// The version of the format.
const VERSION: u32 = 1;

/// The answers of a model in its trainer.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Versions of the programs that wrote it, by name.
    pub made_with: BTreeMap<String, String>,
    /// The trainer's local time, in seconds since 1970 as if it were UTC; templates may show it.
    pub local_time: i64,
    /// The model's configuration.
    pub model: Config,
    /// Chat templates by name; one without a name is `default`.
    pub templates: Vec<(String, String)>,
    /// The BOS token's text, if there is one.
    pub bos: Option<String>,
    /// The EOS token.
    pub eos: Special,
    /// Tokens at which the trainer's generation ends.
    pub ends: Vec<u32>,
    /// True if the tokenizer puts BOS before a text.
    pub adds_bos: bool,
    /// Texts for the tokenizer alone.
    pub texts: Vec<Text>,
    /// Conversations, rendered, tokenized and answered.
    pub conversations: Vec<Conversation>,
    /// Marks of the weights, by transformers' names.
    pub tensors: BTreeMap<String, Mark>,
    /// Marks of the weights that an adapter changed, before it did; empty without an adapter.
    pub base: BTreeMap<String, Mark>,
}

/// A special token: text and id.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Special(pub Option<String>, pub Option<u32>);

/// A text and its token ids.
#[derive(Clone, Debug, Deserialize)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Its ids, without BOS and EOS.
    pub ids: Vec<i32>,
}

/// A conversation in the trainer.
#[derive(Clone, Debug, Deserialize)]
pub struct Conversation {
    /// The messages, as the template got them.
    pub messages: Vec<Value>,
    /// The tools, as the template got them.
    pub tools: Option<Value>,
    /// True if the text ends with the start of an answer.
    pub add_generation_prompt: bool,
    /// The rendered text.
    pub text: String,
    /// Its token ids.
    pub ids: Vec<i32>,
    /// Indices of ids, ascending, after which the probabilities were taken.
    pub positions: Vec<usize>,
    /// The likeliest next tokens after each of these, likeliest first.
    pub top: Vec<Vec<Pair>>,
}

/// A token and the natural logarithm of its probability.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Pair(pub i32, pub f64);

impl From<&Pair> for Top {
    fn from(pair: &Pair) -> Top {
        Top { token: pair.0, logprob: pair.1 }
    }
}

#[derive(Deserialize)]
struct Document {
    edgecall_witness: u32,
    made_with: BTreeMap<String, String>,
    local_time: i64,
    config: Map<String, Value>,
    chat_template: Option<Templates>,
    bos: Special,
    eos: Special,
    ends: Vec<u32>,
    adds_bos: bool,
    texts: Vec<Text>,
    conversations: Vec<Conversation>,
    tensors: BTreeMap<String, Mark>,
    base: Option<BTreeMap<String, Mark>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(BTreeMap<String, String>),
}

impl Witness {
    /// Reads the witness at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, is no witness, or has a field with an impossible value.
    pub fn read(path: &Path) -> Result<Witness, Error> {
        let bytes = files::read(path, MAX_BYTES)
            .map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        Witness::parse(&bytes, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Witness, Error> {
        let field =
            |field: String, problem: String| Error::Field { path: path.to_path_buf(), field, problem };
        let text =
            json::text(bytes).map_err(|source| field(".".to_owned(), format!("is not text: {source}")))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let document: Document =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|error| Error::Json {
                path: path.to_path_buf(),
                field: error.path().to_string(),
                source: error.into_inner(),
            })?;
        deserializer.end().map_err(|source| Error::Json {
            path: path.to_path_buf(),
            field: ".".to_owned(),
            source,
        })?;
        document.check().map_err(|Problem(name, problem)| field(name, problem))?;
        document.into_witness(path)
    }
}

/// A field and what is wrong with it.
struct Problem(String, String);

impl Document {
    fn check(&self) -> Result<(), Problem> {
        if self.edgecall_witness != VERSION {
            let problem = format!("is {}, and this program reads version {VERSION}", self.edgecall_witness);
            return Err(Problem("edgecall_witness".into(), problem));
        }
        if self.tensors.is_empty() {
            return Err(Problem("tensors".into(), "is empty".into()));
        }
        for (i, conversation) in self.conversations.iter().enumerate() {
            conversation
                .check()
                .map_err(|Problem(name, problem)| Problem(format!("conversations[{i}].{name}"), problem))?;
        }
        for (i, text) in self.texts.iter().enumerate() {
            check_ids(&text.ids)
                .map_err(|Problem(name, problem)| Problem(format!("texts[{i}].{name}"), problem))?;
        }
        let base = self.base.iter().flatten().map(|(name, mark)| ("base", name, mark));
        for (list, name, mark) in self.tensors.iter().map(|(name, mark)| ("tensors", name, mark)).chain(base)
        {
            mark.check().map_err(|problem| Problem(format!("{list}[{name:?}]"), problem))?;
        }
        let changed = self
            .base
            .iter()
            .flatten()
            .find(|(name, mark)| self.tensors.get(*name).is_none_or(|merged| merged.shape != mark.shape));
        match changed {
            Some((name, _)) => {
                Err(Problem(format!("base[{name:?}]"), "has no tensor of its shape in `tensors`".into()))
            }
            None => Ok(()),
        }
    }

    fn into_witness(self, path: &Path) -> Result<Witness, Error> {
        let config = serde_json::to_vec(&self.config).expect("a JSON value is written to memory");
        let model = checkpoint::parse_config(&config)
            .map_err(|source| Error::Config { path: path.to_path_buf(), source })?;
        let templates = match self.chat_template {
            None => Vec::new(),
            Some(Templates::One(text)) => vec![("default".to_owned(), text)],
            Some(Templates::Named(named)) => named.into_iter().collect(),
        };
        let mut conversations = self.conversations;
        for top in conversations.iter_mut().flat_map(|conversation| &mut conversation.top) {
            top.sort_by(|a, b| b.1.total_cmp(&a.1));
        }
        Ok(Witness {
            made_with: self.made_with,
            local_time: self.local_time,
            model,
            templates,
            bos: self.bos.0,
            eos: self.eos,
            ends: self.ends,
            adds_bos: self.adds_bos,
            texts: self.texts,
            conversations,
            tensors: self.tensors,
            base: self.base.unwrap_or_default(),
        })
    }
}

impl Conversation {
    fn check(&self) -> Result<(), Problem> {
        check_ids(&self.ids)?;
        let wrong = |name: &str, problem: &str| Err(Problem(name.to_owned(), problem.to_owned()));
        if self.positions.windows(2).any(|pair| pair[0] >= pair[1]) {
            return wrong("positions", "does not ascend");
        }
        if self.positions.last().is_some_and(|&last| last >= self.ids.len()) {
            return wrong("positions", "points behind the ids");
        }
        if self.top.len() != self.positions.len() {
            return wrong("top", "has not one list for each position");
        }
        for (i, top) in self.top.iter().enumerate() {
            let mut seen = HashSet::new();
            let is_possible = |pair: &Pair| pair.0 >= 0 && pair.1.is_finite() && pair.1 < 0.01;
            if top.is_empty() || !top.iter().all(|pair| is_possible(pair) && seen.insert(pair.0)) {
                return wrong(&format!("top[{i}]"), "is no list of different tokens with log-probabilities");
            }
        }
        Ok(())
    }
}

fn check_ids(ids: &[i32]) -> Result<(), Problem> {
    match ids.iter().find(|id| **id < 0) {
        Some(id) => Err(Problem("ids".into(), format!("has {id}, which is no token"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use serde_json::json;

    fn document() -> Value {
        let mark = json!({
            "shape": [2, 4], "rows": vec![0.5; 13], "columns": vec![0.5; 13], "squares": 1.0, "values": vec![0.1; 32],
        });
        json!({
            "edgecall_witness": 1, "made_with": {"torch": "2"}, "local_time": 0,
            "config": {"architectures": ["Qwen3ForCausalLM"]}, "chat_template": "{{ messages }}",
            "bos": [null, null], "eos": ["</s>", 2], "ends": [2], "adds_bos": false,
            "texts": [{"text": "a", "ids": [1]}],
            "conversations": [{
                "messages": [{"role": "user", "content": "a"}], "tools": null, "add_generation_prompt": true, "text": "a",
                "ids": [1, 2], "positions": [0, 1], "top": [[[4, -0.5], [3, -0.1]], [[5, -0.2]]],
            }],
            "tensors": {"lm_head.weight": mark}, "base": null,
        })
    }

    fn refused(at: &str, value: Value) -> String {
        let mut document = document();
        *document.pointer_mut(at).unwrap() = value;
        let error = Witness::parse(document.to_string().as_bytes(), Path::new("w.json")).unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn a_witness_is_read_with_the_likeliest_tokens_first() {
        let found = Witness::parse(document().to_string().as_bytes(), Path::new("w.json")).unwrap();
        assert_eq!(found.templates, [("default".to_owned(), "{{ messages }}".to_owned())]);
        assert_eq!(found.conversations[0].top[0][0].0, 3);
        assert!(found.base.is_empty());
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        for (at, value, part) in [
            ("/edgecall_witness", json!(2), "`edgecall_witness` is 2, and this program reads version 1"),
            ("/tensors", json!({}), "`tensors` is empty"),
            ("/ends", json!("x"), "`ends` is not as a witness has it"),
            ("/conversations/0/ids", json!([1, -1]), "`conversations[0].ids` has -1"),
            ("/conversations/0/ids", json!([1, 1e3]), "`conversations[0].ids[1]` is not"),
            ("/conversations/0/positions", json!([1, 0]), "`conversations[0].positions` does not ascend"),
            ("/conversations/0/positions", json!([0, 2]), "points behind the ids"),
            ("/conversations/0/positions", json!([0]), "`conversations[0].top` has not one list"),
            ("/conversations/0/top/1", json!([]), "`conversations[0].top[1]` is no list"),
            ("/conversations/0/top/1", json!([[1, 0.5]]), "`conversations[0].top[1]` is no list"),
            ("/conversations/0/top/1", json!([[1, -0.5], [1, -0.5]]), "`conversations[0].top[1]` is no list"),
            ("/texts/0/ids/0", json!(-3), "`texts[0].ids` has -3"),
            (
                "/tensors/lm_head.weight/shape",
                json!([2, 0]),
                "`tensors[\"lm_head.weight\"]` has the impossible shape",
            ),
            ("/tensors/lm_head.weight/values", json!([1.0]), "has 1 `values` in place of 32"),
            (
                "/base",
                json!({"x": {"shape": [1], "rows": vec![0; 13], "columns": vec![0; 13], "squares": 0, "values": vec![0; 32]}}),
                "`base[\"x\"]` has no tensor",
            ),
            (
                "/config/architectures/0",
                json!("GPT2LMHeadModel"),
                "w.json: `config`: architecture `GPT2LMHeadModel`",
            ),
        ] {
            let message = refused(at, value);
            assert!(message.contains(part), "{at}: {message}");
        }
    }

    #[test]
    fn what_is_no_json_or_too_large_a_number_is_refused() {
        for text in ["", "{", "[1]", "\u{0}", "{\"edgecall_witness\": 1e999}", "{} {}"] {
            let error = Witness::parse(text.as_bytes(), Path::new("w.json")).unwrap_err();
            assert_eq!(error.kind(), Kind::Data, "{text}");
        }
        let twice = document().to_string() + "{}";
        assert!(Witness::parse(twice.as_bytes(), Path::new("w.json")).is_err());
        let huge = document().to_string().replace("-0.5", "-1e999");
        assert!(Witness::parse(huge.as_bytes(), Path::new("w.json")).is_err());
    }
}
