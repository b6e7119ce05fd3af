//! Settings of a call from its arguments.

use super::{Args, dialect_arg::wanted};
use clap::ValueEnum;
use edgecall::{
    call::{Draft, RequestFields, Settings, Think},
    memory::Repack,
    runtime::{Options, Sampling, TokenDetail, draft::MAX_DRAFT},
    schema::KeyOrder,
};
use std::num::NonZeroUsize;

/// Argument of `--think`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ThinkArg {
    On,
    Off,
    Auto,
}

impl From<ThinkArg> for Think {
    fn from(arg: ThinkArg) -> Think {
        match arg {
            ThinkArg::On => Think::On,
            ThinkArg::Off => Think::Off,
            ThinkArg::Auto => Think::Auto,
        }
    }
}

/// Argument of `--repack`.
#[derive(Clone, Copy, ValueEnum)]
pub enum RepackArg {
    Auto,
    On,
    Off,
}

impl From<RepackArg> for Repack {
    fn from(arg: RepackArg) -> Repack {
        match arg {
            RepackArg::Auto => Repack::IfItFits,
            RepackArg::On => Repack::Always,
            RepackArg::Off => Repack::Never,
        }
    }
}

/// Argument of `--key-order`.
#[derive(Clone, Copy, ValueEnum)]
pub enum KeyOrderArg {
    Any,
    Schema,
}

impl Args {
    /// Takes over what a request body asks for, where no option was given.
    pub fn adopt(&mut self, fields: &RequestFields) {
        self.parallel = self.parallel.or(fields.parallel);
        self.max_tokens = self.max_tokens.or(fields.max_tokens);
        self.temperature = self.temperature.or(fields.temperature);
        self.top_p = self.top_p.or(fields.top_p);
        self.top_k = self.top_k.or(fields.top_k.and_then(NonZeroUsize::new));
        self.min_p = self.min_p.or(fields.min_p);
        self.seed = self.seed.or(fields.seed);
        self.think = self.think.or(fields.think.map(|think| match think {
            Think::On => ThinkArg::On,
            Think::Off => ThinkArg::Off,
            Think::Auto => ThinkArg::Auto,
        }));
        for (key, value) in &fields.template_arguments {
            if !self.template_arg.iter().any(|(given, _)| given == key) {
                self.template_arg.push((key.clone(), value.clone()));
            }
        }
    }

    /// The first option that limits what is sampled.
    pub fn sampling_filter(&self) -> Option<&'static str> {
        let given = [
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--min-p", self.min_p.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
    }

    /// Order of the keys in the objects of a call.
    pub fn key_order(&self) -> KeyOrder {
        match self.key_order {
            Some(KeyOrderArg::Any) | None => KeyOrder::Any,
            Some(KeyOrderArg::Schema) => KeyOrder::Schema,
        }
    }
}

/// The settings that `args` ask for.
///
/// # Errors
/// A file of a dialect that cannot be used.
pub fn settings(args: &Args) -> anyhow::Result<Settings> {
    Ok(Settings {
        think: args.think.map_or(Think::Off, Into::into),
        sampling: Sampling {
            temperature: args.temperature.unwrap_or_default(),
            top_k: args.top_k.map_or(0, NonZeroUsize::get),
            top_p: args.top_p.unwrap_or(1.0),
            min_p: args.min_p.unwrap_or(0.0),
            seed: args.seed.unwrap_or_default(),
        },
        max_tokens: args.max_tokens.map_or(512, NonZeroUsize::get),
        dialect: wanted(args.dialect.as_ref())?,
        session: Options { n_ctx: args.ctx, ..args.context.options() },
        force: args.force,
        exact: args.exact,
        allow_repetition: args.allow_repetition,
        draft: args.draft,
        detail: TokenDetail::None,
        on_prefill: None,
        on_note: None,
    })
}

/// Parses the length of drafts.
pub fn draft(text: &str) -> Result<Draft, String> {
    match text {
        "auto" => Ok(Draft::Auto),
        "off" => Ok(Draft::Off),
        _ => match text.parse::<NonZeroUsize>() {
            Ok(most) if most.get() <= MAX_DRAFT => Ok(Draft::Tokens(most)),
            _ => Err(format!("a number from 1 to {MAX_DRAFT}, auto or off is expected")),
        },
    }
}

/// Parses a temperature.
pub fn temperature(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to 100 is expected".into()),
    }
}

/// Parses a probability.
pub fn probability(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to 1 is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        call: Args,
    }

    #[test]
    fn options_override_what_a_request_asks_for() {
        let fields = serde_json::json!({"max_tokens": 5, "temperature": 0.5, "seed": 3, "top_p": 0.9,
            "chat_template_kwargs": {"date": "today", "depth": 1}, "enable_thinking": true});
        let fields = RequestFields::read(fields.as_object().unwrap(), &[]).unwrap();
        let mut args = Program::parse_from([
            "call",
            "--explain-tools",
            "--max-tokens",
            "7",
            "--seed",
            "0",
            "--template-arg",
            "depth=2",
        ])
        .call;
        args.adopt(&fields);
        let settings = settings(&args).unwrap();
        assert_eq!((settings.max_tokens, settings.sampling.seed), (7, 0));
        assert_eq!((settings.sampling.temperature, settings.sampling.top_p), (0.5, 0.9));
        assert_eq!(settings.think, Think::On);
        let arguments: std::collections::BTreeMap<_, _> = args.template_arg.into_iter().collect();
        assert_eq!(serde_json::json!(arguments), serde_json::json!({"date": "today", "depth": 2}));
    }

    #[test]
    fn drafts_have_from_one_token_to_the_most_and_off_is_a_word() {
        assert!(matches!((draft("off"), draft("auto")), (Ok(Draft::Off), Ok(Draft::Auto))));
        assert!(matches!(draft("1"), Ok(Draft::Tokens(NonZeroUsize::MIN))));
        for wrong in ["0", "-1", "", &(MAX_DRAFT + 1).to_string()] {
            assert!(draft(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_arguments_the_settings_are_the_librarys_defaults() {
        let args = Program::parse_from(["call", "--explain-tools"]).call;
        assert_eq!(format!("{:?}", settings(&args).unwrap()), format!("{:?}", Settings::default()));
    }
}
