//! Types of tokens.

/// llama.cpp's `llama_token_type`.
pub(super) mod token_type {
    pub(in super::super) const NORMAL: i32 = 1;
    pub(in super::super) const UNKNOWN: i32 = 2;
    pub(in super::super) const CONTROL: i32 = 3;
    pub(in super::super) const USER_DEFINED: i32 = 4;
    pub(in super::super) const UNUSED: i32 = 5;
    pub(in super::super) const BYTE: i32 = 6;
}

/// True for special tokens that are often not marked as such.
pub(super) fn looks_special(text: &str) -> bool {
    let between = |start, end| text.starts_with(start) && text.ends_with(end);
    ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(&text)
        || between("<|", "|>")
        || between("<｜", "｜>")
        || between("<unused", ">")
}
