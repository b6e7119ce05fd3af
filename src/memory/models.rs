//! Check of several models that are loaded at once, each with some contexts.

use super::{
    estimate::{self, Shape},
    need::{IsRepacked, Need},
};
use crate::{
    display::mib,
    gguf::{GgmlType, Gguf},
    machine::Machine,
};
use std::{fmt, path::Path};

/// A model to load.
#[derive(Clone, Copy)]
pub struct ModelLoad<'p> {
    /// Path of the file.
    pub path: &'p Path,
    /// Header, with the tensors of all parts.
    pub header: &'p Gguf,
    /// True for tensors that will be repacked.
    pub is_repacked: IsRepacked,
}

/// Settings of a context that determine its memory.
#[derive(Clone, Copy, Debug)]
pub struct ContextNeed {
    /// Index of its model among the loads.
    pub load: usize,
    /// Context size in tokens.
    pub n_ctx: u64,
    /// Tokens that llama.cpp computes at once.
    pub n_ubatch: u64,
    /// Type of the KV cache.
    pub kv_type: GgmlType,
    /// True if flash attention is used.
    pub flash_attention: bool,
}

/// Memory that one model needs, with its contexts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ModelNeed {
    /// Name of the file.
    name: String,
    need: Need,
    /// Number of its contexts.
    contexts: usize,
}

/// Models that do not fit into memory together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelsError {
    /// Size of each context, in tokens.
    pub n_ctx: u64,
    /// Need of all models; weights that two of them map from one file count once.
    pub need: Need,
    /// Memory of the machine.
    pub machine: Machine,
    models: Vec<ModelNeed>,
}

/// Checks that `machine` has enough memory for `loads` and their `contexts`.
///
/// # Errors
/// [`ModelsError`] if [`Need::fits_a_long_run`] is false for all of them together.
pub fn check(
    loads: &[ModelLoad<'_>],
    contexts: &[ContextNeed],
    machine: Machine,
) -> Result<(), Box<ModelsError>> {
    let (models, need) = needs(loads, contexts);
    if need.fits_a_long_run(machine) {
        return Ok(());
    }
    let n_ctx = contexts.iter().map(|context| context.n_ctx).max().unwrap_or(0);
    Err(Box::new(ModelsError { n_ctx, need, machine, models }))
}

/// Need of all models and contexts together; weights that two models map from one file count once.
pub fn need(loads: &[ModelLoad<'_>], contexts: &[ContextNeed]) -> Need {
    needs(loads, contexts).1
}

fn needs(loads: &[ModelLoad<'_>], contexts: &[ContextNeed]) -> (Vec<ModelNeed>, Need) {
    let models: Vec<ModelNeed> =
        loads.iter().enumerate().map(|(at, load)| model_need(load, at, contexts)).collect();
    let sum =
        |bytes: fn(&Need) -> u64| models.iter().map(|model| bytes(&model.need)).fold(0, u64::saturating_add);
    // Two models loaded from one file share its mapping.
    let is_first = |at: usize| loads[..at].iter().all(|other| other.path != loads[at].path);
    let mapped = (0..loads.len()).filter(|&at| is_first(at)).map(|at| models[at].need.mapped);
    let need = Need {
        mapped: mapped.fold(0, u64::saturating_add),
        copied: sum(|need| need.copied),
        kv: sum(|need| need.kv),
        compute: sum(|need| need.compute),
    };
    (models, need)
}

fn model_need(load: &ModelLoad<'_>, at: usize, contexts: &[ContextNeed]) -> ModelNeed {
    let shape = Shape::from_header(load.header);
    let mut model = ModelNeed {
        name: load.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        need: Need::for_weights(&load.header.tensors, load.is_repacked),
        contexts: 0,
    };
    for context in contexts.iter().filter(|context| context.load == at) {
        model.contexts += 1;
        // A context whose size the header does not tell counts as 0.
        let Some(shape) = &shape else { continue };
        let ContextNeed { n_ctx, n_ubatch, kv_type, flash_attention, .. } = *context;
        let kv = estimate::kv_bytes(shape, n_ctx, kv_type).unwrap_or(0);
        let compute = estimate::compute_bytes(shape, n_ctx, n_ubatch, flash_attention);
        model.need.kv = model.need.kv.saturating_add(kv);
        model.need.compute = model.need.compute.saturating_add(compute);
    }
    model
}

impl std::error::Error for ModelsError {}

impl fmt::Display for ModelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModelsError { n_ctx, need, machine, models } = self;
        write!(
            f,
            "the models and their contexts of {n_ctx} tokens take {} MiB beside the mapped weights, {} MiB in all, and this \
             machine has {} MiB available of {}:",
            mib(need.allocated()),
            mib(need.total()),
            machine.available_bytes >> 20,
            machine.total_bytes >> 20,
        )?;
        for ModelNeed { name, need, contexts } in models {
            let contexts_of =
                if *contexts == 1 { "a context".into() } else { format!("{contexts} contexts") };
            write!(
                f,
                "\n  {name}: {} MiB mapped, {} MiB repacked, {} MiB for {contexts_of}",
                mib(need.mapped),
                mib(need.copied),
                mib(need.kv.saturating_add(need.compute)),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arch, gguf::TensorInfo, memory::AS_STORED};
    use std::path::PathBuf;

    fn header(ggml_type: GgmlType) -> Gguf {
        let metadata = arch::qwen3_1_7b_keys();
        let tensor =
            TensorInfo { name: "token_embd.weight".into(), dims: vec![2048, 151_936], ggml_type, offset: 0 };
        Gguf { version: 3, metadata, tensors: vec![tensor], alignment: 32, data_start: 0 }
    }

    #[test]
    fn models_that_fit_one_by_one_may_not_fit_together() {
        let headers = [header(GgmlType::F16), header(GgmlType::Q8_0)];
        let paths = ["m/a-F16.gguf", "m/a-Q8_0.gguf"].map(PathBuf::from);
        let load = |at: usize| ModelLoad {
            path: &paths[at],
            header: &headers[at],
            is_repacked: |tensor| tensor.ggml_type == GgmlType::Q8_0,
        };
        let context = |load| ContextNeed {
            load,
            n_ctx: 4096,
            n_ubatch: estimate::DEFAULT_N_UBATCH,
            kv_type: GgmlType::F16,
            flash_attention: false,
        };
        let contexts = [context(0), context(1)];
        let machine = |mib: u64| Machine { total_bytes: (mib + 1000) << 20, available_bytes: mib << 20 };
        // Each context of 4096 tokens takes 448 MiB of KV cache and about 330 MiB of buffers; the repacked Q8_0 copy
        // takes 315 MiB.
        assert!(check(&[load(0)], &contexts[..1], machine(900)).is_ok());
        let error = check(&[load(0), load(1)], &contexts, machine(900)).unwrap_err();
        let text = error.to_string();
        for part in [
            "a-F16.gguf: 594 MiB mapped, 0 MiB repacked",
            "a-Q8_0.gguf: 316 MiB mapped, 316 MiB repacked",
            "900",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(check(&[load(0), load(1)], &contexts, machine(2_200)).is_ok());
        // Repacked and plain weights share one mapping.
        let stored = ModelLoad { is_repacked: AS_STORED, ..load(0) };
        let error = check(&[load(0), stored], &contexts, machine(1)).unwrap_err();
        assert_eq!(error.need.mapped.div_ceil(1 << 20), 594);
    }
}
