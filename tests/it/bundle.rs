//! A bundle is converted as its checkpoint is, with its settings as the profile, or refused without a trace.

use crate::{fixture::Fixture, fixture_adapter::Lora, place::Place, program::python, shared::shared};
use edgecall::{
    bundle::{Bundle, Wanted},
    gguf::Gguf,
    profile::{Profile, SystemText, Thinking, ToolChoice},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path, sync::atomic::AtomicBool};

/// A client like the vendor's.
const CLIENT: &str = r#"
from openai import OpenAI

SYSTEM_PROMPT = [{"role": "system", "content": f"""Book tables.
Never \"guess\" {{names}}.

"""}]
TOOLS = [{'type': 'function', 'function': {'name': 'book', 'description': "The guest's table", 'parameters': {'type': 'object', 'properties': {'time': {'type': 'string'}}, 'required': ['time']}}}]

class Client(object):
    def invoke(self, history):
        return self.client.chat.completions.create(
            model=self.model_name, messages=SYSTEM_PROMPT + history, temperature=0, tools=TOOLS,
            tool_choice="required", max_tokens=256, stop=["x"],
            extra_body={"chat_template_kwargs": {"enable_thinking": False}},
        )
"#;

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "book", "description": "The guest's table", "parameters":
        {"type": "object", "properties": {"time": {"type": "string"}}, "required": ["time"]}}}])
}

