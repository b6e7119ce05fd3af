//! The task of the model's training, by the bundle. Nothing depends on it but a warning.

use super::layout::CONFIG;
use crate::files;
use serde_json::Value;
use std::path::Path;

/// Most bytes of a configuration.
const MAX_BYTES: u64 = 1 << 20;

/// Doubts for the user by the `config.yaml` in `root`; none where there is no such file or it cannot be read.
pub(super) fn warnings(root: &Path) -> Vec<String> {
    let Some((name, config)) = CONFIG.iter().find_map(|name| Some((name, yaml(&root.join(name))?))) else {
        return Vec::new();
    };
    let task =
        || config.get("base")?.get("task")?.as_str().map(|text| text.chars().take(200).collect::<String>());
    let task = task().filter(|task| !task.contains("tool"));
    let warning = task.map(|task| {
        let task = task.escape_debug();
        format!("{name}: the model was trained for the task `{task}`, not for tool calls")
    });
    warning.into_iter().collect()
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
    fn a_task_without_tools_is_known_from_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        assert!(warnings(folder.path()).is_empty());
        let write = |text: &str| std::fs::write(folder.path().join("config.yaml"), text).unwrap();
        write(
            "base:\n  student_model_name: Qwen3-1.7B\n  task: multi-turn-tool-calling-closed-book\nsynthgen: {}\n",
        );
        assert!(warnings(folder.path()).is_empty());
        write("base:\n  task: classification\n");
        assert!(warnings(folder.path())[0].contains("`classification`, not for tool calls"));
        write("base: [");
        assert!(warnings(folder.path()).is_empty());
    }
}
