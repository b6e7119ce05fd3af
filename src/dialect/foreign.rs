//! Unsupported call formats, recognized so that an error can name them.

/// An unsupported format.
struct Foreign {
    name: &'static str,
    /// Text that only templates of this format contain.
    sign: &'static str,
}

/// In the order of the search: the more specific signs first.
static FOREIGN: &[Foreign] = &[
    Foreign { name: "Mistral's with ids, `[TOOL_CALLS]name[CALL_ID]id[ARGS]`", sign: "[CALL_ID]" },
    Foreign { name: "Qwen3-Coder's XML, `<function=name><parameter=key>`", sign: "<parameter=" },
    Foreign { name: "MiniCPM's XML, `<function name=...><param name=...>`", sign: "<param name=" },
    Foreign { name: "MiniMax's XML, `<invoke name=...><parameter name=...>`", sign: "<invoke name=" },
    Foreign { name: "GLM's XML, `<arg_key>key</arg_key>`", sign: "<arg_key>" },
    Foreign {
        name: "gpt-oss's Harmony, `to=functions.name<|channel|>commentary`",
        sign: "<|channel|>commentary",
    },
    Foreign { name: "Gemma 4's, `<|tool_call>call:name{...}`", sign: "<|tool_call>call:" },
    Foreign { name: "DeepSeek's, `<｜tool▁call▁begin｜>`", sign: "<｜tool▁call▁begin｜>" },
    Foreign { name: "Kimi's, `<|tool_call_begin|>`", sign: "<|tool_call_begin|>" },
    Foreign { name: LFM2, sign: "<|tool_call_start|>" },
    // LFM2.5's template renders the tools and leaves the calls to the client.
    Foreign { name: LFM2, sign: "List of tools: [" },
    Foreign { name: "Granite 3's, `<|tool_call|>[{...}]`", sign: "<|tool_call|>" },
    Foreign { name: "FireFunction's, `functools[{...}]`", sign: "functools[" },
    Foreign { name: "Command R's, `<|START_ACTION|>[{...}]`", sign: "<|START_ACTION|>" },
    Foreign { name: "Nemotron's, `<TOOLCALL>[{...}]`", sign: "<TOOLCALL>" },
    Foreign { name: "functionary 3.2's, `>>>name`", sign: ">>>all" },
];

const LFM2: &str = "LFM2's, `<|tool_call_start|>[name(key=value)]`";

/// Name of the format that a chat template uses, if its text reveals it.
pub fn named_in(chat_template: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|format| chat_template.contains(format.sign)).map(|format| format.name)
}
