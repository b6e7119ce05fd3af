//! ggml's CPU kernels, compiled for several sets of instructions: the best that this CPU can run, or those that are
//! asked for, compute.
//!
//! Kernels differ in speed, and in the last bits of what they compute.

mod table;

pub use table::{EXACT_BATCH, Kernels};

use super::{Error, ffi};
use crate::gguf::{GgmlType, Gguf, TensorInfo};
use std::{
    collections::BTreeSet,
    sync::{OnceLock, RwLock},
};

/// The name that stands for the best kernels that the CPU can run.
pub const AUTO: &str = "auto";

/// Name of the kernels that are asked for.
static ASKED: RwLock<Option<String>> = RwLock::new(None);
/// Those that compute.
static ACTIVE: OnceLock<&'static Kernels> = OnceLock::new();

impl Kernels {
    /// The instructions that these kernels need and this CPU has not.
    pub fn missing(&self) -> Vec<&'static str> {
        self.features.iter().copied().filter(|feature| !table::has(feature)).collect()
    }

    /// `true` if this CPU can run them.
    pub fn is_supported(&self) -> bool {
        self.missing().is_empty()
    }

    /// True if these kernels take a rearranged copy of the weights.
    fn repack(&self, tensor: &TensorInfo) -> bool {
        // Matrices, and the matrices of experts, which have a third dimension.
        let Some(&rows) = tensor.dims.get(1) else { return false };
        let has = |feature: &str| self.features.contains(&feature);
        let can = match tensor.ggml_type {
            GgmlType::Q4_0 | GgmlType::Q4K => has("AVX2") || has("dotprod"),
            GgmlType::Q5K => has("dotprod"),
            GgmlType::Q6K | GgmlType::Q8_0 => {
                has("AVX-512 VNNI") && rows <= table::MOST_REPACKED_ROWS || has("dotprod")
            }
            _ => false,
        };
        can && rows.is_multiple_of(8)
    }

    /// True if products of up to [`EXACT_BATCH`] tokens with the weights of `tensor` have the bits of one token's.
    ///
    /// Measured, see `tests/it/alike.rs`. ggml's own products of repacked Q4_K sum in another order for four tokens. Matrices
    /// of experts were not measured.
    fn multiplies_alike(&self, tensor: &TensorInfo) -> bool {
        const MEASURED: &[GgmlType] = &[
            GgmlType::F32,
            GgmlType::F16,
            GgmlType::Bf16,
            GgmlType::Q8_0,
            GgmlType::Q6K,
            GgmlType::Q5K,
            GgmlType::Q5_1,
            GgmlType::Q5_0,
            GgmlType::Q4K,
            GgmlType::Q4_1,
            GgmlType::Q4_0,
        ];
        let is_ggmls_q4_k = tensor.ggml_type == GgmlType::Q4K
            && self.repack(tensor)
            && !self.features.contains(&"AVX-512 VNNI");
        self.arch == "x86_64"
            && tensor.dims.len() == 2
            && MEASURED.contains(&tensor.ggml_type)
            && !is_ggmls_q4_k
    }

    /// The instruction sets of this CPU, as far as ggml knows them, that these kernels do not use.
    pub fn unused(&self) -> Vec<&'static str> {
        features().into_iter().filter(|feature| !self.features.contains(feature)).collect()
    }
}

/// The kernels in this program, slowest first.
pub fn compiled() -> Vec<&'static Kernels> {
    let named = |name: &str| table::VARIANTS.iter().find(|kernels| kernels.name == name);
    let compiled: Vec<&Kernels> = ffi::kernels::compiled().filter_map(named).collect();
    if compiled.is_empty() { vec![&OF_GGML] } else { compiled }
}

/// The kernels of llama-cpp-sys-2's own build, where there are no others.
static OF_GGML: Kernels = Kernels {
    name: "ggml",
    arch: std::env::consts::ARCH,
    features: if cfg!(target_arch = "x86_64") {
        &["SSE4.2", "AVX", "AVX2", "BMI2", "F16C", "FMA"]
    } else {
        &[]
    },
    options: &[],
};

