//! The rules behind the `tokenizer.*` keys, one by one, on a vocabulary of five tokens.
//!
//! Expected values were measured with llama.cpp's converter (llama-cpp-python 0.3.36, transformers 4.57.6)
//! on tokenizers that differ from a real one in the same way.

use edgecall::Kind;
use edgecall::arch::{self, tokenizer::ExtraKeys};
use edgecall::checkpoint::tokenizer::Tokenizer;
use edgecall::convert::vocab::{self, Error};
use edgecall::convert::{self, pretokenizer};
use edgecall::gguf::{Array, Value};
use edgecall::remedy::Remedy;
use serde_json::{Value as Json, json};

/// Files of a checkpoint's tokenizer, to be changed by a test.
struct Files {
    tokenizer: Json,
    settings: Json,
    config: Json,
}

impl Files {
    fn new() -> Files {
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        Files {
            tokenizer: json!({
                "version": "1.0",
                "added_tokens": [
                    added(3, "<bos>", true, false), added(4, "<eos>", true, false), added(5, "<eot>", true, false),
                ],
                "pre_tokenizer": byte_level, "decoder": byte_level, "post_processor": null, "normalizer": null,
                "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
            }),
            settings: json!({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<bos>", "eos_token": "<eos>"}),
            config: json!({}),
        }
    }

    fn open(&self) -> Tokenizer {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        std::fs::write(dir.path().join("tokenizer_config.json"), self.settings.to_string()).unwrap();
        Tokenizer::open(dir.path()).unwrap()
    }

    fn keys(&self, vocab_size: u32, extra: &ExtraKeys) -> Result<Vec<(String, Value)>, Error> {
        vocab::metadata(&self.open(), self.config.as_object().unwrap(), vocab_size, "qwen2", extra)
    }

    /// Keys after the merges, without `tokenizer.` and `ggml.`.
    fn behind_merges(&self) -> Vec<String> {
        let keys = self.keys(8, &ExtraKeys::NONE).unwrap();
        let at = keys.iter().position(|(key, _)| key == "tokenizer.ggml.merges").unwrap();
        keys[at + 1..].iter().map(line).collect()
    }

    /// Texts and types of the tokens from id 3 on.
    fn added(&self) -> Vec<(String, i32)> {
        let keys = self.keys(16, &ExtraKeys::NONE).unwrap();
        let array = |name: &str| {
            let (_, value) = keys.iter().find(|(key, _)| key == name).unwrap();
            value.as_array().unwrap().clone()
        };
        let (texts, types) = (array("tokenizer.ggml.tokens"), array("tokenizer.ggml.token_type"));
        let (Array::String(texts), Array::I32(types)) = (texts, types) else { panic!() };
        texts.into_iter().zip(types).skip(6).collect()
    }
}

fn added(id: u32, content: &str, special: bool, normalized: bool) -> Json {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": normalized, "special": special})
}

fn line((key, value): &(String, Value)) -> String {
    let key = key.strip_prefix("tokenizer.").unwrap();
    let key = key.strip_prefix("ggml.").unwrap_or(key);
    match value {
        Value::U32(id) => format!("{key} {id}"),
        Value::Bool(flag) => format!("{key} {flag}"),
        Value::String(text) => format!("{key} {text}"),
        Value::Array(Array::String(texts)) => format!("{key} [{}]", texts.join(", ")),
        other => panic!("{other:?}"),
    }
}

/// A post-processor that writes `single` around one text and `pair` around two.
fn template(single: &[&str], pair: &[&str]) -> Json {
    let piece = |name: &&str| match *name {
        "A" | "B" => json!({"Sequence": {"id": name, "type_id": 0}}),
        _ => json!({"SpecialToken": {"id": name, "type_id": 0}}),
    };
    let pieces = |names: &[&str]| names.iter().map(piece).collect::<Vec<_>>();
    let special = |name: &str, id: u32| json!({"id": name, "ids": [id], "tokens": [name]});
    json!({
        "type": "TemplateProcessing", "single": pieces(single), "pair": pieces(pair),
        "special_tokens": {"<bos>": special("<bos>", 3), "<eos>": special("<eos>", 4), "<eot>": special("<eot>", 5)},
    })
}

#[test]
fn the_post_processor_says_what_is_added_to_a_prompt() {
    let with = |post_processor: Json| {
        let mut files = Files::new();
        files.tokenizer["post_processor"] = post_processor;
        files.behind_merges()
    };
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true});
    let ids = ["bos_token_id 3", "eos_token_id 4"];
    let check = |post_processor: Json, expected: &[&str]| assert_eq!(with(post_processor), expected);
    check(Json::Null, &ids);
    check(byte_level.clone(), &[ids[0], ids[1], "add_bos_token false", "add_eos_token false"]);
    check(template(&["<bos>", "A"], &["<bos>", "A", "B"]), &[ids[0], ids[1], "add_bos_token true"]);
    check(
        json!({"type": "Sequence", "processors": [byte_level, template(&["<bos>", "A"], &["<bos>", "A", "B"])]}),
        &[ids[0], ids[1], "add_bos_token true", "add_eos_token false"],
    );
    check(
        template(&["<bos>", "A", "<eos>"], &["<bos>", "A", "<eos>", "B", "<eos>"]),
        &[ids[0], ids[1], "add_bos_token true", "add_eos_token true", "add_sep_token false"],
    );
    // The last token of the template is the end of the text; the former EOS ends a turn.
    check(
        template(&["<bos>", "A", "<eot>"], &["<bos>", "A", "<eot>", "B", "<eot>"]),
        &[
            ids[0],
            "eos_token_id 5",
            "eot_token_id 4",
            "add_bos_token true",
            "add_eos_token true",
            "add_sep_token false",
        ],
    );
    check(
        template(&["<bos>", "A"], &["<bos>", "A", "<eos>", "B"]),
        &[ids[0], ids[1], "seperator_token_id 4", "add_bos_token true", "add_sep_token true"],
    );
    check(
        json!({"type": "RobertaProcessing", "sep": ["<eos>", 4], "cls": ["<bos>", 3], "trim_offsets": true,
               "add_prefix_space": false}),
        &[
            ids[0],
            ids[1],
            "seperator_token_id 4",
            "add_bos_token true",
            "add_eos_token true",
            "add_sep_token true",
        ],
    );
}

