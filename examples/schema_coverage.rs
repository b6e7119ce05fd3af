//! How far a file of JSON Schemas with valid and invalid texts is honoured: see `schema_coverage --help`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufWriter, Write},
    path::PathBuf,
    sync::Mutex,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use edgecall::{
    runtime::{
        Compiler, Constraint, Vocabulary,
        closing::{Closing, Way},
        constraint::Fixed,
    },
    schema::{Compiled, Draft, Error, Follower, Options, Report, Status, compile},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// Reads schemas with texts from standard input, one JSON object a line, and prints what becomes of them
#[derive(Parser)]
struct Args {
    /// Take the tokenizer of this model instead of single bytes
    #[arg(short, long, value_name = "MODEL.gguf", env = "EDGECALL_MODEL")]
    model: Option<PathBuf>,
    /// Write `{name, status, tests}` for each schema, one a line
    #[arg(long, value_name = "OUT.jsonl")]
    rows: Option<PathBuf>,
    /// Print the schemas that are not all right, with the reason
    #[arg(long)]
    wrong: bool,
    /// Generate from the schemas that are checked after, with seeded noise as logits
    #[arg(long, value_name = "SEED")]
    noise: Option<u64>,
    /// From this many tokens on, noise chooses among those that bring the value nearest to its end
    #[arg(long, value_name = "TOKENS", default_value_t = 300)]
    wind_up: usize,
    /// Generate from every schema, not only from those that are checked after
    #[arg(long, requires = "noise")]
    noise_all: bool,
    /// Only schemas whose name holds this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Print the grammar and the report of each schema
    #[arg(long)]
    explain: bool,
    /// Leave the check after out, to see what the grammar alone accepts
    #[arg(long)]
    grammar_only: bool,
    /// Fail where a verdict is not the one that the file gives
    #[arg(long)]
    strict: bool,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Deserialize)]
struct Row<'a> {
    name: String,
    schema: Value,
    #[serde(borrow)]
    tests: Vec<Case<'a>>,
}

#[derive(Deserialize)]
struct Case<'a> {
    valid: bool,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Outcome {
    name: String,
    status: &'static str,
    tests: Vec<bool>,
    #[serde(skip)]
    expected: Vec<bool>,
    #[serde(skip)]
    reason: String,
    #[serde(skip)]
    compile_ms: f64,
    #[serde(skip)]
    mask_us: Vec<f64>,
    #[serde(skip)]
    noise: Option<Noise>,
    #[serde(skip)]
    unsound: bool,
}

enum Noise {
    Valid(usize),
    Budget(String),
    DeadEnd(String),
    Invalid(String),
}

fn main() -> Result<()> {
    let args = Args::parse();
    let lines: Vec<String> = io::stdin().lock().lines().collect::<io::Result<_>>()?;
    let vocabulary = match &args.model {
        Some(path) => Some(Vocabulary::load(path).context("cannot load the tokenizer")?),
        None => None,
    };
    let queue = Mutex::new(lines.iter().enumerate());
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.threads.max(1))
            .map(|_| {
                // Schemas nest, and the compiler follows them.
                std::thread::Builder::new().stack_size(256 << 20).spawn_scoped(scope, || -> Result<()> {
                    let compiler = match &vocabulary {
                        Some(v) => Compiler::for_vocabulary(v.clone())?,
                        None => Compiler::for_bytes()?,
                    };
                    loop {
                        let Some((i, line)) = queue.lock().expect("no worker panics").next() else {
                            return Ok(());
                        };
                        let row: Row<'_> =
                            serde_json::from_str(line).with_context(|| format!("line {}", i + 1))?;
                        if !row.name.contains(&args.only) {
                            continue;
                        }
                        let outcome = judge(&row, &compiler, &args)?;
                        outcomes.lock().expect("no worker panics").insert(i, outcome);
                    }
                })
            })
            .collect::<io::Result<_>>()?;
        workers.into_iter().try_for_each(|w| w.join().expect("no worker panics"))
    })?;
    let outcomes: Vec<Outcome> = outcomes.into_inner().expect("no worker panics").into_values().collect();
    if let Some(path) = &args.rows {
        let mut out = BufWriter::new(File::create(path)?);
        for outcome in &outcomes {
            serde_json::to_writer(&mut out, outcome)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
    }
    print(&outcomes, &args)?;
    if args.strict {
        let wrong = outcomes.iter().filter(|o| o.tests != o.expected).count();
        ensure!(wrong == 0, "{wrong} schemas are not all right");
    }
    Ok(())
}

