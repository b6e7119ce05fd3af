//! The speed pass: it measures the cost of calls, apart from the run that makes the rows.
//!
//! Each model runs in its own process, so that the measured memory is that of the model alone. The models take turns,
//! conversation by conversation, so that a CPU that heats up slows all of them equally.

use super::{Lane, Settings, walker::Walker};
use crate::{
    bench::{Dataset, Mode, Result, row::Cost},
    machine::{self, Heat, Thermometer},
};

/// A model whose calls are measured.
pub struct Meter<'s> {
    walker: Walker<'s>,
    dataset: &'s Dataset,
}

impl<'s> Meter<'s> {
    /// Creates a context and evaluates the prompt of `case`. Its start is common to all prompts, so no measured call
    /// pays for that part or for the first access to the weights.
    ///
    /// # Errors
    /// A model that cannot be run.
    pub fn new(lane: Lane<'s>, dataset: &'s Dataset, settings: &Settings, case: usize) -> Result<Meter<'s>> {
        let mut walker = Walker::new(lane, &[], dataset, settings)?;
        walker.evaluate(case)?;
        Ok(Meter { walker, dataset })
    }

    /// Answers the cases of one conversation in order, and returns the cost of each.
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
