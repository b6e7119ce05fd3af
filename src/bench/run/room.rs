//! Memory check of a run: all models, with their contexts. It runs before any model is loaded.

use super::renderer::Renderer;
use crate::{
    bench::{Dataset, Error, Result},
    call,
    gguf::Gguf,
    inspect::{
        fit::{IsRepacked, mapped_and_copied},
        memory::{self, Shape},
    },
    machine::Machine,
    runtime::{Options, Trust, Vocabulary},
};
use std::{fmt, path::Path};

/// A model to load.
#[derive(Clone, Copy)]
pub struct Load<'p> {
    /// Path of the file.
    pub path: &'p Path,
    /// Header, with the tensors of all parts.
    pub header: &'p Gguf,
    /// True for tensors that will be repacked.
    pub is_repacked: IsRepacked,
}

/// Memory that one model needs, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Name of the file.
    pub name: String,
    /// Mapped weights; the system may drop these pages and read them again.
    pub mapped: u64,
    /// Weights that may be copied when they are repacked for the CPU's kernels; an upper bound.
    pub copied: u64,
    /// KV caches and compute buffers of its contexts.
    pub contexts: u64,
    /// Number of its contexts.
    pub lanes: usize,
}

/// Memory needs of all models, formatted for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs(pub Vec<Need>);

/// Estimates the context size in tokens for the longest prompt of the data and an answer of `max_tokens` tokens, with
/// the vocabulary of the model at `path`.
///
/// # Errors
/// A model without a vocabulary or a chat template.
pub fn context_length(path: &Path, trust: Trust, dataset: &Dataset, max_tokens: usize) -> Result<usize> {
    let vocabulary = Vocabulary::load_with(path, trust)?;
    let renderer = Renderer::new(&vocabulary, dataset)?;
    let mut longest = String::new();
    for case in &dataset.cases {
        let text = renderer.prompt(case)?;
        if text.len() > longest.len() {
            longest = text;
        }
    }
    Ok(call::tokenize(&vocabulary, &longest)?.len().saturating_add(max_tokens))
}

/// Checks that `machine` has enough memory for `loads` and a context of `n_ctx` tokens for each of `lanes`, which hold
/// an index into `loads`.
///
/// Memory to allocate must be available. Together with the mapped weights it must not exceed the total memory: every
/// token reads all weights, and they would be read from disk again and again.
///
/// # Errors
/// [`Error::Memory`].
pub fn check(
    loads: &[Load<'_>],
    lanes: &[(usize, Options)],
    n_ctx: usize,
    machine: Machine,
) -> Result<(), Error> {
    let needs: Vec<Need> = loads.iter().enumerate().map(|(at, load)| need(load, at, lanes, n_ctx)).collect();
    let sum = |bytes: fn(&Need) -> u64| needs.iter().map(bytes).fold(0, u64::saturating_add);
    let allocated = sum(|need| need.copied.saturating_add(need.contexts));
    // Two models loaded from one file share its mapping.
    let is_first = |at: usize| loads[..at].iter().all(|other| other.path != loads[at].path);
    let mapped = (0..loads.len()).filter(|&at| is_first(at)).map(|at| needs[at].mapped);
    let total = mapped.fold(allocated, u64::saturating_add);
    if allocated <= machine.available_bytes && total <= machine.total_bytes {
        return Ok(());
    }
    Err(Error::Memory {
        n_ctx,
        need_mib: allocated.div_ceil(1 << 20),
        all_mib: total.div_ceil(1 << 20),
        available_mib: machine.available_bytes >> 20,
        total_mib: machine.total_bytes >> 20,
        needs: Needs(needs),
    })
}

fn need(load: &Load<'_>, at: usize, lanes: &[(usize, Options)], n_ctx: usize) -> Need {
    let (mapped, copied) = mapped_and_copied(&load.header.tensors, load.is_repacked);
    let shape = Shape::of(load.header);
    let own = || lanes.iter().filter(|(load, _)| *load == at);
    let context = |options: &Options| {
        // A context whose size the header does not tell counts as 0.
        let Some(shape) = &shape else { return 0 };
        let kv = memory::kv_bytes(shape, n_ctx as u64, options.kv_type.ggml_type).unwrap_or(0);
        let (n_ubatch, flash_attention) = (options.n_ubatch() as u64, options.uses_flash_attention());
        kv.saturating_add(memory::compute_bytes(shape, n_ctx as u64, n_ubatch, flash_attention))
    };
    Need {
        name: load.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        mapped,
        copied,
        contexts: own().map(|(_, options)| context(options)).fold(0, u64::saturating_add),
        lanes: own().count(),
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let line = |need: &Need| {
            let (mapped, copied, contexts) = (mib(need.mapped), mib(need.copied), mib(need.contexts));
            let contexts_of =
                if need.lanes == 1 { "a context".into() } else { format!("{} contexts", need.lanes) };
            format!(
                "  {}: {mapped} MiB mapped, {copied} MiB repacked, {contexts} MiB for {contexts_of}",
                need.name
            )
        };
        f.write_str(&self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gguf::{GgmlType, TensorInfo},
        inspect::fit::AS_STORED,
    };
    use std::path::PathBuf;

    fn header(ggml_type: GgmlType) -> Gguf {
        let metadata = memory::qwen3_1_7b_keys();
        let tensor =
            TensorInfo { name: "token_embd.weight".into(), dims: vec![2048, 151_936], ggml_type, offset: 0 };
        Gguf { version: 3, metadata, tensors: vec![tensor], alignment: 32, data_start: 0 }
    }

    #[test]
    fn models_that_fit_one_by_one_may_not_fit_together() {
        let headers = [header(GgmlType::F16), header(GgmlType::Q8_0)];
        let paths = ["m/a-F16.gguf", "m/a-Q8_0.gguf"].map(PathBuf::from);
        let load = |at: usize| Load {
            path: &paths[at],
            header: &headers[at],
            is_repacked: |tensor| tensor.ggml_type == GgmlType::Q8_0,
        };
        let lanes = [(0, Options::default()), (1, Options::default())];
        let machine = |mib: u64| Machine { total_bytes: (mib + 1000) << 20, available_bytes: mib << 20 };
        // Each context of 4096 tokens takes 448 MiB of KV cache and about 330 MiB of buffers; the repacked Q8_0 copy
        // takes 315 MiB.
        assert!(check(&[load(0)], &lanes[..1], 4096, machine(900)).is_ok());
        let error = check(&[load(0), load(1)], &lanes, 4096, machine(900)).unwrap_err();
        let text = error.to_string();
        for part in [
            "a-F16.gguf: 594 MiB mapped, 0 MiB repacked",
            "a-Q8_0.gguf: 316 MiB mapped, 316 MiB repacked",
            "900",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(check(&[load(0), load(1)], &lanes, 4096, machine(2_200)).is_ok());
        // Repacked and plain weights share one mapping.
        let stored = Load { is_repacked: AS_STORED, ..load(0) };
        let Error::Memory { all_mib, need_mib, .. } =
            check(&[load(0), stored], &lanes, 4096, machine(1)).unwrap_err()
        else {
            panic!()
        };
        // Each size is rounded up separately.
        assert!((593..=594).contains(&(all_mib - need_mib)));
    }
}
