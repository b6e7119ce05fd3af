//! A GGUF file taken apart, changed, and reassembled.

use crate::pocket;
use edgecall::{
    convert::FileType,
    gguf::{GgmlType, Gguf, Header, Value},
};
use std::{fs, path::Path};

/// A tensor with its bytes: name, dims, type, data.
pub type Tensor = (String, Vec<u64>, GgmlType, Vec<u8>);

/// A GGUF file in parts.
#[derive(Clone)]
pub struct Edited {
    pub metadata: Vec<(String, Value)>,
    pub tensors: Vec<Tensor>,
}

impl Edited {
    /// The pocket model in Q8_0.
    pub fn pocket() -> Edited {
        Edited::pocket_in(FileType::Q8_0)
    }

    /// The pocket model in this type.
    pub fn pocket_in(file_type: FileType) -> Edited {
        Edited::read(&pocket::pocket(file_type))
    }

    /// The model at this path.
    pub fn read(path: &Path) -> Edited {
        let file = fs::read(path).unwrap();
        let gguf = Gguf::parse(&file).unwrap();
        let bytes = |name: &str| gguf.tensor_bytes(&file, name).unwrap().to_vec();
        let tensors =
            gguf.tensors.iter().map(|t| (t.name.clone(), t.dims.clone(), t.ggml_type, bytes(&t.name)));
        Edited { tensors: tensors.collect(), metadata: gguf.metadata }
    }

    /// Sets a key; an existing one keeps its position.
    pub fn set(mut self, key: &str, value: Value) -> Edited {
        match self.metadata.iter_mut().find(|(k, _)| k == key) {
            Some((_, slot)) => *slot = value,
            None => self.metadata.push((key.to_owned(), value)),
        }
        self
    }

    /// Removes a key.
    pub fn without(mut self, key: &str) -> Edited {
        let before = self.metadata.len();
        self.metadata.retain(|(k, _)| k != key);
        assert_eq!(self.metadata.len() + 1, before, "{key}");
        self
    }

    pub fn value_mut(&mut self, key: &str) -> &mut Value {
        &mut self.metadata.iter_mut().find(|(k, _)| k == key).unwrap().1
    }

    pub fn tensor_mut(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap()
    }

    pub fn without_tensor(mut self, name: &str) -> Edited {
        let before = self.tensors.len();
        self.tensors.retain(|tensor| tensor.0 != name);
        assert_eq!(self.tensors.len() + 1, before, "{name}");
        self
    }

    /// Changes the shape or type of a tensor, and fills it with zeros.
    pub fn reshape(mut self, name: &str, dims: &[u64], ggml_type: GgmlType) -> Edited {
        let rows: u64 = dims[1..].iter().product();
        let tensor = self.tensor_mut(name);
        *tensor = (
            name.to_owned(),
            dims.to_vec(),
            ggml_type,
            vec![0; (ggml_type.row_bytes(dims[0]) * rows) as usize],
        );
        self
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = Header::new(self.metadata.clone());
        for (name, dims, ggml_type, _) in &self.tensors {
            header.push_tensor(name.clone(), dims.clone(), *ggml_type);
        }
        let mut file = header.encode();
        for (.., data) in &self.tensors {
            file.extend(data);
            file.resize(file.len().next_multiple_of(32), 0);
        }
        file
    }

    pub fn write(&self, path: &Path) {
        fs::write(path, self.bytes()).unwrap();
    }

    /// Writes the model as `count` files named after `stem`, like llama.cpp's splitter.
    pub fn write_parts(&self, folder: &Path, stem: &str, count: usize) -> Vec<std::path::PathBuf> {
        let each = self.tensors.len().div_ceil(count);
        let part = |no: usize| {
            let path = folder.join(format!("{stem}-{:05}-of-{count:05}.gguf", no + 1));
            let mut part = Edited {
                metadata: if no == 0 { self.metadata.clone() } else { Vec::new() },
                tensors: self.tensors.iter().skip(no * each).take(each).cloned().collect(),
            };
            part = part
                .set("split.no", Value::U16(no as u16))
                .set("split.count", Value::U16(count as u16))
                .set("split.tensors.count", Value::I32(self.tensors.len() as i32));
            part.write(&path);
            path
        };
        (0..count).map(part).collect()
    }
}
