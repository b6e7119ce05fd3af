//! The memory that `inspect` states is what llama.cpp allocates.
//!
//! A binary of its own: llama.cpp tells its buffers' sizes in its log alone, and a process has one log.

use edgecall::{
    gguf::{GgmlType, Gguf, Header, Value},
    memory::{Shape, estimate},
};
use llama_cpp_sys_2 as llama;
use std::{
    ffi::{CStr, CString, c_char, c_void},
    fs::File,
    io::Write,
    path::Path,
    ptr,
    sync::Mutex,
};

static LOG: Mutex<String> = Mutex::new(String::new());

unsafe extern "C" fn keep(_: llama::ggml_log_level, text: *const c_char, _: *mut c_void) {
    // SAFETY: llama.cpp hands over a C string that lives until we return.
    let text = unsafe { CStr::from_ptr(text) };
    LOG.lock().unwrap().push_str(&text.to_string_lossy());
}

/// The sizes of a Qwen3 model whose weights are all zero, so that its file has no blocks on the disk.
#[derive(Clone, Copy)]
struct Model {
    layers: u32,
    embedding: u32,
    heads: u32,
    kv_heads: u32,
    head: u32,
    feed_forward: u32,
    vocabulary: u32,
}

fn write(model: Model, path: &Path) -> Gguf {
    let number = |key: &str, n| (format!("qwen3.{key}"), Value::U32(n));
    let mut header = Header::new(vec![
        ("general.architecture".into(), Value::String("qwen3".into())),
        number("block_count", model.layers),
        number("context_length", 40_960),
        number("embedding_length", model.embedding),
        number("feed_forward_length", model.feed_forward),
        number("attention.head_count", model.heads),
        number("attention.head_count_kv", model.kv_heads),
        number("attention.key_length", model.head),
        number("attention.value_length", model.head),
        number("vocab_size", model.vocabulary),
        ("qwen3.attention.layer_norm_rms_epsilon".into(), Value::F32(1e-6)),
        ("tokenizer.ggml.model".into(), Value::String("no_vocab".into())),
    ]);
    let [embedding, head, feed_forward] = [model.embedding, model.head, model.feed_forward].map(u64::from);
    let [queries, keys] = [model.heads * model.head, model.kv_heads * model.head].map(u64::from);
    header.push_tensor("output_norm.weight".into(), vec![embedding], GgmlType::F32);
    header.push_tensor("token_embd.weight".into(), vec![embedding, model.vocabulary.into()], GgmlType::F16);
    for layer in 0..model.layers {
        for (name, dims) in [
            ("attn_norm", vec![embedding]),
            ("attn_q", vec![embedding, queries]),
            ("attn_k", vec![embedding, keys]),
            ("attn_v", vec![embedding, keys]),
            ("attn_output", vec![queries, embedding]),
            ("attn_q_norm", vec![head]),
            ("attn_k_norm", vec![head]),
            ("ffn_norm", vec![embedding]),
            ("ffn_gate", vec![embedding, feed_forward]),
            ("ffn_up", vec![embedding, feed_forward]),
            ("ffn_down", vec![feed_forward, embedding]),
        ] {
            let ggml_type = if dims.len() == 1 { GgmlType::F32 } else { GgmlType::F16 };
            header.push_tensor(format!("blk.{layer}.{name}.weight"), dims, ggml_type);
        }
    }
    let front = header.encode();
    let mut file = File::create(path).unwrap();
    file.write_all(&front).unwrap();
    file.set_len(front.len() as u64 + header.data_bytes()).unwrap();
    Gguf::parse(&std::fs::read(path).unwrap()).unwrap()
}

/// Bytes that llama.cpp logged as allocated; its log has hundredths of a MiB.
fn logged(what: &str) -> f64 {
    let log = LOG.lock().unwrap();
    let line = log
        .lines()
        .rfind(|line| line.contains(&format!("{what} =")))
        .unwrap_or_else(|| panic!("{what} in {log}"));
    let mib = line.rsplit_once('=').unwrap().1.trim().strip_suffix(" MiB").unwrap();
    mib.parse::<f64>().unwrap() * 1024.0 * 1024.0
}

