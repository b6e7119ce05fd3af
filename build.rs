//! Compiles ggml's CPU kernels several times, each for other instructions, so that the program can choose when it runs.
//!
//! llama-cpp-sys-2 compiles them once, for one set of instructions. Here the sources that it brings are compiled again
//! for each variant of `src/runtime/kernels/table.rs`; all names of a variant but one are made local, so that any number
//! of them can stand in one program, and that one is renamed. `src/runtime/kernels/choice.c` then defines the function
//! that ggml's registry asks, which leaves llama-cpp-sys-2's own kernels out of the program.
//!
//! Which variants: `EDGECALL_BUILD_KERNELS`, see [`wanted`]. Elsewhere than on Linux none is compiled, and the kernels
//! are llama-cpp-sys-2's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "src/runtime/kernels/table.rs"]
#[allow(dead_code, reason = "the library uses the rest")]
mod table;

use table::Kernels;

/// The C sources of ggml-cpu, below its folder; those of the architecture come in addition.
const C_SOURCES: &[&str] = &["ggml-cpu.c", "quants.c"];
/// The C++ sources.
const CXX_SOURCES: &[&str] = &[
    "ggml-cpu.cpp",
    "repack.cpp",
    "hbm.cpp",
    "traits.cpp",
    "amx/amx.cpp",
    "amx/mmq.cpp",
    "tiled/tiled.cpp",
    "tiled/tiled-kernel.cpp",
    "binary-ops.cpp",
    "unary-ops.cpp",
    "vec.cpp",
    "ops.cpp",
    "llamafile/sgemm.cpp",
];
/// The options that llama-cpp-sys-2's own build of ggml-cpu has, beside those of the architecture.
const DEFINES: &[(&str, Option<&str>)] = &[
    ("GGML_SCHED_MAX_COPIES", Some("4")),
    ("GGML_USE_CPU_REPACK", None),
    ("GGML_USE_LLAMAFILE", None),
    ("_GNU_SOURCE", None),
    ("_XOPEN_SOURCE", Some("600")),
    ("NDEBUG", None),
];

/// A change to a source file of ggml-cpu.
#[derive(Debug)]
struct Change {
    /// The file, below ggml-cpu.
    file: &'static str,
    /// Instructions that a variant must have for it.
    needs: Option<&'static str>,
    /// Texts that stand once in the file, and what stands there afterwards. A function of ours stands for one of ggml's
    /// by giving that one another name.
    edits: &'static [(&'static str, &'static str)],
    /// Text that goes behind the file's own.
    behind: &'static str,
}

const VNNI: &str = "AVX-512 VNNI";

