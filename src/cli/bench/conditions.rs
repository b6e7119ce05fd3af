//! Under which conditions models answer: the axes of a sweep beside models and modes.

use crate::cli::context::{flash_attention, kv_types, on_or_off};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::{
    benchmark::{
        Dataset,
        row::{ByName, Role},
        run::{self, Condition, Contender, Lane, room},
    },
    inspect::fit::AS_STORED,
    machine::Machine,
    runtime::{FlashAttention, KvType, LoadOptions, Model, Options, Trust, kernels},
};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// The arguments that say so.
#[derive(clap::Args)]
pub struct Conditions {
    /// Load models of an architecture that is not checked first
    #[arg(long)]
    trust_model: bool,

    /// Load the models even where the memory seems too small
    #[arg(long)]
    force: bool,

    /// Keep the KV cache in these types; the reference in the first
    #[arg(long = "kv-type", value_name = "TYPE", value_delimiter = ',', default_value = KvType::DEFAULT)]
    #[arg(value_parser = kv_types())]
    kv_types: Vec<String>,

    /// Compute attention without a table of scores: long contexts take less memory, decoding takes
    /// longer; auto does only where the KV cache is quantized
    #[arg(long, value_name = "WHEN", default_value = FlashAttention::Auto.name())]
    #[arg(value_parser = flash_attention())]
    flash_attn: FlashAttention,

    /// Rearrange weights for this CPU's kernels, or compute with them as the file has them, or
    /// both; the reference as the first says
    #[arg(long = "repack", value_name = "WHETHER", value_delimiter = ',', default_value = "on")]
    #[arg(value_parser = on_or_off())]
    repacks: Vec<bool>,

    /// Compute with this many threads [default: physical cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Let the reference answer again with one condition changed: what then differs is noise
    /// [without values: all of them]
    #[arg(long, value_name = "CONDITION", value_delimiter = ',', num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_values = Condition::ALL.map(Condition::name), value_parser = conditions())]
    noise_floor: Vec<Condition>,
}

fn conditions() -> impl TypedValueParser<Value = Condition> {
    PossibleValuesParser::new(Condition::ALL.map(Condition::name)).map(|name| {
        Condition::ALL
            .into_iter()
            .find(|condition| condition.name() == name)
            .expect("clap takes no other name")
    })
}

/// Who takes part: every model under every condition.
#[derive(Default)]
pub struct Field {
    contenders: Vec<Contender>,
    lanes: Vec<Planned>,
    /// Conditions that were asked for and cannot be changed here, with the reasons.
    pub skipped: ByName<String>,
}

/// A lane before its model is loaded.
#[derive(Clone, Copy)]
struct Planned {
    // Which of the loads.
    load: usize,
    session: Options,
    role: Role,
}

/// What is compared, before anything is loaded.
struct Plan {
    // Which of the models, repacked or not; the models themselves come first.
    loads: Vec<(usize, bool)>,
    lanes: Vec<Planned>,
    skipped: ByName<String>,
}

impl Field {
    /// The model that others are compared with, or that would be if a server's were not.
    pub fn reference(&self) -> Option<&Contender> {
        self.lanes.first().map(|lane| &self.contenders[lane.load])
    }

    /// The lanes, the reference first.
    pub fn lanes(&self) -> Vec<Lane<'_>> {
        let lane = |&Planned { load, session, role }: &Planned| Lane {
            contender: &self.contenders[load],
            session,
            role,
        };
        self.lanes.iter().map(lane).collect()
    }
}

