//! What a bundle tells of the model's training: its base model and its task. Nothing depends on it but messages.

use super::layout::CONFIG;
use crate::files;
use serde_json::Value;
use std::path::Path;

/// Most bytes of a configuration.
const MAX_BYTES: u64 = 1 << 20;

/// Facts of the training.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Training {
    /// Name of the base model.
    pub(super) base: Option<String>,
    /// Doubts for the user.
    pub(super) warnings: Vec<String>,
}

/// Reads the `config.yaml` in `root`; nothing is known where there is none or it is none.
pub(super) fn read(root: &Path) -> Training {
    let Some((name, config)) = CONFIG.iter().find_map(|name| Some((name, yaml(&root.join(name))?))) else {
        return Training::default();
    };
    let text = |key: &str| {
        config.get("base")?.get(key)?.as_str().map(|text| text.chars().take(200).collect::<String>())
    };
    let task = text("task").filter(|task| !task.contains("tool"));
    let warning = task.map(|task| {
        let task = task.escape_debug();
        format!("{name}: the model was trained for the task `{task}`, not for tool calls")
    });
    Training { base: text("student_model_name"), warnings: warning.into_iter().collect() }
}

/// Name of the base model in an adapter's configuration.
pub(super) fn adapter_base(folder: &Path) -> Option<String> {
    let json = files::read(&folder.join("adapter_config.json"), MAX_BYTES).ok()?;
    let config: Value = serde_json::from_slice(&json).ok()?;
    config.get("base_model_name_or_path")?.as_str().map(|name| name.chars().take(200).collect())
}

fn yaml(path: &Path) -> Option<Value> {
    let text = String::from_utf8(files::read(path, MAX_BYTES).ok()?).ok()?;
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&text, options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_model_and_a_task_without_tools_are_known_from_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), Training::default());
        let write = |text: &str| std::fs::write(folder.path().join("config.yaml"), text).unwrap();
        write(
            "base:\n  student_model_name: Qwen3-1.7B\n  task: multi-turn-tool-calling-closed-book\nsynthgen: {}\n",
        );
        assert_eq!(read(folder.path()), Training { base: Some("Qwen3-1.7B".into()), warnings: vec![] });
        write("base:\n  task: classification\n");
        assert!(read(folder.path()).warnings[0].contains("`classification`, not for tool calls"));
        write("base: [");
        assert_eq!(read(folder.path()), Training::default());
    }
}