#[test]
fn ids_come_from_the_tokenizer_first_and_then_from_config_json() {
    let mut files = Files::new();
    files.settings = json!({"tokenizer_class": "X", "eos_token": {"content": "<eos>"}, "pad_token": "<eot>",
                            "add_bos_token": true, "add_eos_token": false});
    files.config = json!({"bos_token_id": 0, "eos_token_id": [1, 2], "pad_token_id": 1, "unk_token_id": null,
                          "text_config": {"unk_token_id": 2}});
    assert_eq!(
        files.behind_merges(),
        [
            "eos_token_id 4",
            "padding_token_id 5",
            "bos_token_id 0",
            "unknown_token_id 2",
            "add_bos_token true",
            "add_eos_token false"
        ]
    );
}

#[test]
fn an_id_that_is_none_is_refused_with_its_key() {
    let mut files = Files::new();
    files.settings = json!({"tokenizer_class": "X"});
    files.config = json!({"pad_token_id": -1});
    let error = files.keys(8, &ExtraKeys::NONE).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert_eq!(
        error.to_string(),
        "config.json: `pad_token_id` is -1, which is no token id; remove it or write the right one"
    );
}

#[test]
fn a_vocabulary_larger_than_the_embeddings_is_refused_and_a_smaller_one_padded() {
    let files = Files::new();
    let error = files.keys(5, &ExtraKeys::NONE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tokenizer has ids up to 5 (token \"<eot>\") but the model has embeddings for 5 tokens; were tokens \
         added without resizing the embeddings?"
    );
    assert_eq!(files.keys(6, &ExtraKeys::NONE).unwrap().len(), 7);
    let padded = files.added();
    assert_eq!(padded[0], ("[PAD6]".to_owned(), 5));
    assert_eq!(padded[9], ("[PAD15]".to_owned(), 5));
}

#[test]
fn added_tokens_are_control_or_user_defined_by_flag_and_by_look() {
    let mut files = Files::new();
    let tokens = [
        ("<|looks|>", false, true),
        ("<pad>", false, true),
        ("<unused5>", false, true),
        ("<｜x｜>", false, true),
        ("<plain>", false, true),
        ("\u{2581}\u{2581}", false, true),
        ("<yes>", true, true),
        // Their text is changed by the byte-level decoder, which reads letters of its alphabet as bytes.
        ("\u{120}gap", false, false),
        ("é", false, false),
    ];
    let list = files.tokenizer["added_tokens"].as_array_mut().unwrap();
    for (id, (text, special, normalized)) in (6..).zip(tokens) {
        list.push(added(id, text, special, normalized));
    }
    let expected = [
        ("<|looks|>", 3),
        ("<pad>", 3),
        ("<unused5>", 3),
        ("<｜x｜>", 3),
        ("<plain>", 4),
        ("  ", 4),
        ("<yes>", 3),
        (" gap", 4),
        ("\u{fffd}", 4),
    ];
    let found = files.added();
    let found: Vec<(&str, i32)> = found.iter().map(|(text, kind)| (text.as_str(), *kind)).collect();
    assert_eq!(found[..9], expected);
}

#[test]
fn templates_with_names_have_keys_with_names() {
    let mut files = Files::new();
    files.settings["chat_template"] = json!([
        {"name": "tool use/2", "template": "T"}, {"name": "default", "template": "D"}, {"name": "rag", "template": "R"},
    ]);
    assert_eq!(
        files.behind_merges()[2..],
        [
            "chat_template.tool_use_2 T",
            "chat_template.rag R",
            "chat_templates [rag, tool_use_2]",
            "chat_template D"
        ]
    );
    files.settings["chat_template"] = json!("");
    assert_eq!(files.behind_merges().len(), 2);
}

#[test]
fn llamas_have_a_few_keys_of_their_own() {
    let keys = |files: &Files, vocab_size| -> Vec<String> {
        let keys = files.keys(vocab_size, &arch::by_name("llama").unwrap().extra_tokenizer_keys).unwrap();
        keys.iter().filter(|(_, value)| value.as_array().is_none()).map(line).collect()
    };
    let mut files = Files::new();
    assert_eq!(keys(&files, 8), ["model gpt2", "pre qwen2", "bos_token_id 3", "eos_token_id 4"]);
    assert_eq!(keys(&files, 49152).last().unwrap(), "add_bos_token false");
    assert_eq!(keys(&files, 32016).last().unwrap(), "eot_token_id 32010");
    files.settings["add_prefix_space"] = json!(false);
    assert_eq!(keys(&files, 8)[..2], ["add_space_prefix false", "model gpt2"]);
    assert_eq!(files.behind_merges(), ["bos_token_id 3", "eos_token_id 4"]);
    files.tokenizer["post_processor"] = template(&["<bos>", "A"], &["<bos>", "A", "B"]);
    assert_eq!(keys(&files, 49152)[3..], ["bos_token_id 3", "eos_token_id 4", "add_bos_token false"]);
}

#[test]
fn a_lowercasing_normaliser_is_told_to_llama_cpp() {
    let mut files = Files::new();
    files.tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]});
    assert_eq!(files.behind_merges()[2..], ["normalizer.lowercase true", "normalizer.strip_accents true"]);
}

