// Converts a Hugging Face checkpoint to GGUF in two types, into the current folder:
//
//     cargo run --release --example convert -- CHECKPOINT_DIR
//
// Plain comments, since the documentation of the library includes this file.

use edgecall::{
    checkpoint::{Checkpoint, tokenizer::Tokenizer},
    convert::{self, FileType, Plan, Recipe, Targets},
    verify,
};
use std::{env, error::Error, path::Path, sync::atomic::AtomicBool};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = env::args().nth(1) else { return Err("usage: convert CHECKPOINT_DIR".into()) };
    let checkpoint = Checkpoint::open(Path::new(&folder))?;
    let recipe = Recipe { file_types: vec![FileType::Q8_0, FileType::Q4KM], ..Recipe::default() };
    let plan = Plan::new(&checkpoint, recipe)?;
    let targets = Targets::new(&checkpoint, &plan, None, false)?;

    // A signal handler could set this to stop the conversion.
    let interrupt = AtomicBool::new(false);
    let converted = convert::convert(&checkpoint, &plan, &targets, None, &mut (), &interrupt)?;
    // The token check: llama.cpp must tokenize with the new file as the checkpoint's tokenizer does.
    let tokenizer = Tokenizer::open(&checkpoint.dir)?;
    verify::tokens(converted.files()[0].path(), &tokenizer)?;
    // Gives the files their names; if anything failed before, none is left behind.
    println!("{}", converted.publish()?);
    Ok(())
}
