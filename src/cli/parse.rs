//! The command line from its words: what people type that clap does not expect, and the advice for it.

use super::{Cli, exit, output};
#[cfg(feature = "engine")]
use clap::{ArgMatches, parser::ValueSource};
use clap::{
    Command, CommandFactory, Error, FromArgMatches,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{
    env,
    ffi::{OsStr, OsString},
    process::ExitCode,
};

/// Headings of the options that `-h` leaves out.
const LEFT_OUT: [&str; 4] = ["Sampling", "Speed and memory", "Cache", "Diagnostics"];
/// Options below other headings that it leaves out, too.
const LEFT_OUT_OPTIONS: [&str; 12] = [
    "server_key_file",
    "no_profile",
    "trust_content",
    "trust_model",
    "dialect",
    "tools_in_description",
    "chat_template",
    "template_arg",
    "key_order",
    "explain_tools",
    "json",
    "close_at_budget",
];
/// Commands with a model as an option.
const WITH_MODEL: [&str; 4] = [" call ", " doctor ", " tft ", " speed "];
/// Most characters of a prompt that advice repeats.
const MAX_REPEATED: usize = 40;

/// Parses the command line. If there is nothing to run, it prints an error, a help or the version, and the result is the
/// exit code.
pub fn parse() -> Result<Cli, ExitCode> {
    let words: Vec<OsString> = env::args_os().collect();
    parse_words(&words, |name| env::var_os(name)).map_err(|error| match error.use_stderr() {
        true => error.exit(),
        false => exit::code(output::help(&error).map_err(Into::into)),
    })
}

/// Parses `words`, the program's name first. `variable` gives the environment's variables.
fn parse_words(words: &[OsString], variable: impl Fn(&OsStr) -> Option<OsString>) -> Result<Cli, Error> {
    let mut command = prepared(Cli::command(), &variable).args_override_self(true);
    let options = words.iter().skip(1).take_while(|word| *word != "--");
    if options.clone().any(|word| is_text_that_reads_as_help(word)) {
        command = command.mut_arg("help", |help| help.short(None));
    } else if options.clone().any(|word| word == "-h") {
        command = shortened(command);
    }
    let matches = command.try_get_matches_from_mut(words).map_err(|error| with_advice(error, words))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    #[cfg(feature = "engine")]
    let cli = with_typed(cli, &matches);
    Ok(cli)
}

/// `cli` with the ids of what was typed, where the command asks for them.
#[cfg(feature = "engine")]
fn with_typed(mut cli: Cli, matches: &ArgMatches) -> Cli {
    if let (super::Command::Call(args), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
        let is_typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        args.typed = matches.ids().map(clap::Id::as_str).filter(is_typed).map(str::to_owned).collect();
    }
    cli
}

/// `command` with negative numbers as values of its options, so that an error says what is expected instead, and
/// without environment variables that are set to nothing.
fn prepared(command: Command, variable: &impl Fn(&OsStr) -> Option<OsString>) -> Command {
    let command = command.mut_args(|arg| {
        let empty = arg.get_env().filter(|name| variable(name).is_some_and(|value| value.is_empty()));
        // Without the variable its name would be missing in the help.
        let help = empty.map(|name| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            format!("{help} [env: {}]", name.to_string_lossy())
        });
        let arg = match help {
            Some(help) => arg.env(None::<&'static str>).help(help),
            None => arg,
        };
        let takes_values = arg.get_action().takes_values();
        arg.allow_negative_numbers(takes_values)
    });
    command.mut_subcommands(|command| prepared(command, variable))
}

/// `command` whose help shows only what most people need.
fn shortened(command: Command) -> Command {
    let is_left_out = |arg: &clap::Arg| {
        let is_option = LEFT_OUT_OPTIONS.contains(&arg.get_id().as_str());
        arg.get_help_heading().is_some_and(|heading| LEFT_OUT.contains(&heading) || is_option)
    };
    let leaves_out = command.get_arguments().any(is_left_out);
    let examples = command.get_after_help().is_some();
    let command = command
        .mut_args(|arg| {
            let hide = arg.is_hide_set() || is_left_out(&arg);
            arg.hide(hide)
        })
        .mut_subcommands(shortened);
    match (leaves_out, examples) {
        (true, _) => command.after_help("`--help` shows all options, and examples"),
        (false, true) => command.after_help("`--help` shows examples, too"),
        (false, false) => command,
    }
}

/// True for a word such as `-hello`: clap reads it as `-h` and prints the help, with exit code 0.
fn is_text_that_reads_as_help(word: &OsStr) -> bool {
    let Some(letters) = word.as_encoded_bytes().strip_prefix(b"-") else { return false };
    let after = letters.iter().position(|letter| *letter != b'v').unwrap_or(letters.len());
    letters.get(after) == Some(&b'h') && letters.len() > after + 1
}

/// `error` with advice that goes by what was meant.
fn with_advice(mut error: Error, words: &[OsString]) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return error };
    let unknown = unknown.clone();
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let advice = if unknown.starts_with('-') && usage.contains("PROMPT") {
        let text = words.iter().map(|word| word.to_string_lossy()).find(|word| word.starts_with(&unknown));
        let shown = quoted(&text.unwrap_or(unknown.as_str().into()));
        format!("to pass a prompt that begins with a dash: edgecall call ... -- {shown}")
    } else if unknown.starts_with('-') {
        return error;
    } else if words.iter().any(|word| is_unnamed_model(word, words))
        && WITH_MODEL.iter().any(|command| usage.contains(command))
    {
        "name the model with -m MODEL.gguf".to_owned()
    } else if usage.contains("PROMPT") {
        "quote the prompt: edgecall call ... 'all words of the prompt'".to_owned()
    } else {
        "a name with blanks goes between quotes".to_owned()
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(advice)]));
    error
}