fn judge(row: &Row<'_>, compiler: &Compiler, args: &Args) -> Result<Outcome> {
    let draft = match row.name.split('/').next() {
        Some("draft4") => Some(Draft::Draft4),
        Some("draft6") => Some(Draft::Draft6),
        Some("draft7") => Some(Draft::Draft7),
        Some("draft2019-09") => Some(Draft::Draft201909),
        Some("draft2020-12") => Some(Draft::Draft202012),
        _ => None,
    };
    let mut outcome = Outcome {
        name: row.name.clone(),
        status: "refused",
        tests: vec![false; row.tests.len()],
        expected: row.tests.iter().map(|t| t.valid).collect(),
        reason: String::new(),
        compile_ms: 0.0,
        mask_us: Vec::new(),
        noise: None,
        unsound: false,
    };
    let begin = Instant::now();
    let compiled = compile(&row.schema, Options { draft, ..Options::default() });
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(Error::AcceptsNothing { report }) => {
            outcome.status = word(&report);
            outcome.compile_ms = begin.elapsed().as_secs_f64() * 1e3;
            return Ok(outcome);
        }
        Err(error) => {
            outcome.reason = format!("{error:#}");
            return Ok(outcome);
        }
    };
    if args.explain {
        println!("{}\n{}\n{}", row.schema, compiled.lark(), compiled.report);
    }
    let constrain = || {
        let constraint = Constraint::new(compiler, Box::new(Fixed(compiled.lark())))?;
        let tracker = Follower::new(compiled.checks.clone(), None);
        Ok::<_, edgecall::runtime::Error>(match args.grammar_only {
            true => constraint,
            false => constraint.with_validator(Box::new(tracker)),
        })
    };
    let mut constraint = match constrain() {
        Ok(constraint) => constraint,
        Err(error) => {
            outcome.reason = format!("llguidance: {error}");
            return Ok(outcome);
        }
    };
    outcome.compile_ms = begin.elapsed().as_secs_f64() * 1e3;
    outcome.status = word(&compiled.report);
    for (i, case) in row.tests.iter().enumerate() {
        let text = compact(case.data.get())?;
        let tokens = compiler.tokenize(text.as_bytes());
        let mut accepted = true;
        for (k, token) in tokens.iter().enumerate() {
            if i == 0 && k < 24 {
                let begin = Instant::now();
                if let Err(error) = constraint.mask() {
                    accepted = false;
                    outcome.reason = format!("mask: {error:#}");
                    break;
                }
                outcome.mask_us.push(begin.elapsed().as_secs_f64() * 1e6);
            }
            match constraint.accept(*token as i32) {
                Ok(true) => {}
                Ok(false) => {
                    accepted = false;
                    if case.valid && outcome.reason.is_empty() {
                        let so_far = String::from_utf8_lossy(&compiler.bytes(&tokens[..=k])).into_owned();
                        let why =
                            constraint.violation().map_or_else(String::new, |violation| violation.message);
                        outcome.reason = format!("refused at: {so_far} {why}");
                    }
                    break;
                }
                Err(error) => {
                    accepted = false;
                    outcome.reason = format!("matcher: {error:#}");
                    break;
                }
            }
        }
        if accepted && !constraint.may_end()? {
            accepted = false;
            if case.valid && outcome.reason.is_empty() {
                outcome.reason = format!("not complete: {text}");
            }
        }
        if accepted && !case.valid {
            outcome.reason = format!("accepted: {text}");
        }
        outcome.tests[i] = accepted;
        constraint = constrain()?;
    }
    if let Some(seed) = args.noise
        && (args.noise_all || outcome.status == "checked")
    {
        outcome.noise = Some(generate(&compiled, constraint, seed, args.wind_up)?);
    }
    Ok(outcome)
}

