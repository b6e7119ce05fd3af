//! Check of one model and its context against a machine's memory, with remedies if they do not fit.
//!
//! [`need`](super::need) says which memory counts.

use super::{
    estimate::{self, Shape, largest},
    need::{AS_STORED, IsRepacked, Need, Outlook},
};
use crate::{
    arch::{self, Attention},
    convert::{FileType, recipe},
    display::mib,
    gguf::{FlashAttention, GgmlType, Gguf, KvType, TensorInfo},
    machine::Machine,
    remedy::Remedy,
};
use std::fmt;

/// File types to suggest, the most precise one first.
const FILE_TYPES: [FileType; 4] = [FileType::Q8_0, FileType::Q6K, FileType::Q4KM, FileType::Q4_0];
/// KV cache types to suggest, the most precise one first.
const KV_TYPES: [&str; 2] = ["q8_0", "q4_0"];
/// Step between suggested context sizes, in tokens.
const N_CTX_STEP: u64 = 256;

/// Plan of a run.
#[derive(Clone, Copy, Debug)]
pub struct PlannedRun<'g> {
    /// Metadata, and the tensors of all files of the model.
    pub header: &'g Gguf,
    /// True for tensors that are repacked for the CPU: `runtime::kernels::is_repacked` or [`AS_STORED`].
    pub is_repacked: IsRepacked,
    /// Type of the KV cache.
    pub kv_type: KvType,
    /// Use of flash attention; [`FlashAttention::Auto`] uses it only if the KV cache is quantized.
    pub flash_attention: FlashAttention,
    /// Number of prompt tokens, as far as known.
    pub n_prompt: u64,
    /// Context size in tokens.
    pub n_ctx: u64,
    /// True if the user asked for this context size; otherwise it is the prompt plus the maximum answer.
    pub n_ctx_is_asked: bool,
}

/// Choice of repacking weights for the CPU's kernels, which takes memory for copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repack {
    /// Weights are used as stored.
    Never,
    /// Weights are repacked, unless the copies are what does not fit.
    IfItFits,
    /// Weights are repacked.
    Always,
}

/// A plan that does not fit into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryError {
    /// Severity; never [`Outlook::Fits`].
    pub outlook: Outlook,
    /// Memory need of the plan.
    pub need: Need,
    /// Memory of the machine.
    pub machine: Machine,
    /// Context size in tokens and type of the KV cache that the numbers are for.
    pub context: (u64, &'static str),
    /// Changes that would fit, each by itself; the least costly one comes first.
    pub remedies: Vec<Remedy>,
}

