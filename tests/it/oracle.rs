//! Every codec compared with ggml, byte for byte and bit for bit.
//!
//! llama.cpp is linked into this binary anyway. On a target with fused multiply-adds, such as aarch64, compilers use
//! them for ggml's products and sums unless told otherwise (`scripts/arm.cmake`). Its encoders then round differently
//! and write other bytes than on x86-64: measured with GCC 12, of 4,000 blocks of 256 weights 1,475 differ for Q5_K,
//! 300 for Q4_K, 24 for Q3_K and 15 for Q6_K, and of 32,000 blocks of 32 weights 25 each for Q4_0 and Q5_0. Our
//! encoders write the bytes of x86-64 everywhere, so that a file does not depend on the machine. Decoding is the same
//! on both, since its products are exact.

use edgecall::{
    gguf::GgmlType,
    quant::{CODECS, Codec},
};
use llama_cpp_sys_2 as sys;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

#[test]
fn types_have_the_lengths_and_names_that_ggml_gives_them() {
    for ggml_type in GgmlType::ALL {
        let id = ggml_type.id() as sys::ggml_type;
        // SAFETY: ggml looks up its table of types; the name is a string constant of the table.
        let (len, bytes, name) = unsafe {
            let name = std::ffi::CStr::from_ptr(sys::ggml_type_name(id));
            (sys::ggml_blck_size(id), sys::ggml_type_size(id), name.to_str().unwrap())
        };
        assert_eq!(ggml_type.block_len(), len as u64, "{ggml_type}");
        assert_eq!(ggml_type.block_bytes(), bytes as u64, "{ggml_type}");
        assert!(ggml_type.name().eq_ignore_ascii_case(name), "{ggml_type} is {name} in ggml");
    }
}

/// ggml's encoding of `weights` in rows of `row_len`, with uniform importance; `None` for types without an encoder in
/// ggml.
pub fn encoded(ggml_type: GgmlType, weights: &[f32], row_len: u64) -> Option<Vec<u8>> {
    let id = ggml_type.id() as sys::ggml_type;
    let is_float = matches!(ggml_type, GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16);
    // SAFETY: ggml looks up its table of types.
    if !is_float && unsafe { !(*sys::ggml_get_type_traits(id)).is_quantized } {
        return None;
    }
    if matches!(ggml_type, GgmlType::Q8_1 | GgmlType::Q8K) {
        return None;
    }
    let rows = weights.len() as u64 / row_len;
    let mut out = vec![0; (ggml_type.row_bytes(row_len) * rows) as usize];
    let importance = vec![1f32; row_len as usize];
    // SAFETY: `weights` and `out` hold `rows` rows of whole blocks, `importance` is one number a column.
    let written = unsafe {
        sys::ggml_quantize_chunk(
            id,
            weights.as_ptr(),
            out.as_mut_ptr().cast(),
            0,
            rows as i64,
            row_len as i64,
            importance.as_ptr(),
        )
    };
    assert_eq!(written, out.len(), "{ggml_type}");
    Some(out)
}

/// ggml's encoding of `row`.
fn ggml_encode(ggml_type: GgmlType, row: &[f32]) -> Vec<u8> {
    let mut out = vec![0xa5; ggml_type.row_bytes(row.len() as u64) as usize];
    let id = ggml_type.id() as sys::ggml_type;
    // SAFETY: `row` and `out` hold one row of whole blocks, and no importance matrix is needed.
    let written = unsafe {
        sys::ggml_quantize_chunk(
            id,
            row.as_ptr(),
            out.as_mut_ptr().cast(),
            0,
            1,
            row.len() as i64,
            std::ptr::null(),
        )
    };
    assert_eq!(written, out.len());
    out
}

/// Types whose encoders in ggml do not add products: they write the same bytes however they were compiled.
pub const WITHOUT_SUMS: [GgmlType; 4] = [GgmlType::F32, GgmlType::F16, GgmlType::Bf16, GgmlType::Q8_0];

