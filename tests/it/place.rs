//! A folder for one test, with a tiny checkpoint and its conversions.

use crate::fixture::{self, Fixture, write_json};
use edgecall::{
    checkpoint::Checkpoint,
    convert::{self, Converted, Plan, Progress, Recipe, Targets},
};
use serde_json::Value;
use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::AtomicBool,
};
use tempfile::TempDir;

/// A folder with the checkpoint `model`; outputs go to `out` next to it.
pub struct Place(TempDir);

impl Place {
    pub fn new(fixture: &Fixture) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fixture.write(&place.model());
        place
    }

    /// Path of `name` in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn model(&self) -> PathBuf {
        self.path("model")
    }

    pub fn weights(&self) -> PathBuf {
        self.model().join("model.safetensors")
    }

    pub fn plan(&self, types: &str) -> Result<(Checkpoint, Plan), convert::Error> {
        let checkpoint = Checkpoint::open(&self.model())?;
        let file_types = types.split(',').map(|name| name.parse().unwrap()).collect();
        let plan = Plan::new(&checkpoint, Recipe { file_types, ..Recipe::default() })?;
        Ok((checkpoint, plan))
    }

    pub fn convert(&self, types: &str, threads: usize, out: &str) -> Vec<PathBuf> {
        let (checkpoint, plan) = self.plan(types).unwrap();
        let targets = Targets::new(&checkpoint, &plan, Some(&self.path(out)), false).unwrap();
        run(&checkpoint, &plan, &targets, threads, &mut (), &AtomicBool::new(false))
            .unwrap()
            .publish()
            .unwrap();
        targets.paths().to_vec()
    }

    /// Runs `edgecall convert ARGS` in the folder.
    pub fn edgecall(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
        command.env("HF_HUB_CACHE", self.path("no-cache"));
        command.current_dir(self.0.path()).arg("convert").args(args).output().unwrap()
    }

    /// Checks the exit code and a part of the message of a refusal; no file may be left behind.
    pub fn refused(&self, args: &[&str], code: i32, part: &str) {
        let before = self.entries();
        let output = self.edgecall(args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains(part), "{args:?} said: {message}");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
        assert!(output.stdout.is_empty(), "{args:?} printed to stdout");
        assert_eq!(self.entries(), before, "{args:?} left something behind");
    }

    pub fn entries(&self) -> Vec<PathBuf> {
        let mut entries: Vec<_> = walk(self.0.path()).collect();
        entries.sort();
        entries
    }

    pub fn edit_config(&self, edit: Value) {
        let path = self.model().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().extend(edit.as_object().unwrap().clone());
        write_json(&self.model(), "config.json", &config);
    }

    /// Applies `edit` to the header and the data of the only shard.
    pub fn edit_weights(&self, edit: impl FnOnce(&mut serde_json::Map<String, Value>, &mut Vec<u8>)) {
        let (mut header, mut data) = fixture::read_safetensors(&self.weights());
        edit(&mut header, &mut data);
        fixture::write_raw_safetensors(&self.weights(), &Value::Object(header), &data);
    }

    /// Writes the BF16 number with these bits at an index of a tensor.
    pub fn plant(&self, tensor: &str, index: usize, bits: u16) {
        self.edit_weights(|header, data| {
            let start = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize + 2 * index;
            data[start..start + 2].copy_from_slice(&bits.to_le_bytes());
        });
    }
}

fn walk(dir: &Path) -> Box<dyn Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    Box::new(entries.flat_map(|path| -> Box<dyn Iterator<Item = PathBuf>> {
        if path.is_dir() { Box::new(walk(&path).chain([path])) } else { Box::new([path].into_iter()) }
    }))
}

/// Converts with `threads` threads, without publishing the files under their names.
pub fn run(
    checkpoint: &Checkpoint,
    plan: &Plan,
    targets: &Targets,
    threads: usize,
    progress: &mut dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Converted, convert::Error> {
    convert::convert(checkpoint, plan, targets, NonZero::new(threads), progress, interrupt)
}
