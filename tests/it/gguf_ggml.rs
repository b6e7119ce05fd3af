//! ggml reads the files that edgecall writes, edgecall reads the files that ggml writes, and ggml refuses no file that
//! edgecall accepts.

use edgecall::gguf::{Array, GgmlType, Gguf, Header, Value};
use llama_cpp_sys_2 as ggml;
use std::{
    ffi::{CStr, CString, c_char, c_void},
    ptr,
};

/// Metadata of a file, as ggml reads it from memory.
struct Ggml(*mut ggml::gguf_context);

impl Ggml {
    fn parse(bytes: &[u8]) -> Option<Ggml> {
        let params = ggml::gguf_init_params { no_alloc: true, ctx: ptr::null_mut() };
        // SAFETY: ggml reads `bytes.len()` bytes and keeps no pointer to them.
        let context = unsafe { ggml::gguf_init_from_buffer(bytes.as_ptr().cast(), bytes.len(), params) };
        (!context.is_null()).then_some(Ggml(context))
    }

    fn tensors(&self) -> Vec<(String, u32, u64, u64)> {
        // SAFETY: the context lives, and the indices are below its count.
        let count = unsafe { ggml::gguf_get_n_tensors(self.0) };
        let row = |i| unsafe {
            let name = CStr::from_ptr(ggml::gguf_get_tensor_name(self.0, i)).to_string_lossy().into_owned();
            let type_id = ggml::gguf_get_tensor_type(self.0, i);
            let offset = ggml::gguf_get_tensor_offset(self.0, i);
            (name, type_id, offset as u64, ggml::gguf_get_tensor_size(self.0, i) as u64)
        };
        (0..count).map(row).collect()
    }

    fn keys(&self) -> Vec<(String, u32)> {
        // SAFETY: the context lives, and the indices are below its count.
        let count = unsafe { ggml::gguf_get_n_kv(self.0) };
        let key = |i| unsafe {
            let key = CStr::from_ptr(ggml::gguf_get_key(self.0, i)).to_string_lossy().into_owned();
            (key, ggml::gguf_get_kv_type(self.0, i))
        };
        (0..count).map(key).collect()
    }

    fn data_start(&self) -> u64 {
        // SAFETY: the context lives.
        unsafe { ggml::gguf_get_data_offset(self.0) as u64 }
    }

    /// Index of a key; `None` if it is missing.
    fn find(&self, key: &str) -> Option<i64> {
        let key = CString::new(key).unwrap();
        // SAFETY: the context lives and the key ends with a zero.
        let index = unsafe { ggml::gguf_find_key(self.0, key.as_ptr()) };
        (index >= 0).then_some(index)
    }
}

impl Drop for Ggml {
    fn drop(&mut self) {
        // SAFETY: the context was made by ggml and is freed once.
        unsafe { ggml::gguf_free(self.0) }
    }
}

/// ggml logs each refusal; tests that cause thousands of them turn that off.
fn silence() {
    unsafe extern "C" fn nothing(_: ggml::ggml_log_level, _: *const c_char, _: *mut c_void) {}
    // SAFETY: the callback ignores its arguments.
    unsafe { ggml::ggml_log_set(Some(nothing), ptr::null_mut()) }
}

fn agree(gguf: &Gguf, ggml: &Ggml) {
    let ours: Vec<_> =
        gguf.tensors.iter().map(|t| (t.name.clone(), t.ggml_type.id(), t.offset, t.byte_len())).collect();
    assert_eq!(ours, ggml.tensors());
    let ours: Vec<_> = gguf.metadata.iter().map(|(key, value)| (key.clone(), value.type_id())).collect();
    assert_eq!(ours, ggml.keys());
    if !gguf.tensors.is_empty() {
        assert_eq!(gguf.data_start, ggml.data_start());
    }
}

fn file_of_every_type() -> (Header, Vec<u8>) {
    let texts = ["a", "Ġthe", "😀"].map(str::to_owned).to_vec();
    let mut header = Header::new(vec![
        ("general.architecture".into(), Value::String("qwen3".into())),
        ("qwen3.block_count".into(), Value::U32(28)),
        ("qwen3.rope.freq_base".into(), Value::F32(1e6)),
        ("tokenizer.ggml.add_bos_token".into(), Value::Bool(false)),
        ("tokenizer.ggml.tokens".into(), Value::Array(Array::String(texts))),
        ("tokenizer.ggml.token_type".into(), Value::Array(Array::I32(vec![1, 3, 4]))),
    ]);
    for &ggml_type in GgmlType::ALL {
        header.push_tensor(format!("{ggml_type}.weight"), vec![ggml_type.block_len() * 3, 2], ggml_type);
    }
    let mut file = header.encode();
    file.resize(file.len() + header.data_bytes() as usize, 0);
    (header, file)
}

#[test]
fn ggml_reads_what_we_write_with_every_tensor_type_at_its_size() {
    let (header, file) = file_of_every_type();
    let ggml = Ggml::parse(&file).expect("ggml reads it");
    agree(&Gguf::parse(&file).unwrap(), &ggml);
    assert_eq!(ggml.data_start(), header.encode().len() as u64);
    // SAFETY: the keys exist with these types, and the second token with them.
    unsafe {
        let tokens = ggml.find("tokenizer.ggml.tokens").unwrap();
        assert_eq!(ggml::gguf_get_arr_n(ggml.0, tokens), 3);
        let token = CStr::from_ptr(ggml::gguf_get_arr_str(ggml.0, tokens, 1));
        assert_eq!(token.to_str().unwrap(), "Ġthe");
        let base = ggml::gguf_get_val_f32(ggml.0, ggml.find("qwen3.rope.freq_base").unwrap());
        assert_eq!(base, 1e6);
    }
}

