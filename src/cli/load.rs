//! Loading of a model for calls, as its size, this machine's memory and the options allow.

use super::{error::advice, trial};
use edgecall::{
    cache::Cache,
    call::{self, Request, Settings},
    memory::Repack,
    runtime::{LoadOptions, Model, Trust},
};
use std::{
    io::{self, Write},
    path::Path,
};

/// Loads the model at `path`; `request` is the first or a typical one, and `cache` notes that the model passed a trial.
///
/// # Errors
/// A model that cannot be loaded, or that this machine has no memory for.
pub fn load(
    path: &Path,
    (trust, repack): (Trust, Repack),
    request: &Request<'_>,
    settings: &Settings,
    cache: Option<&Cache>,
) -> anyhow::Result<Model> {
    let load = LoadOptions { trust, repack: repack != Repack::Never };
    let model = Model::load_as(path, load, |header| {
        let (load, shortage) = call::load_options(header, trust, repack, request, settings)?;
        if let Some(shortage) = shortage {
            // Nobody reads a closed stderr.
            let _ = writeln!(io::stderr(), "warning: {shortage}{}", advice(&shortage.remedies));
        }
        trial::check(path, header, load, &settings.session, cache)?;
        Ok::<_, anyhow::Error>(load)
    })?;
    tracing::info!(model = %path.display(), ms = model.load_time().as_millis(), "loaded");
    Ok(model)
}