fn word(report: &Report) -> &'static str {
    match report.status() {
        Status::Annotation | Status::Enforced => "enforced",
        Status::CheckedAfter => "checked",
        Status::LeftOut => "left out",
        Status::Refused => "refused",
    }
}

/// `text` with `", "` and `": "` between its tokens, numbers as they are written.
fn compact(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '"' => {
                let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let string = stream.next().context("a string")??;
                out.push_str(&serde_json::to_string(&string)?);
                rest = &rest[stream.byte_offset()..];
                continue;
            }
            ',' => out.push_str(", "),
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    Ok(out)
}

/// Tokens by seeded noise until the value is closed, backing out of dead ends.
fn generate(compiled: &Compiled, mut constraint: Constraint<'_>, seed: u64, wind_up: usize) -> Result<Noise> {
    const BUDGET: usize = 2000;
    const ATTEMPTS: usize = 32;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // What has been tried at each place.
    let mut tried: Vec<Vec<i32>> = vec![Vec::new()];
    let (mut attempts, mut decoded) = (0, 0);
    let mut closing = Closing::default();
    while !constraint.is_complete() {
        if decoded >= BUDGET {
            return Ok(Noise::Budget(String::from_utf8_lossy(constraint.written()).into_owned()));
        }
        let mut mask = constraint.mask()?;
        let here = tried.last().cloned().unwrap_or_default();
        here.iter().for_each(|token| mask.disallow(*token));
        if decoded >= wind_up {
            match constraint.closing(&mut closing, mask) {
                Way::Choose(nearest) => mask = nearest,
                Way::Back(tokens) => {
                    constraint.rollback(tokens)?;
                    tried.truncate(tried.len() - tokens);
                    tried.last_mut().into_iter().for_each(Vec::clear);
                    decoded += 1;
                    continue;
                }
            }
        }
        match mask.tokens().into_iter().max_by_key(|_| noise()) {
            Some(token) => {
                if let Some(last) = tried.last_mut() {
                    last.push(token);
                }
                decoded += 1;
                if constraint.accept(token)? {
                    if constraint.is_end(token) {
                        break;
                    }
                    tried.push(Vec::new());
                }
            }
            None => {
                attempts += 1;
                let written = constraint.n_tokens();
                if attempts > ATTEMPTS || written == 0 {
                    return Ok(Noise::DeadEnd(String::from_utf8_lossy(constraint.written()).into_owned()));
                }
                let back = (written - constraint.value_start().min(written - 1)).max(1);
                constraint.rollback(back)?;
                tried.truncate(tried.len() - back);
            }
        }
    }
    let text = constraint.written();
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => match compiled.checks.violation(&value) {
            None => Ok(Noise::Valid(decoded)),
            Some(failure) => Ok(Noise::Invalid(failure.to_string())),
        },
        Err(error) => Ok(Noise::Invalid(format!("{error}: {}", String::from_utf8_lossy(text)))),
    }
}

