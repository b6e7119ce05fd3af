//! Check if a model and its context fit into a machine's memory, with remedies if they do not.
//!
//! *Allocated* memory (the KV cache, the buffers, and copies of repacked weights) must be available, or the system ends
//! the process. The other weights are *mapped*: if not all of them fit, the system drops some pages and reads them
//! again for every token. That works, but is slow.

use super::memory::{self, Shape, largest};
use crate::{
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

/// Test for tensors whose weights are repacked for the CPU.
pub type IsRepacked = fn(&TensorInfo) -> bool;

/// No tensor is repacked: the kernels take the weights as stored.
pub const AS_STORED: IsRepacked = |_| false;

/// Plan of a run.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'g> {
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

/// Memory need of a run, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Weights that stay mapped.
    pub mapped: u64,
    /// Weights that are copied to be repacked.
    pub copied: u64,
    /// The KV cache.
    pub kv: u64,
    /// The compute buffers, estimated.
    pub compute: u64,
}

/// Result of a memory check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// Everything fits.
    Fits,
    /// Allocations fit, but not the mapped weights too; these are read from disk again and again.
    FromDisk,
    /// Allocations do not fit.
    CannotBe,
}

/// A plan that does not fit into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Severity; never [`Outlook::Fits`].
    pub outlook: Outlook,
    /// Memory need of the plan.
    pub needed: Needed,
    /// Memory of the machine.
    pub machine: Machine,
    /// Context size in tokens and type of the KV cache that the numbers are for.
    pub context: (u64, &'static str),
    /// Changes that would fit, each by itself; the least costly one comes first.
    pub remedies: Vec<Remedy>,
}

impl Needed {
    /// Bytes to allocate.
    pub fn allocated(&self) -> u64 {
        self.copied.saturating_add(self.kv).saturating_add(self.compute)
    }

    /// Bytes in total.
    pub fn total(&self) -> u64 {
        self.allocated().saturating_add(self.mapped)
    }

    fn outlook(&self, machine: Machine) -> Outlook {
        match machine.available_bytes {
            available if self.allocated() > available => Outlook::CannotBe,
            available if self.total() > available => Outlook::FromDisk,
            _ => Outlook::Fits,
        }
    }
}

impl Planned<'_> {
    /// Memory need of the run; only the weights if the header does not tell the model's shape. `None` if the blocks of
    /// the KV type do not divide a head.
    pub fn needed(&self) -> Option<Needed> {
        self.needed_with(&self.header.tensors)
    }

    fn needed_with(&self, weights: &[TensorInfo]) -> Option<Needed> {
        let (mapped, copied) = mapped_and_copied(weights, self.is_repacked);
        let Some(shape) = Shape::of(self.header) else {
            return Some(Needed { mapped, copied, kv: 0, compute: 0 });
        };
        let kv_type = self.kv_type.ggml_type;
        let context = memory::memory(0, &shape, self.n_ctx, kv_type, self.flash_attention)?;
        Some(Needed { mapped, copied, kv: context.kv_bytes, compute: context.compute_bytes })
    }

    /// True if weights that are not repacked fit `machine` better, since they need no copies.
    pub fn is_better_as_stored(&self, machine: Machine) -> bool {
        let outlook = |planned: &Planned<'_>| planned.needed().map(|needed| needed.outlook(machine));
        outlook(&Planned { is_repacked: AS_STORED, ..*self }) < outlook(self)
    }

    /// The shortage on `machine`, with remedies; `None` if everything fits or the size is unknown. Available memory
    /// must be measured before the model is loaded.
    pub fn shortage(&self, machine: Machine) -> Option<Shortage> {
        let needed = self.needed()?;
        let outlook = needed.outlook(machine);
        if outlook == Outlook::Fits {
            return None;
        }
        // If allocations do not fit, a remedy may still leave weights to be read from disk, slow as that is.
        let enough = if outlook == Outlook::CannotBe { Outlook::FromDisk } else { Outlook::Fits };
        let helps = |needed: &Needed| needed.outlook(machine) <= enough;
        let context = (self.n_ctx, self.kv_type.name);
        let remedies = self.remedies(&needed, helps);
        Some(Shortage { outlook, needed, machine, context, remedies })
    }

    fn remedies(&self, needed: &Needed, helps: impl Fn(&Needed) -> bool) -> Vec<Remedy> {
        let mut remedies = Vec::new();
        let as_stored = Planned { is_repacked: AS_STORED, ..*self };
        if needed.copied > 0 && as_stored.needed().is_some_and(|needed| helps(&needed)) {
            remedies.push(Remedy::NoRepack);
        }
        let flash = Planned { flash_attention: FlashAttention::On, ..*self }.needed();
        if let Some(flash) = flash.filter(|flash| flash.compute < needed.compute && helps(flash)) {
            remedies.push(Remedy::FlashAttention(flash.compute));
        }
        let is_taken =
            |kv_type: &KvType| self.flash_attention != FlashAttention::Off || kv_type.ggml_type.is_float();
        let kv_types = KV_TYPES.iter().filter_map(|name| KvType::named(name)).filter(is_taken);
        let smaller = kv_types.filter_map(|kv_type| {
            let needed = Planned { kv_type, ..*self }.needed().filter(|with| with.kv < needed.kv)?;
            helps(&needed).then_some(Remedy::KvType(kv_type.name, needed.kv))
        });
        remedies.extend(smaller.take(1));
        let fits = |n_ctx: u64| Planned { n_ctx, ..*self }.needed().is_some_and(|needed| helps(&needed));
        let n_ctx = longest(self.n_ctx, fits);
        if n_ctx > self.n_prompt {
            remedies.push(match self.n_ctx_is_asked {
                true => Remedy::ContextSize(n_ctx),
                false => Remedy::ShorterAnswer(n_ctx - self.n_prompt),
            });
        }
        let weights = needed.mapped.saturating_add(needed.copied);
        let type_that_helps = FILE_TYPES.iter().find_map(|&file_type| {
            let needed = self.needed_with(&as_type(self.header, file_type))?;
            let bytes = needed.mapped.saturating_add(needed.copied);
            (bytes < weights && helps(&needed)).then_some(Remedy::FileType(file_type.name(), bytes))
        });
        remedies.extend(type_that_helps);
        remedies
    }
}

