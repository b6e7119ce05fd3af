//! Conjunctions that visibly have no value in common.

use std::rc::Rc;

use super::Normalizer;
use super::conjunction::Item;
use super::shape::Shape;
use crate::schema::value::{retain_equal, types};

impl<'a> Normalizer<'a> {
    /// True if the shapes show that no value satisfies both conjunctions.
    fn are_disjoint(&mut self, a: &[Item], b: &[Item], depth: usize) -> bool {
        let (a, b) = (self.flatten(a), self.flatten(b));
        if a.never || b.never {
            return true;
        }
        let (a, b) = (self.shape(a), self.shape(b));
        self.are_shapes_disjoint(&a, &b, depth)
    }

    /// True if the two shapes visibly have no value in common.
    pub(super) fn are_shapes_disjoint(&mut self, a: &Shape<'a>, b: &Shape<'a>, depth: usize) -> bool {
        let both = a.types & b.types;
        if both == 0 {
            return true;
        }
        if let (Some(x), Some(y)) = (&a.values, &b.values) {
            let mut common = x.clone();
            retain_equal(&mut common, y, true);
            return common.is_empty();
        }
        for (values, other) in [(&a.values, b), (&b.values, a)] {
            if let Some(values) = values {
                let pointers: Vec<_> =
                    other.conjunction.locals.iter().map(|id| self.document.pointer(*id)).collect();
                return values.iter().all(|v| {
                    types::type_of(v) & other.types == 0
                        || pointers.iter().any(|p| !self.validators.accepts_at(p, v))
                });
            }
        }
        let above = |x: &Shape<'_>, y: &Shape<'_>| match (&x.low, &y.high) {
            (Some(low), Some(high)) => {
                low.value > high.value || (low.value == high.value && (low.exclusive || high.exclusive))
            }
            _ => false,
        };
        let longer = |least: u64, most: Option<u64>| most.is_some_and(|m| least > m);
        let mut left = both;
        if above(a, b) || above(b, a) {
            left &= !(types::INTEGER | types::FRACTION);
        }
        if longer(a.min_length, b.max_length) || longer(b.min_length, a.max_length) {
            left &= !types::STRING;
        }
        if longer(a.min_items, b.max_items) || longer(b.min_items, a.max_items) {
            left &= !types::ARRAY;
        }
        if left & types::OBJECT != 0 && depth < 3 {
            let keys: Vec<Rc<str>> = a.required.union(&b.required).cloned().collect();
            for key in keys {
                let (x, y) = (self.key_items(a, &key), self.key_items(b, &key));
                if self.are_disjoint(&x, &y, depth + 1) {
                    left &= !types::OBJECT;
                    break;
                }
            }
        }
        left == 0
    }
}