/// True if ggml's encoders were compiled with fused multiply-adds. Prints a note, and panics if CI should compare all
/// types.
pub fn fuses() -> bool {
    // Q4_0 rounds by `(int8_t)(x * id + 8.5f)`. Finds a weight near a boundary whose product is rounded across it
    // unless fused.
    let apart = |x: f32, id: f32| (x * id + 8.5) as u8;
    let fused = |x: f32, id: f32| x.mul_add(id, 8.5) as u8;
    let near = |n: u16, quant: u8, ulps: i32| {
        let d = 1.0 / f32::from(n);
        (d, f32::from_bits(((f32::from(quant) + 0.5) * d).to_bits().wrapping_add_signed(ulps)))
    };
    let (d, x) = (1..1000)
        .flat_map(|n| (0..7).flat_map(move |quant| (-4..5).map(move |ulps| near(n, quant, ulps))))
        .find(|(d, x)| apart(*x, 1.0 / d) != fused(*x, 1.0 / d))
        .expect("some product is rounded across a border");
    let mut row = [0.0; 32];
    (row[0], row[1]) = (d * -8.0, x);
    let quant = ggml_encode(GgmlType::Q4_0, &row)[2 + 1] & 0xf;
    assert!([apart(x, 1.0 / d), fused(x, 1.0 / d)].contains(&quant), "{quant} for {x}, scale {d}");
    let fuses = quant == fused(x, 1.0 / d);
    if fuses {
        eprintln!(
            "ggml was compiled with fused multiply-adds: the encoders that add products are NOT COMPARED"
        );
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "under CI=true all of ggml's encoders must be compared"
        );
    }
    fuses
}

/// ggml's decoding of `blocks`, as bits of f32.
fn ggml_decode(ggml_type: GgmlType, blocks: &[u8], len: usize) -> Vec<u32> {
    if ggml_type == GgmlType::F32 {
        return blocks.as_chunks().0.iter().map(|x| u32::from_le_bytes(*x)).collect();
    }
    let mut out = vec![0f32; len];
    // SAFETY: the table of types is static; `blocks` holds `len` weights in whole blocks.
    unsafe {
        let traits = &*sys::ggml_get_type_traits(ggml_type.id() as sys::ggml_type);
        traits.to_float.unwrap()(blocks.as_ptr().cast(), out.as_mut_ptr(), len as i64);
    }
    out.into_iter().map(f32::to_bits).collect()
}

/// True if ggml's encoders may make integers of infinite numbers here: the reciprocal of a scale overflows where all weights
/// of a block are smaller than these. C leaves such a conversion open: x86-64 gets zero, and ARM the largest integer. Ours have
/// the bytes of x86-64 everywhere, which the tests on that hold.
fn is_open(weights: &[f32]) -> bool {
    cfg!(target_arch = "aarch64") && weights.iter().all(|x| x.abs() < 1e-30)
}

fn assert_equal_to_ggml(codec: &dyn Codec, row: &[f32], fuses: bool) {
    let ggml_type = codec.ggml_type();
    let mut blocks = vec![0x5a; ggml_type.row_bytes(row.len() as u64) as usize];
    codec.encode(row, &mut blocks);
    let comparable = !fuses || WITHOUT_SUMS.contains(&ggml_type);
    let expected = if comparable { ggml_encode(ggml_type, row) } else { blocks.clone() };
    let (len, bytes) = (ggml_type.block_len() as usize, ggml_type.block_bytes() as usize);
    for (i, (ours, theirs)) in blocks.chunks(bytes).zip(expected.chunks(bytes)).enumerate() {
        let weights = &row[i * len..][..len];
        if !is_open(weights) {
            assert_eq!(ours, theirs, "{ggml_type} encodes otherwise: {weights:?}");
        }
    }
    let mut decoded = vec![0.0; row.len()];
    codec.decode(&blocks, &mut decoded);
    let decoded: Vec<u32> = decoded.into_iter().map(f32::to_bits).collect();
    assert_eq!(decoded, ggml_decode(ggml_type, &blocks, row.len()), "{ggml_type} decodes otherwise");
}

