//! Time to read the metadata of a GGUF file with a vocabulary of Qwen3's size.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use edgecall::gguf::{Array, GgmlType, Gguf, Header, Value};
use std::hint::black_box;

/// 151,936 tokens, 151,387 merges, and 310 tensors of one block each.
fn qwen3_front() -> Vec<u8> {
    let tokens = (0..151_936).map(|i| format!("Ġtok{i}")).collect();
    let merges = (0..151_387).map(|i| format!("Ġt{} ok{i}", i % 977)).collect();
    let mut header = Header::new(vec![
        ("tokenizer.ggml.tokens".into(), Value::Array(Array::String(tokens))),
        ("tokenizer.ggml.token_type".into(), Value::Array(Array::I32(vec![1; 151_936]))),
        ("tokenizer.ggml.merges".into(), Value::Array(Array::String(merges))),
    ]);
    for i in 0..310 {
        header.push_tensor(format!("blk.{i}.ffn_up.weight"), vec![256], GgmlType::Q4K);
    }
    let mut file = header.encode();
    file.resize(file.len() + header.data_bytes() as usize, 0);
    file
}

fn read(c: &mut Criterion) {
    let file = qwen3_front();
    let mut group = c.benchmark_group("gguf_read");
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function("qwen3 vocabulary", |b| b.iter(|| Gguf::parse(black_box(&file)).unwrap()));
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
