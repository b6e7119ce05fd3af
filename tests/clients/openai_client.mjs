// The openai package for JavaScript against a server at EDGECALL_URL.
import assert from "node:assert";
import fs from "node:fs";
import OpenAI from "openai";

const examples = process.env.EDGECALL_EXAMPLES;
const tools = JSON.parse(fs.readFileSync(`${examples}/tools.json`, "utf8"));
const client = new OpenAI({ baseURL: process.env.EDGECALL_URL, apiKey: "none", maxRetries: 3 });
const messages = [
  { role: "system", content: fs.readFileSync(`${examples}/task.txt`, "utf8") },
  { role: "user", content: "Thai food in San Jose, please" },
];
const body = { model: "pocket", messages, tools, tool_choice: "required", max_tokens: 200 };

const whole = await client.chat.completions.create(body);
const call = whole.choices[0].message.tool_calls[0];
assert.equal(whole.choices[0].finish_reason, "tool_calls");
assert.equal(typeof JSON.parse(call.function.arguments), "object");
console.log("  a call is read");

let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
  streamed += chunk.choices[0]?.delta?.tool_calls?.[0]?.function?.arguments ?? "";
}
assert.equal(streamed, call.function.arguments);
console.log("  a stream adds up to the call");

await assert.rejects(client.chat.completions.create({ ...body, n: 2 }), OpenAI.BadRequestError);
console.log("  an error has its class");
