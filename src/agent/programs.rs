//! Tools that are programs, from a file.

use super::{
    Action, Plan, Result, Running, Source, SourceTool, Status, ToolResult,
    process::{Ended, Program},
    result::shortened,
    tool_file::{self, FileTool, Setup},
};
use crate::{display::visible, tools::ToolCall};
use std::{io, os::unix::process::ExitStatusExt, path::Path};

/// Tools that are programs.
pub struct Programs {
    tools: Vec<SourceTool>,
    setups: Vec<Setup>,
    running: Running,
}

impl Programs {
    /// Reads a file of tools, in TOML or, with `is_json`, in JSON; paths in it are relative to `folder`. `running` is told
    /// of the program that runs.
    ///
    /// # Errors
    /// The place and the defect.
    pub fn parse(text: &str, is_json: bool, folder: &Path, running: Running) -> Result<Programs> {
        let read = tool_file::parse(text, is_json, folder)?;
        let (tools, setups) = read.into_iter().map(|FileTool { tool, setup }| (tool, setup)).unzip();
        Ok(Programs { tools, setups, running })
    }

    fn setup(&self, name: &str) -> &Setup {
        let at = self.tools.iter().position(|tool| tool.name == name);
        &self.setups[at.expect("the toolbox knows the source's tools")]
    }
}

impl Source for Programs {
    fn name(&self) -> &str {
        "tools"
    }

    fn refresh(&mut self, _step: usize) -> Result<bool> {
        Ok(false)
    }

    fn tools(&self) -> &[SourceTool] {
        &self.tools
    }

    fn plan(&self, name: &str, call: &ToolCall) -> Result<Plan, ToolResult> {
        let setup = self.setup(name);
        let template = setup.template.as_ref().expect("a tool without a command ends the run");
        let invalid = |problem| ToolResult::error(Status::Invalid, problem);
        let filled = template.fill(&setup.program, call).map_err(invalid)?;
        let input = setup.json_on_stdin.then(|| call.arguments_text().to_owned());
        let words = shlex::try_join(filled.argv.iter().map(String::as_str));
        let mut shown = visible(&words.map_err(|error| invalid(error.to_string()))?);
        if let Some(directory) = &setup.directory {
            shown += &format!("\nin {}", visible(&directory.display().to_string()));
        }
        if let Some(input) = &input {
            shown += &format!("\nwith {} on stdin", visible(input));
        }
        let note = |word: &String| {
            format!("{:?} begins with a dash, so the program may read it as an option", visible(word))
        };
        Ok(Plan {
            shown,
            notes: filled.dashes.iter().map(note).collect(),
            trust: setup.trust,
            action: Action(Some(Program {
                argv: filled.argv,
                directory: setup.directory.clone(),
                environment: setup.environment.clone(),
                input,
                timeout: setup.timeout,
                max_output: setup.max_output,
            })),
        })
    }

    fn run(&mut self, _name: &str, _call: &ToolCall, action: Action) -> Result<ToolResult> {
        let program = action.0.expect("a plan of this source has a program");
        Ok(match program.run(&self.running) {
            Ok(ended) => told(&program, &ended),
            Err(error) => ToolResult::error(Status::Failed, unstarted(&program, &error)),
        })
    }
}

/// The result of a program that has ended, as the model is told it.
fn told(program: &Program, ended: &Ended) -> ToolResult {
    let (bytes, total) = &ended.stdout;
    let output = shortened(String::from_utf8_lossy(bytes).into_owned(), program.max_output, *total);
    let (bytes, total) = &ended.stderr;
    let missing = total.saturating_sub(bytes.len() as u64);
    let mut stderr = String::from_utf8_lossy(bytes).into_owned();
    if missing > 0 {
        stderr = format!("[{missing} bytes before this are cut off]\n{stderr}");
    }
    let failed = |status, problem: String| {
        ToolResult::error_with(status, problem, [("stderr", stderr), ("output", output.clone())])
    };
    match ended.status {
        None => {
            let seconds = program.timeout.as_secs_f64();
            failed(Status::TimedOut, format!("the program was ended after {seconds} s"))
        }
        Some(status) => match (status.code(), status.signal()) {
            (Some(0), _) => ToolResult::ok(output),
            (Some(code), _) => failed(Status::Failed, format!("the program ended with exit code {code}")),
            (None, signal) => failed(
                Status::Failed,
                format!("the program was ended by signal {}", signal.unwrap_or_default()),
            ),
        },
    }
}

