"use strict";
// Everything that comes from the model or the tools is put in as text, never as markup.

const $ = (id) => document.getElementById(id);

const SOURCES = {
  model: "the model chose it",
  drafted: "the model chose it, and a draft had guessed it",
  forced: "the grammar left no choice",
};
const TIMES = [
  ["prompt_ms", "Prompt rendered"],
  ["context_ms", "Context made"],
  ["restore_ms", "States restored"],
  ["prefill_ms", "Prompt evaluated"],
  ["grammar_ms", "Grammar compiled"],
  ["decode_ms", "Answer decoded"],
];

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function show(id, visible) {
  $(id).hidden = !visible;
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const key = $("key").value;
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Error(`the server answered with status ${response.status} and no JSON`);
  }
  if (!response.ok) throw new Error((body.error && body.error.message) || `status ${response.status}`);
  return body;
}

function request() {
  const messages = [{ role: "user", content: $("message").value }];
  if ($("system").value.trim()) messages.unshift({ role: "system", content: $("system").value });
  const body = { messages, max_tokens: Number($("most").value) || 256, edgecall_details: true };
  const tools = $("tools").value.trim();
  if (tools) {
    JSON.parse(tools);
    body.tool_choice = $("choice").value;
  } else if ($("choice").value !== "required") {
    body.tool_choice = $("choice").value;
  }
  const rest = JSON.stringify(body);
  // The tools go as they were written: numbers beyond a double would change.
  return tools ? `{"tools": ${tools}, ${rest.slice(1)}` : rest;
}

function indented(text) {
  // Numbers are shown as they were written where parsing would change them.
  try {
    const value = JSON.parse(text);
    const same = JSON.stringify(value).replace(/\s/g, "") === text.replace(/\s/g, "");
    return same ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}

function showAnswer(message, choice) {
  const calls = $("calls");
  calls.replaceChildren();
  for (const call of message.tool_calls || []) {
    calls.append(element("h3", call.function.name), element("pre", indented(call.function.arguments)));
  }
  $("content").textContent = message.content || "";
  show("content", Boolean(message.content));
  if (choice.finish_reason === "length") problem("The answer was cut off: allow more tokens.");
}

function showTokens(tokens) {
  const counts = { model: 0, drafted: 0, forced: 0 };
  const spans = tokens.map(({ text, source }) => {
    counts[source] += 1;
    const span = element("span", text, source);
    span.title = SOURCES[source];
    return span;
  });
  $("tokens").replaceChildren(...spans);
  $("legend").replaceChildren(
    ...Object.keys(SOURCES).map((source) => {
      const item = element("li");
      item.append(element("i", undefined, source), `${source}: ${counts[source]}`, element("span", `, ${SOURCES[source]}`, "soft"));
      return item;
    }),
  );
  show("origin", tokens.length > 0);
}

function showKeywords(tools) {
  const place = $("keywords");
  place.replaceChildren();
  for (const tool of tools || []) {
    place.append(element("h3", `${tool.name}: ${tool.status.replace("_", " ")}`));
    if (!tool.keywords.length) {
      place.append(element("p", "No keywords, so no arguments.", "soft"));
      continue;
    }
    const table = element("table");
    const head = element("tr");
    for (const name of ["Where", "Keyword", "Status", "Note"]) head.append(element("th", name));
    const thead = element("thead");
    thead.append(head);
    const body = element("tbody");
    for (const line of tool.keywords) {
      const row = element("tr");
      const status = line.status.replace("_", " ");
      row.append(element("td", line.pointer), element("td", line.keyword));
      row.append(element("td", status, line.status === "enforced" ? "good" : ""), element("td", line.note || ""));
      body.append(row);
    }
    table.append(thead, body);
    place.append(table);
  }
  show("held", Boolean(tools && tools.length));
}

function showTimes(timings) {
  const list = $("times");
  list.replaceChildren();
  const add = (name, value) => list.append(element("dt", name), element("dd", value));
  for (const [field, name] of TIMES) {
    if (timings[field] > 0) add(name, `${timings[field] < 10 ? timings[field].toFixed(1) : Math.round(timings[field])} ms`);
  }
  const known = timings.kept_tokens + timings.restored_tokens;
  add("Prompt", `${timings.prompt_tokens} tokens, ${known} of them evaluated before`);
  add("Answer", `${timings.generated_tokens} tokens in ${timings.decodes} decodes`);
  if (timings.drafted_tokens > 0) add("Drafts", `${timings.accepted_tokens} of ${timings.drafted_tokens} tokens right`);
  show("took", true);
}

function problem(text) {
  $("problem").textContent = text;
  show("problem", Boolean(text));
}

async function send(event) {
  event.preventDefault();
  $("send").disabled = true;
  $("state").textContent = "Asking …";
  problem("");
  try {
    const headers = { "content-type": "application/json" };
    const started = performance.now();
    const reply = await ask("v1/chat/completions", { method: "POST", headers, body: request() });
    const took = performance.now() - started;
    showAnswer(reply.choices[0].message, reply.choices[0]);
    showTokens(reply.edgecall.tokens);
    showKeywords(reply.edgecall.tools);
    showTimes(reply.edgecall.timings);
    if (reply.edgecall.error) problem(reply.edgecall.error);
    $("state").textContent = `${Math.round(took)} ms`;
  } catch (error) {
    $("calls").replaceChildren();
    for (const id of ["content", "origin", "held", "took"]) show(id, false);
    problem(error instanceof SyntaxError ? `The tools are not JSON: ${error.message}` : error.message);
    $("state").textContent = "";
  }
  show("answer", true);
  $("send").disabled = false;
}

function name() {
  ask("v1/models").then(
    (models) => ($("model").textContent = models.data[0].id),
    () => ($("model").textContent = ""),
  );
}

$("form").addEventListener("submit", send);
$("key").addEventListener("change", name);
name();
