//! Settings of a call from its arguments.

use super::Args;
use clap::{ValueEnum, builder::PossibleValuesParser};
use edgecall::{
    call::{Draft, Settings, Think},
    memory::Repack,
    runtime::{Options, Sampling, draft::MAX_DRAFT},
    schema::KeyOrder,
    tools::dialect::{self, DIALECTS},
};
use std::num::NonZeroUsize;

/// Argument of `--think`.
#[derive(Clone, Copy, ValueEnum)]
pub enum ThinkArg {
    On,
    Off,
    Auto,
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
    /// Order of the keys in the objects of a call.
    pub fn key_order(&self) -> KeyOrder {
        match self.key_order {
            KeyOrderArg::Any => KeyOrder::Any,
            KeyOrderArg::Schema => KeyOrder::Schema,
        }
    }
}

/// The settings that `args` ask for.
pub fn settings(args: &Args) -> Settings {
    Settings {
        think: match args.think {
            ThinkArg::On => Think::On,
            ThinkArg::Off => Think::Off,
            ThinkArg::Auto => Think::Auto,
        },
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k.map_or(0, NonZeroUsize::get),
            top_p: args.top_p.unwrap_or(1.0),
            min_p: args.min_p.unwrap_or(0.0),
            seed: args.seed,
        },
        max_tokens: args.max_tokens.get(),
        dialect: args.dialect.as_deref().and_then(dialect::named),
        session: Options { n_ctx: args.ctx, ..args.context.options() },
        force: args.force,
        exact: args.exact,
        draft: args.draft,
        on_prefill: None,
    }
}

/// Parser for names of dialects.
pub fn dialects() -> PossibleValuesParser {
    PossibleValuesParser::new(DIALECTS.iter().map(|dialect| dialect.name()))
}

/// Parses the length of drafts.
pub fn draft(text: &str) -> Result<Draft, String> {
    match text {
        "auto" => Ok(Draft::Auto),
        "off" | "0" => Ok(Draft::Off),
        _ => match text.parse() {
            Ok(most) if (1..=MAX_DRAFT).contains(&most) => {
                Ok(NonZeroUsize::new(most).map_or(Draft::Off, Draft::Tokens))
            }
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
    fn without_arguments_the_settings_are_the_librarys_defaults() {
        let args = Program::parse_from(["call", "--explain-tools"]).call;
        assert_eq!(format!("{:?}", settings(&args)), format!("{:?}", Settings::default()));
    }
}
