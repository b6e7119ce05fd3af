//! Facts about model shapes in `models/MODELS.toml` are correct.

use edgecall::{
    bench::data::published,
    display::grouped,
    inspect::{Report, Run, inspect},
    memory::{BOARDS, Target},
};
use serde_json::json;
use std::{collections::BTreeMap, fs, path::Path};
use toml::{Table, Value};

fn models() -> Table {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/MODELS.toml"))
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn every_model_has_a_shape_and_a_licence() {
    let table = models();
    for model in table["model"].as_array().unwrap() {
        let shape = model["shape"].as_str().unwrap();
        assert!(table["shape"].get(shape).is_some(), "{shape}");
        assert!(model["licence"].is_str() && model["id"].as_str().unwrap().contains('/'));
    }
}

#[test]
fn every_family_is_one_that_is_converted() {
    for family in models()["family"].as_array().unwrap() {
        let class = family["architecture"].as_str().unwrap();
        assert!(edgecall::arch::by_class(class).is_some(), "{class}");
    }
}

#[test]
fn a_published_score_is_the_one_that_reports_show() {
    let table = models();
    let scored = table["model"].as_array().unwrap().iter().filter(|model| model.get("tft_staged").is_some());
    for model in scored {
        let checkpoint = published::checkpoint(model["id"].as_str().unwrap()).unwrap();
        assert_eq!(checkpoint, model["id"].as_str().unwrap());
        assert_eq!(published::staged(&checkpoint), model["tft_staged"].as_float());
    }
}

#[test]
fn the_memory_of_each_type_is_what_inspect_says_of_that_shape() {
    for (name, shape) in models()["shape"].as_table().unwrap() {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bytes = empty_checkpoint(folder.path(), shape);
        assert_eq!(shape["safetensors_bytes"].as_integer().unwrap() as u64, bytes, "{name}");
        let Report::Checkpoint(report) = inspect(folder.path(), Run::default()).unwrap() else {
            panic!("{name}: a folder is a checkpoint")
        };
        assert_eq!(report.n_ctx, 4096);
        let said: BTreeMap<&str, i64> = shape["memory_bytes"]
            .as_table()
            .unwrap()
            .iter()
            .map(|(file_type, bytes)| (file_type.as_str(), bytes.as_integer().unwrap()))
            .collect();
        let computed: BTreeMap<&str, i64> =
            report.sizes.iter().map(|row| (row.file_type, row.memory.unwrap().total_bytes as i64)).collect();
        assert_eq!(said, computed, "{name}");
    }
}

/// The boards of each amount of memory with the longest contexts of each shape, as a table in Markdown.
fn table_of_boards() -> String {
    const TYPES: [&str; 4] = ["q4_k_m", "q6_k", "q8_0", "f16"];
    const SHAPES: [(&str, &str); 3] =
        [("qwen3-0.6b", "Qwen3-0.6B"), ("qwen3-1.7b", "Qwen3-1.7B"), ("qwen3-4b", "Qwen3-4B")];
    let mut text =
        format!("| memory | boards | model | {} |\n|---|---|---|", TYPES.map(str::to_uppercase).join(" | "));
    text += &"--:|".repeat(TYPES.len());
    let models = models();
    let folders = SHAPES.map(|(shape, model)| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        empty_checkpoint(folder.path(), &models["shape"][shape]);
        (folder, model)
    });
    for same in BOARDS.chunk_by(|a, b| a.memory_bytes == b.memory_bytes) {
        let names = same.iter().map(|board| format!("`{}`", board.name)).collect::<Vec<_>>().join(", ");
        for (folder, model) in &folders {
            let run = Run { target: Target::Board(&same[0]), ..Run::default() };
            let Report::Checkpoint(report) = inspect(folder.path(), run).unwrap() else { panic!("{model}") };
            text += &format!("\n| {} MiB | {names} | {model} |", same[0].memory_bytes >> 20);
            for file_type in TYPES {
                let row = report.sizes.iter().find(|row| row.file_type == file_type).unwrap();
                text +=
                    &row.longest_n_ctx.map_or(" — |".to_owned(), |n_ctx| format!(" {} |", grouped(n_ctx)));
            }
        }
    }
    text
}

#[test]
fn the_table_of_boards_is_what_inspect_says_of_each() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- boards -->\n", "\n<!-- end of boards -->");
    let (before, rest) = readme.split_once(start).unwrap();
    let (table, after) = rest.split_once(end).unwrap();
    let computed = table_of_boards();
    if std::env::var_os("EDGECALL_WRITE_TABLES").is_some() {
        fs::write(&path, [before, start, &computed, end, after].concat()).unwrap();
    } else {
        assert_eq!(table, computed, "EDGECALL_WRITE_TABLES=1 writes it");
    }
}

/// Writes a checkpoint of `shape` without weights, as a sparse file; returns the bytes that its tensors take.
fn empty_checkpoint(folder: &Path, shape: &Value) -> u64 {
    let number = |key: &str| shape[key].as_integer().unwrap() as u64;
    let (hidden, ffn, vocab) = (number("hidden_size"), number("intermediate_size"), number("vocab_size"));
    let head_dim = number("head_dim");
    let (q, kv) = (number("num_attention_heads") * head_dim, number("num_key_value_heads") * head_dim);
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![vocab, hidden])];
    for layer in 0..number("num_hidden_layers") {
        let mut push = |name: &str, dims: &[u64]| {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), dims.to_vec()));
        };
        push("input_layernorm", &[hidden]);
        push("post_attention_layernorm", &[hidden]);
        push("self_attn.q_norm", &[head_dim]);
        push("self_attn.k_norm", &[head_dim]);
        push("self_attn.q_proj", &[q, hidden]);
        push("self_attn.k_proj", &[kv, hidden]);
        push("self_attn.v_proj", &[kv, hidden]);
        push("self_attn.o_proj", &[hidden, q]);
        push("mlp.gate_proj", &[ffn, hidden]);
        push("mlp.up_proj", &[ffn, hidden]);
        push("mlp.down_proj", &[hidden, ffn]);
    }
    tensors.push(("model.norm.weight".to_owned(), vec![hidden]));

    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, dims) in tensors {
        let start = end;
        end += dims.iter().product::<u64>() * 2;
        header.insert(name, json!({"dtype": "BF16", "shape": dims, "data_offsets": [start, end]}));
    }
    let mut header = serde_json::to_string(&header).unwrap();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let weights = folder.join("model.safetensors");
    fs::write(&weights, [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&weights).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();

    let pocket = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(pocket.join(name), folder.join(name)).unwrap();
    }
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(pocket.join("config.json")).unwrap()).unwrap();
    for (key, value) in shape.as_table().unwrap() {
        if config.get(key).is_some() {
            config[key] = serde_json::to_value(value).unwrap();
        }
    }
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    end
}
