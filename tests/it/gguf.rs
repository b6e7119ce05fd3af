//! A GGUF file with any content is read completely, or refused with the name of the problem.

use edgecall::gguf::{Array, Error, GgmlType, Gguf, Header, Value};
use proptest::prelude::*;

/// Bytes of a valid or invalid file, written piece by piece.
#[derive(Clone, Default)]
struct Raw(Vec<u8>);

impl Raw {
    /// Magic, version 3 and the two counts.
    fn new(tensors: u64, pairs: u64) -> Raw {
        Raw::version(3).u64(tensors).u64(pairs)
    }

    fn version(version: u32) -> Raw {
        Raw(b"GGUF".to_vec()).u32(version)
    }

    fn u32(self, n: u32) -> Raw {
        self.bytes(&n.to_le_bytes())
    }

    fn u64(self, n: u64) -> Raw {
        self.bytes(&n.to_le_bytes())
    }

    fn bytes(mut self, bytes: &[u8]) -> Raw {
        self.0.extend(bytes);
        self
    }

    fn string(self, text: impl AsRef<[u8]>) -> Raw {
        self.u64(text.as_ref().len() as u64).bytes(text.as_ref())
    }

    /// A key and the type of its value.
    fn key(self, key: &str, type_id: u32) -> Raw {
        self.string(key).u32(type_id)
    }

    /// A row of the tensor table.
    fn tensor(self, name: &str, dims: &[u64], type_id: u32, offset: u64) -> Raw {
        let raw = self.string(name).u32(dims.len() as u32);
        dims.iter().fold(raw, |raw, &dim| raw.u64(dim)).u32(type_id).u64(offset)
    }

    /// Padding to 32 and this many bytes of data.
    fn data(mut self, len: usize) -> Raw {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start + len, 0);
        self
    }

    fn refusal(&self) -> String {
        Gguf::parse(&self.0).expect_err("the file has to be refused").to_string()
    }
}

const F32: u32 = 0;
const Q8_0: u32 = 8;

/// A file with a value of every type and two tensors.
fn small_file() -> Vec<u8> {
    let mut header = Header::new(vec![
        ("general.architecture".into(), Value::String("qwen3".into())),
        ("a.u8".into(), Value::U8(200)),
        ("a.i8".into(), Value::I8(-3)),
        ("a.u16".into(), Value::U16(40_000)),
        ("a.i16".into(), Value::I16(-4)),
        ("a.u32".into(), Value::U32(7)),
        ("a.i32".into(), Value::I32(-5)),
        ("a.f32".into(), Value::F32(1e-6)),
        ("a.bool".into(), Value::Bool(true)),
        ("a.u64".into(), Value::U64(1 << 40)),
        ("a.i64".into(), Value::I64(-1)),
        ("a.f64".into(), Value::F64(0.1)),
        ("a.tokens".into(), Value::Array(Array::String(vec!["a".into(), "é".into(), "".into()]))),
        ("a.types".into(), Value::Array(Array::I32(vec![1, 1, 3]))),
        ("a.flags".into(), Value::Array(Array::Bool(vec![true, false]))),
    ]);
    header.push_tensor("norm.weight".into(), vec![3], GgmlType::F32);
    header.push_tensor("blk.0.attn_q.weight".into(), vec![32, 2], GgmlType::Q8_0);
    let mut file = header.encode();
    file.extend((0..header.data_bytes()).map(|i| i as u8));
    file
}

#[test]
fn every_value_and_tensor_is_read_back() {
    let file = small_file();
    let gguf = Gguf::parse(&file).unwrap();
    assert_eq!((gguf.version, gguf.alignment, gguf.metadata.len()), (3, 32, 15));
    assert_eq!(gguf.architecture(), Some("qwen3"));
    assert_eq!((gguf.u64("a.u64"), gguf.u64("a.i64")), (Some(1 << 40), None));
    assert_eq!(gguf.bool("a.bool"), Some(true));
    assert_eq!(gguf.f64("a.f32").map(|x| x as f32), Some(1e-6));
    assert_eq!(gguf.array("a.tokens").and_then(Array::as_strings).unwrap(), ["a", "é", ""]);
    assert_eq!(gguf.str("a.u8"), None);
    let norm = gguf.tensor("norm.weight").unwrap();
    assert_eq!((norm.byte_len(), gguf.tensor_range(norm).start), (12, gguf.data_start));
    let first = gguf.tensor_bytes(&file, "blk.0.attn_q.weight").unwrap();
    assert_eq!((first.len(), first[0]), (68, 32));
    assert_eq!(gguf.tensor_bytes(&file, "blk.1.attn_q.weight"), None);
}