const CHANGES: &[Change] = &[
    Change {
        file: "ggml-cpu.c",
        needs: None,
        edits: &[("\nvoid ggml_barrier(", "\nstatic inline void ggml_barrier_that_spins(")],
        behind: include_str!("src/runtime/kernels/barrier.c"),
    },
    // Few tokens are multiplied as single ones are, for the same bits.
    Change {
        file: "llamafile/sgemm.cpp",
        needs: None,
        edits: &[("\n    if (n < 2)\n", "\n    if (n <= EDGECALL_EXACT_BATCH)\n")],
        behind: "",
    },
    Change {
        file: "tiled/tiled.cpp",
        needs: None,
        edits: &[(
            "return rows >= 8 || ggml_tiled_matmul_forced();",
            "return rows > EDGECALL_EXACT_BATCH || ggml_tiled_matmul_forced();",
        )],
        behind: "",
    },
    Change {
        file: "arch/x86/repack.cpp",
        needs: Some(VNNI),
        edits: &[
            ("\nvoid ggml_gemm_q4_K_8x8_q8_K(", "\nstatic inline void ggml_gemm_q4_K_8x8_q8_K_of_ggml("),
            ("\nvoid ggml_gemv_q4_K_8x8_q8_K(", "\nstatic inline void ggml_gemv_q4_K_8x8_q8_K_of_ggml("),
            ("#include <cassert>", "#include <cassert>\n#include <vector>"),
        ],
        behind: include_str!("src/runtime/kernels/vnni.cpp"),
    },
    Change {
        file: "repack.cpp",
        needs: Some(VNNI),
        edits: &[
            (
                "\nvoid ggml_gemm_q6_K_8x8_q8_K_generic(",
                "\nstatic inline void ggml_gemm_q6_K_8x8_q8_K_of_ggml(",
            ),
            (
                "\nvoid ggml_gemv_q6_K_8x8_q8_K_generic(",
                "\nstatic inline void ggml_gemv_q6_K_8x8_q8_K_of_ggml(",
            ),
            (
                "\nvoid ggml_gemm_q8_0_4x8_q8_0_generic(",
                "\nstatic inline void ggml_gemm_q8_0_4x8_q8_0_of_ggml(",
            ),
            (
                "\nvoid ggml_gemv_q8_0_4x8_q8_0_generic(",
                "\nstatic inline void ggml_gemv_q8_0_4x8_q8_0_of_ggml(",
            ),
            // Weights of these types are repacked, too.
            (
                "} else if (cur->type == GGML_TYPE_Q6_K) {",
                "} else if (cur->type == GGML_TYPE_Q6_K) {
        if (cur->ne[1] % 8 == 0 && cur->ne[1] <= EDGECALL_MOST_ROWS) { return &q6_K_8x8_q8_K; }",
            ),
            (
                "} else if (cur->type == GGML_TYPE_Q8_0) {",
                "} else if (cur->type == GGML_TYPE_Q8_0) {
        if (cur->ne[1] % 8 == 0 && cur->ne[1] <= EDGECALL_MOST_ROWS) { return &q8_0_4x8_q8_0; }",
            ),
            (
                "for (int iter = nrows - (nrows % 4); iter < nrows; iter++) {",
                concat!(
                    include_str!("src/runtime/kernels/leftover_tokens.cpp"),
                    "for (int iter = nrows - (nrows % 4); iter < nrows; iter++) {"
                ),
            ),
        ],
        behind: "",
    },
];

const SOURCES: &str = "src/runtime/kernels";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={SOURCES}");
    println!("cargo:rerun-if-env-changed=EDGECALL_BUILD_KERNELS");
    println!("cargo:rustc-check-cfg=cfg(kernels_of_ggml)");
    // Without the engine there is nothing to compile.
    if env::var_os("CARGO_FEATURE_ENGINE").is_none() {
        return;
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    // Making names local takes GNU's or LLVM's tools for ELF.
    let can_choose = variable("CARGO_CFG_TARGET_OS") == "linux" && table::variants(&arch).next().is_some();
    if !can_choose {
        println!("cargo:rustc-cfg=kernels_of_ggml");
        return;
    }
    let ggml = Ggml::find(&arch);
    let wanted = wanted(&arch);
    let objects: Vec<PathBuf> =
        wanted.iter().map(|variant| ggml.compile(variant, &out.join(variant.name))).collect();
    let mut archive = cc::Build::new();
    archive.define("EDGECALL_LOWEST_KERNELS", symbol(wanted[0]).as_str());
    archive
        .files(["choice.c", "stdout.c"].map(|name| Path::new(SOURCES).join(name)))
        .objects(objects)
        .compile("edgecall_kernels");
    fs::write(out.join("kernels.rs"), declarations(&wanted))
        .expect("OUT_DIR is cargo's for us to write into");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// The variants to compile, slowest first: `all`, names with commas between them, or `native`, which is the default
/// where the build is for the machine that it runs on: the best that this CPU can run, and for a program that is
/// carried elsewhere the one of AVX2 or any ARM CPU.
fn wanted(arch: &str) -> Vec<&'static Kernels> {
    let is_for_this_machine = variable("HOST") == variable("TARGET");
    let asked = env::var("EDGECALL_BUILD_KERNELS").ok().filter(|asked| !asked.is_empty());
    let all: Vec<&Kernels> = table::variants(arch).collect();
    let names: Vec<&str> = match asked.as_deref() {
        None if !is_for_this_machine => return all,
        Some("all") => return all,
        Some("native") | None => {
            let runs = |variant: &&&Kernels| variant.features.iter().all(|feature| table::has(feature));
            let best = all.iter().rev().find(runs).unwrap_or(&all[0]).name;
            vec!["avx2", "armv8.0", best]
        }
        Some(names) => names.split(',').map(str::trim).collect(),
    };
    if let Some(unknown) =
        names.iter().find(|name| !table::VARIANTS.iter().any(|variant| variant.name == **name))
    {
        let known: Vec<&str> = all.iter().map(|variant| variant.name).collect();
        panic!(
            "EDGECALL_BUILD_KERNELS: there are no kernels named `{unknown}`; known: all, native, {}",
            known.join(", ")
        );
    }
    let wanted: Vec<&Kernels> = all.iter().copied().filter(|variant| names.contains(&variant.name)).collect();
    assert!(!wanted.is_empty(), "EDGECALL_BUILD_KERNELS: none of the kernels named is for {arch}");
    wanted
}

