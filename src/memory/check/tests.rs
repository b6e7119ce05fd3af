//! Tests of the check, on the shape of Qwen3-1.7B.

use super::*;
use crate::arch;

const MIB: u64 = 1 << 20;

/// The types that ggml repacks for AVX2.
pub(crate) const IS_REPACKED: IsRepacked =
    |tensor| matches!(tensor.ggml_type, GgmlType::Q4_0 | GgmlType::Q4K);

/// Header with the shape of Qwen3-1.7B in one file type.
pub(crate) fn header(file_type: FileType) -> Gguf {
    let metadata = arch::qwen3_1_7b_keys();
    let mut tensors = vec![("token_embd.weight".to_owned(), vec![2048, 151_936])];
    for block in 0..28 {
        let mut push =
            |name: &str, dims: &[u64]| tensors.push((format!("blk.{block}.{name}.weight"), dims.to_vec()));
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
    header.tensors.sort_by(|a, b| recipe::quantizer_order(&a.name).cmp(&recipe::quantizer_order(&b.name)));
    header.tensors = as_type(&header, file_type);
    header
}

fn run(header: &Gguf) -> PlannedRun<'_> {
    let kv_type = KvType::default();
    let (n_prompt, n_ctx) = (1000, 4096);
    // With flash attention the buffers take about 330 MiB for any type of KV cache.
    let flash_attention = FlashAttention::On;
    PlannedRun {
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
    let stay = |header, available| run(header).is_better_as_stored(machine(available));
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
    let run = run(&header);
    // 448 MiB of KV cache and about 330 MiB of buffers.
    assert_eq!(run.shortage(machine(4200)), None);
    let shortage = run.shortage(machine(2900)).unwrap();
    assert_eq!(shortage.outlook, Outlook::FromDisk);
    let [Remedy::FileType("q8_0", bytes)] = shortage.remedies[..] else { panic!("{shortage}") };
    assert_eq!(bytes / MIB, 1743);
    let text = shortage.to_string();
    for part in
        ["448 MiB of KV cache in f16", "MiB of weights", "2900 MiB available of 3000", "read from the disk"]
    {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    // The largest type that fits the available memory.
    for (available, expected) in [(2200, FileType::Q6K), (1850, FileType::Q4KM)] {
        let shortage = run.shortage(machine(available)).unwrap();
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
    let run = PlannedRun { n_ctx_is_asked: true, ..run(&header) };
    let shortage = run.shortage(machine(650)).unwrap();
    assert_eq!(shortage.outlook, Outlook::CannotAllocate);
    let [Remedy::KvType("q8_0", kv), Remedy::ContextSize(n_ctx)] = shortage.remedies[..] else {
        panic!("{shortage}")
    };
    assert_eq!(kv, 448 * MIB * 34 / 64);
    // The suggested size fits, and 256 tokens more do not.
    let with = |n_ctx| PlannedRun { n_ctx, ..run }.need().unwrap().outlook(machine(650));
    assert!(n_ctx > 1000 && n_ctx.is_multiple_of(256));
    assert_eq!((with(n_ctx), with(n_ctx + 256)), (Outlook::FromDisk, Outlook::CannotAllocate));
    let budget = PlannedRun { n_ctx_is_asked: false, ..run }.shortage(machine(650)).unwrap();
    assert!(budget.remedies.contains(&Remedy::ShorterAnswer(n_ctx - 1000)), "{budget}");
    // A context that has no room beyond the prompt is not suggested.
    let long = PlannedRun { n_prompt: 4000, ..run }.shortage(machine(650)).unwrap();
    assert!(!long.remedies.iter().any(|remedy| matches!(remedy, Remedy::ContextSize(_))), "{long}");
    // Without flash attention there is a table of scores, and no quantized KV cache.
    let products = PlannedRun { flash_attention: FlashAttention::Off, ..run };
    let buffers = products.need().unwrap().compute;
    assert!(buffers > run.need().unwrap().compute, "{buffers}");
    let shortage = products.shortage(machine(776)).unwrap();
    let flash = |remedy: &Remedy| matches!(remedy, Remedy::FlashAttention(_));
    let kv_type = |remedy: &Remedy| matches!(remedy, Remedy::KvType(..));
    assert!(shortage.remedies.iter().any(flash) && !shortage.remedies.iter().any(kv_type), "{shortage}");
    let auto = PlannedRun { flash_attention: FlashAttention::Auto, ..run };
    assert_eq!(auto.need(), products.need());
    // The smallest machine: no remedy helps, and the message says so.
    let none = run.shortage(Machine { total_bytes: 20 * MIB, available_bytes: 10 * MIB }).unwrap();
    assert!(none.remedies.is_empty() && none.to_string().contains("smaller model"), "{none}");
    let freed = run.shortage(Machine { total_bytes: 9000 * MIB, available_bytes: 10 * MIB }).unwrap();
    assert!(freed.to_string().contains("if other programs left"), "{freed}");
}

#[test]
fn copies_for_the_cpu_are_allocated_and_can_be_left_out() {
    let header = header(FileType::Q4KM);
    let run = run(&header);
    let need = run.need().unwrap();
    assert!(need.copied > 500 * MIB && need.mapped > 300 * MIB, "{need:?}");
    let shortage = run.shortage(machine(1000)).unwrap();
    assert_eq!((shortage.outlook, &shortage.remedies[0]), (Outlook::CannotAllocate, &Remedy::NoRepack));
    assert_eq!(PlannedRun { is_repacked: AS_STORED, ..run }.need().unwrap().copied, 0);
}

#[test]
fn a_header_without_a_shape_counts_its_weights_and_a_hostile_one_saturates() {
    let mut header = header(FileType::Q8_0);
    header.metadata.retain(|(key, _)| key != "qwen3.embedding_length");
    let shortage = run(&header).shortage(machine(1000)).unwrap();
    assert_eq!((shortage.outlook, shortage.need.kv), (Outlook::FromDisk, 0));
    for tensor in &mut header.tensors {
        tensor.dims = vec![1 << 40, 1 << 20];
    }
    assert!(as_type(&header, FileType::Q8_0).iter().all(|tensor| tensor.byte_len() > 1 << 59));
    let huge = PlannedRun { n_ctx: u64::MAX, n_prompt: 0, ..run(&header) };
    assert!(!huge.shortage(machine(1000)).unwrap().to_string().is_empty());
}