impl Conditions {
    /// Loads the models at `paths`, if the machine has the memory for their contexts too, in which the cases of
    /// `dataset` and answers of `max_tokens` tokens fit. The reference is the one that `is_reference` says, else by its
    /// type, unless it is `elsewhere`.
    ///
    /// # Errors
    /// A model that cannot be loaded; two that are the same; too little memory.
    pub fn field(
        &self,
        paths: &[PathBuf],
        is_reference: impl Fn(&Path) -> bool,
        elsewhere: bool,
        (dataset, max_tokens): (&Dataset, usize),
    ) -> edgecall::Result<Field> {
        let headers = paths.iter().map(|path| Model::read_header(path)).collect::<Result<Vec<_>, _>>()?;
        let types: Vec<Option<u64>> = headers.iter().map(|header| header.u64("general.file_type")).collect();
        let named = paths.iter().position(|path| is_reference(path));
        let reference = named.unwrap_or_else(|| run::reference(&types));
        let Some(path) = paths.get(reference) else { return Ok(Field::default()) };
        let plan = self.plan(paths.len(), reference, elsewhere);
        let trust = if self.trust_model { Trust::Unchecked } else { Trust::Checked };
        if let Some(machine) = Machine::this().filter(|_| !self.force) {
            let loads = plan.loads.iter().map(|&(model, repack)| room::Load {
                path: &paths[model],
                header: &headers[model],
                is_repacked: if repack { kernels::is_repacked } else { AS_STORED },
            });
            let sessions: Vec<(usize, Options)> =
                plan.lanes.iter().map(|lane| (lane.load, lane.session)).collect();
            let n_ctx = room::context_length(path, trust, dataset, max_tokens)?;
            room::check(&loads.collect::<Vec<_>>(), &sessions, n_ctx, machine)?;
        }
        let mut contenders: Vec<Contender> = Vec::with_capacity(plan.loads.len());
        for &(model, repack) in &plan.loads {
            contenders.push(match contenders.get(model) {
                Some(loaded) => loaded.with_repack(repack)?,
                None => Contender::load_with(&paths[model], LoadOptions { trust, repack })?,
            });
        }
        run::check_distinct(&contenders[..paths.len()])?;
        Ok(Field { contenders, lanes: plan.lanes, skipped: plan.skipped })
    }

    /// Plans the lanes of so many models.
    fn plan(&self, models: usize, reference: usize, elsewhere: bool) -> Plan {
        let (kv_types, repacks) = (distinct(&self.kv_types), distinct(&self.repacks));
        let mut loads: Vec<(usize, bool)> =
            repacks.iter().flat_map(|&repack| (0..models).map(move |model| (model, repack))).collect();
        let session = |kv_type: &String| Options {
            threads: self.threads,
            kv_type: KvType::named(kv_type).expect("clap takes no other name"),
            flash_attention: self.flash_attn,
            ..Options::default()
        };
        let role = if elsewhere { Role::Candidate } else { Role::Reference };
        let first = Planned { load: reference, session: session(&kv_types[0]), role };
        let mut lanes = vec![first];
        for load in 0..loads.len() {
            for (at, kv_type) in kv_types.iter().enumerate() {
                if (load, at) != (reference, 0) {
                    lanes.push(Planned { load, session: session(kv_type), role: Role::Candidate });
                }
            }
        }
        let mut skipped = ByName::new();
        for condition in distinct(&self.noise_floor) {
            let changed = match condition.changed(&first.session, repacks[0]) {
                _ if elsewhere => Err("the reference is behind a server".to_owned()),
                Ok((_, repack)) if repack != repacks[0] && repacks.contains(&repack) => {
                    Err("it is compared as a candidate".to_owned())
                }
                changed => changed,
            };
            match changed {
                Ok((session, repack)) => {
                    let load =
                        loads.iter().position(|load| *load == (reference, repack)).unwrap_or_else(|| {
                            loads.push((reference, repack));
                            loads.len() - 1
                        });
                    lanes.push(Planned { load, session, role: Role::NoiseFloor });
                }
                Err(reason) => {
                    skipped.insert(condition.name().into(), reason);
                }
            }
        }
        Plan { loads, lanes, skipped }
    }
}

/// Values without those that were there before.
fn distinct<T: Clone + PartialEq>(values: &[T]) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for value in values {
        if !kept.contains(value) {
            kept.push(value.clone());
        }
    }
    kept
}