/// Bytes of the weights that stay mapped, and of those that are repacked into a copy.
pub fn mapped_and_copied(weights: &[TensorInfo], is_repacked: IsRepacked) -> (u64, u64) {
    let has_head = weights.iter().any(|tensor| tensor.name == "output.weight");
    let (mut mapped, mut copied) = (0_u64, 0_u64);
    for tensor in weights {
        // Embeddings are read row by row, which takes them as stored; where the head is tied to them, products take
        // them too.
        let (is_looked_up, is_multiplied) = match tensor.name.as_str() {
            "token_embd.weight" => (true, !has_head),
            _ => (false, true),
        };
        let is_copied = is_multiplied && is_repacked(tensor);
        if is_copied {
            copied = copied.saturating_add(tensor.byte_len());
        }
        if is_looked_up || !is_copied {
            mapped = mapped.saturating_add(tensor.byte_len());
        }
    }
    (mapped, copied)
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
    let shares_heads = number("attention.head_count") != number("attention.head_count_kv");
    let is_70b =
        block_count == 80 && matches!(header.architecture(), Some("qwen2" | "llama")) && shares_heads;
    let shape = recipe::Shape { block_count: usize::try_from(block_count).unwrap_or(0), is_70b };
    let named: Vec<(&str, &[u64])> =
        tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice())).collect();
    let (types, _) = recipe::tensor_types(file_type, &[], shape, &named);
    let of_type = |(ggml_type, tensor): (GgmlType, &TensorInfo)| TensorInfo { ggml_type, ..tensor.clone() };
    types.into_iter().zip(tensors).map(of_type).collect()
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortage { needed, machine, context: (n_ctx, kv_type), .. } = self;
        let Needed { mapped, copied, kv, compute } = *needed;
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
            true if needed.total() <= machine.total_bytes => {
                write!(f, "; it would fit if other programs left {} MiB", mib(needed.total()))
            }
            true => write!(f, "; take a smaller model: nothing that can be changed here makes it fit"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The types that ggml repacks for AVX2.
    pub(crate) const IS_REPACKED: IsRepacked =
        |tensor| matches!(tensor.ggml_type, GgmlType::Q4_0 | GgmlType::Q4K);

    /// Header with the shape of Qwen3-1.7B in one file type.
    pub(crate) fn header(file_type: FileType) -> Gguf {
        let metadata = memory::qwen3_1_7b_keys();
        let mut tensors = vec![("token_embd.weight".to_owned(), vec![2048, 151_936])];
        for block in 0..28 {
            let mut push = |name: &str, dims: &[u64]| {
                tensors.push((format!("blk.{block}.{name}.weight"), dims.to_vec()))
            };
            push("attn_k", &[2048, 1024]);
            push("attn_norm", &[2048]);
            push("attn_output", &[2048, 2048]);
            push("attn_q", &[2048, 2048]);
            push("attn_v", &[2048, 1024]);
            push("ffn_down", &[6144, 2048]);
            push("ffn_gate", &[2048, 6144]);
            push("ffn_up", &[2048, 6144]);
        }
        let info =
            |(name, dims): (String, Vec<u64>)| TensorInfo { name, dims, ggml_type: GgmlType::F32, offset: 0 };
        let tensors = tensors.into_iter().map(info).collect();
        let mut header = Gguf { version: 3, metadata, tensors, alignment: 32, data_start: 0 };
        header
            .tensors
            .sort_by(|a, b| recipe::quantizer_order(&a.name).cmp(&recipe::quantizer_order(&b.name)));
        header.tensors = as_type(&header, file_type);
        header
    }

    fn planned(header: &Gguf) -> Planned<'_> {
        let kv_type = KvType::default();
        let (n_prompt, n_ctx) = (1000, 4096);
        // With flash attention the buffers take about 330 MiB for any type of KV cache.
        let flash_attention = FlashAttention::On;
        Planned {
            header,
            is_repacked: IS_REPACKED,
            kv_type,
            flash_attention,
            n_prompt,
            n_ctx,
            n_ctx_is_asked: false,
        }
    }

    fn machine(available: u64) -> Machine {
        Machine { total_bytes: 3000 * MIB, available_bytes: available * MIB }
    }

    #[test]
    fn weights_stay_as_they_are_where_their_copies_are_too_much() {
        let (q4, q8) = (header(FileType::Q4KM), header(FileType::Q8_0));
        let stay = |header, available| planned(header).is_better_as_stored(machine(available));
        // 1,100 MiB of weights, most of which are copied, 448 MiB of KV cache, 330 MiB of buffers.
        assert!(!stay(&q4, 2500) && stay(&q4, 1200));
        // Allocations do not fit even without copies; and Q8_0 is not copied.
        assert!(!stay(&q4, 300) && !stay(&q8, 1200));
    }

    #[test]
    fn what_a_type_takes_is_what_a_file_of_it_has() {
        // Sizes of the files that the converter writes for this shape: 1050 MiB in Q4_K_M, 1743 MiB in Q8_0.
        let bytes = |file_type| header(file_type).tensors.iter().map(TensorInfo::byte_len).sum::<u64>() / MIB;
        assert_eq!((bytes(FileType::F16), bytes(FileType::Q8_0)), (3281, 1743));
        assert_eq!(bytes(FileType::Q4KM), 1050);
        let f16 = header(FileType::F16);
        let of_f16 = |file_type| as_type(&f16, file_type).iter().map(TensorInfo::byte_len).sum::<u64>() / MIB;
        assert_eq!((of_f16(FileType::Q8_0), of_f16(FileType::Q4KM)), (1743, 1050));
    }

    #[test]
    fn weights_that_do_not_stay_in_memory_are_slow_and_a_smaller_type_is_named() {
        let header = header(FileType::F16);
        let planned = planned(&header);
        // 448 MiB of KV cache and about 330 MiB of buffers.
        assert_eq!(planned.shortage(machine(4200)), None);
        let shortage = planned.shortage(machine(2900)).unwrap();
        assert_eq!(shortage.outlook, Outlook::FromDisk);
        let [Remedy::FileType("q8_0", bytes)] = shortage.remedies[..] else { panic!("{shortage}") };
        assert_eq!(bytes / MIB, 1743);
        let text = shortage.to_string();
        for part in [
            "448 MiB of KV cache in f16",
            "MiB of weights",
            "2900 MiB available of 3000",
            "read from the disk",
        ] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        // The largest type that fits the available memory.
        for (available, expected) in [(2200, FileType::Q6K), (1850, FileType::Q4KM)] {
            let shortage = planned.shortage(machine(available)).unwrap();
            let named = shortage.remedies.iter().find_map(|remedy| match remedy {
                Remedy::FileType(file_type, _) => Some(*file_type),
                _ => None,
            });
            assert_eq!(named, Some(expected.name()), "{shortage}");
        }
    }

    #[test]
    fn what_cannot_be_allocated_is_named_with_what_can() {
        let header = header(FileType::Q8_0);
        let planned = Planned { n_ctx_is_asked: true, ..planned(&header) };
        let shortage = planned.shortage(machine(650)).unwrap();
        assert_eq!(shortage.outlook, Outlook::CannotBe);
        let [Remedy::KvType("q8_0", kv), Remedy::ContextSize(n_ctx)] = shortage.remedies[..] else {
            panic!("{shortage}")
        };
        assert_eq!(kv, 448 * MIB * 34 / 64);
        // The suggested size fits, and 256 tokens more do not.
        let with = |n_ctx| Planned { n_ctx, ..planned }.needed().unwrap().outlook(machine(650));
        assert!(n_ctx > 1000 && n_ctx.is_multiple_of(256));
        assert_eq!((with(n_ctx), with(n_ctx + 256)), (Outlook::FromDisk, Outlook::CannotBe));
        let budget = Planned { n_ctx_is_asked: false, ..planned }.shortage(machine(650)).unwrap();
        assert!(budget.remedies.contains(&Remedy::ShorterAnswer(n_ctx - 1000)), "{budget}");
        // A context that has no room beyond the prompt is not suggested.
        let long = Planned { n_prompt: 4000, ..planned }.shortage(machine(650)).unwrap();
        assert!(!long.remedies.iter().any(|remedy| matches!(remedy, Remedy::ContextSize(_))), "{long}");
        // Without flash attention there is a table of scores, and no quantized KV cache.
        let products = Planned { flash_attention: FlashAttention::Off, ..planned };
        let buffers = products.needed().unwrap().compute;
        assert!(buffers > planned.needed().unwrap().compute, "{buffers}");
        let shortage = products.shortage(machine(776)).unwrap();
        let flash = |remedy: &Remedy| matches!(remedy, Remedy::FlashAttention(_));
        let kv_type = |remedy: &Remedy| matches!(remedy, Remedy::KvType(..));
        assert!(shortage.remedies.iter().any(flash) && !shortage.remedies.iter().any(kv_type), "{shortage}");
        let auto = Planned { flash_attention: FlashAttention::Auto, ..planned };
        assert_eq!(auto.needed(), products.needed());
        // The smallest machine: no remedy helps, and the message says so.
        let none = planned.shortage(Machine { total_bytes: 20 * MIB, available_bytes: 10 * MIB }).unwrap();
        assert!(none.remedies.is_empty() && none.to_string().contains("smaller model"), "{none}");
        let freed = planned.shortage(Machine { total_bytes: 9000 * MIB, available_bytes: 10 * MIB }).unwrap();
        assert!(freed.to_string().contains("if other programs left"), "{freed}");
    }

    #[test]
    fn copies_for_the_cpu_are_allocated_and_can_be_left_out() {
        let header = header(FileType::Q4KM);
        let planned = planned(&header);
        let needed = planned.needed().unwrap();
        assert!(needed.copied > 500 * MIB && needed.mapped > 300 * MIB, "{needed:?}");
        let shortage = planned.shortage(machine(1000)).unwrap();
        assert_eq!((shortage.outlook, &shortage.remedies[0]), (Outlook::CannotBe, &Remedy::NoRepack));
        assert_eq!(Planned { is_repacked: AS_STORED, ..planned }.needed().unwrap().copied, 0);
    }

    #[test]
    fn a_header_without_a_shape_counts_its_weights_and_a_hostile_one_saturates() {
        let mut header = header(FileType::Q8_0);
        header.metadata.retain(|(key, _)| key != "qwen3.embedding_length");
        let shortage = planned(&header).shortage(machine(1000)).unwrap();
        assert_eq!((shortage.outlook, shortage.needed.kv), (Outlook::FromDisk, 0));
        for tensor in &mut header.tensors {
            tensor.dims = vec![1 << 40, 1 << 20];
        }
        assert!(as_type(&header, FileType::Q8_0).iter().all(|tensor| tensor.byte_len() > 1 << 59));
        let huge = Planned { n_ctx: u64::MAX, n_prompt: 0, ..planned(&header) };
        assert!(!huge.shortage(machine(1000)).unwrap().to_string().is_empty());
    }
}