/// The reason why a program did not start.
fn unstarted(program: &Program, error: &io::Error) -> String {
    match &program.directory {
        Some(directory) if !directory.is_dir() => {
            format!("the program could not be started: there is no folder {}", directory.display())
        }
        _ => format!("the program could not be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Effect;

    fn programs(text: &str) -> Programs {
        Programs::parse(text, false, Path::new("/"), Running::default()).unwrap()
    }

    fn run(text: &str, arguments: &str) -> ToolResult {
        let mut programs = programs(text);
        let call = ToolCall::from_text("f", arguments).unwrap();
        match programs.plan("f", &call) {
            Ok(plan) => programs.run("f", &call, plan.action).unwrap(),
            Err(result) => result,
        }
    }

    fn tool(fields: &str) -> String {
        let parameters = "parameters = { type = 'object', properties = { a = {} } }";
        format!("[[tools]]\nname = 'f'\n{parameters}\n{fields}")
    }

    #[test]
    fn output_is_told_as_it_is_and_failures_with_code_and_stderr() {
        let script = |script: &str| tool(&format!("command = ['sh', '-c', \"{script}\"]"));
        let ok = run(&script("echo '{{\\\"a\\\": 1}}'"), "{}");
        assert_eq!((ok.status, ok.content.as_str()), (Status::Ok, "{\"a\": 1}\n"));
        let failed = run(&script("echo part; echo bad >&2; exit 7"), "{}");
        assert_eq!(failed.status, Status::Failed);
        assert_eq!(
            failed.content,
            r#"{"error": "the program ended with exit code 7", "stderr": "bad\n", "output": "part\n"}"#
        );
        let killed = run(&script("kill -9 $$"), "{}");
        assert_eq!(killed.content, r#"{"error": "the program was ended by signal 9"}"#);
        let slow = run(&(script("echo begun; sleep 600") + "\ntimeout = 0.5"), "{}");
        assert_eq!(slow.status, Status::TimedOut);
        assert_eq!(slow.content, r#"{"error": "the program was ended after 0.5 s", "output": "begun\n"}"#);
        let missing = run(&tool("command = ['no-such-program-here']"), "{}");
        assert_eq!(missing.status, Status::Failed);
        assert!(missing.content.contains("could not be started"), "{}", missing.content);
        let nowhere = run(&tool("command = ['true']\ndirectory = 'no/such'"), "{}");
        assert!(nowhere.content.contains("there is no folder /no/such"), "{}", nowhere.content);
    }

    #[test]
    fn long_output_is_cut_and_bytes_that_are_no_text_are_replaced() {
        let long = run(&tool("command = ['seq', '100000']\nmax_output = 10"), "{}");
        assert_eq!(
            (long.status, long.content.as_str()),
            (Status::Ok, "1\n2\n3\n4\n5\n[cut off: 10 of 588895 bytes]")
        );
        let bytes = run(&tool(r"command = ['printf', 'a\377b']"), "{}");
        assert_eq!(bytes.content, "a\u{fffd}b");
    }

    #[test]
    fn arguments_go_to_stdin_as_the_model_wrote_them() {
        let result = run(&tool("command = ['cat']\nstdin = 'json'"), r#"{"a": [1.0, "x\ny"]}"#);
        assert_eq!(result.content, r#"{"a": [1.0, "x\ny"]}"#);
    }

    #[test]
    fn a_nul_is_refused_before_anything_runs() {
        let result = run(&tool("command = ['echo', '{a}']"), r#"{"a": "x\u0000"}"#);
        assert_eq!(result.status, Status::Invalid);
        assert!(result.content.contains("NUL"));
    }

    #[test]
    fn the_command_is_shown_whole_quoted_and_without_what_steers_a_terminal() {
        let text = tool("command = ['rm', '{a}']\ndirectory = 'tmp'\nstdin = 'json'");
        let call = ToolCall::from_text("f", "{\"a\": \"-r x'y\\u001b[2J\"}").unwrap();
        let plan = programs(&text).plan("f", &call).unwrap();
        assert_eq!(
            plan.shown,
            "rm \"-r x'y\\u{1b}[2J\"\nin /tmp\nwith {\"a\": \"-r x'y\\u001b[2J\"} on stdin"
        );
        assert_eq!(plan.notes.len(), 1);
        assert!(plan.notes[0].contains("may read it as an option"), "{:?}", plan.notes);
        assert_eq!(plan.trust.effect, Effect::Acts);
    }
}
