//! Summary of a merge, for reports.

use super::{merge::Merge, module::Module};
use crate::display::{Align, Table};
use serde::Serialize;
use std::{collections::BTreeSet, fmt, path::PathBuf};

/// The adapters of a merge and their modules.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name of the arithmetic.
    pub mode: &'static str,
    /// The adapters' folders, in the order of the merge.
    pub adapters: Vec<PathBuf>,
    /// The modules with LoRA, adapter by adapter.
    pub modules: Vec<Module>,
}

impl Merge {
    /// Its summary.
    pub fn summary(&self) -> Summary {
        Summary {
            mode: self.mode().name(),
            adapters: self.adapters().iter().map(|adapter| adapter.dir.clone()).collect(),
            modules: self.modules().to_vec(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, dir) in self.adapters.iter().enumerate() {
            let modules = self.modules.iter().filter(|module| module.adapter == number);
            let ranks: BTreeSet<u64> = modules.clone().map(|module| module.rank).collect();
            let ranks: Vec<String> = ranks.iter().map(u64::to_string).collect();
            write!(f, "adapter {}: LoRA on {} modules", dir.display(), modules.count())?;
            if !ranks.is_empty() {
                write!(f, " of rank {}", ranks.join(", "))?;
            }
            writeln!(f, "; merged as {}", self.mode)?;
        }
        if self.modules.iter().all(|module| module.relative_change.is_none()) {
            return Ok(());
        }
        let align = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Right];
        let mut table = Table::new(&["module", "kind", "rank", "scale", "|change|/|weights|"], &align);
        for module in &self.modules {
            let change = module.relative_change.map_or("—".to_owned(), |change| format!("{change:.6}"));
            let (rank, scale) = (module.rank.to_string(), format!("{:.6}", module.scale));
            table.row([module.module.clone(), module.kind.to_owned(), rank, scale, change]);
        }
        writeln!(f, "\n{table}")
    }
}