/// The instruction sets that this CPU has, of those that some kernels of ggml use.
pub fn features() -> Vec<&'static str> {
    let known = table::variants(std::env::consts::ARCH).flat_map(|kernels| kernels.features.iter().copied());
    let mut seen = BTreeSet::new();
    known.filter(|feature| table::has(feature) && seen.insert(*feature)).collect()
}

/// Asks for kernels by their name, or by [`AUTO`] for the best that this CPU can run. What is wrong with it comes out
/// when kernels are needed; after that it is too late to ask for others.
pub fn ask_for(name: &str) {
    let mut asked = ASKED.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    *asked = (name != AUTO).then(|| name.to_owned());
}

/// The kernels that compute: from the first call on always the same.
///
/// # Errors
/// [`Error::Cpu`] where this CPU cannot run them, [`Error::Kernels`] where this program does not have those that are
/// asked for.
pub fn active() -> Result<&'static Kernels, Error> {
    if let Some(active) = ACTIVE.get() {
        return Ok(active);
    }
    let asked = ASKED.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let kernels = choose(asked.as_deref(), &compiled(), table::has)?;
    Ok(ACTIVE.get_or_init(|| {
        ffi::kernels::choose(kernels.name);
        kernels
    }))
}

/// The kernels of this name, or the last that a CPU with what `has` says can run.
fn choose(
    asked: Option<&str>,
    compiled: &[&'static Kernels],
    has: impl Fn(&str) -> bool,
) -> Result<&'static Kernels, Error> {
    let runs = |kernels: &Kernels| kernels.features.iter().all(|feature| has(feature));
    let best = compiled.iter().rev().copied().find(|kernels| runs(kernels));
    let wanted = match asked {
        Some(name) => compiled.iter().copied().find(|kernels| kernels.name == name).ok_or_else(|| {
            let compiled = compiled.iter().map(|kernels| kernels.name).collect();
            Error::Kernels { name: name.to_owned(), compiled }
        })?,
        None => best.unwrap_or(compiled[0]),
    };
    if runs(wanted) {
        return Ok(wanted);
    }
    let way_on = match best {
        Some(best) => format!("`{}` are the best that it can run", best.name),
        None => "this program has none that it can run: take a package, or build edgecall on this machine"
            .to_owned(),
    };
    let missing = wanted.features.iter().copied().filter(|feature| !has(feature)).collect();
    Err(Error::Cpu { name: wanted.name, missing, way_on })
}

/// Name of the kernels that compute, or would if they were asked for now: rows and saved states carry it, since others
/// round otherwise.
pub fn name() -> &'static str {
    active().map_or("none", |kernels| kernels.name)
}

/// True if the kernels that compute take a rearranged copy of a tensor's weights: by its type, and by its rows of
/// weights. Source: `ggml_repack_get_optimal_repack_type` in ggml's repack.cpp, with what the build script changes there.
pub fn is_repacked(tensor: &TensorInfo) -> bool {
    active().is_ok_and(|kernels| kernels.repack(tensor))
}