fn print(outcomes: &[Outcome], args: &Args) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut families: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        let family = outcome.name.split(['/', '-', '_']).next().unwrap_or_default();
        families.entry(family).or_default().push(outcome);
    }
    let all: Vec<&Outcome> = outcomes.iter().collect();
    writeln!(
        out,
        "{:18} {:>7} {:>9} {:>9} {:>8} {:>8} {:>14} {:>16} {:>18} {:>16}",
        "family",
        "schemas",
        "all right",
        "enforced",
        "checked",
        "refused",
        "valid refused",
        "invalid accepted",
        "compile ms p50/p99",
        "mask us p50/p99"
    )?;
    for (family, group) in families.iter().map(|(f, g)| (*f, g)).chain([("all", &all)]) {
        line(&mut out, family, group)?;
    }
    let noise: Vec<&Outcome> = outcomes.iter().filter(|o| o.noise.is_some()).collect();
    if !noise.is_empty() {
        let valid = noise.iter().filter(|o| matches!(o.noise, Some(Noise::Valid(_)))).count();
        let count = |f: fn(&Noise) -> bool| noise.iter().filter(|o| o.noise.as_ref().is_some_and(f)).count();
        let mut lengths: Vec<f64> = noise
            .iter()
            .filter_map(|o| match o.noise {
                Some(Noise::Valid(n)) => Some(n as f64),
                _ => None,
            })
            .collect();
        writeln!(
            out,
            "noise, winding up after {} tokens: {valid} of {} end in a valid value ({:.1} %), median {:.0} tokens; budget {}, dead end {}, invalid {}",
            args.wind_up,
            noise.len(),
            100.0 * valid as f64 / noise.len() as f64,
            quantile(&mut lengths, 0.5),
            count(|n| matches!(n, Noise::Budget(_))),
            count(|n| matches!(n, Noise::DeadEnd(_))),
            count(|n| matches!(n, Noise::Invalid(_)))
        )?;
    }
    if args.wrong {
        for o in outcomes {
            if o.tests != o.expected || o.unsound {
                writeln!(out, "{}\t{}\t{}", o.name, o.status, clip(&o.reason))?;
            }
            match &o.noise {
                Some(Noise::DeadEnd(text)) => writeln!(out, "{}\tdead end\t{}", o.name, clip(text))?,
                Some(Noise::Invalid(why)) => writeln!(out, "{}\tnoise invalid\t{}", o.name, clip(why))?,
                Some(Noise::Budget(text)) => writeln!(out, "{}\tbudget\t{}", o.name, clip(text))?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn clip(text: &str) -> String {
    let text = text.replace('\n', " ");
    let count = text.chars().count();
    if count > 300 { format!("...{}", text.chars().skip(count - 300).collect::<String>()) } else { text }
}

fn line(out: &mut impl Write, family: &str, group: &[&Outcome]) -> Result<()> {
    let n = group.len().max(1) as f64;
    let status = |s: &str| group.iter().filter(|o| o.status == s).count();
    let right = group.iter().filter(|o| o.tests == o.expected && (o.status != "refused")).count();
    let pairs = || group.iter().flat_map(|o| o.tests.iter().zip(&o.expected));
    let refused = pairs().filter(|(got, want)| !**got && **want).count();
    let accepted = pairs().filter(|(got, want)| **got && !**want).count();
    let valid = pairs().filter(|(_, want)| **want).count();
    let mut compile: Vec<f64> = group.iter().map(|o| o.compile_ms).filter(|ms| *ms > 0.0).collect();
    let mut mask: Vec<f64> = group.iter().flat_map(|o| o.mask_us.iter().copied()).collect();
    writeln!(
        out,
        "{family:18} {:>7} {:>7.1} % {:>7.1} % {:>8} {:>8} {:>14} {:>16} {:>18} {:>16}",
        group.len(),
        100.0 * right as f64 / n,
        100.0 * status("enforced") as f64 / n,
        status("checked"),
        status("refused"),
        format!("{refused} of {valid}"),
        format!("{accepted} of {}", pairs().count() - valid),
        format!("{:.2} / {:.1}", quantile(&mut compile, 0.5), quantile(&mut compile, 0.99)),
        format!("{:.0} / {:.0}", quantile(&mut mask, 0.5), quantile(&mut mask, 0.99)),
    )?;
    Ok(())
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}
