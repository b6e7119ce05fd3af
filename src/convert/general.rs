//! `general.*` keys: name, licence, origin and recommended sampling of a model.
//!
//! They are for display and no program depends on them. Order and heuristics are those of llama.cpp's
//! converter. Values in the model card come first. Next is the repository name, if the folder is in the hub's
//! cache; otherwise `_name_or_path` of config.json and the folder's name.

use super::folder_name;
use super::model_card::{self, Error};
use super::model_id::{self, ModelId};
use crate::{
    checkpoint::{Identity, MAX_JSON_BYTES},
    files,
    gguf::{Array, Value},
};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};

/// The keys that describe a model, and the files that could not be read for them.
#[derive(Debug, Default)]
pub struct General {
    /// From `general.type` to `general.languages`, in file order.
    pub metadata: Vec<(String, Value)>,
    /// Files that exist and could not be used. They are worth a warning to the user; the conversion continues.
    pub warnings: Vec<Error>,
}

/// Builds the `general.*` keys between `general.architecture` and the architecture's own keys.
///
/// `dir` is the folder of the weights; `config` is config.json; `parameter_count` counts the weights of all tensors
/// that are written.
pub fn metadata(
    dir: &Path,
    identity: &Identity,
    config: &Map<String, Json>,
    parameter_count: u64,
) -> General {
    let mut general = General::default();
    let card = model_card::read(&identity.card).unwrap_or_else(|warning| {
        general.warnings.push(warning);
        Map::new()
    });
    general.text("general.type", Some("model".to_owned()));
    general.sampling(dir);
    general.identity(&card, named(&identity.named_after, config, parameter_count), parameter_count);
    general.license(&card);
    for part in ["url", "doi", "uuid", "repo_url"] {
        general.text(&format!("general.source.{part}"), stated(&card, &[part, &format!("model_{part}")]));
    }
    general.related(
        "base_model",
        &card,
        ["base_model", "base_models", "base_model_sources"],
        parameter_count,
    );
    general.related("dataset", &card, ["datasets", "dataset", "dataset_sources"], parameter_count);
    general.list("general.tags", &card, ["tags", "pipeline_tag"]);
    general.list("general.languages", &card, ["languages", "language"]);
    general
}

/// The parts of the checkpoint's names, the most reliable name first.
fn named(dirs: &[PathBuf], config: &Map<String, Json>, parameter_count: u64) -> ModelId {
    let [dir] = dirs else { return ModelId::parse(&folder_name::joined_name(dirs), parameter_count) };
    if let Some(id) = folder_name::hub_id(dir) {
        return ModelId::parse(&id, parameter_count);
    }
    let named = config.get("_name_or_path").and_then(Json::as_str);
    // More slashes mean a path on somebody's machine.
    let named = named.filter(|name| !name.is_empty() && name.matches('/').count() <= 1).map(str::to_owned);
    let ids = named.into_iter().chain(folder_name::folder_name(dir));
    ids.map(|id| ModelId::parse(&id, parameter_count)).fold(ModelId::default(), ModelId::or)
}