/// The name of the function that gives a variant's kernels.
fn symbol(variant: &Kernels) -> String {
    format!("edgecall_kernels_{}", variant.name.replace(['.', '-'], "_"))
}

/// Rust's view of what was compiled.
fn declarations(variants: &[&Kernels]) -> String {
    let functions: String = variants
        .iter()
        .map(|variant| format!("    fn {}() -> *mut sys::ggml_backend_reg;\n", symbol(variant)))
        .collect();
    let rows: String =
        variants.iter().map(|variant| format!("    ({:?}, {}),\n", variant.name, symbol(variant))).collect();
    format!(
        "unsafe extern \"C\" {{\n{functions}}}\n\npub static COMPILED: &[(&str, Registry)] = &[\n{rows}];\n"
    )
}

/// The sources of ggml that llama-cpp-sys-2 was built from.
#[derive(Debug)]
struct Ggml {
    /// `ggml/src`.
    source: PathBuf,
    /// The folder below `ggml-cpu/arch`.
    arch: &'static str,
}

impl Ggml {
    fn find(arch: &str) -> Ggml {
        // What llama-cpp-sys-2 says of itself is a folder below its own OUT_DIR, where cmake's cache names the sources.
        let said = PathBuf::from(variable("DEP_LLAMA_GGML_CMAKE_DIR"));
        let cache =
            said.ancestors().map(|folder| folder.join("build/CMakeCache.txt")).find(|cache| cache.is_file());
        let cache =
            cache.unwrap_or_else(|| panic!("there is no build/CMakeCache.txt above {}", said.display()));
        let text = fs::read_to_string(&cache).unwrap_or_else(|error| panic!("{}: {error}", cache.display()));
        let home = text.lines().find_map(|line| line.strip_prefix("CMAKE_HOME_DIRECTORY:INTERNAL="));
        let home = home.unwrap_or_else(|| panic!("{} names no CMAKE_HOME_DIRECTORY", cache.display()));
        let arch = if arch == "aarch64" { "arm" } else { "x86" };
        Ggml { source: Path::new(home).join("ggml/src"), arch }
    }

