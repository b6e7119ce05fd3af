//! Verification of the written files: parsed again by two parsers, and hashed.

use super::{Error, Progress, output::Output, plan::Plan, readback, stream};
use crate::hash::hex;
use sha2::{Digest, Sha256};
use std::{
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const CHUNK: usize = 1 << 18;

/// The hashes of a written file.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) file_bytes: u64,
    /// Of the whole file.
    pub(super) sha256: String,
    /// Of each tensor's data, in the order of the tensor table.
    pub(super) tensor_sha256: Vec<String>,
}

/// Syncs the files to disk, checks their headers and hashes them.
pub(super) fn check(
    plan: &Plan,
    outputs: &[Output],
    threads: usize,
    progress: &mut dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Vec<Written>, Error> {
    for (file, output) in plan.files.iter().zip(outputs) {
        output.sync()?;
        readback::check(output.path(), &plan.header(file))?;
    }
    let jobs = jobs(plan);
    progress.begin("checking", jobs.iter().map(|job| job.range.end - job.range.start).sum());
    let done_bytes = AtomicU64::new(0);
    let hashes: Vec<OnceLock<String>> = jobs.iter().map(|_| OnceLock::new()).collect();
    stream::work(
        threads,
        jobs.len(),
        interrupt,
        |buffer: &mut Option<Vec<u8>>, i, _: &mut ()| {
            let buffer = buffer.get_or_insert_default();
            let hash = sha256(&outputs[jobs[i].file], &jobs[i].range, buffer, &done_bytes, interrupt)?;
            hashes[i].set(hash).expect("each job is taken once");
            Ok(())
        },
        &mut || progress.advance_to(done_bytes.load(Ordering::Relaxed)),
    )?;
    let mut written: Vec<Written> = outputs
        .iter()
        .map(|_| Written { file_bytes: 0, sha256: String::new(), tensor_sha256: Vec::new() })
        .collect();
    for (job, hash) in jobs.iter().zip(hashes) {
        let hash = hash.into_inner().expect("all jobs were carried out");
        let written = &mut written[job.file];
        match job.is_whole_file {
            true => (written.file_bytes, written.sha256) = (job.range.end, hash),
            false => written.tensor_sha256.push(hash),
        }
    }
    Ok(written)
}

struct Job {
    file: usize,
    range: Range<u64>,
    is_whole_file: bool,
}

/// Jobs in the order in which they are started: the whole files first, since each is one long job.
fn jobs(plan: &Plan) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (file, planned) in plan.files.iter().enumerate() {
        let range = 0..planned.file_bytes();
        jobs.push(Job { file, range, is_whole_file: true });
    }
    for (file, planned) in plan.files.iter().enumerate() {
        for tensor in &planned.tensors {
            let start = planned.header_bytes + tensor.offset;
            jobs.push(Job { file, range: start..start + tensor.byte_len(), is_whole_file: false });
        }
    }
    jobs
}

fn sha256(
    output: &Output,
    range: &Range<u64>,
    buffer: &mut Vec<u8>,
    done_bytes: &AtomicU64,
    interrupt: &AtomicBool,
) -> Result<String, Error> {
    let mut sha256 = Sha256::new();
    let mut offset = range.start;
    while offset < range.end {
        if interrupt.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        buffer.resize((range.end - offset).min(CHUNK as u64) as usize, 0);
        output
            .file()
            .read_exact_at(buffer, offset)
            .map_err(|source| Error::Read { path: output.target().to_path_buf(), source })?;
        sha256.update(&*buffer);
        offset += buffer.len() as u64;
        done_bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
    }
    Ok(hex(&sha256.finalize()))
}