impl General {
    fn text(&mut self, key: &str, text: Option<String>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.metadata.push((key.to_owned(), Value::String(text)));
        }
    }

    fn identity(&mut self, card: &Map<String, Json>, id: ModelId, parameter_count: u64) {
        let size_label =
            id.size_label.or_else(|| (parameter_count > 0).then(|| model_id::rounded_count(parameter_count)));
        for (part, otherwise) in [
            ("name", id.title),
            ("author", stated(card, &["author", "model_author", "model_creator"])),
            ("version", id.version),
            ("organization", id.organization.as_deref().map(model_id::title)),
            ("finetune", id.finetune),
            ("basename", stated(card, &["basename", "model_basename", "model_type"]).or(id.basename)),
            ("description", None),
            ("size_label", size_label),
        ] {
            let stated = stated(card, &[part, &format!("model_{part}")]);
            self.text(&format!("general.{part}"), stated.or(otherwise));
        }
    }

    fn license(&mut self, card: &Map<String, Json>) {
        let license = match card.get("license") {
            Some(Json::Array(list)) => Some(list.iter().filter_map(scalar).collect::<Vec<_>>().join(",")),
            Some(license) => scalar(license),
            None => None,
        };
        self.text("general.license", license);
        self.text("general.license.name", stated(card, &["license_name"]));
        self.text("general.license.link", stated(card, &["license_link"]));
    }

    /// The sampling parameters that generation_config.json recommends.
    fn sampling(&mut self, dir: &Path) {
        let path = dir.join("generation_config.json");
        let bytes = match files::if_present(files::read(&path, MAX_JSON_BYTES)) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(source) => return self.warnings.push(Error::UnreadableConfig { path, source }),
        };
        let Ok(config) = serde_json::from_slice::<Map<String, Json>>(&bytes) else {
            self.warnings.push(Error::GenerationConfig { path });
            return;
        };
        let whole = |n: &Json| Some(Value::I32(n.as_i64()?.try_into().ok()?));
        let real = |n: &Json| Some(Value::F32(n.as_f64()? as f32));
        let text = |s: &Json| s.as_str().filter(|s| !s.is_empty()).map(|s| Value::String(s.to_owned()));
        type Read<'a> = &'a dyn Fn(&Json) -> Option<Value>;
        let parameters: [(&str, &[&str], Read); 12] = [
            ("sequence", &["sequence"], &text),
            ("top_k", &["top_k"], &whole),
            ("top_p", &["top_p"], &real),
            ("min_p", &["min_p"], &real),
            ("xtc_probability", &["xtc_probability"], &real),
            ("xtc_threshold", &["xtc_threshold"], &real),
            ("temp", &["temperature"], &real),
            ("penalty_last_n", &["penalty_last_n"], &whole),
            ("penalty_repeat", &["penalty_repeat", "repetition_penalty"], &real),
            ("mirostat", &["mirostat"], &whole),
            ("mirostat_tau", &["mirostat_tau"], &real),
            ("mirostat_eta", &["mirostat_eta"], &real),
        ];
        for (key, names, read) in parameters {
            let value = names.iter().find_map(|name| config.get(*name));
            if let Some(value) = value.and_then(read) {
                self.metadata.push((format!("general.sampling.{key}"), value));
            }
        }
    }

    /// Adds the models that this one was made from, or the data sets that it was trained on.
    fn related(&mut self, kind: &str, card: &Map<String, Json>, names: [&str; 3], parameter_count: u64) {
        let Some(value) = names.iter().find_map(|name| card.get(*name)) else { return };
        let alone = std::slice::from_ref(value);
        let entries = match value {
            Json::Array(list) => list.as_slice(),
            Json::String(_) => alone,
            _ => &[],
        };
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        self.metadata.push((format!("general.{kind}.count"), Value::U32(count)));
        for (i, entry) in entries.iter().enumerate() {
            let about = match entry {
                Json::String(id) => about(id, parameter_count),
                Json::Object(about) => about.clone(),
                _ => Map::new(),
            };
            const PARTS: [&str; 9] = [
                "name",
                "author",
                "version",
                "organization",
                "description",
                "url",
                "doi",
                "uuid",
                "repo_url",
            ];
            for part in PARTS {
                self.text(&format!("general.{kind}.{i}.{part}"), stated(&about, &[part]));
            }
        }
    }

    /// Adds the concatenated texts of two lists (or single texts).
    fn list(&mut self, key: &str, card: &Map<String, Json>, names: [&str; 2]) {
        let mut texts = Vec::new();
        for name in names {
            match card.get(name) {
                Some(Json::Array(list)) => texts.extend(list.iter().filter_map(scalar)),
                Some(Json::String(text)) => texts.push(text.clone()),
                _ => {}
            }
        }
        if !texts.is_empty() {
            self.metadata.push((key.to_owned(), Value::Array(Array::String(texts))));
        }
    }
}

/// Facts about a related model or data set from its name on the hub, or its URL.
fn about(id: &str, parameter_count: u64) -> Map<String, Json> {
    let mut about = Map::new();
    let mut add = |key: &str, text: Option<String>| {
        if let Some(text) = text {
            about.insert(key.to_owned(), Json::String(text));
        }
    };
    let is_address = ["http://", "https://", "ssh://"].iter().any(|scheme| id.starts_with(scheme));
    let on_hub =
        ["https://huggingface.co/", "http://huggingface.co/"].iter().find_map(|hub| id.strip_prefix(hub));
    let hub_id = match is_address {
        false => Some(id),
        true => on_hub.filter(|id| {
            id.split_once('/')
                .is_some_and(|(org, name)| !org.is_empty() && !name.is_empty() && !name.contains('/'))
        }),
    };
    let parsed = hub_id.map(|id| ModelId::parse(id, parameter_count)).unwrap_or_default();
    add("name", parsed.title);
    add("version", parsed.version);
    add("organization", parsed.organization.as_deref().map(model_id::title));
    if is_address {
        add("repo_url", Some(id.to_owned()));
    } else if let (Some(organization), Some(name)) = (parsed.organization, parsed.name) {
        add("repo_url", Some(format!("https://huggingface.co/{organization}/{name}")));
    }
    about
}

/// The value of the first of `names` that is a scalar in `card`, as text.
fn stated(card: &Map<String, Json>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| card.get(*name).and_then(scalar))
}

