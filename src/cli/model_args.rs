//! The model of commands that answer many requests, and how it is run.

use super::{
    address_space::READING_BYTES,
    call::{
        RepackArg,
        cached::CacheArgs,
        dialect,
        dialect_arg::{DialectArg, wanted},
        draft, prompt_template, template_arg,
    },
    context::ContextArgs,
    exit::CliError,
    load::load,
    model_path,
    numbers::{between, positive},
    progress,
};
use anyhow::Context;
use edgecall::{
    api::Defaults,
    cache::Cache,
    call::{Draft, Request, Settings},
    chat::Conversation,
    memory,
    profile::Profile,
    runtime::{self, Model, Options, Trust},
};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Requests that are answered at the same time where there are threads enough.
const SLOTS: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
/// Threads that are enough.
const MANY_THREADS: usize = 4;

/// Model, context and cache.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Model file to run
    #[arg(short, long, value_name = "MODEL.gguf", env = "EDGECALL_MODEL", hide_env_values = true)]
    #[arg(help_heading = "Model")]
    model: Option<PathBuf>,

    /// Ignore the profile in the model's file: the tools, the system message and the settings for requests without them
    #[arg(long, help_heading = "Model")]
    no_profile: bool,

    /// Load a model even if its architecture or tokenizer cannot be fully validated; only for files that you trust
    #[arg(long, help_heading = "Model")]
    trust_model: bool,

    /// Read special tokens such as <|im_end|> in messages and tools as the model's own, not as text
    #[arg(long, help_heading = "Model")]
    trust_content: bool,

    /// Format in which the model writes calls: a name, a file of `inspect --dialect --json`, or strict to refuse a model
    /// whose format is not known [default: auto, from the chat template]
    #[arg(long, value_name = "NAME|FILE.json", value_parser = dialect, help_heading = "Model")]
    dialect: Option<DialectArg>,

    /// Jinja chat template to use instead of the model's own
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    chat_template: Option<PathBuf>,

    /// Variable for the chat template, such as depth=3 (repeatable)
    #[arg(long, value_name = "KEY=JSON", value_parser = template_arg, help_heading = "Model")]
    template_arg: Vec<(String, serde_json::Value)>,

    /// Maximum number of tokens of an answer whose request gives none [default: 512]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Limits")]
    max_tokens: Option<NonZeroUsize>,

    /// Guess up to N tokens ahead and check them in one decode (speculative decoding, from earlier text); auto: as many as
    /// pay off
    #[arg(long, value_name = "N|auto|off", default_value = "auto", value_parser = draft)]
    #[arg(help_heading = "Speed and memory")]
    draft: Draft,

    /// Decode one token at a time, without drafts or batches of forced tokens (slower)
    #[arg(long, conflicts_with = "draft", help_heading = "Speed and memory")]
    exact: bool,

    /// Number of requests that are answered at the same time, all in one decode; above 1, a choice between tokens that
    /// nearly tie may not be that of `call` [default: 1, or 4 with at least 4 threads]
    #[arg(long, value_name = "N", value_parser = between(1, 64), help_heading = "Speed and memory")]
    parallel: Option<u32>,

    /// Context size in tokens, for each of the requests at a time [default: grows with the requests, up to the model's]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Speed and memory")]
    ctx: Option<NonZeroUsize>,

    /// Run the model even if memory seems too small
    #[arg(long, help_heading = "Speed and memory")]
    force: bool,

    #[command(flatten, next_help_heading = "Speed and memory")]
    context: ContextArgs,

    /// Copy the weights into a layout that is faster on this CPU; takes memory for the copy; auto: if there is enough
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Speed and memory")]
    repack: RepackArg,

    #[command(flatten, next_help_heading = "Cache")]
    cache: CacheArgs,
}

impl ModelArgs {
    /// Path of the model, after a check of what this process may use.
    ///
    /// # Errors
    /// No model; a CPU or an address space that is too small.
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        let path = self.model.as_deref().map(model_path::gguf).transpose()?;
        let path = path
            .ok_or_else(|| CliError::usage("there is no model; give -m MODEL.gguf, or set EDGECALL_MODEL"))?;
        runtime::kernels::active()?;
        if !self.force {
            memory::check_address_space(READING_BYTES)?;
        }
        Ok(path)
    }

    /// The profile in the file at `path`; an empty one if it has none.
    ///
    /// # Errors
    /// A profile that cannot be used.
    pub fn profile(&self, path: &Path) -> anyhow::Result<Profile> {
        if self.no_profile {
            return Ok(Profile::default());
        }
        let profile = Profile::read_file(path).with_context(|| {
            let path = path.display();
            format!("the profile in {path} cannot be used (`edgecall inspect {path}` shows it, --no-profile ignores it)")
        });
        Ok(profile?.unwrap_or_default())
    }

    /// Settings for what requests leave open: these options, then `profile`.
    ///
    /// # Errors
    /// A chat template or a dialect that cannot be read, or tools of the profile that cannot be used.
    pub fn defaults(&self, profile: &Profile) -> anyhow::Result<Defaults> {
        let settings = Settings {
            dialect: wanted(self.dialect.as_ref())?,
            on_note: Some(progress::note),
            session: Options { n_ctx: self.ctx, ..self.context.options() },
            force: self.force,
            exact: self.exact,
            draft: self.draft,
            ..Settings::default()
        };
        let arguments = self.template_arg.iter().cloned().collect();
        let template = prompt_template(self.chat_template.as_deref(), arguments, self.trust_content)?;
        let mut defaults = Defaults::new(profile, settings, template)?;
        if let Some(max_tokens) = self.max_tokens {
            defaults.settings.max_tokens = max_tokens.get();
        }
        Ok(defaults)
    }

    /// Number of requests that are answered at the same time.
    ///
    /// # Errors
    /// Several together with --exact.
    pub fn parallel(&self) -> anyhow::Result<NonZeroUsize> {
        let threads = self.context.options().threads.map_or_else(runtime::cpu::default_threads, usize::from);
        let asked = self.parallel.and_then(|n| NonZeroUsize::new(usize::try_from(n).ok()?));
        match asked {
            Some(n) if n > NonZeroUsize::MIN && self.exact => Err(CliError::usage(
                "--exact decodes one token at a time, and --parallel those of several requests; give one of them",
            )),
            Some(n) => Ok(n),
            None if self.exact || threads < MANY_THREADS => Ok(NonZeroUsize::MIN),
            None => Ok(SLOTS),
        }
    }

    /// Loads the model at `path`.
    ///
    /// # Errors
    /// A model that cannot be loaded, or that this machine has no memory for.
    pub fn load(&self, path: &Path, defaults: &Defaults, cache: Option<&Cache>) -> anyhow::Result<Model> {
        let trust = if self.trust_model { Trust::Unchecked } else { Trust::Checked };
        let nothing = Conversation::default();
        let request = Request::new(&nothing, defaults.tools.as_deref());
        load(path, (trust, self.repack.into()), &request, &defaults.settings, cache)
    }

    /// The cache; `None` if there is none.
    pub fn cache(&self) -> Option<Cache> {
        let (cache, problem) = self.cache.open();
        if let Some(problem) = problem {
            tracing::warn!("no cache: {problem}");
        }
        cache
    }
}
