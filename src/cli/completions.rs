//! `edgecall completions`.

use super::{Cli, output};
use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

/// The arguments of `edgecall completions`.
#[derive(clap::Args)]
pub struct Args {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    Ok(output::text(&script(args.shell))?)
}

/// The completion script for `shell`.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut completed(&Cli::command()), "edgecall", &mut script);
    String::from_utf8(script).expect("names and help are UTF-8")
}

/// Copy of `command` for completion: without hidden parts, and with hints on the kinds of values.
///
/// A copy is needed because the generators would complete hidden commands, and clap cannot remove one.
fn completed(command: &Command) -> Command {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .version(command.get_version().map_or("", |_| env!("CARGO_PKG_VERSION")))
        .disable_version_flag(command.get_version().is_none())
        .disable_help_flag(true)
        .args(arguments.map(hinted))
        .subcommands(visible.map(completed))
}

fn hinted(argument: &Arg) -> Arg {
    let argument = argument.clone();
    if argument.get_action().takes_values() {
        let hint = hint(&argument);
        argument.value_hint(hint)
    } else {
        argument
    }
}

/// Kind of an argument's value, from its name: `DIR` is a folder, `MODEL.gguf` a file, `N` neither.
fn hint(argument: &Arg) -> ValueHint {
    let name = argument.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
    match argument.get_value_hint() {
        ValueHint::AnyPath if name.ends_with("DIR") && !name.contains('|') => ValueHint::DirPath,
        ValueHint::AnyPath => ValueHint::FilePath,
        _ if name == "URL" => ValueHint::Url,
        ValueHint::Unknown if argument.get_possible_values().is_empty() => ValueHint::Other,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[cfg(feature = "engine")]
    #[test]
    fn every_shell_completes_every_command_and_its_options() {
        let options = ["--tools", "--tensor-type", "--checkpoint", "--judge-cache"].map(|flag| &flag[2..]);
        let commands =
            ["convert", "inspect", "call", "bench", "cache", "completions", "calibrate-judge", "clear"];
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in commands.iter().chain(&options) {
                assert!(script.contains(word), "{shell} does not complete `{word}`");
            }
        }
    }

    #[test]
    fn what_is_hidden_is_not_completed() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            assert!(!script.contains("sends requests on stdin") && !script.contains("--start"), "{shell}");
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn values_are_completed_by_what_their_names_say() {
        let command = completed(&Cli::command());
        let hint = |path: &[&str], id: &str| {
            let command = path.iter().fold(&command, |command, name| command.find_subcommand(name).unwrap());
            command.get_arguments().find(|argument| argument.get_id() == id).unwrap().get_value_hint()
        };
        assert_eq!(hint(&["call"], "model"), ValueHint::FilePath);
        assert_eq!(hint(&["call"], "cache_dir"), ValueHint::DirPath);
        assert_eq!(hint(&["call"], "prompt"), ValueHint::Other);
        // A bundle may be a tar.
        assert_eq!(hint(&["convert"], "checkpoint"), ValueHint::FilePath);
        assert_eq!(hint(&["inspect"], "path"), ValueHint::FilePath);
        assert_eq!(hint(&["bench", "tft"], "endpoint"), ValueHint::Url);
    }
}