/// A scalar as text.
fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checkpoint(name: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, std::path::PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            std::fs::write(dir.join(file), text).unwrap();
        }
        (root, dir)
    }

    fn described(general: &General) -> Vec<String> {
        let value = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(array) => array.as_strings().unwrap().join("|"),
            Value::U32(n) => format!("u32 {n}"),
            Value::I32(n) => format!("i32 {n}"),
            Value::F32(n) => format!("f32 {n}"),
            other => format!("{other:?}"),
        };
        general
            .metadata
            .iter()
            .map(|(key, v)| format!("{} = {}", key.strip_prefix("general.").unwrap(), value(v)))
            .collect()
    }

    #[test]
    fn a_card_fills_the_keys_in_the_references_order() {
        let card = "---\nlicense: apache-2.0\nlicense_link: https://example.org/license\nlanguage:\n- en\n- no\n\
                    pipeline_tag: text-generation\ntags: [tools]\nbase_model: Qwen/Qwen3-1.7B-v2\n\
                    datasets:\n- https://huggingface.co/datasets/org/data\n- org/data-1\nmodel_creator: Somebody\n---\n";
        let sampling = r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20,
                          "repetition_penalty": 1.05, "min_p": null}"#;
        let (_root, dir) =
            checkpoint("qwen3-1.7b-random", &[("README.md", card), ("generation_config.json", sampling)]);
        let general = metadata(&dir, &Identity::plain(&dir), &Map::new(), 1_720_574_976);
        assert!(general.warnings.is_empty());
        assert_eq!(
            described(&general),
            [
                "type = model",
                "sampling.top_k = i32 20",
                "sampling.top_p = f32 0.95",
                "sampling.temp = f32 0.6",
                "sampling.penalty_repeat = f32 1.05",
                "name = Qwen3 1.7b Random",
                "author = Somebody",
                "finetune = random",
                "basename = qwen3",
                "size_label = 1.7B",
                "license = apache-2.0",
                "license.link = https://example.org/license",
                "base_model.count = u32 1",
                "base_model.0.name = Qwen3 1.7B v2",
                "base_model.0.version = v2",
                "base_model.0.organization = Qwen",
                "base_model.0.repo_url = https://huggingface.co/Qwen/Qwen3-1.7B-v2",
                "dataset.count = u32 2",
                "dataset.0.repo_url = https://huggingface.co/datasets/org/data",
                "dataset.1.name = Data 1",
                "dataset.1.version = 1",
                "dataset.1.organization = Org",
                "dataset.1.repo_url = https://huggingface.co/org/data-1",
                "tags = tools|text-generation",
                "languages = en|no",
            ]
        );
    }

    #[test]
    fn a_snapshot_in_the_hubs_cache_has_its_repositorys_name() {
        let (_root, dir) =
            checkpoint("models--Qwen--Qwen3-1.7B/snapshots/70d244cc86ccca08cf5af4e1e306ecf908b1ad5e", &[]);
        let general = metadata(&dir, &Identity::plain(&dir), &Map::new(), 1_720_574_976);
        assert_eq!(
            described(&general),
            [
                "type = model",
                "name = Qwen3 1.7B",
                "organization = Qwen",
                "basename = Qwen3",
                "size_label = 1.7B"
            ]
        );
    }

    #[test]
    fn a_name_in_config_json_comes_before_the_folders_unless_it_is_a_path() {
        let (_root, dir) = checkpoint("run-7", &[]);
        let name = |name: &str| {
            let config = json!({"_name_or_path": name});
            let general = metadata(&dir, &Identity::plain(&dir), config.as_object().unwrap(), 0);
            described(&general).into_iter().find(|line| line.starts_with("name = ")).unwrap()
        };
        assert_eq!(name("meta-llama/Llama-3.2-1B"), "name = Llama 3.2 1B");
        assert_eq!(name("/home/somebody/model"), "name = Run 7");
        assert_eq!(name(""), "name = Run 7");
    }

    #[test]
    fn broken_files_are_warnings() {
        let files = [("README.md", "---\nlicense: [\n---\n"), ("generation_config.json", "{")];
        let (_root, dir) = checkpoint("m", &files);
        let general = metadata(&dir, &Identity::plain(&dir), &Map::new(), 0);
        assert_eq!(described(&general), ["type = model", "name = M"]);
        let warnings: Vec<String> = general.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings[0].contains("README.md: the front matter is not valid YAML"));
        assert!(warnings[1].contains("generation_config.json: not a JSON object"));
    }

    #[test]
    fn several_licenses_are_one_text() {
        let (_root, dir) = checkpoint("m", &[("README.md", "---\nlicense: [mit, other]\n---\n")]);
        assert!(
            described(&metadata(&dir, &Identity::plain(&dir), &Map::new(), 0))
                .contains(&"license = mit,other".to_owned())
        );
    }
}
