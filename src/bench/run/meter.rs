//! The speed pass: it measures the cost of calls, apart from the run that makes the rows.
//!
//! Each model runs in its own process, so that the measured memory is that of the model alone. The models take turns,
//! conversation by conversation, so that a CPU that heats up slows all of them equally.

use super::{Settings, VariantConfig, case_runner::CaseRunner};
use crate::{
    bench::{
        Result,
        data::Dataset,
        row::{Cost, Mode},
    },
    machine::{self, Heat, Thermometer},
};

/// A model whose calls are measured.
pub struct Meter<'s> {
    runner: CaseRunner<'s>,
    dataset: &'s Dataset,
}

impl<'s> Meter<'s> {
    /// Creates a context and evaluates the prompt of `case`. Its start is common to all prompts, so no measured call
    /// pays for that part or for the first access to the weights.
    ///
    /// # Errors
    /// A model that cannot be run.
    pub fn new(
        config: VariantConfig<'s>,
        dataset: &'s Dataset,
        settings: &Settings,
        case: usize,
    ) -> Result<Meter<'s>> {
        let mut runner = CaseRunner::new(config, &[], dataset, settings)?;
        runner.evaluate(case)?;
        Ok(Meter { runner, dataset })
    }

    /// Answers the cases of one conversation in order, and returns the cost of each.
    ///
    /// # Errors
    /// A model that cannot be run.
    pub fn conversation(&mut self, cases: &[usize], mode: Mode) -> Result<Vec<Cost>> {
        self.runner.begin_conversation();
        let mut costs = Vec::with_capacity(cases.len());
        for &case in cases {
            let thermometer = Thermometer::start();
            let answer = self.runner.answer(case, mode, self.dataset.cases[case].tools())?;
            let Heat { celsius, mhz, throttled } = thermometer.read();
            costs.push(Cost {
                peak_resident_bytes: machine::peak_resident_bytes(),
                celsius,
                mhz,
                throttled,
                ..answer.cost
            });
        }
        Ok(costs)
    }
}