#[test]
fn a_pre_tokenizer_of_ones_own_vocabulary_is_known_by_structure() {
    let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
    let rest = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let split = |numbers: &str| {
        let pattern = json!({"Regex": format!("{words}{numbers}{rest}")});
        let split = json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
        json!({"type": "Sequence", "pretokenizers": [split, byte_level(false)]})
    };
    let digits = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true}, byte_level(true)
    ]});
    let nfc = json!({"type": "NFC"});
    let qwen2 = Some("qwen2");
    for (normalizer, pre_tokenizer, ignore_merges, expected) in [
        (&nfc, split(r"\p{N}"), false, qwen2),
        (&Json::Null, split(r"\p{N}"), false, qwen2),
        (&json!({"type": "NFKC"}), split(r"\p{N}"), false, None),
        (&nfc, split(r"\p{N}{1,2}"), false, None),
        (&Json::Null, split(r"\p{N}{1,3}"), true, Some("llama-bpe")),
        (&Json::Null, split(r"\p{N}{1,3}"), false, Some("smaug-bpe")),
        (&Json::Null, digits, false, Some("smollm")),
        (&Json::Null, byte_level(true), false, Some("gpt-2")),
        (&Json::Null, byte_level(false), false, None),
        (&Json::Null, json!({"type": "Whitespace"}), false, None),
    ] {
        let mut files = Files::new();
        files.tokenizer["normalizer"] = normalizer.clone();
        files.tokenizer["pre_tokenizer"] = pre_tokenizer.clone();
        files.tokenizer["model"]["ignore_merges"] = json!(ignore_merges);
        let found = pretokenizer::recognize(&files.open(), files.config.as_object().unwrap());
        match expected {
            Some(name) => {
                assert_eq!(found.unwrap(), (name, pretokenizer::Evidence::Structure), "{pre_tokenizer}");
            }
            None => {
                let error = found.unwrap_err();
                assert!(error.to_string().contains("(hash "), "{error}");
                let remedies = convert::Error::from(error).remedies();
                assert_eq!(remedies, [Remedy::PreTokenizer(None)]);
            }
        }
    }
}
