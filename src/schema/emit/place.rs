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
        /// The key, if the text around the value has it.
        key: Option<Rc<str>>,
        /// The types that the value may have in any way to satisfy the schema.
        types: u8,
    },
    /// A value in a style.
    Styled(Style),
}
