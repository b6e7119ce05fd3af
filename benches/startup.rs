//! Work of a call before its first token, part by part, in CPU time of its thread, so that other programs do not count.
//! Only the vocabulary of the model in EDGECALL_MODEL is loaded, so the model may be large.
//!
//!     EDGECALL_MODEL=model.gguf cargo bench --bench startup

use edgecall::{
    call::{PromptTemplate, Request, Think, check_tools},
    chat::Conversation,
    gguf::Gguf,
    mmap::Map,
    runtime::{Compiler, Trust, Vocabulary, guard},
    schema::KeyOrder,
    tools::ToolSet,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::{env, io::Write, path::Path};

const REPETITIONS: usize = 7;

/// Median milliseconds of each part, in the order in which the parts first ran.
#[derive(Default)]
struct Parts(Vec<(&'static str, Vec<f64>)>);

impl Parts {
    fn time<T>(&mut self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let started = cpu_ms();
        let done = work();
        let ms = cpu_ms() - started;
        match self.0.iter_mut().find(|(name, _)| *name == part) {
            Some((_, times)) => times.push(ms),
            None => self.0.push((part, vec![ms])),
        }
        done
    }
}

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn main() {
    let Some(model) = env::var_os("EDGECALL_MODEL") else {
        let _ = writeln!(std::io::stderr(), "set EDGECALL_MODEL=MODEL.gguf");
        return;
    };
    let path = Path::new(&model);
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/restaurants/tools.json");
    let mut parts = Parts::default();
    for _ in 0..REPETITIONS {
        let tools = parts.time("tools, read and compiled", || {
            let tools = ToolSet::parse(&std::fs::read(&tools).unwrap()).unwrap();
            check_tools(&tools, KeyOrder::Any).unwrap();
            tools
        });
        let map = Map::open(path).unwrap();
        let gguf = parts.time("header, read", || Gguf::parse(&map).unwrap());
        parts.time("header, checked", || guard::check_vocabulary(&gguf, Trust::Checked).unwrap());
        drop((gguf, map));
        let vocabulary = parts.time("vocabulary, header and llama.cpp's", || Vocabulary::load(path).unwrap());
        let messages =
            json!([{"role": "user", "content": "I would like to eat Thai food in San José tonight"}]);
        let conversation = Conversation::from_value(messages).unwrap();
        let (format, request) = (PromptTemplate::default(), Request::new(&conversation, Some(&tools)));
        let tool_format = parts.time("template, probed", || {
            format.tool_format(&vocabulary, &request, &edgecall::dialect::Wanted::Auto).unwrap()
        });
        let prompt = parts.time("prompt, written", || {
            format.render(&vocabulary, &request, tool_format.as_ref(), Think::Off).unwrap()
        });
        parts.time("prompt, cut into tokens", || vocabulary.tokenize(&prompt, true).unwrap());
        let compiler = parts
            .time("token trie, beside the prompt", || Compiler::for_vocabulary(vocabulary.clone()).unwrap());
        drop(compiler);
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{:<36}{:>9}   median of {REPETITIONS}", "part", "CPU ms");
    for (part, mut times) in parts.0 {
        times.sort_by(f64::total_cmp);
        let _ = writeln!(out, "{part:<36}{:>9.2}", times[times.len() / 2]);
    }
}
