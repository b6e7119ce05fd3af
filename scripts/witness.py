#!/usr/bin/env python3
"""Writes what a model says beside its trainer: rendered texts, token ids, log-probabilities and marks of its weights.

    python witness.py MODEL_FOLDER [--adapter FOLDER] [--prompts FILE.jsonl] [--out witness.json]
    edgecall verify MODEL.gguf --witness witness.json

It needs torch, transformers 4.50 or newer and, for --adapter, peft: nothing that a trainer has not got. Each line of --prompts is
{"messages": [...], "tools": [...]} in OpenAI's form; at most 20 are taken. The model runs in float32 on the CPU.
docs/verify.md describes the file.
"""
import argparse
import calendar
import json
import os
import sys
import time

BINS, SAMPLES, TOP, POSITIONS, LIMIT = 13, 32, 20, 8, 2048
TEXTS = [
    "A table for two in San Jose tonight, please", "Hello! I'm new here; what can you do?", "Cancel it. I don't need it any more.",
    "Book 3 seats on 2024-12-31 at 19:45, room 1204, for $1,234.50 (+7.5%)", "fn main() {\n    let x: Vec<u8> = vec![0; 16];\n}\n",
    "WE'LL, I'M, you've, it's, they'D, 'quoted', O'Brien's", "Grüße aus München, schöne Straßen, naïve café", "你好，世界。今天天气很好！",
    "Привет, как дела? Ελληνικά, עברית, العربية, हिन्दी", "Party 🎉🎉 at 8 👩‍👩‍👧 🇩🇪 done 🙂", "  two spaces,\ttabs\t\tand\n\n\nempty lines  \n ",
    "https://example.com/a_b-c?d=1&e=%20#frag and me@example.org", '{"name": "f", "arguments": {"a": [1, 2.5, null, true]}}',
    "SELECT a.b, COUNT(*) FROM t WHERE c >= 10 AND d != 'x' --end", "camelCase snake_case SCREAMING_CASE kebab-case v1.2.3-rc4",
    "1234567890 12 345 6789 0x1F 3.14159e-10 ½ ² ٣", "(a) [b] {c} <d> \"e\" `f` ... ?! -- => != ::", "The quick brown fox jumps over the lazy dog",
    "What is the weather in Paris, and in which city is it warmer?", "a",
]
TOOL = {"type": "function", "function": {"name": "find_table", "description": "Finds a free table.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "guests": {"type": "integer"}}, "required": ["city"]}}}
CALL = {"id": "call00001", "type": "function", "function": {"name": "find_table", "arguments": {"city": "San Jose", "guests": 2}}}
SYSTEM = {"role": "system", "content": "Answer briefly, or call a tool."}
RESULT = {"role": "tool", "tool_call_id": "call00001", "name": "find_table", "content": '{"free": "20:15"}'}


def default_prompts():
    """One turn each; every second one with a tool, every third with a system message, every tenth after a call."""
    for i, text in enumerate(TEXTS):
        messages = [SYSTEM] if i % 3 == 0 else []
        messages += [{"role": "user", "content": text}]
        if i % 10 == 0:
            messages += [{"role": "assistant", "content": "", "tool_calls": [CALL]}, RESULT]
        yield {"messages": messages, "tools": [TOOL] if i % 2 == 0 else None}


def short(number):
    return float(f"{number:.8g}")


def mark(tensor):
    """Sums of each 13th row and column, the sum of squares, and 32 weights at positions that follow from the count."""
    import torch
    matrix = tensor.detach().reshape(tensor.shape[0], -1)
    sums = [matrix.sum(dim, dtype=torch.float64) for dim in (1, 0)]
    squares = sum(float(row.double().square().sum()) for row in matrix.split(4096))
    flat = matrix.reshape(-1)
    values = [short(float(flat[(i + 1) * 2654435761 % flat.numel()])) for i in range(SAMPLES)]
    bins = [[short(float(line[k::BINS].sum())) for k in range(BINS)] for line in sums]
    return {"shape": list(tensor.shape), "rows": bins[0], "columns": bins[1], "squares": short(squares), "values": values}


def answer(prompt, model, tokenizer, torch):
    messages, tools = prompt["messages"], prompt.get("tools") or None
    starts = messages[-1]["role"] != "assistant"
    text = messages[-1]["content"]
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=starts)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    n = min(len(ids), LIMIT)
    positions = sorted({max((i + 1) * n // POSITIONS - 1, 0) for i in range(POSITIONS)})
    with torch.no_grad():
        logits = model(torch.tensor([ids[:n]])).logits[0, positions].double()
    best = torch.log_softmax(logits, -1).topk(min(TOP, logits.shape[-1]))
    top = [[[i, round(p, 5)] for p, i in zip(*row)] for row in zip(best.values.tolist(), best.indices.tolist())]
    return {"messages": messages, "tools": tools, "add_generation_prompt": starts, "text": text, "ids": ids,
            "positions": positions, "top": top}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="folder of the model, as save_pretrained writes it")
    parser.add_argument("--adapter", help="folder of a PEFT adapter to merge into the model")
    parser.add_argument("--prompts", help="JSON lines with messages and tools [default: 20 built in]")
    parser.add_argument("--out", default="witness.json", help="file to write [default: witness.json]")
    args = parser.parse_args()
    for folder in filter(None, [args.model, args.adapter]):
        if not os.path.isdir(folder):
            sys.exit(f"witness.py: there is no folder {folder}")
    try:
        import torch
        import transformers
        if args.adapter:
            import peft
    except ImportError as error:
        sys.exit(f"witness.py: {error}; pip install torch transformers peft")
    prompts = list(default_prompts())
    if args.prompts:
        with open(args.prompts, encoding="utf-8") as file:
            prompts = [json.loads(line) for line in file if line.strip()][:20]
    now = calendar.timegm(time.localtime())
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model).float().eval()
    tensors = {name: mark(tensor) for name, tensor in model.named_parameters()}
    base = None
    if args.adapter:
        model = peft.PeftModel.from_pretrained(model, args.adapter).merge_and_unload().eval()
        merged = {name: mark(tensor) for name, tensor in model.named_parameters()}
        base = {name: found for name, found in tensors.items() if merged[name] != found}
        tensors = merged
    index = os.path.join(args.model, "model.safetensors.index.json")
    if os.path.isfile(index):
        with open(index, encoding="utf-8") as file:
            files = json.load(file)["weight_map"]
        for name, found in tensors.items():
            found["file"] = files.get(name)
    ends = model.generation_config.eos_token_id if model.generation_config else None
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    special = {kind: [getattr(tokenizer, f"{kind}_token"), getattr(tokenizer, f"{kind}_token_id")] for kind in ("bos", "eos")}
    plain = tokenizer("a")["input_ids"]
    config = json.loads(model.config.to_json_string(use_diff=False))
    config.pop("_name_or_path", None)  # a path of this machine
    document = {
        "edgecall_witness": 1,
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__, "python": sys.version.split()[0]},
        "local_time": now, "config": config, "chat_template": tokenizer.chat_template,
        "bos": special["bos"], "eos": special["eos"], "ends": ends, "adds_bos": bool(plain) and plain[0] == special["bos"][1],
        "texts": [{"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in TEXTS],
        "conversations": [answer(prompt, model, tokenizer, torch) for prompt in prompts], "tensors": tensors, "base": base,
    }
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
