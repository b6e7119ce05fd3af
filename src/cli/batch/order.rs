//! The order of answers that are made at the same time.

use std::collections::{BTreeMap, VecDeque};

/// Answers that are to be written, in the order of their requests or as they come.
pub enum Order<T> {
    AsTheyCome(VecDeque<T>),
    OfTheRequests { next: usize, held: BTreeMap<usize, T> },
}

impl<T> Order<T> {
    /// The order in which answers come.
    pub fn as_they_come() -> Order<T> {
        Order::AsTheyCome(VecDeque::new())
    }

    /// The order of the requests.
    pub fn of_the_requests() -> Order<T> {
        Order::OfTheRequests { next: 0, held: BTreeMap::new() }
    }

    /// Adds the answer to the request `index`, which counts from 0.
    pub fn add(&mut self, index: usize, answer: T) {
        match self {
            Order::AsTheyCome(answers) => answers.push_back(answer),
            Order::OfTheRequests { held, .. } => drop(held.insert(index, answer)),
        }
    }

    /// The next answer to write, if it is there.
    pub fn next(&mut self) -> Option<T> {
        match self {
            Order::AsTheyCome(answers) => answers.pop_front(),
            Order::OfTheRequests { next, held } => {
                let answer = held.remove(next)?;
                *next += 1;
                Some(answer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_held_until_those_before_them_are_there() {
        let mut order = Order::of_the_requests();
        let mut written = Vec::new();
        for index in [2, 0, 3, 1, 4] {
            order.add(index, index);
            written.push(std::iter::from_fn(|| order.next()).collect::<Vec<_>>());
        }
        assert_eq!(written, [vec![], vec![0], vec![], vec![1, 2, 3], vec![4]]);
        let mut order = Order::as_they_come();
        order.add(2, 'c');
        order.add(0, 'a');
        assert_eq!((order.next(), order.next(), order.next()), (Some('c'), Some('a'), None));
    }
}