#[test]
fn version_2_reads_as_version_3_does() {
    let mut file = small_file();
    let three = Gguf::parse(&file).unwrap();
    file[4] = 2;
    let two = Gguf::parse(&file).unwrap();
    assert_eq!((two.version, two.metadata, two.tensors), (2, three.metadata, three.tensors));
}

#[test]
fn another_alignment_moves_the_data() {
    let file = Raw::new(2, 1).key("general.alignment", 4).u32(64).tensor("a", &[1], F32, 0).tensor(
        "b",
        &[1],
        F32,
        64,
    );
    let start = file.0.len().next_multiple_of(64);
    let mut bytes = file.0;
    bytes.resize(start + 64 + 4, 0);
    let gguf = Gguf::parse(&bytes).unwrap();
    assert_eq!((gguf.alignment, gguf.data_start), (64, start as u64));
    assert!(gguf.is_mappable());
}

#[test]
fn the_padding_behind_the_last_tensor_may_be_missing() {
    assert!(Gguf::parse(&Raw::new(1, 0).tensor("a", &[1], F32, 0).data(4).0).is_ok());
}

#[test]
fn a_data_section_that_ggml_cannot_map_is_told_apart() {
    let file = Raw::new(1, 1).key("general.alignment", 4).u32(1).tensor("a", &[1], F32, 0).bytes(&[0; 4]);
    assert!(!Gguf::parse(&file.0).unwrap().is_mappable());
}

#[test]
fn a_file_of_a_split_model_parses_and_says_so() {
    let file = Raw::new(1, 2).key("split.no", 2).bytes(&[1, 0]).key("split.count", 2).bytes(&[3, 0]);
    let gguf = Gguf::parse(&file.tensor("blk.9.ffn_up.weight", &[32], Q8_0, 0).data(34).0).unwrap();
    assert_eq!((gguf.u64("split.no"), gguf.u64("split.count")), (Some(1), Some(3)));
}

