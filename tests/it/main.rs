//! Promises to users, one module each. They are one binary, since each test binary links llama.cpp again.

/// Adapters are merged with peft's bits, and a merged conversion is that of the merged folder.
mod adapter;
/// Adapters and bases are found, wrong ones are refused by name, and a file tells what was merged.
mod adapter_folders;
/// Tokens that are decoded together get the bits of single ones, with all kernels.
#[cfg(feature = "engine")]
mod alike;
/// Checkpoints are read as people save them; pipes, devices and links among their files do no harm.
mod as_saved;
/// Wrong input of `call` is refused with its place, an exit code and an empty stdout.
#[cfg(feature = "engine")]
mod bad_input;
/// A batch answers each line as a call does, and goes on after a kill.
#[cfg(feature = "engine")]
mod batch;
/// Benchmark scores, cases and prompts equal the published ones.
mod benchmark;
/// `bench` works in pipes: stdin, a closed stdout, JSON for programs.
mod benchmark_cli;
/// A report depends on its rows alone, not on the order of rows or files.
mod benchmark_report;
/// A benchmark row does not depend on earlier rows, interruption or shards.
#[cfg(feature = "engine")]
mod benchmark_run;
/// Rows with other settings are the calls with them; adapters and bundles are measured.
#[cfg(feature = "engine")]
mod benchmark_settings;
/// The statistics equal those of scipy and statsmodels.
mod benchmark_stats;
/// `bench tft` survives a kill, joins shards and ends with 1 when a gate is not reached.
#[cfg(feature = "engine")]
mod benchmark_tft;
/// A bundle is converted as its checkpoint is, with its settings as the profile, or refused without a trace.
mod bundle;
/// A restored prefix state gives the same bits as a computed one; a damaged file is never used.
#[cfg(feature = "engine")]
mod cache;
/// `cache list --verify` tells whether a model is still the one that made the cached states.
#[cfg(feature = "engine")]
mod cache_model;
/// A conversation and tools end in a valid call, or in an error without a call.
#[cfg(feature = "engine")]
mod call;
/// Prompts equal those of `transformers`.
mod chat;
/// Grammars accept the tool choices, parallel calls, text and JSON that were asked for, and nothing else.
#[cfg(feature = "engine")]
mod choice;
/// The number and kind of calls are those that the request allows, at every token limit.
#[cfg(feature = "engine")]
mod choice_calls;
/// What people type is taken as it was meant or refused with what to type instead.
#[cfg(feature = "engine")]
mod command_line;
/// What messages and tools say stays text, whatever special tokens it spells.
#[cfg(feature = "engine")]
mod content;
/// A conversion gives the same bytes for the same input, whatever the threads and shards.
mod convert;
/// Call formats are derived from chat templates, and written as the templates write them.
mod derived;
/// The call format is detected from the chat template, and its grammar accepts no other format.
#[cfg(feature = "engine")]
mod dialect;
/// Each call format gives the same JSON, also with templates that know no tools.
#[cfg(feature = "engine")]
mod dialect_calls;
/// `inspect --dialect` shows a model's call format, and prints it as a file.
mod dialect_files;
/// `doctor` finds a wrong file or computation, and reports nothing on a healthy machine.
#[cfg(feature = "engine")]
mod doctor;
/// Served models are compared with local ones on the same prompts.
#[cfg(feature = "engine")]
mod endpoint;
/// Files for a fleet of boards.
mod fleet;
/// A GGUF file is read completely, or refused with the name of the problem.
mod gguf;
/// ggml and edgecall read each other's files alike.
#[cfg(feature = "engine")]
mod gguf_ggml;
/// Converted tensors and metadata equal those of llama.cpp's converter and quantizer.
mod golden;
/// The grammar of a call accepts the valid texts and rejects the others, byte by byte.
#[cfg(feature = "engine")]
mod grammar;
/// A model file is loaded, or refused with the name of the wrong key or tensor, before llama.cpp reads it.
#[cfg(feature = "engine")]
mod guard;
/// Misuse that ends a process inside llama.cpp or llguidance is an error here.
#[cfg(feature = "engine")]
mod hazards;
/// Requests are retried when that can help, and never otherwise.
mod http;
/// Models of the hub are fetched once, checked, and found by Python and by their names.
mod hub;
/// A download that breaks, lies or is refused leaves nothing wrong behind.
mod hub_faults;
/// Python's client and `edgecall pull` share one cache.
mod hub_python;
/// `inspect` reports the facts and memory needs of a file, or why it is not a model.
mod inspect;
/// An LLM judge's votes are counted once, kept and calibrated.
#[cfg(feature = "engine")]
mod judge;
/// A cache of prompt states in memory.
#[cfg(feature = "engine")]
mod kept_states;
/// Every kernel variant makes the same call, and can be chosen by name.
#[cfg(feature = "engine")]
mod kernels;
/// Modules of the library depend on each other only as the table allows.
mod layering;
/// Log probabilities and sources of tokens.
#[cfg(feature = "engine")]
mod logprobs;
/// Tools of MCP servers are listed, called and told of, whatever the server does.
#[cfg(feature = "engine")]
mod mcp;
/// The facts in `models/MODELS.toml` are correct.
mod models;
/// Changed seeds of every kind of input that comes from others end in a value or an error.
mod mutated;
/// Calls whose arguments are not JSON: grammar, checks and reading.
#[cfg(feature = "engine")]
mod notation;
/// Numbers past 64 bits are taken and refused by all of their digits.
#[cfg(feature = "engine")]
mod numbers;
/// Every block format is encoded and decoded byte for byte as by ggml.
#[cfg(feature = "engine")]
mod oracle;
/// Forced tokens and drafts change the number of decodes, never the output beyond near ties.
#[cfg(feature = "engine")]
mod pace;
/// Packages hold completions, manual pages and every file that the sources include.
#[cfg(feature = "engine")]
mod package;
/// A profile is written into a file and taken away with every other byte as it was, or not at all.
mod profile;
/// A file with a profile is called, and benchmarked, as with all options.
#[cfg(feature = "engine")]
mod profile_calls;
/// A direct conversion equals llama.cpp's quantization of our BF16 file.
#[cfg(feature = "engine")]
mod quantizer;
/// A memory that cannot be cut is restored to the bit, and no call depends on the cache.
#[cfg(feature = "engine")]
mod recurrent;
/// A conversion that cannot be right is refused, and leaves no file behind.
mod refused;
/// A model that repeats itself ends early.
#[cfg(feature = "engine")]
mod repetition;
/// A prompt, context or model that is too large is refused early, with the numbers.
#[cfg(feature = "engine")]
mod room;
/// `edgecall run` runs what the model calls after a yes, tells the model, and repeats a run from its log.
#[cfg(feature = "engine")]
mod run;
/// Drafts and batches of forced tokens change the speed of a greedy answer, never the answer.
#[cfg(feature = "engine")]
mod same_answer;
/// The grammar of a JSON Schema and its validator accept the same texts.
#[cfg(feature = "engine")]
mod schema;
/// Every script says in a sentence what is missing, ends and leaves the folder unchanged.
mod scripts;
/// A value that fails its validation is taken back and replaced.
#[cfg(feature = "engine")]
mod search;
/// A server answers as a call does, and refuses by name what it cannot do.
#[cfg(feature = "engine")]
mod serve;
/// Clients of a server that break off, stall or flood harm nobody else.
#[cfg(feature = "engine")]
mod serve_faults;
/// Several requests at the same time are answered as if each were alone.
#[cfg(feature = "engine")]
mod serve_slots;
/// No model file ends the command by a signal.
#[cfg(feature = "engine")]
mod signals;
/// Sequences that share a context are decoded together, and each has its own logits.
#[cfg(feature = "engine")]
mod slots;
/// Calls with odd values are written in each format, taken by its grammar, read, and written again.
#[cfg(feature = "engine")]
mod soak;
/// The rules behind each `tokenizer.*` key hold on a small vocabulary.
mod tokenizer_keys;
/// Formats of templates of other kinds than published ones are derived, and prompts are those of transformers.
mod unseen;
/// The token check passes equal tokenizers and names the text on which others differ.
#[cfg(feature = "engine")]
mod verify;
/// The `tokenizer.*` keys equal those of the reference converter.
mod vocab;
/// A file that says what its trainer's model says passes, and a fault is named.
#[cfg(feature = "engine")]
mod witness;

// Helpers of the modules above.

/// A GGUF file taken apart, changed and written again.
#[cfg(feature = "engine")]
mod edited;
/// Files of the families of small tool callers equal the reference's, tensor by tensor and key by key.
mod families;
/// Tiny checkpoints made from a seed.
mod fixture;
/// LoRA adapters for them.
mod fixture_adapter;
/// A local hub with the API of the Hugging Face hub.
mod hub_server;
/// A folder for one test.
mod place;
/// The pocket model, converted once for all tests.
#[cfg(feature = "engine")]
mod pocket;
/// Programs that tests run.
mod program;
/// A local HTTP server that answers as a test tells it to.
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "tests with models use the rest"))]
mod server;
/// A running server and its clients.
#[cfg(feature = "engine")]
mod serving;
/// Reference data beside the repository.
mod shared;
/// The models behind the witnesses.
#[cfg(feature = "engine")]
mod witness_models;
