//! Millions of weights per second and core for each codec, compared with ggml's own.
//!
//! `cargo bench --bench quantize` takes less than a minute; a codec's name after `--` runs only that one.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgecall::quant::{self, CODECS, Codec, Loss};
use llama_cpp_sys_2 as sys;

/// Rows as long as Qwen3-1.7B's, 1 MiB of f32: the converter's unit of work fits into the L2 cache.
const ROW_LEN: usize = 2048;
const ROWS: usize = 128;

/// Weights with the spread of a language model's, rounded to bfloat16 as in a checkpoint.
fn weights() -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..ROW_LEN * ROWS)
        .map(|_| {
            let bell: f32 = (0..12).map(|_| uniform()).sum();
            half::bf16::from_f32(0.02 * bell).to_f32()
        })
        .collect()
}

fn ggml_encode(codec: &dyn Codec, rows: &[f32], out: &mut [u8]) {
    // SAFETY: `rows` is whole rows, `out` was made for their blocks, no importance matrix is needed.
    unsafe {
        sys::ggml_quantize_chunk(
            codec.ggml_type().id() as sys::ggml_type,
            rows.as_ptr(),
            out.as_mut_ptr().cast(),
            0,
            (rows.len() / ROW_LEN) as i64,
            ROW_LEN as i64,
            std::ptr::null(),
        );
    }
}

fn quantize(c: &mut Criterion) {
    let rows = weights();
    for codec in CODECS {
        let mut group = c.benchmark_group(codec.ggml_type().name());
        group.throughput(Throughput::Elements(rows.len() as u64));
        let mut blocks = vec![0; codec.ggml_type().row_bytes(rows.len() as u64) as usize];
        let mut decoded = vec![0.0; rows.len()];
        group.bench_function("encode", |b| b.iter(|| codec.encode(black_box(&rows), &mut blocks)));
        group.bench_function(BenchmarkId::new("encode", "ggml"), |b| {
            b.iter(|| ggml_encode(*codec, black_box(&rows), &mut blocks));
        });
        group.bench_function("decode", |b| b.iter(|| codec.decode(black_box(&blocks), &mut decoded)));
        group.bench_function("loss", |b| {
            b.iter(|| Loss::measure(*codec, black_box(&rows), black_box(&blocks)));
        });
        group.finish();
    }
    let mut group = c.benchmark_group("check");
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("first_non_finite", |b| b.iter(|| quant::first_non_finite(black_box(&rows))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    targets = quantize
}
criterion_main!(benches);
