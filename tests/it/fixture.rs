//! Tiny checkpoints made from a seed: weights, a byte-level tokenizer, a configuration.

use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Random numbers from a seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Nearly normal with a deviation of 1: the sum of twelve uniform numbers.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.bits() >> 40) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }
}

/// Shape and peculiarities of a checkpoint.
#[derive(Clone)]
pub struct Fixture {
    pub seed: u64,
    pub class: &'static str,
    pub hidden: u64,
    pub layers: u64,
    pub heads: u64,
    pub kv_heads: u64,
    pub head_dim: u64,
    pub ffn: u64,
    pub vocab: u64,
    /// Form of the output head.
    pub head: Head,
    /// Number of safetensors files.
    pub shards: usize,
    /// Dtype of the n-th tensor.
    pub dtype: fn(usize) -> &'static str,
    /// Fields of `config.json` to add or replace.
    pub config: Value,
}

/// Form of the output head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Not stored: tied to the embedding.
    Tied,
    /// Stored as a copy of the embedding, though tied.
    TiedCopy,
    /// A separate matrix.
    Untied,
}

impl Default for Fixture {
    fn default() -> Fixture {
        Fixture {
            seed: 1,
            class: "Qwen3ForCausalLM",
            hidden: 256,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 64,
            ffn: 512,
            vocab: VOCAB,
            head: Head::Tied,
            shards: 1,
            dtype: |_| "BF16",
            config: json!({}),
        }
    }
}

/// A tensor by name: dtype, shape and bytes.
type Tensors = Vec<(String, &'static str, Vec<u64>, Vec<u8>)>;

impl Fixture {
    /// Writes the checkpoint into `dir`, which is created.
    pub fn write(&self, dir: &Path) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        write_json(dir, "config.json", &self.config_json());
        write_tokenizer(dir);
        self.write_weights(dir);
        dir.to_path_buf()
    }

    /// `config.json`.
    pub fn config_json(&self) -> Value {
        let mut config = json!({
            "architectures": [self.class], "hidden_size": self.hidden, "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "vocab_size": self.vocab,
            "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
            "tie_word_embeddings": self.head != Head::Untied, "eos_token_id": EOS, "bos_token_id": null,
        });
        config.as_object_mut().unwrap().extend(self.config.as_object().unwrap().clone());
        config
    }

    #[cfg(feature = "engine")]
    /// A small LFM2: layers with a convolution, and every other one with attention.
    pub fn lfm2() -> Fixture {
        let layer_types = ["conv", "full_attention", "conv", "full_attention"];
        let config = json!({
            "layer_types": layer_types, "conv_L_cache": 3, "norm_eps": 1e-5,
            "block_auto_adjust_ff_dim": false, "max_position_embeddings": 1024,
        });
        Fixture { class: "Lfm2ForCausalLM", layers: layer_types.len() as u64, config, ..Fixture::default() }
    }

    fn shapes(&self) -> Vec<(String, Vec<u64>)> {
        let (hidden, ffn, width) = (self.hidden, self.ffn, self.head_dim);
        let (q, kv) = (self.heads * width, self.kv_heads * width);
        let mut shapes = vec![("model.embed_tokens.weight".to_owned(), vec![self.vocab, hidden])];
        for layer in 0..self.layers {
            let mut push = |name: &str, shape: &[u64]| {
                shapes.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
            };
            if self.class.starts_with("Lfm2") {
                push("operator_norm.weight", &[hidden]);
                push("ffn_norm.weight", &[hidden]);
                push("feed_forward.w1.weight", &[ffn, hidden]);
                push("feed_forward.w2.weight", &[hidden, ffn]);
                push("feed_forward.w3.weight", &[ffn, hidden]);
                // Every other layer has attention.
                if layer % 2 == 0 {
                    push("conv.conv.weight", &[hidden, 1, 3]);
                    push("conv.in_proj.weight", &[3 * hidden, hidden]);
                    push("conv.out_proj.weight", &[hidden, hidden]);
                } else {
                    push("self_attn.q_proj.weight", &[q, hidden]);
                    push("self_attn.k_proj.weight", &[kv, hidden]);
                    push("self_attn.v_proj.weight", &[kv, hidden]);
                    push("self_attn.out_proj.weight", &[hidden, q]);
                    push("self_attn.q_layernorm.weight", &[width]);
                    push("self_attn.k_layernorm.weight", &[width]);
                }
                continue;
            }
            push("input_layernorm.weight", &[hidden]);
            push("post_attention_layernorm.weight", &[hidden]);
            push("self_attn.q_proj.weight", &[q, hidden]);
            push("self_attn.k_proj.weight", &[kv, hidden]);
            push("self_attn.v_proj.weight", &[kv, hidden]);
            push("self_attn.o_proj.weight", &[hidden, q]);
            push("mlp.gate_proj.weight", &[ffn, hidden]);
            push("mlp.up_proj.weight", &[ffn, hidden]);
            push("mlp.down_proj.weight", &[hidden, ffn]);
            if self.class.starts_with("Qwen3") {
                push("self_attn.q_norm.weight", &[width]);
                push("self_attn.k_norm.weight", &[width]);
            }
            if self.class.starts_with("Qwen2") {
                push("self_attn.q_proj.bias", &[q]);
                push("self_attn.k_proj.bias", &[kv]);
                push("self_attn.v_proj.bias", &[kv]);
            }
        }
        let norm = if self.class.starts_with("Lfm2") { "model.embedding_norm" } else { "model.norm" };
        shapes.push((format!("{norm}.weight"), vec![hidden]));
        if self.head != Head::Tied {
            shapes.push(("lm_head.weight".to_owned(), vec![self.vocab, hidden]));
        }
        shapes
    }

    fn tensors(&self) -> Tensors {
        let shapes = self.shapes().into_iter().enumerate();
        let tensor = |(i, (name, shape)): (usize, (String, Vec<u64>))| {
            let copied = self.head == Head::TiedCopy && name == "lm_head.weight";
            let (i, drawn) = if copied { (0, "model.embed_tokens.weight") } else { (i, name.as_str()) };
            // Each name has its own random stream, so that sharding changes no weight.
            let mut random =
                Random(drawn.bytes().fold(self.seed, |seed, byte| seed.wrapping_mul(31) + u64::from(byte)));
            let dtype = (self.dtype)(i);
            let count = shape.iter().product();
            let scale = match shape.len() {
                1 => 0.1,
                2 => 0.02,
                // The kernel of a convolution.
                _ => 0.3,
            };
            let offset = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
            let bytes = (0..count).flat_map(|_| encoded(offset + scale * random.normal(), dtype)).collect();
            (name, dtype, shape, bytes)
        };
        shapes.map(tensor).collect()
    }

    fn write_weights(&self, dir: &Path) {
        let tensors = self.tensors();
        if self.shards == 1 {
            write_safetensors(&dir.join("model.safetensors"), &tensors);
            return;
        }
        let mut weight_map = BTreeMap::new();
        for (n, tensors) in tensors.chunks(tensors.len().div_ceil(self.shards)).enumerate() {
            let name = format!("model-{:05}-of-{:05}.safetensors", n + 1, self.shards);
            write_safetensors(&dir.join(&name), tensors);
            weight_map.extend(tensors.iter().map(|(tensor, ..)| (tensor.clone(), name.clone())));
        }
        write_json(dir, "model.safetensors.index.json", &json!({"metadata": {}, "weight_map": weight_map}));
    }
}

