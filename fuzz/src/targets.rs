//! What is fuzzed: one function for each kind of file or text that comes from others. None may panic, hang or take
//! memory without bound, whatever its input is; an error is fine.
//!
//! The functions use the library as any program does. `fuzz_targets` runs them under libFuzzer, and the tests run them
//! with changed seeds, see `tests/it/mutated.rs`.

use edgecall::{
    adapter::Adapter,
    bench::{
        data::{Call, Dataset, json::Json},
        row::RowFile,
        score::predictions,
    },
    bundle::{Bundle, Wanted},
    chat::{Conversation, RenderOptions, RequestBody, Template},
    checkpoint::{self, Checkpoint, tokenizer::Tokenizer},
    gguf::{self, Gguf},
    guard::{self, Trust},
    http::{Client, Place, RetryPolicy},
    profile::Profile,
    schema::KeyOrder,
    tools::{ToolSet, arguments::AnswerSchema},
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::atomic::AtomicBool,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// A function that reads input of one kind.
pub type Target = fn(&[u8]);

/// The targets with their names, which are those of their seeds' folders.
pub const TARGETS: &[(&str, Target)] = &[
    ("adapter", adapter),
    ("bundle", bundle),
    #[cfg(feature = "engine")]
    ("cache", cache),
    ("config", config),
    ("gguf", gguf_header),
    ("messages", messages),
    ("profile", profile),
    ("rows", rows),
    ("safetensors", safetensors),
    ("schema", json_schema),
    ("server", server),
    ("template", template),
    ("test_set", test_set),
    ("tokenizer", tokenizer),
    ("tools", tools),
    #[cfg(feature = "engine")]
    ("witness", witness),
];

const CONFIG: &str = r#"{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
    "vocab_size": 64, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 10000.0}"#;

/// An empty folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder is made");
        fs::write(path, bytes).expect("a file is written");
    }
    folder
}

/// The first line without its break, and the rest.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, b""),
    }
}

/// A file's header, what is checked of it before llama.cpp reads it, and the profile in it.
pub fn gguf_header(data: &[u8]) {
    let _ = gguf::values_with_prefix(data, "edgecall.");
    let Ok(gguf) = Gguf::parse(data) else { return };
    for trust in [Trust::Checked, Trust::Unchecked] {
        let _ = guard::check_vocabulary(&gguf, trust);
        let _ = guard::check_model(&gguf, &gguf.tensors, trust);
    }
    let _ = Profile::from_gguf(&gguf);
    for tensor in &gguf.tensors {
        let range = gguf.tensor_range(tensor);
        assert!(range.start <= range.end);
    }
}

/// A checkpoint's weights: an index where the input is JSON, else a safetensors file.
pub fn safetensors(data: &[u8]) {
    let mut files: Vec<(&str, &[u8])> = vec![("config.json", CONFIG.as_bytes())];
    match data.first() {
        Some(b'{') => {
            files.push(("model.safetensors.index.json", data));
            files.push(("model-00001-of-00001.safetensors", b"\x02\0\0\0\0\0\0\0{}"));
        }
        _ => files.push(("model.safetensors", data)),
    }
    let folder = folder(&files);
    let Ok(checkpoint) = Checkpoint::open(folder.path()) else { return };
    for tensor in checkpoint.shards.tensors() {
        let _ = checkpoint.shards.same_bytes(tensor, tensor);
    }
}

/// A checkpoint's `config.json`.
pub fn config(data: &[u8]) {
    let _ = checkpoint::parse_config(data);
}

/// A checkpoint's `tokenizer.json`.
pub fn tokenizer(data: &[u8]) {
    let folder = folder(&[("tokenizer.json", data), ("config.json", CONFIG.as_bytes())]);
    let Ok(tokenizer) = Tokenizer::open(folder.path()) else { return };
    let _ = tokenizer.tokens();
    if let Ok(ids) = tokenizer.encode("Book a table, 7 pm\u{e9}!") {
        let _ = tokenizer.decode(&ids);
    }
}

/// A chat template.
pub fn template(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let Ok(template) = Template::new(source) else { return };
    let messages = r#"[{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant",
        "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, {"role": "tool", "content": "t"}]"#;
    let conversation = Conversation::parse(messages.as_bytes()).expect("it is a conversation");
    let _ = template.render(&conversation, None, &RenderOptions::default());
}

