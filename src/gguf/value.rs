//! Typed metadata values.

/// A metadata value with the type it has in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `u8`, type 0.
    U8(u8),
    /// `i8`, type 1.
    I8(i8),
    /// `u16`, type 2.
    U16(u16),
    /// `i16`, type 3.
    I16(i16),
    /// `u32`, type 4.
    U32(u32),
    /// `i32`, type 5.
    I32(i32),
    /// `f32`, type 6.
    F32(f32),
    /// One byte, 0 or 1, type 7.
    Bool(bool),
    /// UTF-8 text, type 8.
    String(String),
    /// Values of one type, type 9.
    Array(Array),
    /// `u64`, type 10.
    U64(u64),
    /// `i64`, type 11.
    I64(i64),
    /// `f64`, type 12.
    F64(f64),
}

/// An array of values of one type. The format also allows arrays of arrays; no known file uses one.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each variant is the `Value` variant of its name, many times
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Value {
    /// The value's type number in the file.
    pub fn type_id(&self) -> u32 {
        match self {
            Value::U8(_) => 0,
            Value::I8(_) => 1,
            Value::U16(_) => 2,
            Value::I16(_) => 3,
            Value::U32(_) => 4,
            Value::I32(_) => 5,
            Value::F32(_) => 6,
            Value::Bool(_) => 7,
            Value::String(_) => 8,
            Value::Array(_) => 9,
            Value::U64(_) => 10,
            Value::I64(_) => 11,
            Value::F64(_) => 12,
        }
    }

    /// The type's name in messages, such as `u32`. The names are llama.cpp's, except `string` and `array`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::U8(_) => "u8",
            Value::I8(_) => "i8",
            Value::U16(_) => "u16",
            Value::I16(_) => "i16",
            Value::U32(_) => "u32",
            Value::I32(_) => "i32",
            Value::F32(_) => "f32",
            Value::Bool(_) => "bool",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::U64(_) => "u64",
            Value::I64(_) => "i64",
            Value::F64(_) => "f64",
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is a non-negative integer.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::U8(n) => Some(n.into()),
            Value::U16(n) => Some(n.into()),
            Value::U32(n) => Some(n.into()),
            Value::U64(n) => Some(n),
            Value::I8(n) => n.try_into().ok(),
            Value::I16(n) => n.try_into().ok(),
            Value::I32(n) => n.try_into().ok(),
            Value::I64(n) => n.try_into().ok(),
            _ => None,
        }
    }

    /// The number, if this is a floating-point number.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(n) => Some(n.into()),
            Value::F64(n) => Some(n),
            _ => None,
        }
    }

    /// The value of a bool.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The array, if this is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// Appends the value in the file's encoding, without its type number.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::U8(n) => out.extend(n.to_le_bytes()),
            Value::I8(n) => out.extend(n.to_le_bytes()),
            Value::U16(n) => out.extend(n.to_le_bytes()),
            Value::I16(n) => out.extend(n.to_le_bytes()),
            Value::U32(n) => out.extend(n.to_le_bytes()),
            Value::I32(n) => out.extend(n.to_le_bytes()),
            Value::F32(n) => out.extend(n.to_le_bytes()),
            Value::Bool(b) => out.push((*b).into()),
            Value::String(text) => encode_string(text, out),
            Value::Array(array) => array.encode(out),
            Value::U64(n) => out.extend(n.to_le_bytes()),
            Value::I64(n) => out.extend(n.to_le_bytes()),
            Value::F64(n) => out.extend(n.to_le_bytes()),
        }
    }
}

impl Array {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Array::U8(v) => v.len(),
            Array::I8(v) => v.len(),
            Array::U16(v) => v.len(),
            Array::I16(v) => v.len(),
            Array::U32(v) => v.len(),
            Array::I32(v) => v.len(),
            Array::F32(v) => v.len(),
            Array::Bool(v) => v.len(),
            Array::String(v) => v.len(),
            Array::U64(v) => v.len(),
            Array::I64(v) => v.len(),
            Array::F64(v) => v.len(),
        }
    }

    /// True if it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The strings, if this is an array of strings.
    pub fn as_strings(&self) -> Option<&[String]> {
        match self {
            Array::String(texts) => Some(texts),
            _ => None,
        }
    }

    /// The numbers, if this is an array of integers and none is negative.
    pub fn as_u64s(&self) -> Option<Vec<u64>> {
        fn all<T: Copy + TryInto<u64>>(numbers: &[T]) -> Option<Vec<u64>> {
            numbers.iter().map(|&n| n.try_into().ok()).collect()
        }
        match self {
            Array::U8(v) => all(v),
            Array::I8(v) => all(v),
            Array::U16(v) => all(v),
            Array::I16(v) => all(v),
            Array::U32(v) => all(v),
            Array::I32(v) => all(v),
            Array::U64(v) => all(v),
            Array::I64(v) => all(v),
            Array::F32(_) | Array::F64(_) | Array::Bool(_) | Array::String(_) => None,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        fn each<T, const N: usize>(
            type_id: u32,
            values: &[T],
            bytes: impl Fn(&T) -> [u8; N],
            out: &mut Vec<u8>,
        ) {
            begin(type_id, values.len(), out);
            values.iter().for_each(|value| out.extend(bytes(value)));
        }
        fn begin(type_id: u32, len: usize, out: &mut Vec<u8>) {
            out.extend(type_id.to_le_bytes());
            out.extend((len as u64).to_le_bytes());
        }
        match self {
            Array::U8(v) => each(0, v, |n| n.to_le_bytes(), out),
            Array::I8(v) => each(1, v, |n| n.to_le_bytes(), out),
            Array::U16(v) => each(2, v, |n| n.to_le_bytes(), out),
            Array::I16(v) => each(3, v, |n| n.to_le_bytes(), out),
            Array::U32(v) => each(4, v, |n| n.to_le_bytes(), out),
            Array::I32(v) => each(5, v, |n| n.to_le_bytes(), out),
            Array::F32(v) => each(6, v, |n| n.to_le_bytes(), out),
            Array::Bool(v) => each(7, v, |&b| [b.into()], out),
            Array::String(v) => {
                begin(8, v.len(), out);
                v.iter().for_each(|text| encode_string(text, out));
            }
            Array::U64(v) => each(10, v, |n| n.to_le_bytes(), out),
            Array::I64(v) => each(11, v, |n| n.to_le_bytes(), out),
            Array::F64(v) => each(12, v, |n| n.to_le_bytes(), out),
        }
    }
}

/// Appends the text's length and its bytes.
pub(super) fn encode_string(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
