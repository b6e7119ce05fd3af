//! The checkpoint of a conversion: as it is stored, or with adapters merged into it.

use crate::cli::exit::CliError;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use edgecall::{
    adapter::{self, Adapter, Merge, Merged, Mode, Summary},
    checkpoint::Checkpoint,
    convert, hub,
};
use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

/// The folders that were given.
pub struct Asked<'a> {
    /// A checkpoint or an adapter.
    pub dir: &'a Path,
    /// The base of `dir`.
    pub base: Option<&'a Path>,
    /// Adapters, in their order.
    pub adapters: &'a [PathBuf],
    /// Arithmetic of the merge.
    pub mode: Option<Mode>,
}

/// An opened checkpoint, and what is merged into it.
pub(super) struct Opened {
    pub(super) checkpoint: Checkpoint,
    pub(super) merge: Option<Arc<Merge>>,
}

/// Parser for ways to merge; clap lists their names. `bf16` is the default one, too, by the dtype of most models.
pub(super) fn modes() -> impl TypedValueParser<Value = Mode> {
    let name = |mode: Mode| {
        let name = PossibleValue::new(mode.name());
        if mode == Mode::Peft { name.alias("bf16") } else { name }
    };
    let parse = |name: String| if name == "bf16" { Ok(Mode::Peft) } else { name.parse::<Mode>() };
    PossibleValuesParser::new(Mode::ALL.map(name)).try_map(parse)
}

/// Opens the checkpoint, and merges the adapters if there are any.
pub(super) fn open(asked: &Asked) -> anyhow::Result<Opened> {
    let is_adapter = asked.base.is_some() || adapter::is_adapter(asked.dir);
    let first = is_adapter.then_some(asked.dir);
    let dirs: Vec<&Path> = first.into_iter().chain(asked.adapters.iter().map(PathBuf::as_path)).collect();
    if dirs.is_empty() {
        if asked.mode.is_some() {
            return Err(CliError::usage("--merge is for adapters; give one with --adapter"));
        }
        return plain(asked.dir);
    }
    let adapters = dirs.into_iter().map(Adapter::open).collect::<Result<Vec<_>, _>>()?;
    let base = match (asked.base, is_adapter) {
        (Some(base), _) => Checkpoint::open(base)?,
        (None, false) => Checkpoint::open(asked.dir)?,
        (None, true) => {
            let cache = hub::Settings::from_env().ok().map(|settings| settings.cache);
            Checkpoint::open(&adapter::find_base(&adapters[0], cache.as_ref())?)?
        }
    };
    let Merged { checkpoint, merge } = adapter::merge(base, adapters, asked.mode.unwrap_or_default())?;
    Ok(Opened { checkpoint, merge: Some(merge) })
}

fn plain(dir: &Path) -> anyhow::Result<Opened> {
    let mut checkpoint = Checkpoint::open(dir)?;
    if dir.join("adapter_config.json").is_file() {
        checkpoint.warnings.push(format!(
            "{0} holds an adapter besides the model, and the model alone is converted; if it is the adapter's base, give \
             --adapter {0}, too",
            dir.display()
        ));
    }
    Ok(Opened { checkpoint, merge: None })
}

/// The summary of a merge, with the size of each module's change.
pub(super) fn measured(
    merge: &Merge,
    checkpoint: &Checkpoint,
    threads: Option<NonZero<usize>>,
    interrupt: &AtomicBool,
) -> anyhow::Result<Summary> {
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let changes = merge.relative_changes(checkpoint, threads, interrupt)?;
    let changes = changes.ok_or(convert::Error::Interrupted)?;
    let mut summary = merge.summary();
    for (module, change) in summary.modules.iter_mut().zip(changes) {
        module.relative_change = Some(change).filter(|change| change.is_finite());
    }
    Ok(summary)
}
