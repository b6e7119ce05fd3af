//! `edgecall try-model`: a hidden command that loads a model as its parent is about to, and uses it once. It prints
//! nothing; what counts is that it comes to an end.

use crate::cli::{context::ContextArgs, exit::leave, numbers::positive};
use edgecall::runtime::{LoadOptions, Model, Options, Session, Trust, Vocabulary};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{io, num::NonZeroUsize, path::PathBuf, thread, time::Duration};

/// Exit code of a child that takes too long.
pub const TIMED_OUT: u8 = 75;
/// Words, numbers, line ends, scripts and an emoji, most of which a vocabulary has no tokens of their own for.
const TEXT: &str = "Book a table for 2 at 19:30,\n\tplease! Straße, 東京, Привет, ا, \u{1f600} \u{7f}";

/// The arguments of the process.
#[derive(clap::Args)]
pub struct Args {
    /// Model to load
    #[arg(short, long)]
    model: PathBuf,
    /// Time that all of it may take
    #[arg(long)]
    seconds: u64,
    /// Load only the vocabulary
    #[arg(long)]
    vocabulary: bool,
    /// Use the weights as stored
    #[arg(long)]
    no_repack: bool,
    /// Context size in tokens
    #[arg(long, value_parser = positive)]
    ctx: Option<NonZeroUsize>,
    #[command(flatten)]
    context: ContextArgs,
}

/// Runs the process.
pub fn run(args: Args) -> anyhow::Result<()> {
    // A crash is expected, so it leaves no core file.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Without these threads the child still ends with its work.
    let _ = thread::Builder::new().spawn(leave_with_parent);
    let _ = thread::Builder::new().spawn(move || leave_after(args.seconds));
    if args.vocabulary {
        use_vocabulary(&Vocabulary::load_with(&args.model, Trust::Unchecked)?)?;
        return Ok(());
    }
    let load = LoadOptions { trust: Trust::Unchecked, repack: !args.no_repack };
    let model = Model::load_with(&args.model, load)?;
    let tokens = use_vocabulary(model.vocabulary());
    model.compiler()?;
    Ok(use_model(&model, tokens?, &Options { n_ctx: args.ctx, ..args.context.options_of_child() })?)
}

/// Waits for the end of stdin, which the parent holds open.
fn leave_with_parent() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    leave(1)
}

/// Leaves after this many seconds, without those in which the process is stopped.
fn leave_after(seconds: u64) {
    (0..seconds).for_each(|_| thread::sleep(Duration::from_secs(1)));
    leave(TIMED_OUT)
}

/// Tokenizes a text and asks for its tokens' texts, as each call does.
fn use_vocabulary(vocabulary: &Vocabulary) -> Result<Vec<i32>, edgecall::runtime::Error> {
    let tokens = vocabulary.tokenize(TEXT, true)?;
    let plain = vocabulary.tokenize(TEXT, false)?;
    vocabulary.bytes(&tokens);
    vocabulary.special_texts();
    Ok(vocabulary.bos().into_iter().chain(plain).collect())
}

/// Decodes a prompt, a token, and the token again after it was taken back.
fn use_model(model: &Model, mut tokens: Vec<i32>, options: &Options) -> Result<(), edgecall::runtime::Error> {
    let most = options.n_ctx.map_or(model.n_ctx_train(), NonZeroUsize::get).min(model.n_ctx_train());
    tokens.truncate(most.saturating_sub(1));
    let Some(&last) = tokens.last() else { return Ok(()) };
    let mut session = Session::new(model, tokens.len(), 1, options)?;
    session.append(&tokens)?;
    session.append(&[last])?;
    session.rewind(tokens.len())
}
