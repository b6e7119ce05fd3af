//! The texts around objects and arrays, as parts of rules.

/// The texts around and between an object's members, as parts of rules.
pub(super) struct Around {
    /// Before everything else, also without members.
    pub(super) open: String,
    /// Before the first member.
    pub(super) first: String,
    /// Between two members.
    pub(super) separator: String,
    /// After the last one.
    pub(super) close: String,
    /// In place of members, and what is around them, where there are none.
    pub(super) none: String,
    /// Between a key and its value.
    pub(super) colon: String,
}

/// The texts around an array's items, as parts of rules.
pub(super) struct Brackets {
    /// Before everything else, also without items.
    pub(super) open: String,
    /// Before the first item.
    pub(super) first: String,
    /// Between two items.
    pub(super) comma: String,
    /// After everything else.
    pub(super) close: String,
}