/// A tar of `files`, and of the files in `model` under `prefix`.
fn tar(model: &Path, prefix: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    if model.is_dir() {
        builder.append_dir_all(prefix, model).unwrap();
    }
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Runs `edgecall convert ARGS` for F16; the standard error.
fn converted(place: &Place, args: &[&str]) -> String {
    let output = place.edgecall(&[args, &["-t", "f16"]].concat());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {message}");
    message + &String::from_utf8(output.stdout).unwrap()
}

fn profile(path: &Path) -> Option<Profile> {
    Profile::from_gguf(&Gguf::parse(&fs::read(path).unwrap()).unwrap()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_adapter_in_a_bundle_without_a_model_is_merged_into_its_base() {
    let place = Place::new(&Fixture::default());
    let lora = Lora::default().write(&place.path("lora"));
    let bundle = tar(&lora, "model-adapter", &[("model_client.py", CLIENT)]);
    fs::write(place.path("weather.tar"), bundle).unwrap();
    converted(&place, &["weather.tar", "--base", "model"]);
    converted(&place, &["lora", "--base", "model", "-o", "lora.gguf"]);
    converted(&place, &["model", "-o", "model.gguf"]);
    let data = |name: &str| {
        let bytes = fs::read(place.path(name)).unwrap();
        let start = Gguf::parse(&bytes).unwrap().data_start as usize;
        bytes[start..].to_vec()
    };
    assert!(data("weather-F16.gguf") == data("lora.gguf"), "another merge");
    assert!(data("weather-F16.gguf") != data("model.gguf"), "nothing was merged");
    assert_eq!(profile(&place.path("weather-F16.gguf")).unwrap().tool_choice, Some(ToolChoice::Required));
}

#[test]
fn a_bundle_gives_the_same_file_as_a_folder_a_tar_and_a_compressed_one() {
    let place = Place::new(&Fixture::default());
    let client =
        [("model_client.py", CLIENT), ("README.md", "x"), ("._model", "x"), ("__MACOSX/._model", "x")];
    fs::write(place.path("weather.tar"), tar(&place.model(), "model", &client)).unwrap();
    fs::write(
        place.path("top.tar"),
        tar(&place.model(), "./some-name/model", &[("some-name/model_client.py", CLIENT)]),
    )
    .unwrap();
    fs::write(place.path("nested.tgz"), gz(&tar(&place.model(), "model/model", &client))).unwrap();
    fs::create_dir(place.path("bundle")).unwrap();
    fs::create_dir(place.path("unpacked")).unwrap();
    fs::rename(place.model(), place.path("bundle/model")).unwrap();
    fs::create_dir(place.path("bundle/model-adapters")).unwrap();
    fs::write(place.path("bundle/model-adapters/adapter_config.json"), "{}").unwrap();
    fs::write(place.path("bundle/model_client.py"), CLIENT).unwrap();
    // What a killed process left.
    fs::create_dir_all(place.path(".weather.tar.edgecall-1-abc.unpacked/model")).unwrap();

    let said = converted(&place, &["bundle"]);
    assert!(said.contains("settings for calls were read from model_client.py"), "{said}");
    assert!(said.contains("model-adapters was not used"), "{said}");
    assert!(said.contains("a profile does not keep `stop`"), "{said}");
    converted(&place, &["weather.tar"]);
    converted(&place, &["top.tar", "-o", "top.gguf"]);
    converted(&place, &["nested.tgz", "--unpack-dir", "unpacked"]);
    let expected = fs::read(place.path("bundle-F16.gguf")).unwrap();
    for name in ["weather-F16.gguf", "top.gguf", "nested-F16.gguf"] {
        assert!(fs::read(place.path(name)).unwrap() == expected, "{name} differs");
    }
    let left = names(&place.path(""));
    assert!(left.iter().all(|name| !name.ends_with(".unpacked")), "{left:?}");
    assert!(names(&place.path("unpacked")).is_empty());

    let profile = profile(&place.path("weather-F16.gguf")).unwrap();
    assert_eq!(profile.system, Some(SystemText::Text("Book tables.\nNever \"guess\" {names}.\n\n".into())));
    assert_eq!(profile.tools, Some(tools()));
    assert_eq!(profile.tool_choice, Some(ToolChoice::Required));
    assert_eq!(profile.thinking, Some(Thinking::Off));
    assert_eq!(profile.sampling.temperature, Some(0.0));
    assert_eq!(profile.max_tokens.map(usize::from), Some(256));
}

#[test]
fn a_client_counts_before_a_modelfile_and_that_before_a_job_description() {
    let place = Place::new(&Fixture::default());
    let modelfile = "FROM ./model\nSYSTEM \"\"\"From the\nModelfile\"\"\"\nPARAMETER temperature 0.7\nPARAMETER top_p 0.9\n\
                     PARAMETER num_predict -1\nPARAMETER seed 7\nPARAMETER stop \"<x>\"\nTEMPLATE \"{{ .Prompt }}\"\n";
    let job = json!({"task_description": "From the job", "tools": tools()}).to_string();
    let client = "c.chat.completions.create(model=m, messages=[], temperature=0)\n";
    for (name, files, system, temperature, has_tools) in [
        (
            "all",
            &[("Modelfile", modelfile), ("job_description.json", &job), ("model_client.py", client)][..],
            SystemText::Text("From the\nModelfile".into()),
            0.0,
            true,
        ),
        ("ollama", &[("Modelfile", modelfile)], SystemText::Text("From the\nModelfile".into()), 0.7, false),
        (
            "job",
            &[("job_description.json", &job), ("model/Modelfile", "FROM .\nPARAMETER temperature 1\n")],
            SystemText::Task("From the job".into()),
            1.0,
            true,
        ),
    ] {
        fs::write(place.path(&format!("{name}.tar")), tar(&place.model(), "model", files)).unwrap();
        let said = converted(&place, &[&format!("{name}.tar")]);
        let profile = profile(&place.path(&format!("{name}-F16.gguf"))).unwrap();
        assert_eq!(profile.system, Some(system), "{name}");
        assert_eq!(profile.sampling.temperature, Some(temperature), "{name}");
        assert_eq!(profile.tools.is_some(), has_tools, "{name}");
        if name == "ollama" {
            assert!(said.contains("ollama.tar/Modelfile, line 9: TEMPLATE is not used"), "{said}");
            assert_eq!(
                (profile.sampling.seed, profile.sampling.top_p, profile.max_tokens),
                (Some(7), Some(0.9), None)
            );
        }
    }
}

#[test]
fn what_only_running_the_client_would_tell_is_refused_by_line_or_given_by_options() {
    let place = Place::new(&Fixture::default());
    let client = CLIENT.replace("{{names}}", "{names}").replace("tools=TOOLS", "tools=load()");
    fs::write(place.path("x.tar"), tar(&place.model(), "model", &[("model_client.py", &client)])).unwrap();
    fs::write(place.path("task.txt"), "My task").unwrap();
    fs::write(place.path("tools.json"), tools().to_string()).unwrap();
    fs::write(place.path("profile.json"), r#"{"temperature": 0.5}"#).unwrap();
    let message = "x.tar/model_client.py, line 5: is an f-string with the field `{names}`";
    place.refused(&["x.tar"], 65, message);
    place.refused(&["x.tar"], 65, "give a task and tools of your own with --task and --tools");
    place.refused(
        &["x.tar", "--task", "task.txt"],
        65,
        "line 13: calls `load`, and nothing of the file is run",
    );
    converted(&place, &["x.tar", "--task", "task.txt", "--tools", "tools.json"]);
    let read = profile(&place.path("x-F16.gguf")).unwrap();
    assert_eq!((read.system, read.tools), (Some(SystemText::Task("My task".into())), Some(tools())));
    assert_eq!((read.tool_choice, read.sampling.temperature), (Some(ToolChoice::Required), Some(0.0)));
    converted(&place, &["x.tar", "--profile", "profile.json", "-f"]);
    let read = profile(&place.path("x-F16.gguf")).unwrap();
    assert_eq!((read.system, read.tool_choice, read.sampling.temperature), (None, None, Some(0.5)));
}

#[test]
fn what_is_no_bundle_is_refused_and_leaves_nothing() {
    let place = Place::new(&Fixture::default());
    let write = |name: &str, bytes: &[u8]| fs::write(place.path(name), bytes).unwrap();
    write("page.tar", b"<!DOCTYPE html><html>");
    place.refused(&["page.tar"], 65, "page.tar is a web page, not an archive");
    write("model.zip", b"PK\x03\x04");
    place.refused(
        &["model.zip"],
        65,
        "is a zip archive, which is not read; unpack it (`unzip`) and give the folder",
    );
    write("model.tar.zst", b"\x28\xb5\x2f\xfd....");
    place.refused(&["model.tar.zst"], 65, "compressed with zstd");
    let whole = tar(&place.model(), "model", &[]);
    write("short.tar", &whole[..whole.len() / 2]);
    place.refused(
        &["short.tar"],
        65,
        "short.tar is cut short in entry `model/model.safetensors`; fetch it again",
    );
    write("short.tgz", &gz(&whole)[..1000]);
    place.refused(&["short.tgz"], 65, "is cut short");
    let nowhere = Path::new("no such folder");
    write("notes.tar", &tar(nowhere, "", &[("notes.txt", "x"), ("a/b", "y")]));
    place.refused(&["notes.tar"], 65, "holds no model: a folder with config.json, tokenizer.json and model*.safetensors, such as model/, is expected; found `a/`, `notes.txt`");
    let adapter = r#"{"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-1.7B"}"#;
    write(
        "lora.tar",
        &tar(nowhere, "", &[("model-adapter/adapter_config.json", adapter), ("model_client.py", CLIENT)]),
    );
    place.refused(&["lora.tar"], 66, "lora.tar/model-adapter");
    write("gguf.tar", &tar(nowhere, "", &[("model.gguf", "GGUF")]));
    place.refused(&["gguf.tar"], 65, "holds its model as model.gguf");
    let config = Fixture::default().config_json().to_string();
    write("bare.tar", &tar(nowhere, "", &[("model/config.json", &config)]));
    place.refused(&["bare.tar"], 66, "bare.tar/model has no model*.safetensors");
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "model", "/etc").unwrap();
    write("link.tar", &link.into_inner().unwrap());
    place.refused(&["link.tar"], 65, "link.tar: entry `model` is a symbolic link to `/etc`");
    write("good.tar", &whole);
    place.refused(
        &["good.tar", "--unpack-dir", "nowhere"],
        73,
        "unpack on another disk with --unpack-dir DIR",
    );
    place.refused(&["good.tar", "-o", "good.tar", "-f"], 73, "good.tar belongs to the checkpoint");
}

#[test]
fn what_is_wrong_with_a_checkpoint_in_an_archive_is_said_of_its_entries() {
    let place = Place::new(&Fixture::default());
    let whole = fs::read(place.weights()).unwrap();
    let config = fs::read_to_string(place.model().join("config.json")).unwrap();
    let break_it: [(&str, &dyn Fn(), &str); 3] = [
        (
            "cut.tar",
            &|| fs::write(place.weights(), &whole[..whole.len() - 7]).unwrap(),
            "cut.tar/model/model.safetensors",
        ),
        (
            "config.tar",
            &|| {
                fs::write(place.model().join("config.json"), config.replace("Qwen3ForCausalLM", "NoModel"))
                    .unwrap()
            },
            "config.tar/model/config.json",
        ),
        (
            // Found when the conversion is planned, not when the checkpoint is opened.
            "tokenizer.tar",
            &|| fs::write(place.model().join("tokenizer.json"), "{}").unwrap(),
            "tokenizer.tar/model/tokenizer.json",
        ),
    ];
    for (name, break_it, entry) in break_it {
        break_it();
        fs::write(place.path(name), tar(&place.model(), "model", &[])).unwrap();
        let output = place.edgecall(&[name]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains(entry), "{message}");
        assert!(!message.contains("edgecall-") && !message.contains(".unpacked"), "{message}");
        fs::write(place.weights(), &whole).unwrap();
        fs::write(place.model().join("config.json"), &config).unwrap();
    }
}

#[test]
fn a_modelfile_that_cannot_be_read_says_what_goes_around_it() {
    let place = Place::new(&Fixture::default());
    fs::write(
        place.path("x.tar"),
        tar(&place.model(), "model", &[("Modelfile", "FROM ./model\nSYSTM hello\n")]),
    )
    .unwrap();
    fs::write(place.path("task.txt"), "My task").unwrap();
    fs::write(place.path("tools.json"), tools().to_string()).unwrap();
    fs::write(place.path("profile.json"), "{}").unwrap();
    let message = "x.tar/Modelfile, line 2: `SYSTM` is no instruction of a Modelfile; correct it, or give all settings \
                   with --profile";
    place.refused(&["x.tar"], 65, message);
    // Its line is in the way of these, too.
    place.refused(&["x.tar", "--task", "task.txt", "--tools", "tools.json"], 65, message);
    converted(&place, &["x.tar", "--profile", "profile.json"]);
}

#[test]
fn a_plain_checkpoint_is_converted_as_before_and_one_with_a_client_gets_a_profile() {
    let place = Place::new(&Fixture::default());
    converted(&place, &["model"]);
    assert_eq!(profile(&place.path("model-F16.gguf")), None);
    fs::write(place.model().join("model_client.py"), CLIENT).unwrap();
    converted(&place, &["model", "-f"]);
    assert_eq!(profile(&place.path("model-F16.gguf")).unwrap().tools, Some(tools()));
}

/// The profile of a folder with these files and an empty model.
fn profile_of(files: &[(&str, &[u8])]) -> Profile {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("model")).unwrap();
    for (name, bytes) in files.iter().chain(&[("model/config.json", &b"{}"[..])]) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let bundle = Bundle::open(folder.path(), Wanted::ALL, Path::new("."), &mut (), &AtomicBool::new(false));
    bundle.unwrap().unwrap().profile
}

#[test]
fn conformance_the_published_job_descriptions_become_profiles() {
    let Some(shared) = shared() else { return };
    for folder in ["s1-direct", "s4-direct", "predictions"] {
        let bytes = fs::read(shared.join("data/tft").join(folder).join("job_description.json")).unwrap();
        let job: Value = serde_json::from_slice(&bytes).unwrap();
        let config =
            b"base:\n  task: multi-turn-tool-calling-closed-book\n  student_model_name: Qwen3-1.7B\n";
        let profile = profile_of(&[("job_description.json", &bytes), ("config.yaml", config)]);
        assert_eq!(profile.system, Some(SystemText::Task(job["task_description"].as_str().unwrap().into())));
        assert_eq!(profile.tools.as_ref(), Some(&job["tools"]));
    }
}

#[test]
fn conformance_literals_are_read_as_python_writes_them() {
    let Some(shared) = shared() else { return };
    // Every text of the data, written by Python's own `repr` and `json.dumps`.
    let script = r#"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
texts = [row["question"] for row in rows] + [row["answer"] for row in rows]
texts += ["".join(chr(i) for i in range(1, 300)), "\u2028\ud7ff\U0001f600\x7f\x85'\"", '\\N \\x "' + "'''", ""]
tools = json.load(open(sys.argv[2]))["tools"]
numbers = [0, -1, 10**15, 1.5, 1e-7, 1e300, -2.25, True, False, None]
value = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}, "x-values": [texts, numbers]}}}] + tools
print(json.dumps([repr(value), ascii(value), json.dumps(value)]))
"#;
    let data = shared.join("data/tft/s1-direct");
    let output = python()
        .args(["-c", script])
        .args([data.join("test.jsonl"), data.join("job_description.json")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    let expected: Value = serde_json::from_str(&written[2]).unwrap();
    for form in &written[..2] {
        let client =
            format!("TOOLS = {form}\nc.chat.completions.create(model=m, messages=[], tools=TOOLS)\n");
        let profile = profile_of(&[("model_client.py", client.as_bytes())]);
        assert!(profile.tools.as_ref() == Some(&expected), "{:.300}", client);
    }
}
