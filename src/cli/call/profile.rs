//! The profile in the model's file: the settings of a call that neither an option nor the request names.

use super::{
    Args,
    dialect_arg::DialectArg,
    settings::{KeyOrderArg, ThinkArg},
};
use anyhow::Context;
use edgecall::{
    call::{Choice, RequestFields},
    dialect::Wanted,
    profile::{Profile, Thinking, ToolChoice},
    schema::KeyOrder,
};

/// The profile of the model, or an empty one.
///
/// # Errors
/// A profile that cannot be used.
pub fn read(args: &Args) -> anyhow::Result<Profile> {
    let Some(path) = args.model.as_ref().filter(|_| !args.no_profile) else { return Ok(Profile::default()) };
    let profile = Profile::read_file(path).with_context(|| {
        let path = path.display();
        format!("the profile in {path} cannot be used (`edgecall inspect {path}` shows it, --no-profile ignores it)")
    })?;
    Ok(profile.unwrap_or_default())
}

/// Takes the tools out of `profile`, and what is said of them, where the request brings its own or asks for JSON.
///
/// A tool choice of a profile without tools is meant for those of any request, and stays.
pub fn give_way(profile: &mut Profile, args: &Args, has_tools: bool, fields: &RequestFields) {
    let has_others = args.tools.is_some() || has_tools || fields.functions.is_some();
    let wants_json = args.json_schema.is_some()
        || fields.schema.is_some() && args.tool_choice.is_none() && fields.choice.is_none();
    if profile.tools.is_some() && (has_others || wants_json) {
        profile.tools = None;
        profile.tool_choice = None;
        profile.parallel = None;
    }
}

/// The tool choice of a request.
pub fn choice(choice: &ToolChoice) -> Choice {
    match choice {
        ToolChoice::Required => Choice::Required,
        ToolChoice::Auto => Choice::Auto,
        ToolChoice::None => Choice::None,
        ToolChoice::Named(name) => Choice::Named(name.clone()),
    }
}

impl Args {
    /// Takes over the profile's key order, where no option was given.
    pub fn adopt_key_order(&mut self, profile: &Profile) {
        self.key_order = self.key_order.or(profile.key_order.map(|order| match order {
            KeyOrder::Any => KeyOrderArg::Any,
            KeyOrder::Schema => KeyOrderArg::Schema,
        }));
    }

    /// Takes over what a profile says, where neither an option nor the request says anything.
    pub fn adopt_profile(&mut self, profile: &Profile, fields: &RequestFields) {
        let sampling = &profile.sampling;
        self.parallel = self.parallel.or(profile.parallel);
        self.max_tokens = self.max_tokens.or(profile.max_tokens);
        self.temperature = self.temperature.or(sampling.temperature);
        self.top_p = self.top_p.or(sampling.top_p);
        self.min_p = self.min_p.or(sampling.min_p);
        self.seed = self.seed.or(sampling.seed);
        // A request that asks for no limit leaves no number behind.
        if fields.top_k.is_none() {
            self.top_k = self.top_k.or(sampling.top_k);
        }
        self.think = self.think.or(profile.thinking.map(|thinking| match thinking {
            Thinking::On => ThinkArg::On,
            Thinking::Off => ThinkArg::Off,
            Thinking::Auto => ThinkArg::Auto,
        }));
        let dialect = || profile.dialect.clone().map(|name| DialectArg::Wanted(Wanted::Named(name)));
        self.dialect = self.dialect.take().or_else(dialect);
        for (key, value) in &profile.template_arguments {
            if !self.template_arg.iter().any(|(given, _)| given == key) {
                self.template_arg.push((key.clone(), value.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::call::settings::settings;
    use clap::Parser;
    use edgecall::call::Think;
    use serde_json::{Value, json};

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        call: Args,
    }

    fn args(words: &[&str]) -> Args {
        Program::parse_from(["call", "--explain-tools"].iter().chain(words)).call
    }

    fn fields(body: &Value) -> RequestFields {
        RequestFields::read(body.as_object().unwrap(), &[]).unwrap()
    }

    fn profile() -> Profile {
        let json = json!({"tools": [{"name": "f"}], "tool_choice": "auto", "parallel": 2, "thinking": "on",
            "temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.1, "seed": 3, "max_tokens": 99,
            "dialect": "llama3", "key_order": "schema", "template_arguments": {"a": 1, "b": 2, "c": 3}});
        Profile::from_value(json).unwrap()
    }

    #[test]
    fn a_profile_stands_below_a_request_and_a_request_below_the_options() {
        let mut args = args(&["--seed", "7", "--template-arg", "a=10"]);
        let fields = fields(
            &json!({"seed": 5, "max_tokens": 50, "top_k": 0, "chat_template_kwargs": {"a": 11, "b": 12}}),
        );
        args.adopt_key_order(&profile());
        args.adopt(&fields);
        args.adopt_profile(&profile(), &fields);
        let settings = settings(&args).unwrap();
        let sampling = settings.sampling;
        assert_eq!((sampling.seed, settings.max_tokens, sampling.top_k), (7, 50, 0));
        assert_eq!((sampling.temperature, sampling.top_p, sampling.min_p), (0.7, 0.8, 0.1));
        assert_eq!((settings.think, args.key_order()), (Think::On, KeyOrder::Schema));
        assert!(matches!(settings.dialect, Wanted::Named(name) if name == "llama3"));
        assert_eq!(args.parallel.unwrap().get(), 2);
        let arguments: std::collections::BTreeMap<_, _> = args.template_arg.into_iter().collect();
        assert_eq!(json!(arguments), json!({"a": 10, "b": 12, "c": 3}));
    }

    #[test]
    fn an_empty_profile_changes_nothing() {
        let mut with = args(&[]);
        with.adopt_profile(&Profile::default(), &RequestFields::default());
        assert_eq!(format!("{:?}", settings(&with).unwrap()), format!("{:?}", settings(&args(&[])).unwrap()));
    }

    #[test]
    fn tools_of_a_request_take_the_place_of_the_profiles_with_all_that_is_said_of_them() {
        let none = json!({});
        let schema = json!({"response_format": {"type": "json_object", "schema": {}}});
        let schema_and_call = json!({"response_format": {"type": "json_object"}, "tool_choice": "required"});
        let functions = json!({"functions": []});
        for (words, has_tools, body, keeps) in [
            (&[][..], false, &none, true),
            (&["--tools", "t.json"], false, &none, false),
            (&[], true, &none, false),
            (&[], false, &functions, false),
            (&["--json-schema", "s.json"], false, &none, false),
            (&[], false, &schema, false),
            (&[], false, &schema_and_call, true),
        ] {
            let mut left = profile();
            give_way(&mut left, &args(words), has_tools, &fields(body));
            assert_eq!(left.tools.is_some(), keeps, "{words:?} {body}");
            assert_eq!((left.tool_choice.is_some(), left.parallel.is_some()), (keeps, keeps));
            assert!(left.dialect.is_some() && left.key_order.is_some());
        }
        let mut without = Profile { tools: None, ..profile() };
        give_way(&mut without, &args(&["--tools", "t.json"]), false, &fields(&none));
        assert!(without.tool_choice.is_some(), "it is meant for the tools of any request");
    }
}
