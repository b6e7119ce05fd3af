//! The lines of a batch.

use crate::cli::{error::ReadError, exit::CliError};
use edgecall::{Kind, files};
use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// Most bytes of a line: no context holds as many.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Every `of`th request, beginning with the `index`th, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

/// Parses `I/N`.
pub fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((i, of)) if (1..=of).contains(&i) => Ok(Shard { index: i - 1, of }),
        _ => Err("expected I/N with I from 1 to N, such as 2/3".into()),
    }
}

/// Reader of the requests, without blank lines and those of other shards.
pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    name: String,
    shard: Shard,
    /// Number of requests read, those of other shards included.
    read: usize,
}

impl Lines {
    /// Opens the file at `path`, or stdin for `-`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(path: &Path, shard: Option<Shard>) -> anyhow::Result<Lines> {
        let reader: Box<dyn BufRead + Send> = match path.as_os_str() == "-" {
            true => Box::new(BufReader::new(io::stdin())),
            false => Box::new(BufReader::new(files::open_input(path).map_err(|e| ReadError::new(path, e))?)),
        };
        let name = if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() };
        Ok(Lines { reader, name, shard: shard.unwrap_or(Shard { index: 0, of: 1 }), read: 0 })
    }

    /// Number of requests read, those of other shards included.
    pub fn read(&self) -> usize {
        self.read
    }

    /// Name of the input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next request.
    ///
    /// # Errors
    /// An input that breaks off, or a line without an end.
    pub fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES + 1);
            let read = limited.read_until(b'\n', &mut line);
            let bytes = read.map_err(|error| {
                CliError::with_kind(Kind::Io, format!("cannot read {}: {error}", self.name))
            })?;
            if bytes == 0 {
                return Ok(None);
            }
            if bytes as u64 > MAX_LINE_BYTES {
                let message = format!("{}: a line has more than {MAX_LINE_BYTES} bytes", self.name);
                return Err(CliError::with_kind(Kind::Data, message));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let index = self.read;
            self.read += 1;
            if index % self.shard.of == self.shard.index {
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str, shard: &str) -> Vec<String> {
        let shard = super::shard(shard).unwrap();
        let mut lines = Lines { reader: Box::new(text.as_bytes()), name: "stdin".into(), shard, read: 0 };
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(String::from_utf8(line).unwrap().trim().to_owned());
        }
        found
    }

    #[test]
    fn shards_share_the_requests_and_blank_lines_are_none() {
        let text = "a\n\nb\n  \nc\nd\r\ne";
        assert_eq!(lines(text, "1/1"), ["a", "b", "c", "d", "e"]);
        assert_eq!(lines(text, "1/2"), ["a", "c", "e"]);
        assert_eq!(lines(text, "2/2"), ["b", "d"]);
        for wrong in ["", "0/2", "3/2", "1", "a/b", "1/0"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }
}
