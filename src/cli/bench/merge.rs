//! `edgecall bench merge`.

use super::read_rows;
use edgecall::bench::row::{self, Record, RowWriter};
use std::path::PathBuf;

/// The arguments of `edgecall bench merge`.
#[derive(clap::Args)]
pub struct Args {
    /// Rows of the shards of one run
    #[arg(value_name = "SHARD.jsonl", required = true)]
    files: Vec<PathBuf>,

    /// File for the merged rows; it must not exist yet
    #[arg(short, long, value_name = "RUN.jsonl")]
    output: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    let files = read_rows(&args.files)?;
    let merged = row::merge(&files)?;
    let mut writer = RowWriter::create(&args.output)?;
    let starts = merged.starts.into_iter().map(Record::Start);
    let rows = merged.rows.into_iter().map(|row| Record::Row(Box::new(row)));
    let speeds = merged.speeds.into_iter().map(|speed| Record::Speed(Box::new(speed)));
    for record in starts.chain(rows).chain(speeds) {
        writer.append(&record)?;
    }
    Ok(())
}
