//! Prompts and sampling of a run, where they are not those of the benchmark.

use crate::cli::{
    call::{ThinkArg, temperature},
    exit::CliError,
    numbers::seed,
};
use clap::ValueEnum;
use edgecall::bench::run::{CallSettings, endpoint::Template};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The arguments for prompts and sampling.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Chat template in place of the models' own: a Jinja file, or a GGUF file that has one. With --endpoint it is that
    /// of the server's prompts alone
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,

    /// Reason before the call; probabilities (KL, NLL) are not measured then [default: off]
    #[arg(long, value_name = "WHEN")]
    think: Option<ThinkArg>,

    /// Randomness of the answers; 0 takes the most likely token [default: 0]
    #[arg(long, value_name = "T", value_parser = temperature, help_heading = "Sampling")]
    temperature: Option<f32>,

    /// Random seed of the data's first call; each later call has the next number [default: 0]
    #[arg(long, value_name = "N", requires = "temperature", value_parser = seed, help_heading = "Sampling")]
    seed: Option<u64>,
}

impl Args {
    /// The file of the chat template.
    pub fn template_file(&self) -> Option<&Path> {
        self.chat_template.as_deref()
    }

    /// True if the models reason before the call.
    pub fn reasons(&self) -> bool {
        matches!(self.think, Some(ThinkArg::On))
    }

    /// The settings. `with_server`: a server takes part, which has the template for itself.
    ///
    /// # Errors
    /// A template that cannot be read; settings that no server is asked for.
    pub fn settings(&self, with_server: bool) -> anyhow::Result<CallSettings> {
        if with_server && (self.think.is_some() || self.temperature.is_some()) {
            return Err(CliError::usage(
                "servers are asked for greedy answers without reasoning; leave out --think and --temperature, or --endpoint",
            ));
        }
        let template = match &self.chat_template {
            Some(path) if !with_server => Some(Template::open(path)?.into_text()),
            _ => None,
        };
        Ok(CallSettings {
            template,
            think: self.think.map(Into::into).unwrap_or_default(),
            temperature: self.temperature.unwrap_or_default(),
            seed: self.seed.unwrap_or_default(),
        })
    }

    /// The arguments as words of a command.
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |name: &str, value: OsString| words.extend([name.into(), value]);
        if let Some(path) = &self.chat_template {
            add("--chat-template", path.into());
        }
        if let Some(think) = self.think.as_ref().and_then(ThinkArg::to_possible_value) {
            add("--think", think.get_name().into());
        }
        if let Some(temperature) = self.temperature {
            add("--temperature", temperature.to_string().into());
        }
        if let Some(seed) = self.seed {
            add("--seed", seed.to_string().into());
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::Args;
    use clap::Parser;
    use edgecall::call::Think;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        calls: Args,
    }

    fn parsed(words: &[&str]) -> Args {
        Program::parse_from(std::iter::once(&"bench").chain(words)).calls
    }

    #[test]
    fn the_words_of_a_command_lead_to_the_same_settings() {
        let args = parsed(&["--think", "on", "--temperature", "0.7", "--seed", "18446744073709551615"]);
        let words: Vec<String> =
            args.words().into_iter().map(|word| word.into_string().expect("the words are ASCII")).collect();
        let again = parsed(&words.iter().map(String::as_str).collect::<Vec<_>>()).settings(false).unwrap();
        assert_eq!((again.think, again.temperature, again.seed), (Think::On, 0.7, u64::MAX));
        let key = args.settings(false).unwrap().changed();
        assert_eq!(again.changed(), key);
        assert_eq!(
            key.unwrap().words(),
            "reasoning on, temperature 0.7 with seeds from 18446744073709551615"
        );
        assert!(args.settings(true).is_err());
    }

    #[test]
    fn the_benchmarks_own_settings_are_no_part_of_a_rows_key() {
        assert!(parsed(&[]).words().is_empty());
        assert!(
            parsed(&["--think", "off", "--temperature", "0", "--seed", "3"])
                .settings(false)
                .unwrap()
                .changed()
                .is_none()
        );
    }
}
