//! Runtime options of a run, which together with models and modes make the variants to compare.

use crate::cli::{
    context::{flash_attention, kv_types, on_or_off},
    numbers::positive,
    trial,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use edgecall::{
    bench::{
        Dataset,
        row::{ByName, Condition, Role},
        run::{self, LoadedModel, Settings, VariantConfig, room},
    },
    machine::Machine,
    memory::ModelLoad,
    runtime::{FlashAttention, KvType, LoadOptions, Model, Options, Trust},
};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// The arguments for runtime options.
#[derive(clap::Args)]
pub struct Conditions {
    /// Load models even if their architecture or tokenizer cannot be fully validated; only for files that you trust
    #[arg(long)]
    trust_model: bool,

    /// Load the models even if memory seems too small
    #[arg(long)]
    pub(super) force: bool,

    /// Types of the KV cache to compare; the reference uses the first
    #[arg(long = "kv-type", value_name = "TYPE", value_delimiter = ',', default_value = KvType::DEFAULT)]
    #[arg(value_parser = kv_types())]
    kv_types: Vec<String>,

    /// Use flash attention: long contexts take less memory, decoding is slower; auto uses it only if the KV cache is
    /// quantized
    #[arg(long, value_name = "WHEN", default_value = FlashAttention::Auto.name())]
    #[arg(value_parser = flash_attention())]
    flash_attn: FlashAttention,

    /// Repack weights for this CPU's kernels (on), use them as stored (off), or compare both; the reference uses the
    /// first
    #[arg(long = "repack", value_name = "WHEN", value_delimiter = ',', default_value = "on")]
    #[arg(value_parser = on_or_off())]
    repacks: Vec<bool>,

    /// Number of threads [default: physical cores]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<NonZeroUsize>,

    /// Run the reference again with one condition changed, to measure noise [without values: all of them]
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

/// Loaded models, and the variants to make of them.
#[derive(Default)]
pub struct Models {
    loaded_models: Vec<LoadedModel>,
    variants: Vec<PlannedVariant>,
    /// Requested noise-floor conditions that cannot be changed here, with the reasons.
    pub skipped: ByName<String>,
}

/// A model with its runtime options, before it is loaded.
#[derive(Clone, Copy)]
struct PlannedVariant {
    // Index into the loads.
    load: usize,
    session: Options,
    role: Role,
}

/// Models to load and variants to run.
struct Plan {
    // Index of each model, with true for repacked weights; the first entries are the models in order.
    loads: Vec<(usize, bool)>,
    variants: Vec<PlannedVariant>,
    skipped: ByName<String>,
}

impl Models {
    /// The reference, or the model that would be it if no server's model were.
    pub fn reference(&self) -> Option<&LoadedModel> {
        self.variants.first().map(|variant| &self.loaded_models[variant.load])
    }

    /// Models with their runtime options; the reference comes first.
    pub fn configs(&self) -> Vec<VariantConfig<'_>> {
        let config = |&PlannedVariant { load, session, role }: &PlannedVariant| VariantConfig {
            loaded: &self.loaded_models[load],
            session,
            role,
        };
        self.variants.iter().map(config).collect()
    }
}

impl Conditions {
    /// Loads the models at `paths`, after a check that memory suffices for them and their contexts; a context has room
    /// for every case of `dataset`, answered with `settings`. The reference is the model for which
    /// `is_reference` is true, else one chosen by its type. If a server's model is the reference (`elsewhere`), none
    /// is.
    ///
    /// # Errors
    /// A model that cannot be loaded or that ends a child process, the same model twice, or too little memory.
    pub fn load(
        &self,
        paths: &[PathBuf],
        is_reference: impl Fn(&Path) -> bool,
        elsewhere: bool,
        (dataset, settings): (&Dataset, &Settings),
    ) -> anyhow::Result<Models> {
        let headers = paths.iter().map(|path| Model::read_header(path)).collect::<Result<Vec<_>, _>>()?;
        let types: Vec<Option<u64>> = headers.iter().map(|header| header.u64("general.file_type")).collect();
        let named = paths.iter().position(|path| is_reference(path));
        let reference = named.unwrap_or_else(|| run::reference(&types));
        let Some(path) = paths.get(reference) else { return Ok(Models::default()) };
        let plan = self.plan(paths.len(), reference, elsewhere);
        let trust = if self.trust_model { Trust::Unchecked } else { Trust::Checked };
        trial::check_vocabulary(path, trust)?;
        if let Some(machine) = Machine::this().filter(|_| !self.force) {
            let loads = plan.loads.iter().map(|&(model, repack)| ModelLoad {
                path: &paths[model],
                header: &headers[model],
                is_repacked: LoadOptions { trust, repack }.is_repacked(),
            });
            let sessions: Vec<(usize, Options)> =
                plan.variants.iter().map(|variant| (variant.load, variant.session)).collect();
            let n_ctx = room::context_length(path, trust, dataset, settings)?;
            room::check(&loads.collect::<Vec<_>>(), &sessions, n_ctx, machine)?;
        }
        for variant in &plan.variants {
            let (model, repack) = plan.loads[variant.load];
            trial::check(
                &paths[model],
                &headers[model],
                LoadOptions { trust, repack },
                &variant.session,
                None,
            )?;
        }
        let mut loaded_models: Vec<LoadedModel> = Vec::with_capacity(plan.loads.len());
        for &(model, repack) in &plan.loads {
            loaded_models.push(match loaded_models.get(model) {
                Some(loaded) => loaded.with_repack(repack)?,
                None => LoadedModel::load_with(&paths[model], LoadOptions { trust, repack })?,
            });
        }
        run::check_distinct(&loaded_models[..paths.len()])?;
        Ok(Models { loaded_models, variants: plan.variants, skipped: plan.skipped })
    }

    /// Plans the variants of `models` models.
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
        let first = PlannedVariant { load: reference, session: session(&kv_types[0]), role };
        let mut variants = vec![first];
        for load in 0..loads.len() {
            for (at, kv_type) in kv_types.iter().enumerate() {
                if (load, at) != (reference, 0) {
                    variants.push(PlannedVariant { load, session: session(kv_type), role: Role::Candidate });
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
                    variants.push(PlannedVariant { load, session, role: Role::NoiseFloor });
                }
                Err(reason) => {
                    skipped.insert(condition.name().into(), reason);
                }
            }
        }
        Plan { loads, variants, skipped }
    }
}

/// Removes repeated values.
fn distinct<T: Clone + PartialEq>(values: &[T]) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for value in values {
        if !kept.contains(value) {
            kept.push(value.clone());
        }
    }
    kept
}