/// True if up to [`EXACT_BATCH`] tokens that are decoded together get the bits that each would get by itself, from the
/// model of this header and without flash attention.
pub fn decode_alike(header: &Gguf) -> bool {
    let is_matrix = |tensor: &&TensorInfo| tensor.dims.len() > 1;
    active().is_ok_and(|kernels| {
        *kernels != OF_GGML
            && header.tensors.iter().filter(is_matrix).all(|tensor| kernels.multiplies_alike(tensor))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<&'static Kernels> {
        names
            .iter()
            .map(|name| table::VARIANTS.iter().find(|kernels| kernels.name == *name).unwrap())
            .collect()
    }

    #[test]
    fn matrices_are_repacked_by_type_and_rows_and_those_of_experts_too() {
        let repacks = |name, ggml_type, dims: &[u64]| {
            let tensor = TensorInfo { name: String::new(), dims: dims.to_vec(), ggml_type, offset: 0 };
            named(&[name])[0].repack(&tensor)
        };
        for dims in [&[256, 512][..], &[256, 512, 8]] {
            assert!(repacks("avx2", GgmlType::Q4K, dims) && !repacks("avx", GgmlType::Q4K, dims));
            assert!(repacks("avx512-vnni", GgmlType::Q6K, dims) && !repacks("avx512", GgmlType::Q6K, dims));
        }
        assert!(!repacks("avx2", GgmlType::Q4K, &[256]) && !repacks("avx2", GgmlType::Q4K, &[256, 12]));
        assert!(!repacks("avx512-vnni", GgmlType::Q8_0, &[256, 151_936]));
        assert!(repacks("armv8.2-dotprod", GgmlType::Q8_0, &[256, 151_936]));
    }

    #[test]
    fn a_cpu_gets_the_last_kernels_that_it_can_run() {
        let compiled = named(&["sse4.2", "avx2", "avx512", "avx512-vnni"]);
        let haswell = ["SSE4.2", "AVX", "AVX2", "BMI2", "F16C", "FMA"];
        let skylake = [&haswell[..], &["AVX-512"]].concat();
        let on =
            |features: &[&str]| choose(None, &compiled, |feature| features.contains(&feature)).unwrap().name;
        assert_eq!(on(&["SSE4.2"]), "sse4.2");
        // AVX alone, and AVX2 without FMA as a virtual machine may show it.
        assert_eq!(on(&["SSE4.2", "AVX", "AVX2"]), "sse4.2");
        assert_eq!(on(&haswell), "avx2");
        assert_eq!(on(&skylake), "avx512");
        assert_eq!(on(&[&skylake[..], &["AVX-512 VNNI", "AVX-512 BF16"]].concat()), "avx512-vnni");
    }

    #[test]
    fn kernels_that_cannot_run_here_are_refused_with_the_best_that_can() {
        let compiled = named(&["sse4.2", "avx2"]);
        let error =
            choose(Some("avx2"), &compiled, |feature| feature == "SSE4.2" || feature == "AVX").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the kernels `avx2` need a CPU with AVX2, BMI2, F16C, FMA, and this one has not; `sse4.2` are the best that \
             it can run"
        );
        let error = choose(None, &named(&["avx2"]), |_| false).unwrap_err();
        assert!(error.to_string().ends_with("build edgecall on this machine"), "{error}");
    }

    #[test]
    fn kernels_that_this_program_does_not_have_are_refused_with_those_that_it_has() {
        let error = choose(Some("avx512"), &named(&["sse4.2", "avx2"]), |_| true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there are no kernels named `avx512` in this program; it has sse4.2, avx2"
        );
    }

    #[test]
    fn what_the_registry_computes_with_is_what_was_chosen() {
        let active = active().unwrap();
        assert!(active.is_supported());
        // ggml's own words for what these kernels were compiled for.
        let compiled_for = ffi::kernels::features_of_ggml();
        let has = |name: &str| compiled_for.iter().any(|feature| feature == name);
        for (ours, its) in [
            ("AVX", "AVX"),
            ("AVX2", "AVX2"),
            ("FMA", "FMA"),
            ("AVX-VNNI", "AVX_VNNI"),
            ("AVX-512", "AVX512"),
            ("AVX-512 VNNI", "AVX512_VNNI"),
            ("AVX-512 BF16", "AVX512_BF16"),
            ("dotprod", "DOTPROD"),
            ("i8mm", "MATMUL_INT8"),
            ("SVE", "SVE"),
        ] {
            assert_eq!(
                active.features.contains(&ours),
                has(its),
                "{ours} in {}: {compiled_for:?}",
                active.name
            );
        }
    }

    #[test]
    fn every_name_of_a_feature_is_known() {
        // One that is not counts as missing, and then its kernels would never be chosen.
        for kernels in table::variants(std::env::consts::ARCH) {
            assert!(kernels.features.windows(2).all(|pair| pair[0] != pair[1]), "{}", kernels.name);
        }
        let names: BTreeSet<&str> = table::VARIANTS.iter().map(|kernels| kernels.name).collect();
        assert_eq!(names.len(), table::VARIANTS.len());
    }
}
