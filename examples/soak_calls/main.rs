//! Calls of random tools with seeded noise for a model: see `soak_calls --help`.

mod hostile;
mod random;
mod schemas;

use std::{
    collections::BTreeMap,
    io::{BufWriter, Write, stdout},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Parser;
use edgecall::{
    call,
    dialect::{Dialect, entries, turn::Turn},
    json::{self, Exact},
    runtime::{
        self, Compiler, DecodeMode, Finish, Sampler, Sampling, Trust, Vocabulary, generate,
        sequence::Sequence,
    },
    schema::{
        KeyOrder,
        notation::{Form, Notation, Part, Style},
    },
    tools::ToolSet,
};
use random::Random;
use serde_json::Value;

/// Makes calls of random tools, with noise for a model, and prints `{schema, arguments}` for each, one
/// JSON object a line; what became of the others is told on stderr
#[derive(Parser)]
struct Args {
    /// How many turns
    #[arg(default_value_t = 500)]
    turns: u64,
    /// Where the noise starts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave these turns out
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u64,
    /// Take the tokenizer of this model instead of single bytes
    #[arg(short, long, value_name = "MODEL.gguf", env = "EDGECALL_MODEL")]
    model: Option<PathBuf>,
    /// End a turn after this many tokens
    #[arg(long, default_value_t = 2_000)]
    max_tokens: usize,
    /// Make one schema in this many of a hostile kind: numbers of any size, Unicode, nesting, keywords in odd company; 0
    /// makes none
    #[arg(long, value_name = "N", default_value_t = 3)]
    hostile: usize,
    /// Write the calls in the format of this file, or in one of these, instead of those known by name
    #[arg(long, value_name = "FILE.json")]
    dialect: Vec<PathBuf>,
    /// Print the tools and the text of each turn to stderr
    #[arg(long)]
    show: bool,
}

/// Noise in place of a model: it leans to bytes that end something, the more the longer the text is,
/// since noise alone would write strings without end.
struct Noise<'c> {
    compiler: &'c Compiler,
    random: Random,
    leaning: Vec<f32>,
    /// Texts that end a value; the more of one is there, the likelier is its next byte.
    ends: Vec<Vec<u8>>,
    tokens: Vec<i32>,
    logits: Vec<f32>,
}

impl<'c> Noise<'c> {
    fn new(compiler: &'c Compiler, n_vocab: usize, ends: Vec<Vec<u8>>, seed: u64) -> Noise<'c> {
        let leaning = (0..n_vocab as u32).map(|token| {
            let bytes = compiler.bytes(&[token]);
            match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
                _ if compiler.is_end(token) => 4.0,
                Some(b'"') => 3.0,
                Some(b'}' | b']') => 2.0,
                Some(b',' | b':') => 1.0,
                _ => 0.0,
            }
        });
        let leaning = leaning.collect();
        let random = Random::new(seed);
        let mut noise = Noise { compiler, random, leaning, ends, tokens: Vec::new(), logits: Vec::new() };
        noise.step();
        noise
    }

    fn step(&mut self) {
        let weight = self.tokens.len() as f32 / 20.0;
        let random = &mut self.random;
        let draw = |lean: &f32| (random.next() >> 40) as f32 / (1 << 20) as f32 + lean * weight;
        self.logits = self.leaning.iter().map(draw).collect();
        let last: Vec<u32> = self.tokens.iter().rev().take(40).rev().map(|token| *token as u32).collect();
        let text = self.compiler.bytes(&last);
        for end in &self.ends {
            let begun = (0..end.len()).rev().find(|n| text.ends_with(&end[..*n])).unwrap_or(0);
            let next = usize::from(end[begun]);
            if self.logits.len() <= 257 {
                self.logits[next] += if begun > 0 { 12.0 + 3.0 * weight } else { 3.0 * weight };
            }
        }
    }
}

impl Sequence for Noise<'_> {
    fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn append(&mut self, tokens: &[i32]) -> Result<(), runtime::Error> {
        self.tokens.extend_from_slice(tokens);
        self.step();
        Ok(())
    }

    fn rewind(&mut self, n_past: usize) -> Result<(), runtime::Error> {
        self.tokens.truncate(n_past);
        self.step();
        Ok(())
    }

    fn n_past(&self) -> usize {
        self.tokens.len()
    }

    fn n_ctx(&self) -> usize {
        usize::MAX
    }
}

#[derive(Default)]
struct Tally {
    called: usize,
    calls: usize,
    budget: usize,
    // By the keyword that was never satisfied.
    unsatisfied: BTreeMap<String, usize>,
    refused: usize,
    backed_out: usize,
    tokens: usize,
    slowest: Duration,
}

fn main() -> Result<()> {
    run(&Args::parse(), &mut stdout().lock())
}

fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let (compiler, n_vocab) = match &args.model {
        Some(path) => {
            let vocabulary = Vocabulary::load_with(path, Trust::Checked)?;
            let n_vocab = vocabulary.n_vocab();
            (Compiler::for_vocabulary(vocabulary)?, n_vocab)
        }
        None => (Compiler::for_bytes()?, 257),
    };
    let dialects = match args.dialect.as_slice() {
        [] => entries::all().to_vec(),
        files => files.iter().map(|path| dialect(path)).collect::<Result<_>>()?,
    };
    let mut out = BufWriter::new(out);
    let mut tally = Tally::default();
    for turn in args.skip..args.skip + args.turns {
        let started = Instant::now();
        one(args, turn, (&compiler, n_vocab), &dialects, &mut tally, &mut out)
            .with_context(|| format!("turn {turn} of seed {}", args.seed))?;
        let time = started.elapsed();
        if args.show {
            eprintln!("turn {turn}: {:.2} s", time.as_secs_f64());
        }
        tally.slowest = tally.slowest.max(time);
    }
    out.flush()?;
    eprintln!(
        "{} turns: {} ended in {} calls ({} after backing out), {} at the budget, {} without a value that passes ({}), {} with \
         a schema that is refused; {} tokens, slowest turn {:.1} s",
        args.turns,
        tally.called,
        tally.calls,
        tally.backed_out,
        tally.budget,
        tally.unsatisfied.values().sum::<usize>(),
        tally.unsatisfied.iter().map(|(keyword, n)| format!("{keyword} {n}")).collect::<Vec<_>>().join(", "),
        tally.refused,
        tally.tokens,
        tally.slowest.as_secs_f64()
    );
    Ok(())
}

/// The format in a file.
fn dialect(path: &Path) -> Result<Arc<Dialect>> {
    let text = std::fs::read_to_string(path)?;
    Ok(Arc::new(serde_json::from_str(&text).with_context(|| path.display().to_string())?))
}

/// The texts that end a string of a format, where it has no quotes.
fn ends(dialect: &Dialect) -> Vec<Vec<u8>> {
    let Ok(Notation::Members(members)) = dialect.notation() else { return Vec::new() };
    let text = |parts: &[Part]| -> Vec<u8> {
        parts
            .iter()
            .flat_map(|part| if let Part::Text(text) = part { text.as_bytes() } else { b"" })
            .copied()
            .collect()
    };
    let mut ends = vec![text(&members.values[0].after)];
    ends.extend(members.values.iter().filter_map(|value| match &value.form {
        Form::Styled(Style::Bare { delimiter }) => Some(delimiter.as_bytes().to_vec()),
        Form::Styled(Style::Python) => Some(b"'".to_vec()),
        Form::Cdata => Some(b"]]>".to_vec()),
        _ => None,
    }));
    ends.retain(|end| !end.is_empty());
    ends
}

fn one(
    args: &Args,
    nth: u64,
    (compiler, n_vocab): (&Compiler, usize),
    dialects: &[Arc<Dialect>],
    tally: &mut Tally,
    out: &mut impl Write,
) -> Result<()> {
    let mut random = Random::new(args.seed.wrapping_mul(1_000_003).wrapping_add(nth));
    let names = ["find", "書く", "f \"g\"", "a.b-c_d"];
    let mut schemas = schemas::Schemas { random: &mut random, hostile: args.hostile };
    let list: Vec<Value> =
        names[..1 + schemas.random.below(4)].iter().map(|name| schemas.tool(name)).collect();
    let list = Value::from(list);
    if args.show {
        eprintln!("{}", json::spaced(&Exact(&list)));
    }
    let tools = ToolSet::from_value(list.clone())?;
    let dialect = &dialects[random.below(dialects.len())];
    let key_order = if random.one_in(8) { KeyOrder::Schema } else { KeyOrder::Any };
    let written = || -> Result<()> {
        tools.iter().try_for_each(|tool| Ok(tool.compiled_in(key_order, &dialect.notation()?).map(drop)?))
    };
    if call::check_tools(&tools, key_order).is_err() || written().is_err() {
        tally.refused += 1;
        return Ok(());
    }
    let turn = Turn::new(&tools, dialect, key_order)?.up_to(1 + random.below(3));
    let turn = if random.one_in(4) { turn.or_text() } else { turn };
    let mut constraint = call::constraint(compiler, &turn)?;
    let mut noise = Noise::new(compiler, n_vocab, ends(dialect), random.next());
    let mut sampler = Sampler::new(Sampling::default());
    let read = |_: &[u8]| ControlFlow::Continue(());
    let completion = match generate::constrained(
        &mut noise,
        &mut constraint,
        &mut sampler,
        args.max_tokens,
        DecodeMode::Forced,
        read,
    ) {
        Ok(completion) => completion,
        Err(runtime::Error::Unsatisfied { violation, .. }) => {
            if args.show {
                eprintln!("{}: {}: {}", violation.pointer, violation.keyword, violation.message);
            }
            *tally.unsatisfied.entry(violation.keyword).or_default() += 1;
            return Ok(());
        }
        // Keywords that contradict each other where no compiler sees it.
        Err(runtime::Error::DeadEnd) => {
            tally.refused += 1;
            return Ok(());
        }
        Err(other) => return Err(other.into()),
    };
    tally.tokens += completion.decoded;
    let text = String::from_utf8(completion.text)?;
    if args.show {
        eprintln!("{text}");
    }
    if completion.finish != Finish::Stop {
        tally.budget += 1;
        return Ok(());
    }
    tally.called += 1;
    tally.backed_out += usize::from(completion.decoded > completion.tokens.len());
    for call in turn.split(&text).1 {
        let call = dialect.read_call_with(&call, Some(&tools)).with_context(|| text.clone())?;
        let tool = tools.get(call.name()).with_context(|| text.clone())?;
        // The tool has doubles instead of numbers beyond 64 bits.
        let given = list.as_array().into_iter().flatten().find(|given| given["name"] == tool.name());
        let schema = json::spaced(&Exact(&given.context("no such tool")?["parameters"]));
        writeln!(out, "{{\"schema\": {schema}, \"arguments\": {}}}", call.arguments_text())?;
        tally.calls += 1;
    }
    Ok(())
}
