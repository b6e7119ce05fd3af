//! The call that a measurement makes: with the tools of the model's profile, or a built-in one.

use crate::{
    bench::{Result, data::Job},
    chat::Conversation,
    profile::Profile,
    tools::ToolSet,
};
use std::path::Path;

/// Tools of the built-in call, in OpenAI's format.
const TOOLS: &str = include_str!("../../../examples/restaurants/tools.json");
/// Conversation of the built-in call.
const CONVERSATION: &str = include_str!("../../../examples/restaurants/conversation.json");

/// A conversation and the tools that may be called.
#[derive(Clone, Debug)]
pub struct Example {
    pub(super) conversation: Conversation,
    pub(super) tools: ToolSet,
    /// True if the tools are those of a profile.
    pub(super) is_of_profile: bool,
}

impl Example {
    /// The call with the tools and the system message of `profile`, which is that of the file at `path`; the built-in one
    /// if it has no tools.
    ///
    /// # Errors
    /// Tools that cannot be used.
    pub fn with_profile(profile: &Profile, path: &Path) -> Result<Example> {
        let conversation = Conversation::parse(CONVERSATION.as_bytes())?;
        let Some(Job { tools, .. }) = Job::from_profile(profile, path)? else {
            let tools = ToolSet::parse(TOOLS.as_bytes())?;
            return Ok(Example { conversation, tools, is_of_profile: false });
        };
        let conversation = match &profile.system {
            Some(system) => conversation.with_system(system.message()),
            None => conversation,
        };
        Ok(Example { conversation, tools, is_of_profile: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_with_tools_takes_the_place_of_the_built_in_call() {
        let names = |example: &Example| {
            example.tools.iter().map(|tool| tool.name().to_owned()).collect::<Vec<_>>().join(" ")
        };
        let built_in = Example::with_profile(&Profile::default(), Path::new("m.gguf")).unwrap();
        assert!(!built_in.is_of_profile && names(&built_in).contains("FindRestaurants"));
        let profile =
            Profile::from_json(br#"{"system": "Ring bells.", "tools": [{"name": "ring"}]}"#).unwrap();
        let example = Example::with_profile(&profile, Path::new("m.gguf")).unwrap();
        assert_eq!((example.is_of_profile, names(&example)), (true, "ring".to_owned()));
        assert_eq!(example.conversation.messages[0].content(), Some("Ring bells."));
        assert_eq!(example.conversation.messages.len(), built_in.conversation.messages.len() + 1);
    }
}