    /// One object with all of a variant's code, in which only its entry is visible.
    fn compile(&self, variant: &Kernels, out: &Path) -> PathBuf {
        let visible = out.join(format!("{}.o", symbol(variant)));
        // This script runs again when other variants are wanted; those that are there need not be compiled again.
        let made_of = format!(
            "{self:?} {variant:?} {} {} {CHANGES:?} {}",
            table::MOST_REPACKED_ROWS,
            table::EXACT_BATCH,
            include_str!("build.rs")
        );
        let stamp = out.join("made-of");
        if visible.is_file() && fs::read_to_string(&stamp).is_ok_and(|text| text == made_of) {
            return visible;
        }
        fs::create_dir_all(out).expect("OUT_DIR is cargo's for us to write into");
        let of_the_architecture = |file: &str| format!("arch/{}/{file}", self.arch);
        let mut c = self.compiler(variant, out);
        c.files(C_SOURCES.iter().map(|file| self.source_file(file, variant, out)));
        c.file(self.source_file(&of_the_architecture("quants.c"), variant, out));
        let mut cxx = self.compiler(variant, out);
        // What the C++ library marks as unique in a program could not be made local.
        cxx.cpp(true).flag_if_supported("-fno-gnu-unique");
        cxx.files(CXX_SOURCES.iter().map(|file| self.source_file(file, variant, out)));
        cxx.file(self.source_file(&of_the_architecture("repack.cpp"), variant, out));
        let mut objects = c.std("gnu11").compile_intermediates();
        objects.extend(cxx.std("gnu++17").compile_intermediates());

        let compiler = c.get_compiler();
        let whole = out.join("whole.o");
        // Functions that several variants have in common (templates of the C++ library) must not be shared between
        // them: they are compiled for other instructions.
        let mut link = compiler.to_command();
        run(link.args(["-r", "-nostdlib", "-Wl,--force-group-allocation", "-o"]).arg(&whole).args(&objects));
        let objcopy = tool("OBJCOPY", "objcopy", &compiler);
        let rename = format!("--redefine-sym=ggml_backend_cpu_reg={}", symbol(variant));
        run(Command::new(&objcopy).arg(rename).arg(&whole));
        let hide = format!("--keep-global-symbol={}", symbol(variant));
        run(Command::new(&objcopy).arg(hide).args([&whole, &visible]));
        fs::write(stamp, made_of).expect("OUT_DIR is cargo's for us to write into");
        visible
    }

    fn compiler(&self, variant: &Kernels, out: &Path) -> cc::Build {
        let mut build = cc::Build::new();
        build.out_dir(out).opt_level(3).debug(false).warnings(false).cargo_metadata(false).flag("-w");
        let cpu = self.source.join("ggml-cpu");
        // The folders of files that are copied elsewhere, for what they include by a path from there.
        build.includes([
            &self.source,
            &cpu,
            &cpu.join("arch").join(self.arch),
            &cpu.join("llamafile"),
            &cpu.join("tiled"),
            &self.source.join("../include"),
        ]);
        for (name, value) in DEFINES {
            build.define(name, *value);
        }
        build.define("EDGECALL_MOST_ROWS", table::MOST_REPACKED_ROWS.to_string().as_str());
        build.define("EDGECALL_EXACT_BATCH", table::EXACT_BATCH.to_string().as_str());
        for option in variant.options {
            build.flag(option);
        }
        build
    }

    /// A source file of ggml-cpu, or a changed copy in `out`.
    fn source_file(&self, file: &str, variant: &Kernels, out: &Path) -> PathBuf {
        let path = self.source.join("ggml-cpu").join(file);
        let is_for = |change: &&Change| {
            let has = |feature: &str| variant.features.contains(&feature);
            change.file == file && change.needs.is_none_or(has)
        };
        let mut changes = CHANGES.iter().filter(is_for).peekable();
        if changes.peek().is_none() {
            return path;
        }
        let mut text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for Change { edits, behind, .. } in changes {
            for (now, then) in *edits {
                assert_eq!(text.matches(now).count(), 1, "{}: {now}", path.display());
                text = text.replacen(now, then, 1);
            }
            text = text + "\n" + behind;
        }
        let copy = out.join(file.replace('/', "-"));
        fs::write(&copy, text).expect("OUT_DIR is cargo's for us to write into");
        copy
    }
}

/// A tool that goes with a compiler: what the environment variable says, or what the compiler names.
fn tool(variable: &str, name: &str, compiler: &cc::Tool) -> PathBuf {
    println!("cargo:rerun-if-env-changed={variable}");
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        return path.into();
    }
    let named = Command::new(compiler.path()).arg(format!("-print-prog-name={name}")).output().ok();
    let named = named.and_then(|output| String::from_utf8(output.stdout).ok());
    named
        .map(|path| PathBuf::from(path.trim()))
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or_else(|| name.into())
}

fn run(command: &mut Command) {
    let status =
        command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}; install binutils"));
    assert!(status.success(), "{command:?} failed: {status}");
}