/// True for the name of a GGUF file that no option stands before.
fn is_unnamed_model(word: &OsStr, words: &[OsString]) -> bool {
    let is_named = |pair: &[OsString]| pair[1] == word && pair[0].as_encoded_bytes().starts_with(b"-");
    word.as_encoded_bytes().ends_with(b".gguf")
        && !word.as_encoded_bytes().starts_with(b"-")
        && !words.windows(2).any(is_named)
}

/// The beginning of `text` as a word of the shell.
fn quoted(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    let cut = text.char_indices().nth(MAX_REPEATED).map_or(text.len(), |(at, _)| at);
    let dots = if cut < text.len() { "..." } else { "" };
    format!("'{}{dots}'", text[..cut].replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "engine")]
    use std::num::NonZeroUsize;

    #[cfg(feature = "engine")]
    fn refused(line: &[&str]) -> String {
        let words: Vec<OsString> = ["edgecall"].iter().chain(line).map(OsString::from).collect();
        match parse_words(&words, |_| None) {
            Ok(_) => panic!("{line:?} was taken"),
            Err(error) => error.render().to_string(),
        }
    }

    #[cfg(feature = "engine")]
    fn call(line: &[&str], variables: &[(&str, &str)]) -> Box<crate::cli::call::Args> {
        let words: Vec<OsString> = ["edgecall", "call"].iter().chain(line).map(OsString::from).collect();
        let variable =
            |name: &OsStr| variables.iter().find(|(known, _)| name == *known).map(|(_, value)| value.into());
        match parse_words(&words, variable).map(|cli| cli.command) {
            Ok(crate::cli::Command::Call(args)) => args,
            Ok(_) => panic!("{line:?} is another command"),
            Err(error) => panic!("{error}"),
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn a_prompt_that_begins_with_a_dash_is_no_help_and_the_error_says_how_to_pass_it() {
        for text in ["-hello there", "-how?", "-vh text", "-x", "- one", "--nosuch", "-it's"] {
            let error = refused(&["call", "-m", "a.gguf", text]);
            assert!(error.contains("edgecall call ... -- '"), "{error}");
        }
        assert!(refused(&["call", "-hello there"]).contains("-- '-hello there'"));
        assert!(refused(&["call", "-it's"]).contains(r"-- '-it'\''s'"));
        let args = call(&["-m", "a.gguf", "--", "-hello"], &[]);
        assert_eq!(args.prompt.as_deref(), Some("-hello"));
    }

    #[cfg(feature = "engine")]
    #[test]
    fn words_without_quotes_are_told_of_quotes_and_a_model_of_its_option() {
        assert!(refused(&["call", "Thai", "in", "San Jose"]).contains("tip: quote the prompt"));
        assert!(refused(&["call", "m.gguf", "Thai"]).contains("tip: name the model with -m"));
        assert!(refused(&["bench", "speed", "m.gguf"]).contains("tip: name the model with -m"));
        assert!(refused(&["convert", "my", "model"]).contains("goes between quotes"));
    }

    #[cfg(feature = "engine")]
    #[test]
    fn an_option_given_twice_counts_as_it_was_given_last() {
        let twice = ["--max-tokens", "5", "--max-tokens", "9", "--exact", "--exact", "--system", "a"];
        let args = call(&[&twice[..], &["--system", "- b", "x"]].concat(), &[]);
        assert_eq!(args.max_tokens.map(NonZeroUsize::get), Some(9));
        assert_eq!((args.prompt.as_deref(), args.system.as_deref()), (Some("x"), Some("- b")));
        for command in ["inspect --ctx 1 --ctx 2 a", "convert --json --json --threads 1 --threads 2 a"] {
            let words: Vec<OsString> =
                ["edgecall"].into_iter().chain(command.split(' ')).map(OsString::from).collect();
            assert!(parse_words(&words, |_| None).is_ok(), "{command}");
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn what_was_typed_is_told_apart_from_the_environment_and_defaults() {
        let typed = call(&["x", "--kv-type", "f16", "--no-cache", "--kernels", "auto"], &[]).typed;
        for id in ["prompt", "kv_type", "no_cache", "kernels"] {
            assert!(typed.iter().any(|typed| typed == id), "{id}: {typed:?}");
        }
        assert!(
            !typed.iter().any(|typed| ["repack", "cache_dir", "draft"].contains(&typed.as_str())),
            "{typed:?}"
        );
    }

    #[cfg(feature = "engine")]
    #[test]
    fn an_option_of_calls_is_refused_where_no_calls_are_measured() {
        for option in ["--max-tokens=5", "--draft=2", "--limit=1", "--exact", "--free"] {
            let error = refused(&["bench", "speed", "-m", "a", option]);
            assert!(error.contains("--calls"), "{error}");
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn a_number_that_cannot_be_is_refused_in_words() {
        for (option, value, expected) in [
            ("--max-tokens", "0", "expected a whole number of 1 or more"),
            ("--threads", "two", "expected a whole number of 1 or more"),
            ("--threads", "-1", "expected a whole number of 1 or more"),
            ("--temperature", "-1", "a number from 0 to 100 is expected"),
            ("--top-p", "-0.5", "a number from 0 to 1 is expected"),
            ("--seed", "-1", "expected a whole number of 0 or more"),
            ("--draft", "0", "auto or off is expected"),
        ] {
            let error = refused(&["call", option, value, "x"]);
            assert!(error.contains(expected), "{error}");
        }
        for line in [
            &["bench", "tft", "--data", "d", "-m", "a", "--retries", "200"][..],
            &["bench", "tft", "--data", "d", "-m", "a", "--limit", "0"],
            &["bench", "tft", "--data", "d", "-m", "a", "--speed", "-1"],
            &["bench", "report", "a", "--seed", "-1"],
            &["convert", "a", "--threads", "0"],
            &["inspect", "a", "--ctx", "0"],
        ] {
            assert!(refused(line).contains("expected a whole number"), "{}", refused(line));
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn the_short_help_leaves_out_what_few_need_and_the_long_one_has_examples() {
        let (short, long) = (refused(&["call", "-h"]), refused(&["call", "--help"]));
        for heading in LEFT_OUT {
            assert!(!short.contains(heading) && long.contains(&format!("\n{heading}:\n")), "{heading}");
        }
        assert!(short.contains("--tools") && short.contains("--help` shows all"), "{short}");
        assert!(short.lines().count() <= 50 && long.lines().count() > 80, "{short}");
        for command in [&["call"][..], &["convert"], &["bench", "tft"]] {
            let help = |flag| refused(&[command, &[flag]].concat());
            assert!(help("--help").contains("Examples:\n  edgecall"), "{command:?}");
            assert!(!help("-h").contains("Examples:"), "{command:?}");
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn an_empty_environment_variable_counts_as_absent_and_stays_in_the_help() {
        let command = prepared(Cli::command(), &|_| Some(OsString::new()));
        let mut call = command.find_subcommand("call").unwrap().clone();
        assert!(call.get_arguments().all(|arg| arg.get_env().is_none()));
        let help = call.render_help().to_string();
        assert!(
            help.contains("[env: EDGECALL_MODEL]") && help.contains("[env: EDGECALL_CACHE_DIR]"),
            "{help}"
        );
    }

    #[test]
    fn only_text_behind_a_dash_reads_as_help() {
        let reads = |word: &str| is_text_that_reads_as_help(OsStr::new(word));
        assert!(["-hello", "-h there", "-vhs", "-hv"].into_iter().all(reads));
        assert!(!["-h", "-vh", "--help", "-v", "-vv", "hello", "-m", "", "-"].into_iter().any(reads));
    }
}