/// A super-block of 256 weights, of kinds that occur in checkpoints or have broken an encoder.
fn weights() -> impl Strategy<Value = Vec<f32>> {
    let bits = |mask: u32| {
        prop::collection::vec(any::<u32>(), N).prop_map(move |bits| {
            bits.into_iter()
                .map(|b| f32::from_bits(b & mask))
                .map(|x| if x.is_finite() { x } else { 1.0 })
                .collect()
        })
    };
    prop_oneof![
        4 => bell(0.02),
        2 => bell(0.02).prop_map(|x| x.into_iter().map(to_bf16).collect()),
        1 => bell(1.0).prop_map(|x| x.into_iter().map(|x| x * x * x).collect()),
        1 => (-45i32..38).prop_flat_map(move |e| scaled(10f32.powi(e))),
        1 => spread().prop_map(|x| x.into_iter().map(f32::abs).collect()),
        1 => spread().prop_map(|x| x.into_iter().map(|x| -x.abs()).collect()),
        1 => any::<f32>().prop_map(|x| vec![if x.is_finite() { x } else { 0.0 }; N]),
        1 => (any::<bool>(), -1f32..1.0).prop_map(|(negative, x)| alternating(x, negative)),
        // Few distinct values, for many ties and equal magnitudes.
        1 => prop::collection::vec(-8i8..9, N).prop_map(|x| x.into_iter().map(f32::from).collect()),
        1 => prop::collection::vec(-254i16..255, N)
            .prop_map(|x| x.into_iter().map(|x| f32::from(x) / 2.0).collect()),
        1 => prop::collection::vec(prop::sample::select(&EDGES[..]), N),
        1 => (spread(), prop::collection::vec(0usize..N, 0..6), -1e3f32..1e3).prop_map(outliers),
        1 => (spread(), 1usize..N).prop_map(|(mut x, zeros)| { x[..zeros].fill(0.0); x }),
        1 => prop::collection::vec((-1f32..1.0, -30i32..6), N)
            .prop_map(|x| x.into_iter().map(|(x, e)| x * 2f32.powi(e)).collect()),
        1 => (-1f32..1.0, -1e-6f32..1e-6).prop_map(|(x, step)| (0..N).map(|i| x + i as f32 * step).collect()),
        // Sub-blocks of different magnitudes: some scales vanish next to others.
        2 => (-42i32..30, prop::collection::vec((spread(), 0i32..5), N / 16)).prop_map(staggered),
        1 => prop::collection::vec((spread(), -17i32..-12), N / 16).prop_map(|x| staggered((0, x))),
        1 => bits(0xffff_0000),
        1 => bits(0xffff_ffff),
        1 => bits(0x807f_ffff),
    ]
}

const N: usize = 256;

const EDGES: [f32; 14] =
    [0.0, -0.0, 1e-45, -1e-45, 1e-40, -1e-40, 1e-38, 6e-8, -6e-5, 1.0, -1.0, 65504.0, 1e38, -3.4e38];

fn spread() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-1f32..1.0, N)
}

fn scaled(scale: f32) -> impl Strategy<Value = Vec<f32>> {
    spread().prop_map(move |x| x.into_iter().map(|x| x * scale).collect())
}

/// The sum of twelve uniform numbers, close to a normal distribution.
fn bell(deviation: f32) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop::array::uniform12(-0.5f32..0.5), 256)
        .prop_map(move |x| x.into_iter().map(|x| x.into_iter().sum::<f32>() * deviation).collect())
}

fn to_bf16(x: f32) -> f32 {
    half::bf16::from_f32(x).to_f32()
}

/// Sixteen weights of each part, scaled by its power of ten.
fn staggered((base, parts): (i32, Vec<(Vec<f32>, i32)>)) -> Vec<f32> {
    parts.iter().flat_map(|(x, e)| x[..16].iter().map(move |x| x * 10f32.powi(base + e))).collect()
}

fn alternating(x: f32, negative: bool) -> Vec<f32> {
    (0..256).map(|i| if (i % 2 == 0) == negative { -x } else { x }).collect()
}

fn outliers((mut x, places, value): (Vec<f32>, Vec<usize>, f32)) -> Vec<f32> {
    for place in places {
        x[place] *= value;
    }
    x
}

#[test]
fn every_codec_writes_and_reads_what_ggml_does() {
    let config =
        Config { cases: 256, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() };
    let rows = prop::collection::vec(weights(), 1..6).prop_map(|blocks| blocks.concat());
    let fuses = fuses();
    let outcome = TestRunner::new(config).run(&rows, |row| {
        CODECS.iter().for_each(|codec| assert_equal_to_ggml(*codec, &row, fuses));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn every_finite_bfloat16_alone_in_a_block_is_encoded_as_ggml_does() {
    let fuses = fuses();
    let finite = (0..=u16::MAX).filter(|bits| bits & 0x7f80 != 0x7f80);
    for bits in finite.step_by(7) {
        let mut row = [0.0; 256];
        row[usize::from(bits) % 256] = f32::from_bits(u32::from(bits) << 16);
        CODECS.iter().for_each(|codec| assert_equal_to_ggml(*codec, &row, fuses));
    }
}