/// The KV cache and the compute buffer of a context.
fn allocated(
    model: *mut llama::llama_model,
    n_ctx: u32,
    n_ubatch: u32,
    kv_type: GgmlType,
    flash_attention: bool,
) -> (f64, f64) {
    LOG.lock().unwrap().clear();
    // SAFETY: the model lives, and the context is freed once.
    unsafe {
        let mut params = llama::llama_context_default_params();
        (params.n_ctx, params.n_ubatch) = (n_ctx, n_ubatch);
        (params.type_k, params.type_v) = (kv_type.id(), kv_type.id());
        params.flash_attn_type = match flash_attention {
            true => llama::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            false => llama::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        };
        let context = llama::llama_init_from_model(model, params);
        assert!(!context.is_null(), "{}", LOG.lock().unwrap());
        llama::llama_free(context);
    }
    (logged("KV buffer size"), logged("compute buffer size"))
}

#[test]
fn the_stated_memory_is_what_llama_cpp_allocates() {
    let small = Model {
        layers: 2,
        embedding: 1024,
        heads: 16,
        kv_heads: 8,
        head: 128,
        feed_forward: 3072,
        vocabulary: 32_000,
    };
    let models = [
        Model { vocabulary: 151_936, ..small },
        small,
        Model { vocabulary: 4096, ..small },
        // The pocket model's shape, a wide feed-forward layer as Qwen2 0.5B has, and one head for all.
        Model {
            layers: 6,
            embedding: 256,
            heads: 4,
            kv_heads: 2,
            head: 64,
            feed_forward: 768,
            vocabulary: 4096,
        },
        Model { embedding: 896, heads: 14, kv_heads: 2, head: 64, feed_forward: 4864, ..small },
        Model {
            embedding: 896,
            heads: 14,
            kv_heads: 2,
            head: 64,
            feed_forward: 4864,
            vocabulary: 512,
            ..small
        },
        Model {
            embedding: 2048,
            heads: 32,
            kv_heads: 32,
            head: 64,
            feed_forward: 8192,
            vocabulary: 49_152,
            ..small
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let c_path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the callback lives as long as the process.
    unsafe {
        llama::llama_log_set(Some(keep), ptr::null_mut());
        llama::llama_backend_init();
    }
    for model in models {
        let gguf = write(model, &path);
        let shape = Shape::from_header(&gguf).unwrap();
        // SAFETY: the path ends with a zero, and the model is freed once.
        let loaded = unsafe {
            llama::llama_model_load_from_file(c_path.as_ptr(), llama::llama_model_default_params())
        };
        assert!(!loaded.is_null(), "{}", LOG.lock().unwrap());
        let weights: u64 = gguf.tensors.iter().map(|tensor| tensor.byte_len()).sum();
        assert!((logged("model buffer size") - weights as f64).abs() < 0.02 * weights as f64 + 8192.0);
        for (n_ctx, n_ubatch, kv_type, flash_attention) in [
            (4096, 512, GgmlType::F16, true),
            (1000, 512, GgmlType::Q8_0, true),
            (256, 512, GgmlType::F16, true),
            (16_384, 128, GgmlType::Q4_0, true),
            (4096, 512, GgmlType::F16, false),
            (1280, 512, GgmlType::F16, false),
            (256, 512, GgmlType::F16, false),
            (2048, 64, GgmlType::F32, false),
        ] {
            let (kv, compute) = allocated(loaded, n_ctx, n_ubatch, kv_type, flash_attention);
            let stated = estimate::kv_bytes(&shape, n_ctx.into(), kv_type).unwrap() as f64;
            assert!((kv - stated).abs() <= 8192.0, "KV cache: {kv} allocated, {stated} stated");
            let stated =
                estimate::compute_bytes(&shape, n_ctx.into(), n_ubatch.into(), flash_attention) as f64;
            // Never much too little; a mask that finds room in another tensor's place may be counted twice.
            assert!(
                (compute * 0.99..=compute * 1.05 + 1024.0 * 1024.0).contains(&stated),
                "compute buffer: {compute} allocated, {stated} stated for {shape:?} at {n_ctx}, {n_ubatch}, flash \
                 attention {flash_attention}"
            );
        }
        // SAFETY: no context is left that uses it.
        unsafe { llama::llama_model_free(loaded) };
    }
}
