//! Place of a value: inside of another one in a style, or among the members of a notation.

use std::rc::Rc;

use crate::schema::notation::Style;

/// Place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The object whose members have a notation.
    Root,
    /// The value of such a member.
    Member {
        /// The members that it is one of.
        level: Level,
        /// The key, if the text around the value has it.
        key: Option<Rc<str>>,
        /// Name for what is inside of the value, if it may be elements.
        inside: Option<Rc<str>>,
        /// The types that the value may have in any way to satisfy the schema.
        types: u8,
    },
    /// An object or array that is elements, by its name.
    Elements(Rc<str>),
    /// A value in a style.
    Styled(Style),
}

/// Members of a notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Those of the whole value.
    Whole,
    /// Those of an object that is elements.
    Object,
    /// The items of an array that is elements.
    Array,
}

/// A key, `None` for undeclared ones, behind the name of the elements that it is in, if it is in some.
pub(super) type KeyPath = (Option<Rc<str>>, Option<Rc<str>>);
