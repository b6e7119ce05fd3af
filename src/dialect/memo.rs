//! Results that are kept for the requests that follow: most have the template and the tools of the one before.

use std::sync::{Arc, Mutex, PoisonError};

/// Results that are kept; a process seldom has more templates and lists of tools in use.
const KEPT: usize = 4;

/// The last results of a function, with the keys that they depend on.
pub(super) struct Memo<K, V> {
    last: Mutex<Vec<(K, Arc<V>)>>,
}

impl<K, V> Memo<K, V> {
    /// A memo without results.
    pub const fn new() -> Memo<K, V> {
        Memo { last: Mutex::new(Vec::new()) }
    }

    /// The result whose key `is_key`, or what `make` returns for it, which is kept unless it is an error.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get<E>(
        &self,
        is_key: impl Fn(&K) -> bool,
        make: impl FnOnce() -> Result<(K, V), E>,
    ) -> Result<Arc<V>, E> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = last().iter().find(|(key, _)| is_key(key)) {
            return Ok(value.clone());
        }
        // Others need not wait; at worst two make the same.
        let (key, value) = make()?;
        let value = Arc::new(value);
        let mut last = last();
        if last.len() == KEPT {
            last.remove(0);
        }
        last.push((key, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_made_once_while_it_is_kept_and_errors_are_not() {
        let memo = Memo::new();
        let mut made = Vec::new();
        let mut get = |key: usize| {
            let make = || {
                made.push(key);
                if key == 9 { Err("nine") } else { Ok((key, key * 10)) }
            };
            memo.get(|known| *known == key, make).map(|value| *value)
        };
        for key in [1, 1, 9, 9, 1, 2, 3, 4, 1, 5, 1] {
            assert_eq!(get(key), if key == 9 { Err("nine") } else { Ok(key * 10) });
        }
        assert_eq!(made, [1, 9, 9, 2, 3, 4, 5, 1]);
    }
}
