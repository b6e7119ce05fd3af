//! Calls of random tools with seeded noise for a model: see `soak_calls --help`.

mod formats;
mod hostile;
mod noise;
mod random;
mod schemas;
mod trips;

use std::{
    collections::BTreeMap,
    io::{BufWriter, Write, stdout},
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use edgecall::{
    call,
    dialect::{Dialect, entries, turn::Turn},
    display::{Align, Table},
    json::{self, Exact},
    runtime::{self, Compiler, DecodeMode, Finish, Sampler, Sampling, Trust, Vocabulary, generate},
    schema::KeyOrder,
    tools::{ToolCall, ToolSet},
};
use formats::Format;
use noise::Noise;
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
    /// Write the calls in this format, or in one of these, instead of those known by name: a name, a file of a format, or a chat
    /// template, whose format is derived
    #[arg(long, value_name = "NAME|FILE.json|TEMPLATE")]
    dialect: Vec<String>,
    /// Make as many calls as there would be turns in each of the formats, and print a table of them to stderr
    #[arg(long)]
    each: bool,
    /// Write this many calls with odd values in each of the formats, and read them again
    #[arg(long, value_name = "N", default_value_t = 0)]
    trips: u64,
    /// Print the tools and the text of each turn to stderr
    #[arg(long)]
    show: bool,
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
    turns: u64,
    /// Calls whose arguments are written otherwise when they are written again.
    rewritten: usize,
    exact: usize,
    unsaid: usize,
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
    let known =
        || entries::all().iter().map(|entry| Format { name: entry.name.clone(), dialect: entry.clone() });
    let formats = match args.dialect.as_slice() {
        [] => known().collect(),
        words => formats::formats(words)?,
    };
    let mut out = BufWriter::new(out);
    let compiler = (&compiler, n_vocab);
    if args.each {
        let tallies = each(args, compiler, &formats, &mut out)?;
        out.flush()?;
        eprint!("{}", table(&formats, &tallies));
        return Ok(());
    }
    let mut tally = Tally::default();
    for nth in args.skip..args.skip + args.turns {
        turn(args, nth, compiler, &formats, &mut tally, &mut out)?;
    }
    out.flush()?;
    eprintln!(
        "{} turns: {} ended in {} calls ({} after backing out), {} at the budget, {} without a value that passes ({}), {} with \
         a schema that is refused; {} tokens, slowest turn {:.1} s",
        tally.turns,
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

/// Calls in each of `formats`, and round trips.
fn each(
    args: &Args,
    compiler: (&Compiler, usize),
    formats: &[Format],
    out: &mut impl Write,
) -> Result<Vec<Tally>> {
    let tally = |format: &Format| -> Result<Tally> {
        let (mut tally, started) = (Tally::default(), Instant::now());
        let mut nth = args.skip;
        while (tally.calls as u64) < args.turns && tally.turns < 4 * args.turns {
            turn(args, nth, compiler, std::slice::from_ref(format), &mut tally, out)?;
            nth += 1;
        }
        for nth in 0..args.trips {
            let seed = args.seed.wrapping_mul(1_000_003).wrapping_add(nth);
            match trips::trip(compiler.0, &format.dialect, seed)
                .with_context(|| format!("round trip {nth} of seed {} in {}", args.seed, format.name))?
            {
                trips::Fate::Exact => tally.exact += 1,
                trips::Fate::Unsaid => tally.unsaid += 1,
            }
        }
        eprintln!("{}: {} calls in {:.0} s", format.name, tally.calls, started.elapsed().as_secs_f64());
        Ok(tally)
    };
    formats.iter().map(tally).collect()
}

fn table(formats: &[Format], tallies: &[Tally]) -> Table<9> {
    let heads = [
        "format",
        "turns",
        "calls",
        "written otherwise",
        "at the budget",
        "no value",
        "refused",
        "trips",
        "unsaid",
    ];
    let right = Align::Right;
    let mut table =
        Table::new(&heads, &[Align::Left, right, right, right, right, right, right, right, right]);
    for (format, tally) in formats.iter().zip(tallies) {
        let unsatisfied = tally.unsatisfied.values().sum::<usize>();
        let counts = [
            tally.turns as usize,
            tally.calls,
            tally.rewritten,
            tally.budget,
            unsatisfied,
            tally.refused,
            tally.exact,
            tally.unsaid,
        ];
        let [turns, calls, rewritten, budget, unsatisfied, refused, exact, unsaid] =
            counts.map(|count| count.to_string());
        let name = format.name.clone();
        table.row([name, turns, calls, rewritten, budget, unsatisfied, refused, exact, unsaid]);
    }
    table
}

/// The turn of this number.
fn turn(
    args: &Args,
    nth: u64,
    compiler: (&Compiler, usize),
    formats: &[Format],
    tally: &mut Tally,
    out: &mut impl Write,
) -> Result<()> {
    let started = Instant::now();
    one(args, nth, compiler, formats, tally, out)
        .with_context(|| format!("turn {nth} of seed {}, {}", args.seed, formats[0].name))?;
    let time = started.elapsed();
    if args.show {
        eprintln!("turn {nth}: {:.2} s", time.as_secs_f64());
    }
    tally.turns += 1;
    tally.slowest = tally.slowest.max(time);
    Ok(())
}

fn one(
    args: &Args,
    nth: u64,
    (compiler, n_vocab): (&Compiler, usize),
    formats: &[Format],
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
    let Format { name: format, dialect } = &formats[random.below(formats.len())];
    let key_order = if random.one_in(8) { KeyOrder::Schema } else { KeyOrder::Any };
    let written = || -> Result<()> {
        tools.iter().try_for_each(|tool| Ok(tool.compiled_in(key_order, &dialect.notation()?).map(drop)?))
    };
    if call::check_tools(&tools, key_order).is_err() || written().is_err() {
        tally.refused += 1;
        return Ok(());
    }
    let turn = Turn::new(&tools, dialect, key_order)?.up_to(1 + random.below(3));
    let or_text = random.one_in(4);
    let turn = if or_text { turn.or_text() } else { turn };
    let mut constraint = call::constraint(compiler, &turn)?;
    let mut noise = Noise::new(compiler, n_vocab, formats::ends(dialect), random.next());
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
    if args.show {
        eprintln!("{}", String::from_utf8_lossy(&completion.text));
    }
    if completion.finish != Finish::Stop {
        // Values may be long, and what stands before them is short.
        ensure!(
            or_text || turn.tool(&completion.text).is_some(),
            "no tool is called after {} tokens: {}",
            completion.tokens.len(),
            String::from_utf8_lossy(&completion.text)
        );
        tally.budget += 1;
        return Ok(());
    }
    let text = String::from_utf8(completion.text)?;
    tally.called += 1;
    tally.backed_out += usize::from(completion.decoded > completion.tokens.len());
    for written in turn.split(&text).1 {
        let call = dialect.read_call_with(&written, Some(&tools)).with_context(|| text.clone())?;
        let tool = tools.get(call.name()).with_context(|| text.clone())?;
        // The tool has doubles instead of numbers beyond 64 bits.
        let given = list.as_array().into_iter().flatten().find(|given| given["name"] == tool.name());
        let schema = json::spaced(&Exact(&given.context("no such tool")?["parameters"]));
        let (format, arguments) = (json::spaced(format), call.arguments_text());
        writeln!(out, "{{\"format\": {format}, \"schema\": {schema}, \"arguments\": {arguments}}}")?;
        tally.calls += 1;
        tally.rewritten += usize::from(!again(dialect, &written, &call, &tools)?);
    }
    Ok(())
}

/// Writes `call`, which was read from `text`, again, and reads that; true if its arguments are written as they were.
///
/// # Errors
/// What is written is read as another call, or is written otherwise the next time.
fn again(dialect: &Dialect, text: &str, call: &ToolCall, tools: &ToolSet) -> Result<bool> {
    let written = dialect.write(call);
    let read = dialect.read_call_with(&written, Some(tools)).with_context(|| format!("{text}\n{written}"))?;
    let exact = |call: &ToolCall| json::parse_literal(call.arguments_text());
    ensure!(
        read.name() == call.name() && exact(&read)? == exact(call)?,
        "read as another call: {text}\n{written}"
    );
    ensure!(dialect.write(&read) == written, "written otherwise again: {written}");
    let Value::Object(arguments) = exact(call)? else { return Ok(false) };
    Ok(text.contains(&dialect.arguments.write(&arguments)))
}
