//! Whether a model and its context fit the memory of a machine, and what would where they do not.
//!
//! Two things are told apart. What is *allocated* (the KV cache, the buffers, and the copies of weights that are
//! rearranged for the CPU) must be there, or the system ends the process. The other weights are *mapped*: where there is
//! no room for all of them the system drops some and reads them again for every token, which is slow and works.

use super::memory::{self, Shape, largest};
use crate::{
    convert::{FileType, recipe},
    gguf::{FlashAttention, GgmlType, Gguf, KvType, TensorInfo},
    machine::Machine,
};
use std::fmt;

/// The types of file that are tried, the one nearest to the checkpoint first.
const FILE_TYPES: [FileType; 4] = [FileType::Q8_0, FileType::Q6K, FileType::Q4KM, FileType::Q4_0];
/// The types of KV cache that are tried, in the order in which they are worth trying.
const KV_TYPES: [&str; 2] = ["q8_0", "q4_0"];
/// Contexts are given in steps of so many tokens.
const N_CTX_STEP: u64 = 256;

/// True of tensors whose weights are copied in a rearranged form for the CPU.
pub type IsRepacked = fn(&TensorInfo) -> bool;

/// No tensor's weights are copied: they are used as the file has them.
pub const AS_STORED: IsRepacked = |_| false;

/// How a model is going to be run.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'g> {
    /// The keys and the tensors of all its files.
    pub header: &'g Gguf,
    /// True of tensors whose weights are copied in a rearranged form for the CPU: `runtime::kernels::is_repacked`, or
    /// [`AS_STORED`].
    pub is_repacked: IsRepacked,
    /// The KV cache's type.
    pub kv_type: KvType,
    /// Whether attention is computed by flash attention; `None` where the KV cache is quantized, which takes no other.
    pub flash_attention: FlashAttention,
    /// Tokens of the prompt, as far as they are known.
    pub n_prompt: u64,
    /// Tokens of the context.
    pub n_ctx: u64,
    /// Whether that many were asked for; else it is the prompt and a budget of tokens.
    pub n_ctx_is_asked: bool,
}

/// What a run needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Weights that stay in the map of the file.
    pub mapped: u64,
    /// Weights that are copied out of it.
    pub copied: u64,
    /// The KV cache.
    pub kv: u64,
    /// The compute buffer, an estimate.
    pub compute: u64,
}

/// How it goes with what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// All of it fits.
    Fits,
    /// What is allocated fits, and the mapped weights do not: they are read from the disk again and again.
    FromDisk,
    /// What is allocated does not fit.
    CannotBe,
}

/// Something that would fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Another type of KV cache, and its bytes.
    KvType(&'static str, u64),
    /// Attention without a table of scores, and the bytes of the buffers then.
    FlashAttention(u64),
    /// A context of so many tokens.
    Ctx(u64),
    /// A budget of so many tokens.
    MaxTokens(u64),
    /// Weights that are used as the file has them.
    AsStored,
    /// The model in another type, and the bytes of its weights.
    FileType(FileType, u64),
}

/// That something does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// How bad it is; never [`Outlook::Fits`].
    pub outlook: Outlook,
    /// What is needed.
    pub needed: Needed,
    /// What there is.
    pub machine: Machine,
    /// Tokens of the context, and the KV cache's type, that the numbers are for.
    pub context: (u64, &'static str),
    /// What would fit, one thing changed at a time, that which costs least first.
    pub remedies: Vec<Remedy>,
}

impl Needed {
    /// What must be allocated.
    pub fn allocated(&self) -> u64 {
        self.copied.saturating_add(self.kv).saturating_add(self.compute)
    }

    /// All of it.
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
    /// What the run needs; of a model whose shape its header does not tell, the weights alone. `None` where the KV
    /// type's blocks do not divide a head.
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

    /// Whether the copies of rearranged weights are too much for `machine`, and the weights as the file has them are less.
    pub fn is_better_as_stored(&self, machine: Machine) -> bool {
        let outlook = |planned: &Planned<'_>| planned.needed().map(|needed| needed.outlook(machine));
        outlook(&Planned { is_repacked: AS_STORED, ..*self }) < outlook(self)
    }

    /// What would be too much for `machine`, and what would not; `None` where all of it fits, or its size cannot be told.
    /// What `machine` has available is counted before anything of the model is in memory.
    pub fn shortage(&self, machine: Machine) -> Option<Shortage> {
        let needed = self.needed()?;
        let outlook = needed.outlook(machine);
        if outlook == Outlook::Fits {
            return None;
        }
        // What cannot be allocated is helped by what can, slow as it may be.
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
            remedies.push(Remedy::AsStored);
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
                true => Remedy::Ctx(n_ctx),
                false => Remedy::MaxTokens(n_ctx - self.n_prompt),
            });
        }
        let weights = needed.mapped.saturating_add(needed.copied);
        let type_that_helps = FILE_TYPES.iter().find_map(|&file_type| {
            let needed = self.needed_with(&as_type(self.header, file_type))?;
            let bytes = needed.mapped.saturating_add(needed.copied);
            (bytes < weights && helps(&needed)).then_some(Remedy::FileType(file_type, bytes))
        });
        remedies.extend(type_that_helps);
        remedies
    }
}

/// Bytes of weights that stay in the map of their file, and of those that are copied in a rearranged form.
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