fn encoded(number: f32, dtype: &str) -> Vec<u8> {
    match dtype {
        "F32" => number.to_le_bytes().to_vec(),
        "F16" => half::f16::from_f32(number).to_le_bytes().to_vec(),
        _ => half::bf16::from_f32(number).to_le_bytes().to_vec(),
    }
}

/// Writes `tensors` one after another.
pub fn write_safetensors(path: &Path, tensors: &[(String, &'static str, Vec<u64>, Vec<u8>)]) {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend_from_slice(bytes);
    }
    write_raw_safetensors(path, &Value::Object(header), &data);
}

/// Writes a safetensors file with the given header and data.
pub fn write_raw_safetensors(path: &Path, header: &Value, data: &[u8]) {
    let mut json = header.to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json);
    file.extend_from_slice(data);
    fs::write(path, file).unwrap();
}

/// Header and data of a safetensors file.
pub fn read_safetensors(path: &Path) -> (Map<String, Value>, Vec<u8>) {
    let file = fs::read(path).unwrap();
    let header_len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header = serde_json::from_slice(&file[8..8 + header_len]).unwrap();
    (header, file[8 + header_len..].to_vec())
}

/// Writes `value` as `dir/name`.
pub fn write_json(dir: &Path, name: &str, value: &Value) {
    fs::write(dir.join(name), value.to_string()).unwrap();
}

/// 256 bytes, the merges, and three special tokens.
pub const VOCAB: u64 = 256 + MERGES.len() as u64 + 3;
const EOS: u64 = VOCAB - 1;

/// Merges in the byte-level alphabet; `Ġ` is the space.
const MERGES: [(&str, &str); 15] = [
    ("Ġ", "t"),
    ("h", "e"),
    ("Ġt", "he"),
    ("i", "n"),
    ("Ġ", "a"),
    ("r", "e"),
    ("o", "n"),
    ("e", "r"),
    ("Ġ", "Ġ"),
    ("ĠĠ", "ĠĠ"),
    ("Ġ", "in"),
    ("on", "e"),
    ("Ċ", "Ċ"),
    // Never used by Qwen2, which splits numbers into digits.
    ("1", "2"),
    ("2", "3"),
];

/// Qwen2's split expression, so that its pre-tokenizer is detected.
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn write_tokenizer(dir: &Path) {
    let mut tokens: Vec<String> = byte_alphabet().map(String::from).collect();
    tokens.extend(MERGES.iter().map(|(left, right)| format!("{left}{right}")));
    let vocab: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let added: Vec<Value> = special
        .iter()
        .enumerate()
        .map(|(i, content)| {
            json!({
                "id": tokens.len() + i, "content": content, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false}, byte_level,
        ]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": MERGES.iter().map(|(left, right)| format!("{left} {right}")).collect::<Vec<_>>(),
        },
    });
    write_json(dir, "tokenizer.json", &tokenizer);
    let template = "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
                    {%- endfor %}<|im_start|>assistant\n";
    let settings = json!({
        "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "add_bos_token": false, "chat_template": template,
    });
    write_json(dir, "tokenizer_config.json", &settings);
}

/// GPT-2's alphabet for bytes: printable characters stay the same, the others start at U+0100.
fn byte_alphabet() -> impl Iterator<Item = char> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let printable = (0..=255).filter(move |&byte| is_printable(byte)).map(char::from);
    let count = (0..=255u8).filter(|&byte| !is_printable(byte)).count() as u32;
    printable.chain((0..count).map(|i| char::from_u32(256 + i).unwrap()))
}
