//! The pass that measures what calls cost, apart from the one that makes the rows.
//!
//! A process of its own runs each lane, so that the memory it holds is the model's; lanes take turns, conversation by
//! conversation, so that a CPU that grows hot slows them all alike.

use super::{Lane, Settings, walker::Walker};
use crate::{
    Result,
    benchmark::{Dataset, Mode, row::Cost},
    machine::{self, Heat, Thermometer},
};

/// One lane whose calls are measured.
pub struct Meter<'s> {
    walker: Walker<'s>,
    dataset: &'s Dataset,
}

impl<'s> Meter<'s> {
    /// Makes a context and evaluates what the prompts of `case` and all others begin with, so that no measured call
    /// pays for it, nor for the first touch of the weights.
    ///
    /// # Errors
    /// A model that cannot be run.
    pub fn new(lane: Lane<'s>, dataset: &'s Dataset, settings: &Settings, case: usize) -> Result<Meter<'s>> {
        let mut walker = Walker::new(lane, &[], dataset, settings)?;
        walker.evaluate(case)?;
        Ok(Meter { walker, dataset })
    }

    /// Answers the cases of one conversation, in order, and gives the cost of each.
    ///
    /// # Errors
    /// A model that cannot be run.
    pub fn conversation(&mut self, cases: &[usize], mode: Mode) -> Result<Vec<Cost>> {
        self.walker.begin_conversation();
        let mut costs = Vec::with_capacity(cases.len());
        for &case in cases {
            let thermometer = Thermometer::start();
            let answered = self.walker.answer(case, mode, &self.dataset.job.tools)?;
            let Heat { celsius, mhz, throttled } = thermometer.read();
            costs.push(Cost {
                peak_resident_bytes: machine::peak_resident_bytes(),
                celsius,
                mhz,
                throttled,
                ..answered.cost
            });
        }
        Ok(costs)
    }
}