/// The tensors as a file of `file_type` has them, in the quantizer's order.
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

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
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
        let takes = |what: String, then: String| format!("\n  {what:<48}{then}");
        if self.outlook == Outlook::FromDisk {
            write!(f, "; weights will be read from the disk again and again, which is slow")?;
        }
        let lines: Vec<String> = self
            .remedies
            .iter()
            .map(|remedy| match remedy {
                Remedy::KvType(name, bytes) => {
                    takes(format!("--kv-type {name}"), format!("{} MiB of KV cache", mib(*bytes)))
                }
                Remedy::FlashAttention(bytes) => {
                    takes("--flash-attn on".into(), format!("about {} MiB of buffers, slower", mib(*bytes)))
                }
                Remedy::Ctx(n_ctx) => takes(format!("--ctx {n_ctx}"), "a shorter context".into()),
                Remedy::MaxTokens(most) => takes(format!("--max-tokens {most}"), "a shorter answer".into()),
                Remedy::AsStored => takes("--repack off".into(), "no copies, slower".into()),
                Remedy::FileType(file_type, bytes) => takes(
                    format!("edgecall convert CHECKPOINT_DIR --type {file_type}"),
                    format!("{} MiB of weights", mib(*bytes)),
                ),
            })
            .collect();
        match lines.is_empty() {
            true if needed.total() <= machine.total_bytes => {
                write!(f, "; it would fit if other programs left {} MiB", mib(needed.total()))
            }
            true => write!(f, "; take a smaller model: nothing that can be changed here makes it fit"),
            false => {
                let what = if self.outlook == Outlook::CannotBe { " into what there is" } else { "" };
                write!(f, "; any of these would fit{what}:{}", lines.concat())
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// As with ggml's kernels for AVX2.
    pub(crate) const IS_REPACKED: IsRepacked =
        |tensor| matches!(tensor.ggml_type, GgmlType::Q4_0 | GgmlType::Q4K);

    /// Qwen3-1.7B's shape, in one type but for the norms.
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
        // With it the buffers are about 330 MiB whatever the type of the cache.
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
        // 1,100 MiB of weights, most of them to be copied, 448 of cache, 330 of buffers.
        assert!(!stay(&q4, 2500) && stay(&q4, 1200));
        // Even what is left is too much; and nothing is copied.
        assert!(!stay(&q4, 300) && !stay(&q8, 1200));
    }

    #[test]
    fn what_a_type_takes_is_what_a_file_of_it_has() {
        // The files of Qwen3-1.7B's shape that the converter writes: 1050 MiB in Q4_K_M, 1743 in Q8_0.
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
        // 448 MiB of cache and about 330 of buffers.
        assert_eq!(planned.shortage(machine(4200)), None);
        let shortage = planned.shortage(machine(2900)).unwrap();
        assert_eq!(shortage.outlook, Outlook::FromDisk);
        let [Remedy::FileType(FileType::Q8_0, bytes)] = shortage.remedies[..] else { panic!("{shortage}") };
        assert_eq!(bytes / MIB, 1743);
        let text = shortage.to_string();
        for part in [
            "448 MiB of KV cache in f16",
            "MiB of weights",
            "2900 MiB available of 3000",
            "read from the disk",
            "edgecall convert CHECKPOINT_DIR --type q8_0",
        ] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        // The largest that fits, by what there is.
        for (available, expected) in [(2200, FileType::Q6K), (1850, FileType::Q4KM)] {
            let shortage = planned.shortage(machine(available)).unwrap();
            let named = shortage.remedies.iter().find_map(|remedy| match remedy {
                Remedy::FileType(file_type, _) => Some(*file_type),
                _ => None,
            });
            assert_eq!(named, Some(expected), "{shortage}");
        }
    }

    #[test]
    fn what_cannot_be_allocated_is_named_with_what_can() {
        let header = header(FileType::Q8_0);
        let planned = Planned { n_ctx_is_asked: true, ..planned(&header) };
        let shortage = planned.shortage(machine(650)).unwrap();
        assert_eq!(shortage.outlook, Outlook::CannotBe);
        let [Remedy::KvType("q8_0", kv), Remedy::Ctx(n_ctx)] = shortage.remedies[..] else {
            panic!("{shortage}")
        };
        assert_eq!(kv, 448 * MIB * 34 / 64);
        // What is said to fit does, and 256 tokens more do not.
        let with = |n_ctx| Planned { n_ctx, ..planned }.needed().unwrap().outlook(machine(650));
        assert!(n_ctx > 1000 && n_ctx.is_multiple_of(256));
        assert_eq!((with(n_ctx), with(n_ctx + 256)), (Outlook::FromDisk, Outlook::CannotBe));
        let budget = Planned { n_ctx_is_asked: false, ..planned }.shortage(machine(650)).unwrap();
        assert!(budget.remedies.contains(&Remedy::MaxTokens(n_ctx - 1000)), "{budget}");
        // A context that the prompt alone fills is none.
        let long = Planned { n_prompt: 4000, ..planned }.shortage(machine(650)).unwrap();
        assert!(!long.to_string().contains("--ctx"), "{long}");
        // The products need a table of scores, which flash attention does not, and take no quantized cache.
        let products = Planned { flash_attention: FlashAttention::Off, ..planned };
        let buffers = products.needed().unwrap().compute;
        assert!(buffers > planned.needed().unwrap().compute, "{buffers}");
        let shortage = products.shortage(machine(776)).unwrap();
        let named = |what: &str| shortage.to_string().contains(what);
        assert!(named("--flash-attn on") && !named("--kv-type"), "{shortage}");
        let auto = Planned { flash_attention: FlashAttention::Auto, ..planned };
        assert_eq!(auto.needed(), products.needed());
        // The smallest machine: nothing helps, and that is said.
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
        assert_eq!((shortage.outlook, &shortage.remedies[0]), (Outlook::CannotBe, &Remedy::AsStored));
        assert!(shortage.to_string().contains("--repack off"), "{shortage}");
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