#[test]
fn the_table_of_types_is_the_pinned_ggml_s() {
    for id in 0..ggml::GGML_TYPE_COUNT {
        // SAFETY: the numbers below the count are types; removed ones have a block length of 0.
        let (block_len, block_bytes) = unsafe { (ggml::ggml_blck_size(id), ggml::ggml_type_size(id)) };
        match GgmlType::from_id(id) {
            None => assert_eq!(block_len, 0, "type {id}"),
            Some(known) => {
                assert_eq!((known.block_len(), known.block_bytes()), (block_len as u64, block_bytes as u64));
                // SAFETY: ggml's names are constants.
                let name = unsafe { CStr::from_ptr(ggml::ggml_type_name(id)) };
                assert_eq!(known.name().to_lowercase(), name.to_str().unwrap().to_lowercase());
            }
        }
    }
}

#[test]
fn we_read_what_ggml_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ggml.gguf");
    let c = |text: &str| CString::new(text).unwrap();
    let tokens = [c("a"), c("é")];
    let pointers = tokens.each_ref().map(|token| token.as_ptr());
    // SAFETY: every pointer lives until the call returns, and ggml's contexts are freed once.
    let written = unsafe {
        let gguf = ggml::gguf_init_empty();
        ggml::gguf_set_val_u8(gguf, c("v.u8").as_ptr(), 255);
        ggml::gguf_set_val_i16(gguf, c("v.i16").as_ptr(), -300);
        ggml::gguf_set_val_u32(gguf, c("v.u32").as_ptr(), 128);
        ggml::gguf_set_val_u64(gguf, c("v.u64").as_ptr(), u64::MAX);
        ggml::gguf_set_val_f64(gguf, c("v.f64").as_ptr(), -0.5);
        ggml::gguf_set_val_bool(gguf, c("v.bool").as_ptr(), true);
        ggml::gguf_set_val_str(gguf, c("v.str").as_ptr(), c("ünicode").as_ptr());
        ggml::gguf_set_arr_str(gguf, c("v.strs").as_ptr(), pointers.as_ptr().cast_mut(), pointers.len());
        let floats = [1.5f32, -2.5];
        ggml::gguf_set_arr_data(gguf, c("v.f32s").as_ptr(), 6, floats.as_ptr().cast(), floats.len());
        let params =
            ggml::ggml_init_params { mem_size: 1 << 20, mem_buffer: ptr::null_mut(), no_alloc: false };
        let context = ggml::ggml_init(params);
        for (name, row, rows) in [("norm.weight", 5, 1), ("blk.0.ffn_up.weight", 32, 3)] {
            let tensor = ggml::ggml_new_tensor_2d(context, ggml::GGML_TYPE_F32, row, rows);
            ggml::ggml_set_name(tensor, c(name).as_ptr());
            let values: Vec<f32> = (0..row * rows).map(|i| i as f32).collect();
            ptr::copy_nonoverlapping(values.as_ptr(), (*tensor).data.cast(), values.len());
            ggml::gguf_add_tensor(gguf, tensor);
        }
        let written = ggml::gguf_write_to_file(gguf, c(path.to_str().unwrap()).as_ptr(), false);
        ggml::ggml_free(context);
        ggml::gguf_free(gguf);
        written
    };
    assert!(written);
    let file = std::fs::read(&path).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    agree(&gguf, &Ggml::parse(&file).unwrap());
    assert_eq!(gguf.value("v.u32"), Some(&Value::U32(128)));
    assert_eq!(gguf.value("v.i16"), Some(&Value::I16(-300)));
    assert_eq!(gguf.u64("v.u64"), Some(u64::MAX));
    assert_eq!(gguf.str("v.str"), Some("ünicode"));
    assert_eq!(gguf.array("v.strs"), Some(&Array::String(vec!["a".into(), "é".into()])));
    assert_eq!(gguf.array("v.f32s"), Some(&Array::F32(vec![1.5, -2.5])));
    let rows = gguf.tensor_bytes(&file, "blk.0.ffn_up.weight").unwrap();
    assert_eq!((rows.len(), &rows[95 * 4..]), (96 * 4, 95f32.to_le_bytes().as_slice()));
}

#[test]
fn what_we_let_through_ggml_reads_the_same_whichever_byte_is_changed() {
    silence();
    let (_, mut file) = file_of_every_type();
    let front = Gguf::parse(&file).unwrap().data_start as usize;
    let mut accepted = 0;
    for at in 0..front {
        let good = file[at];
        for changed in [good ^ 1, good ^ 0x80, 0, 0xff] {
            file[at] = changed;
            if let Ok(gguf) = Gguf::parse(&file) {
                accepted += 1;
                agree(
                    &gguf,
                    &Ggml::parse(&file).unwrap_or_else(|| panic!("ggml refuses byte {at} = {changed}")),
                );
            }
        }
        file[at] = good;
    }
    // Files with changed letters, numbers or padding remain valid; without them the loop would be empty.
    assert!(accepted > front / 2, "{accepted} of {}", front * 4);
}
