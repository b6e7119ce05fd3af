//! Noise in place of a model.

use super::random::Random;
use edgecall::runtime::{self, Compiler, sequence::Sequence};

/// Random logits. They lean to bytes that end something, the more the longer the text is, since noise alone would write
/// strings without end.
pub struct Noise<'c> {
    compiler: &'c Compiler,
    random: Random,
    leaning: Vec<f32>,
    /// Texts that end a value; the more of one is there, the likelier is its next byte.
    ends: Vec<Vec<u8>>,
    tokens: Vec<i32>,
    logits: Vec<f32>,
}

impl<'c> Noise<'c> {
    pub fn new(compiler: &'c Compiler, n_vocab: usize, ends: Vec<Vec<u8>>, seed: u64) -> Noise<'c> {
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