#[test]
fn what_is_no_gguf_is_named_for_what_it_is() {
    let cases: [(&[u8], &str); 15] = [
        (b"", "the file is empty"),
        (b"GG", "does not begin with `GGUF`"),
        (b"\x93NUMPY\x01\x00", "does not begin with `GGUF`"),
        (b"\x48\x3a\x00\x00\x00\x00\x00\x00{\"__metadata__\"", "safetensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"<HTML>", "web page"),
        (b"PK\x03\x04\x00\x00", "PyTorch"),
        (b"\x80\x02}q\x00", "pickle"),
        (b"tjgg\x03\x00\x00\x00", "before GGUF"),
        (b"lmgg\x00\x00", "before GGUF"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"\x28\xb5\x2f\xfd\x00", "compressed"),
        (b"{\"architectures\": []}", "JSON"),
        (b"gguf\x03\x00\x00\x00", "does not begin with `GGUF`"),
    ];
    for (bytes, needle) in cases {
        let message = Gguf::parse(bytes).unwrap_err().to_string();
        assert!(message.contains(needle), "{bytes:?}: {message}");
    }
}

#[test]
fn hostile_files_are_refused_by_name() {
    let tensor = |dims: &[u64], type_id| Raw::new(1, 0).tensor("t", dims, type_id, 0).data(64);
    let value = |type_id, bytes: &[u8]| Raw::new(0, 1).key("k", type_id).bytes(bytes);
    let array = |type_id: u32, count: u64| Raw::new(0, 1).key("k", 9).u32(type_id).u64(count).data(64);
    let alignment = |n: u32| Raw::new(0, 1).key("general.alignment", 4).u32(n);
    let two = |offset| Raw::new(2, 0).tensor("a", &[9], F32, 0).tensor("b", &[9], F32, offset).data(256);
    let cases: Vec<(&str, Raw, &str)> = vec![
        ("version 1", Raw::version(1), "GGUF version 1 is no longer read"),
        ("version 4", Raw::version(4), "GGUF version 4 is not known"),
        ("version 0", Raw::version(0), "GGUF version 0 is not known"),
        ("big-endian 3", Raw::version(3 << 24), "big-endian"),
        ("big-endian 2", Raw::version(2 << 24), "big-endian"),
        ("no version", Raw(b"GGUF\x03\x00".to_vec()), "the file ends inside the version: 4 bytes"),
        ("no counts", Raw::version(3), "the file ends inside the number of tensors"),
        (
            "2^64-1 tensors",
            Raw::new(u64::MAX, 0),
            "the number of tensors at byte 8 says 18446744073709551615",
        ),
        ("2^63 tensors", Raw::new(1 << 63, 0), "the number of tensors at byte 8 says 9223372036854775808"),
        (
            "2^64-1 keys",
            Raw::new(0, u64::MAX),
            "the number of metadata keys at byte 16 says 18446744073709551615",
        ),
        ("one key too many", value(0, &[1]).pairs(2), "metadata key 1"),
        ("an empty key", Raw::new(0, 1).key("", 0).u64(0), "metadata key 0 at byte 24 is empty"),
        (
            "a huge key length",
            Raw::new(0, 1).u64(u64::MAX).u64(0),
            "has 18446744073709551615 bytes, and at most 65535 fit",
        ),
        (
            "a long key",
            Raw::new(0, 1).key(&"k".repeat(65_536), 0).u64(0),
            "has 65536 bytes, and at most 65535",
        ),
        (
            "a key past the end",
            Raw::new(0, 1).u64(100).u64(0),
            "inside metadata key 0: 100 bytes are needed at byte 32 and 8",
        ),
        (
            "a key not UTF-8",
            Raw::new(0, 1).string(b"ab\xff").u64(0),
            "metadata key 0 at byte 34 is not UTF-8",
        ),
        (
            "a zero in a key",
            Raw::new(0, 1).key("a\0b", 0).u64(0),
            "metadata key 0 at byte 24 holds a zero byte",
        ),
        (
            "a key twice",
            Raw::new(0, 2).key("k", 0).bytes(&[1]).key("k", 0).bytes(&[1]),
            "key `k` stands in the file twice",
        ),
        ("type 13", value(13, &[0]), "the value of `k` has type 13 at byte 33"),
        ("type 2^32-1", value(u32::MAX, &[0]), "has type 4294967295"),
        ("half a u64", value(10, &[0; 7]), "inside the value of `k`: 8 bytes are needed at byte 37 and 7"),
        ("a bool of 2", value(7, &[2]), "the value of `k` at byte 37 is a bool of 2"),
        (
            "a string past the end",
            value(8, &u64::MAX.to_le_bytes()),
            "inside the value of `k`: 18446744073709551615 bytes",
        ),
        (
            "a string not UTF-8",
            value(8, b"\x02\0\0\0\0\0\0\0a\xff"),
            "the value of `k` at byte 46 is not UTF-8",
        ),
        ("2^64-1 u8s", array(0, u64::MAX), "the array length of `k` at byte 41 says 18446744073709551615"),
        (
            "2^61+1 u64s",
            array(10, (1 << 61) + 1),
            "the array length of `k` at byte 41 says 2305843009213693953",
        ),
        (
            "2^64-1 strings",
            array(8, u64::MAX),
            "the array length of `k` at byte 41 says 18446744073709551615",
        ),
        ("more strings than fit", array(8, 12), "the array length of `k`"),
        ("an array of arrays", array(9, 1), "key `k` is an array of arrays"),
        ("arrays of type 13", array(13, 1), "element 0 of `k` has type 13 at byte 37"),
        (
            "a bool of 9 in an array",
            Raw::new(0, 1).key("k", 9).u32(7).u64(2).bytes(&[1, 9]),
            "element 1 of `k` at byte 50 is a bool of 9",
        ),
        (
            "a string in an array past the end",
            Raw::new(0, 1).key("k", 9).u32(8).u64(1).u64(3).bytes(b"ab"),
            "inside element 0 of `k`",
        ),
        (
            "a string in an array not UTF-8",
            Raw::new(0, 1).key("k", 9).u32(8).u64(1).string([0xc3]),
            "element 0 of `k` at byte 57 is not UTF-8",
        ),
        ("alignment 0", alignment(0), "`general.alignment` is 0"),
        ("alignment 24", alignment(24), "`general.alignment` is 24"),
        (
            "alignment u64",
            Raw::new(0, 1).key("general.alignment", 10).u64(32),
            "`general.alignment` is of type u64",
        ),
        (
            "a tensor without a name",
            Raw::new(1, 0).tensor("", &[1], F32, 0).data(4),
            "the name of tensor 0 at byte 24 is empty",
        ),
        (
            "a name of 64",
            Raw::new(1, 0).tensor(&"t".repeat(64), &[1], F32, 0).data(4),
            "has 64 bytes, and at most 63 fit",
        ),
        (
            "a zero in a name",
            Raw::new(1, 0).tensor("t\0", &[1], F32, 0).data(4),
            "the name of tensor 0 at byte 24 holds a zero byte",
        ),
        (
            "a name twice",
            Raw::new(2, 0).tensor("t", &[8], F32, 0).tensor("t", &[8], F32, 32).data(64),
            "tensor `t` stands in the table twice",
        ),
        ("no dimensions", tensor(&[], F32), "tensor `t` has 0 dimensions"),
        ("five dimensions", tensor(&[1; 5], F32), "tensor `t` has 5 dimensions"),
        (
            "2^32-1 dimensions",
            Raw::new(1, 0).string("t").u32(u32::MAX).data(64),
            "tensor `t` has 4294967295 dimensions",
        ),
        (
            "a dimension of 0",
            tensor(&[32, 0], F32),
            "tensor `t` has the shape [32, 0], which holds no weights",
        ),
        ("a dimension of 2^64-1", tensor(&[u64::MAX], F32), "more than a machine can address"),
        ("a product of 2^64", tensor(&[1 << 32, 1 << 32], F32), "more than a machine can address"),
        ("a product that wraps to 0", tensor(&[1 << 16; 4], F32), "more than a machine can address"),
        ("2^62 weights of 4 bytes", tensor(&[1 << 62], F32), "more than a machine can address"),
        ("type 4", tensor(&[32], 4), "tensor `t` has type 4, a type that was removed from ggml"),
        ("type 31", tensor(&[32], 31), "tensor `t` has type 31, a type that was removed from ggml"),
        ("type 43", tensor(&[32], 43), "tensor `t` has type 43, which this llama.cpp does not know"),
        (
            "half a block",
            tensor(&[48], Q8_0),
            "tensor `t` has rows of 48 weights, and Q8_0 takes whole blocks of 32",
        ),
        ("blocks across rows", tensor(&[16, 2], Q8_0), "tensor `t` has rows of 16 weights"),
        (
            "the first tensor not at 0",
            Raw::new(1, 0).tensor("t", &[1], F32, 32).data(64),
            "begins at byte 32 of the data section, and byte 0",
        ),
        (
            "two tensors on one place",
            two(0),
            "tensor `b` begins at byte 0 of the data section, and byte 64 is where `a`, padded to the alignment, ends",
        ),
        ("overlap", two(32), "the two overlap"),
        ("a gap", two(128), "there is a gap"),
        ("an offset that is not aligned", two(36), "byte 64 is where"),
        ("an offset of 2^64-32", two(u64::MAX - 31), "there is a gap"),
        (
            "the data cut short",
            Raw::new(1, 0).tensor("t", &[16], F32, 0).data(63),
            "tensor `t` needs bytes 64..128 but the file has 127",
        ),
        (
            "no data",
            Raw::new(1, 0).tensor("t", &[16], F32, 0),
            "tensor `t` needs bytes 64..128 but the file has",
        ),
        ("2^60 weights", tensor(&[1 << 60], F32), "but the file has 128"),
    ];
    for (name, raw, needle) in &cases {
        let message = raw.refusal();
        assert!(message.contains(needle), "{name}: {message}");
        assert!(!message.ends_with('.'), "{name}: {message}");
    }
}

impl Raw {
    /// The same bytes with another number of keys.
    fn pairs(mut self, pairs: u64) -> Raw {
        self.0[16..24].copy_from_slice(&pairs.to_le_bytes());
        self.data(64)
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = small_file();
    let gguf = Gguf::parse(&file).unwrap();
    let end = gguf.tensor_range(gguf.tensors.last().unwrap()).end as usize;
    for len in 0..end {
        assert!(Gguf::parse(&file[..len]).is_err(), "{len} bytes of {end}");
    }
    assert!(Gguf::parse(&file[..end]).is_ok());
}

#[test]
fn a_cut_download_names_the_tensor() {
    let file = small_file();
    let error = Gguf::parse(&file[..file.len() - 40]).unwrap_err();
    assert!(matches!(&error, Error::TensorOutside { name, .. } if name == "blk.0.attn_q.weight"), "{error}");
}

/// Names and texts with more than ASCII in them.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._Ġ é\u{1F600}]{0,12}"
}

fn value() -> impl Strategy<Value = Value> {
    use proptest::collection::vec;
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<f32>().prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        text().prop_map(Value::String),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_map(Value::F64),
        vec(any::<u8>(), 0..5).prop_map(|v| Value::Array(Array::U8(v))),
        vec(any::<i8>(), 0..5).prop_map(|v| Value::Array(Array::I8(v))),
        vec(any::<u16>(), 0..5).prop_map(|v| Value::Array(Array::U16(v))),
        vec(any::<i16>(), 0..5).prop_map(|v| Value::Array(Array::I16(v))),
        vec(any::<u32>(), 0..5).prop_map(|v| Value::Array(Array::U32(v))),
        vec(any::<i32>(), 0..5).prop_map(|v| Value::Array(Array::I32(v))),
        vec(any::<f32>(), 0..5).prop_map(|v| Value::Array(Array::F32(v))),
        vec(any::<bool>(), 0..5).prop_map(|v| Value::Array(Array::Bool(v))),
        vec(text(), 0..5).prop_map(|v| Value::Array(Array::String(v))),
        vec(any::<u64>(), 0..5).prop_map(|v| Value::Array(Array::U64(v))),
        vec(any::<i64>(), 0..5).prop_map(|v| Value::Array(Array::I64(v))),
        vec(any::<f64>(), 0..5).prop_map(|v| Value::Array(Array::F64(v))),
    ]
}

