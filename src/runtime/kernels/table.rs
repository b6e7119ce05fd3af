//! Sets of instructions that ggml's CPU kernels are compiled for, slowest first. The build script and the library both
//! compile this file.

/// ggml's CPU kernels, compiled for one set of instructions.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernels {
    /// Its name, for `--kernels`, rows and saved states.
    pub name: &'static str,
    /// Rust's name of the architecture.
    pub arch: &'static str,
    /// Instructions that a CPU must have, by the names of `has`.
    pub features: &'static [&'static str],
    /// GCC's and Clang's options.
    pub options: &'static [&'static str],
}

/// Most rows of a matrix of Q6_K or Q8_0 that is repacked for VNNI. Embeddings have more: they are read row by row as
/// well, so that a model whose output is tied to them would have them twice.
pub const MOST_REPACKED_ROWS: u64 = 32_768;

/// Most tokens that ggml multiplies with the weights as it multiplies single ones, and with the same bits. For more it
/// has products that sum in another order.
pub const EXACT_BATCH: usize = 16;

/// Every variant, each architecture's in order of speed: of those that a CPU can run the last is the best.
///
/// ggml's own list has more for x86-64; those left out differ by instructions that none of its kernels uses (VBMI), or
/// by F16C and FMA without AVX2, which few CPUs of 2012 have. There is none for AMX: ggml's kernels for it have not
/// been run by a program of ours, and GCC before 14 drops part of what they set up (llama.cpp's pull request 26954).
pub const VARIANTS: &[Kernels] = &[
    Kernels { name: "sse4.2", arch: "x86_64", features: &["SSE4.2"], options: &["-msse4.2"] },
    Kernels { name: "avx", arch: "x86_64", features: &["SSE4.2", "AVX"], options: &["-msse4.2", "-mavx"] },
    Kernels {
        name: "avx2",
        arch: "x86_64",
        features: &["SSE4.2", "AVX", "AVX2", "BMI2", "F16C", "FMA"],
        options: &["-msse4.2", "-mavx", "-mavx2", "-mbmi2", "-mf16c", "-mfma"],
    },
    Kernels {
        name: "avx-vnni",
        arch: "x86_64",
        features: &["SSE4.2", "AVX", "AVX2", "BMI2", "F16C", "FMA", "AVX-VNNI"],
        options: &["-msse4.2", "-mavx", "-mavx2", "-mbmi2", "-mf16c", "-mfma", "-mavxvnni"],
    },
    Kernels {
        name: "avx512",
        arch: "x86_64",
        features: &["SSE4.2", "AVX", "AVX2", "BMI2", "F16C", "FMA", "AVX-512"],
        options: &[
            "-msse4.2",
            "-mavx",
            "-mavx2",
            "-mbmi2",
            "-mf16c",
            "-mfma",
            "-mavx512f",
            "-mavx512cd",
            "-mavx512vl",
            "-mavx512dq",
            "-mavx512bw",
        ],
    },
    Kernels {
        name: "avx512-vnni",
        arch: "x86_64",
        features: &["SSE4.2", "AVX", "AVX2", "BMI2", "F16C", "FMA", "AVX-512", "AVX-512 VNNI"],
        options: &[
            "-msse4.2",
            "-mavx",
            "-mavx2",
            "-mbmi2",
            "-mf16c",
            "-mfma",
            "-mavx512f",
            "-mavx512cd",
            "-mavx512vl",
            "-mavx512dq",
            "-mavx512bw",
            "-mavx512vnni",
        ],
    },
    Kernels {
        name: "avx512-bf16",
        arch: "x86_64",
        features: &[
            "SSE4.2",
            "AVX",
            "AVX2",
            "BMI2",
            "F16C",
            "FMA",
            "AVX-512",
            "AVX-512 VNNI",
            "AVX-512 BF16",
        ],
        options: &[
            "-msse4.2",
            "-mavx",
            "-mavx2",
            "-mbmi2",
            "-mf16c",
            "-mfma",
            "-mavx512f",
            "-mavx512cd",
            "-mavx512vl",
            "-mavx512dq",
            "-mavx512bw",
            "-mavx512vnni",
            "-mavx512bf16",
        ],
    },
    Kernels { name: "armv8.0", arch: "aarch64", features: &[], options: &["-march=armv8-a"] },
    Kernels {
        name: "armv8.2-dotprod",
        arch: "aarch64",
        features: &["dotprod", "fp16"],
        options: &["-march=armv8.2-a+dotprod+fp16"],
    },
    Kernels {
        name: "armv8.6-i8mm",
        arch: "aarch64",
        features: &["dotprod", "fp16", "i8mm"],
        options: &["-march=armv8.2-a+dotprod+fp16+i8mm"],
    },
    Kernels {
        name: "armv8.6-sve",
        arch: "aarch64",
        features: &["dotprod", "fp16", "i8mm", "SVE"],
        options: &["-march=armv8.2-a+dotprod+fp16+i8mm+sve"],
    },
];

/// The variants of an architecture, slowest first.
pub fn variants(arch: &str) -> impl Iterator<Item = &'static Kernels> {
    VARIANTS.iter().filter(move |variant| variant.arch == arch)
}

/// `true` for instructions that this CPU has, and that the system lets programs use. A name that is not known counts
/// as missing.
#[cfg(target_arch = "x86_64")]
pub fn has(feature: &str) -> bool {
    match feature {
        "SSE4.2" => is_x86_feature_detected!("sse4.2"),
        "AVX" => is_x86_feature_detected!("avx"),
        "AVX2" => is_x86_feature_detected!("avx2"),
        "BMI2" => is_x86_feature_detected!("bmi2"),
        "F16C" => is_x86_feature_detected!("f16c"),
        "FMA" => is_x86_feature_detected!("fma"),
        "AVX-VNNI" => is_x86_feature_detected!("avxvnni"),
        // ggml's option of this name takes all of them.
        "AVX-512" => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
        }
        "AVX-512 VNNI" => is_x86_feature_detected!("avx512vnni"),
        "AVX-512 BF16" => is_x86_feature_detected!("avx512bf16"),
        _ => false,
    }
}

/// `true` for instructions that this CPU has, and that the system lets programs use. A name that is not known counts
/// as missing.
#[cfg(target_arch = "aarch64")]
pub fn has(feature: &str) -> bool {
    use std::arch::is_aarch64_feature_detected;
    match feature {
        "dotprod" => is_aarch64_feature_detected!("dotprod"),
        "fp16" => is_aarch64_feature_detected!("fp16"),
        "i8mm" => is_aarch64_feature_detected!("i8mm"),
        "SVE" => is_aarch64_feature_detected!("sve"),
        _ => false,
    }
}

/// `true` for instructions that this CPU has; other architectures have one variant, which needs none.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn has(_: &str) -> bool {
    false
}