/// A schema on the first line, and a value on the others.
pub fn json_schema(data: &[u8]) {
    let (schema, value) = first_line(data);
    let Ok(schema) = edgecall::json::text(schema).map(edgecall::json::input::parse_exact) else { return };
    let Ok(schema) = schema else { return };
    let Ok(compiled) = AnswerSchema::new(&schema, KeyOrder::Any) else { return };
    let value = String::from_utf8_lossy(value);
    let checks = &compiled.compiled().checks;
    if let Ok(violation) = checks.violation_of_text(&value) {
        let parsed = edgecall::json::parse_exact(&value).expect("the text was read once");
        let again = checks.violation(&parsed);
        assert_eq!(violation.is_some(), again.is_some(), "the text and its value are the same");
    }
}

/// Messages, or a request's whole body.
pub fn messages(data: &[u8]) {
    let _ = RequestBody::parse(data, &["tool_choice", "response_format", "max_tokens", "stop"]);
}

/// A list of tools.
pub fn tools(data: &[u8]) {
    let Ok(tools) = ToolSet::parse(data) else { return };
    for tool in tools.iter() {
        for order in [KeyOrder::Any, KeyOrder::Schema] {
            let _ = tool.compiled(order);
        }
    }
}

/// Rows of a benchmark, predictions, and single calls.
pub fn rows(data: &[u8]) {
    let path = Path::new("rows.jsonl");
    let _ = RowFile::parse(path, data);
    let _ = predictions::read(path, data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Call::parse(text);
    if let Ok(value) = Json::parse(text) {
        let again = Json::parse(&value.to_string()).expect("what is written is read");
        assert_eq!(again, value);
    }
}

/// A test set, with a job on its first line where that begins with `{"task`.
pub fn test_set(data: &[u8]) {
    const JOB: &[u8] =
        br#"{"task_description": "t", "tools": [{"name": "f", "parameters": {"properties": {"a": {}}}}]}"#;
    let (job, test) = match first_line(data) {
        (job, test) if job.starts_with(b"{\"task") => (job, test),
        _ => (JOB, data),
    };
    let folder = folder(&[("job_description.json", job), ("test.jsonl", test)]);
    let Ok(dataset) = Dataset::open(folder.path()) else { return };
    let _ = dataset.identity();
    for case in &dataset.cases {
        let _ = dataset.conversation(case);
    }
}

/// A server's whole answer, head and body.
pub fn server(data: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    let answer = data.to_vec();
    let server = thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(&answer);
    });
    let retry = RetryPolicy { retries: 0, timeout: Duration::from_secs(2), ..RetryPolicy::default() };
    if let Ok(client) = Client::new(&format!("http://{address}/v1"), None, retry) {
        let _ = client.get(Place::Base, "/models");
    }
    let _ = server.join();
}

/// A vendor's client on all lines, or a Modelfile where the input begins with `FROM`.
pub fn bundle(data: &[u8]) {
    let name = if data.starts_with(b"FROM") { "Modelfile" } else { "model_client.py" };
    let folder = folder(&[
        (name, data),
        ("model/config.json", CONFIG.as_bytes()),
        ("model/model.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
    ]);
    let _ = Bundle::open(folder.path(), Wanted::ALL, folder.path(), &mut (), &AtomicBool::new(false));
}

/// An adapter's configuration.
pub fn adapter(data: &[u8]) {
    let folder =
        folder(&[("adapter_config.json", data), ("adapter_model.safetensors", b"\x02\0\0\0\0\0\0\0{}")]);
    let _ = Adapter::open(folder.path());
}

/// A profile: what is read is written and read again.
pub fn profile(data: &[u8]) {
    let Ok(profile) = Profile::from_json(data) else { return };
    let again = Profile::from_json(profile.to_json().as_bytes()).expect("what is written is read");
    assert_eq!(again, profile);
    let metadata = profile.to_metadata().expect("it is a profile");
    let kept = Profile::from_metadata(&metadata).expect("what is written is read");
    assert_eq!(kept.unwrap_or_default(), profile);
}

/// A file in the cache folder, under each of its endings.
#[cfg(feature = "engine")]
pub fn cache(data: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    const NAME: &str = "0123456789abcdef0123456789abcdef";
    let names =
        ["state", "answers", "costs", "model", "trial"].map(|ending| format!("saved/{NAME}.{ending}"));
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, data)).collect();
    let folder = folder(&files);
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(folder.path().join("saved"), private).expect("it is ours");
    let _ = edgecall::cache::Cache::new(folder.path()).list(true);
}

/// A witness.
#[cfg(feature = "engine")]
pub fn witness(data: &[u8]) {
    let folder = folder(&[("witness.json", data)]);
    let _ = edgecall::witness::Witness::read(&folder.path().join("witness.json"));
}