/// The shape of a tensor in blocks, and its type.
fn tensor() -> impl Strategy<Value = (Vec<u64>, GgmlType)> {
    (proptest::collection::vec(1u64..5, 1..=4), proptest::sample::select(GgmlType::ALL)).prop_map(
        |(mut dims, ggml_type)| {
            dims[0] *= ggml_type.block_len();
            (dims, ggml_type)
        },
    )
}

proptest! {
    #[test]
    fn what_a_header_encodes_is_what_is_parsed(
        values in proptest::collection::vec(value(), 0..8),
        tensors in proptest::collection::vec(tensor(), 0..8),
    ) {
        let keyed = values.into_iter().enumerate().map(|(i, value)| (format!("key.{i}"), value));
        let mut header = Header::new(keyed.collect());
        for (i, (dims, ggml_type)) in tensors.into_iter().enumerate() {
            header.push_tensor(format!("tensor.{i}"), dims, ggml_type);
        }
        let front = header.encode();
        let mut file = front.clone();
        file.resize(front.len() + header.data_bytes() as usize, 0);
        let gguf = Gguf::parse(&file).unwrap();
        prop_assert_eq!(&gguf, &Gguf::from(&header));
        prop_assert_eq!(gguf.data_start, front.len() as u64);
    }

    #[test]
    fn random_bytes_behind_the_magic_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Gguf::parse(&[b"GGUF\x03\x00\x00\x00".as_slice(), &bytes].concat());
    }
}