impl PlannedRun<'_> {
    /// Memory need of the run; only the weights if the header does not tell the model's shape. `None` if the blocks of
    /// the KV type do not divide a head.
    pub fn need(&self) -> Option<Need> {
        self.need_with(&self.header.tensors)
    }

    fn need_with(&self, weights: &[TensorInfo]) -> Option<Need> {
        let need = Need::for_weights(weights, self.is_repacked);
        let Some(shape) = Shape::from_header(self.header) else { return Some(need) };
        let kv_type = self.kv_type.ggml_type;
        let context = estimate::estimate(0, &shape, self.n_ctx, kv_type, self.flash_attention)?;
        Some(Need { kv: context.kv_bytes, compute: context.compute_bytes, ..need })
    }

    /// True if weights that are not repacked fit `machine` better, since they need no copies.
    fn is_better_as_stored(&self, machine: Machine) -> bool {
        let outlook = |run: &PlannedRun<'_>| run.need().map(|need| need.outlook(machine));
        outlook(&PlannedRun { is_repacked: AS_STORED, ..*self }) < outlook(self)
    }

    /// The shortage on `machine`, with remedies; `None` if everything fits or the size is unknown. Available memory
    /// must be measured before the model is loaded.
    pub fn shortage(&self, machine: Machine) -> Option<MemoryError> {
        let need = self.need()?;
        let outlook = need.outlook(machine);
        if outlook == Outlook::Fits {
            return None;
        }
        // If allocations do not fit, a remedy may still leave weights to be read from disk, slow as that is.
        let enough = if outlook == Outlook::CannotAllocate { Outlook::FromDisk } else { Outlook::Fits };
        let helps = |need: &Need| need.outlook(machine) <= enough;
        let context = (self.n_ctx, self.kv_type.name);
        let remedies = self.remedies(&need, helps);
        Some(MemoryError { outlook, need, machine, context, remedies })
    }

    /// Checks the run before the model is loaded. `least` is the same run with the shortest prompt that is possible;
    /// only a need that even it has is an error. Returns true if weights are to be repacked, and a shortage that makes
    /// the run slow but not impossible.
    ///
    /// Both runs use `is_repacked` of this one, unless weights stay as stored.
    ///
    /// # Errors
    /// The shortage of `least`, if its allocations do not fit.
    pub fn check_before_loading(
        &self,
        least: &PlannedRun<'_>,
        repack: Repack,
        machine: Machine,
    ) -> Result<(bool, Option<MemoryError>), Box<MemoryError>> {
        let repacks = match repack {
            Repack::Never => false,
            Repack::IfItFits => !self.is_better_as_stored(machine),
            Repack::Always => true,
        };
        if repack == Repack::IfItFits && !repacks {
            tracing::info!("weights are not repacked for this CPU: there is no memory for the copies");
        }
        let is_repacked = if repacks { self.is_repacked } else { AS_STORED };
        let least =
            PlannedRun { is_repacked, ..*least }.shortage(machine).map_or(Ok(None), MemoryError::if_slow)?;
        let slow = PlannedRun { is_repacked, ..*self }.shortage(machine);
        let slow = slow.filter(|shortage| shortage.outlook == Outlook::FromDisk);
        Ok((repacks, slow.or(least)))
    }

    /// Checks the context after the model was loaded on `machine`, whose memory is measured now.
    ///
    /// # Errors
    /// The shortage, if the context cannot be allocated.
    pub fn check_after_loading(&self, machine: Machine) -> Result<(), Box<MemoryError>> {
        // The repacked copies are allocated by now.
        let copied = self.need().map_or(0, |need| need.copied);
        let available_bytes = machine.available_bytes.saturating_add(copied);
        let shortage = self.shortage(Machine { available_bytes, ..machine });
        shortage.map_or(Ok(()), |shortage| shortage.if_slow().map(drop))
    }

    fn remedies(&self, need: &Need, helps: impl Fn(&Need) -> bool) -> Vec<Remedy> {
        let mut remedies = Vec::new();
        let as_stored = PlannedRun { is_repacked: AS_STORED, ..*self };
        if need.copied > 0 && as_stored.need().is_some_and(|need| helps(&need)) {
            remedies.push(Remedy::NoRepack);
        }
        let flash = PlannedRun { flash_attention: FlashAttention::On, ..*self }.need();
        if let Some(flash) = flash.filter(|flash| flash.compute < need.compute && helps(flash)) {
            remedies.push(Remedy::FlashAttention(flash.compute));
        }
        let is_taken =
            |kv_type: &KvType| self.flash_attention != FlashAttention::Off || kv_type.ggml_type.is_float();
        let kv_types = KV_TYPES.iter().filter_map(|name| KvType::named(name)).filter(is_taken);
        let smaller = kv_types.filter_map(|kv_type| {
            let need = PlannedRun { kv_type, ..*self }.need().filter(|with| with.kv < need.kv)?;
            helps(&need).then_some(Remedy::KvType(kv_type.name, need.kv))
        });
        remedies.extend(smaller.take(1));
        let fits = |n_ctx: u64| PlannedRun { n_ctx, ..*self }.need().is_some_and(|need| helps(&need));
        let n_ctx = longest(self.n_ctx, fits);
        if n_ctx > self.n_prompt {
            remedies.push(match self.n_ctx_is_asked {
                true => Remedy::ContextSize(n_ctx),
                false => Remedy::ShorterAnswer(n_ctx - self.n_prompt),
            });
        }
        let weights = need.mapped.saturating_add(need.copied);
        let type_that_helps = FILE_TYPES.iter().find_map(|&file_type| {
            let need = self.need_with(&as_type(self.header, file_type))?;
            let bytes = need.mapped.saturating_add(need.copied);
            (bytes < weights && helps(&need)).then_some(Remedy::FileType(file_type.name(), bytes))
        });
        remedies.extend(type_that_helps);
        remedies
    }
}

