//! Settings for what a request leaves open: those of the caller, then those of the model's profile.

use crate::{
    call::{Choice, PromptTemplate, Settings, Think},
    dialect::Wanted,
    profile::{self, Profile, Thinking, ToolChoice},
    schema::KeyOrder,
    tools::ToolSet,
};
use std::{num::NonZeroUsize, sync::Arc};

/// Settings for what requests leave open.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Settings of every call, with the profile's.
    pub settings: Settings,
    /// Template and template arguments of every call, with the profile's.
    pub template: PromptTemplate,
    /// Text of the system message for conversations without one.
    pub system: Option<String>,
    /// Tools for requests that bring none.
    pub tools: Option<Arc<ToolSet>>,
    /// The profile's tool choice.
    pub choice: Option<Choice>,
    /// The profile's number of calls in one turn.
    pub parallel: Option<NonZeroUsize>,
    /// Order of the keys in the objects of calls and answers.
    pub key_order: KeyOrder,
}

impl Defaults {
    /// The defaults of `profile`, over `settings` and `template`.
    ///
    /// # Errors
    /// Tools of the profile that cannot be used.
    pub fn new(
        profile: &Profile,
        settings: Settings,
        mut template: PromptTemplate,
    ) -> Result<Defaults, profile::Error> {
        for (key, value) in &profile.template_arguments {
            if !template.arguments.contains_key(key) {
                template.arguments.insert(key.clone(), value.clone());
            }
        }
        Ok(Defaults {
            settings: with_profile(settings, profile),
            template,
            system: profile.system.as_ref().map(|system| system.message().into_owned()),
            tools: profile.tool_set()?.map(Arc::new),
            choice: profile.tool_choice.as_ref().map(choice),
            parallel: profile.parallel,
            key_order: profile.key_order.unwrap_or_default(),
        })
    }
}

/// `settings` with those that `profile` names.
fn with_profile(mut settings: Settings, profile: &Profile) -> Settings {
    let (ours, theirs) = (&mut settings.sampling, &profile.sampling);
    ours.temperature = theirs.temperature.unwrap_or(ours.temperature);
    ours.top_k = theirs.top_k.map_or(ours.top_k, NonZeroUsize::get);
    ours.top_p = theirs.top_p.unwrap_or(ours.top_p);
    ours.min_p = theirs.min_p.unwrap_or(ours.min_p);
    ours.seed = theirs.seed.unwrap_or(ours.seed);
    settings.max_tokens = profile.max_tokens.map_or(settings.max_tokens, NonZeroUsize::get);
    settings.think = match profile.thinking {
        Some(Thinking::On) => Think::On,
        Some(Thinking::Off) => Think::Off,
        Some(Thinking::Auto) => Think::Auto,
        None => settings.think,
    };
    if let (Wanted::Auto, Some(name)) = (&settings.dialect, &profile.dialect) {
        settings.dialect = Wanted::Named(name.clone());
    }
    settings
}

fn choice(choice: &ToolChoice) -> Choice {
    match choice {
        ToolChoice::Required => Choice::Required,
        ToolChoice::Auto => Choice::Auto,
        ToolChoice::None => Choice::None,
        ToolChoice::Named(name) => Choice::Named(name.clone()),
    }
}
