//! A schema's tracker as the watch over what the runtime writes.

use crate::{runtime::value::Watch, tools::json_schema::Tracker};

impl Watch for Tracker {
    fn push(&mut self, bytes: &[u8]) -> bool {
        Tracker::push(self, bytes)
    }

    fn allows(&mut self, bytes: &[u8]) -> bool {
        Tracker::allows(self, bytes)
    }

    fn may_end(&mut self) -> bool {
        Tracker::may_end(self)
    }

    fn distance(&mut self, bytes: &[u8]) -> Option<(usize, u16)> {
        Tracker::distance(self, bytes)
    }

    fn rollback(&mut self, pushes: usize) {
        Tracker::rollback(self, pushes);
    }

    fn value_start(&self) -> usize {
        Tracker::value_start(self)
    }

    fn container_start(&self) -> usize {
        Tracker::container_start(self)
    }
}