/// The largest of the multiples of [`N_CTX_STEP`] below `n_ctx` that `fits`; 0 for none.
fn longest(n_ctx: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut fitting, mut too_many) = (0, n_ctx.div_ceil(N_CTX_STEP));
    while too_many - fitting > 1 {
        let middle = fitting + (too_many - fitting) / 2;
        if fits(middle * N_CTX_STEP) { fitting = middle } else { too_many = middle }
    }
    fitting * N_CTX_STEP
}

/// Tensors of a file of `file_type`, in the quantizer's order.
fn as_type(header: &Gguf, file_type: FileType) -> Vec<TensorInfo> {
    let mut tensors: Vec<&TensorInfo> = header.tensors.iter().collect();
    tensors.sort_by_key(|tensor| recipe::quantizer_order(&tensor.name));
    let key = |name: &str| header.architecture().map(|architecture| format!("{architecture}.{name}"));
    let block_count = key("block_count").and_then(|key| header.u64(&key)).unwrap_or(0);
    let number = |name: &str| largest(header.value(&key(name)?)?);
    let heads = number("attention.head_count").unwrap_or(0);
    let attention = Attention::with_heads(heads, number("attention.head_count_kv").unwrap_or(heads));
    let architecture = header.architecture().and_then(arch::by_name);
    let is_70b = architecture.is_some_and(|architecture| (architecture.is_70b)(block_count, attention));
    let shape = recipe::Shape { block_count: usize::try_from(block_count).unwrap_or(0), is_70b };
    let named: Vec<(&str, &[u64])> =
        tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice())).collect();
    let (types, _) = recipe::tensor_types(file_type, &[], shape, &named);
    let of_type = |(ggml_type, tensor): (GgmlType, &TensorInfo)| TensorInfo { ggml_type, ..tensor.clone() };
    types.into_iter().zip(tensors).map(of_type).collect()
}

impl MemoryError {
    /// Passes on a shortage that only makes the run slow; returns one that cannot be allocated as an error.
    fn if_slow(self) -> Result<Option<MemoryError>, Box<MemoryError>> {
        if self.outlook == Outlook::CannotAllocate { Err(Box::new(self)) } else { Ok(Some(self)) }
    }
}

impl std::error::Error for MemoryError {}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryError { need, machine, context: (n_ctx, kv_type), .. } = self;
        let Need { mapped, copied, kv, compute } = *need;
        let (available, all) = (machine.available_bytes >> 20, machine.total_bytes >> 20);
        write!(
            f,
            "a context of {n_ctx} tokens takes {} MiB ({} MiB of KV cache in {kv_type}, about {} MiB of buffers) beside \
             {} MiB of weights",
            mib(kv.saturating_add(compute)),
            mib(kv),
            mib(compute),
            mib(mapped.saturating_add(copied)),
        )?;
        if copied > 0 {
            write!(f, " ({} MiB of them copied for this CPU)", mib(copied))?;
        }
        write!(f, ", and this machine has {available} MiB available of {all}")?;
        if self.outlook == Outlook::FromDisk {
            write!(f, "; weights will be read from the disk again and again, which is slow")?;
        }
        match self.remedies.is_empty() {
            true if need.total() <= machine.total_bytes => {
                write!(f, "; it would fit if other programs left {} MiB", mib(need.total()))
            }
            true => write!(f, "; take a smaller model: nothing that can be changed here makes it fit"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
