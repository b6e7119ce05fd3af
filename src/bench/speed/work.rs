//! Work of a model in general: tokens to evaluate, and the weights that each of them reads.

use crate::runtime::Model;

/// Ordinary text tokens, repeated up to `count`; the time does not depend on their values.
pub(crate) fn ordinary_tokens(model: &Model, count: usize) -> Vec<i32> {
    let vocabulary = model.vocabulary();
    let ids = 0..i32::try_from(vocabulary.n_vocab()).unwrap_or(i32::MAX);
    let is_ordinary = |id: &i32| !vocabulary.is_control(*id) && !vocabulary.is_eog(*id);
    let some: Vec<i32> = ids.filter(is_ordinary).take(997).collect();
    some.into_iter().cycle().take(count).collect()
}

/// Bytes of weights that one token reads, and its multiply-adds. Every matrix counts; the embedding only if it is also
/// the output.
pub(crate) fn weights_of_a_token(model: &Model) -> (u64, u64) {
    let header = model.header();
    let has_output = header.tensors.iter().any(|tensor| tensor.name == "output.weight");
    let is_read = |name: &str| name != "token_embd.weight" || !has_output;
    let read = header.tensors.iter().filter(|tensor| tensor.dims.len() > 1 && is_read(&tensor.name));
    read.fold((0, 0), |(bytes, products), tensor| {
        let range = header.tensor_range(tensor);
        (bytes + (range.end - range.start), products + tensor.dims.iter().product::<u64>())
    })
}
