"""Forty requests of OpenAI's chat API, each with a check of its answer that knows neither program: see compare_requests."""
import json
import re
import sys

sys.dont_write_bytecode = True

from serving import fail, restaurants

try:
    import jsonschema
except ModuleNotFoundError:
    # --help is answered without it.
    if sys.argv[1:2] not in (["-h"], ["--help"]):
        fail("Python lacks jsonschema: run scripts/setup --dev, and this script with $EDGECALL_PYTHON")


class Wrong(Exception):
    """The reason why an answer is not right."""


def right(holds, reason):
    if not holds:
        raise Wrong(reason)


# --- parts of requests


def function(name, parameters, **more):
    return {"type": "function", "function": {"name": name, "description": "Writes down what is given.", "parameters": parameters, **more}}


def record(properties, **more):
    """The parameters of a tool that takes these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False, **more}


def asks(text="Write something down.", **fields):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 400, **fields}


def forced(schema, text="Write something down.", **fields):
    """A request that must call the only tool, whose parameters are `schema`."""
    return asks(text, tools=[function("note", schema)], tool_choice="required", **fields)


# --- checks of answers: each takes the request, the status and the answer


def message(status, answer):
    right(status == 200, f"status {status}: {str(answer)[:120]}")
    return answer["choices"][0]["message"]


def calls(body, status, answer, least=1, names=None):
    """The calls are as many as asked for, of these tools, and valid for their schemas."""
    made = message(status, answer).get("tool_calls") or []
    # Several may be made unless they are forbidden.
    most = 1 if body.get("parallel_tool_calls") is False else 64
    right(least <= len(made) <= most, f"{len(made)} calls")
    tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body["tools"]}
    for call in made:
        name = call["function"]["name"]
        right(name in (names or tools), f"calls {name}")
        try:
            arguments = json.loads(call["function"]["arguments"])
        except ValueError as error:
            raise Wrong(f"the arguments are not JSON: {error}") from error
        # An empty text stands for no arguments with some clients, but is no JSON.
        validator = jsonschema.Draft202012Validator(tools[name], format_checker=jsonschema.FormatChecker())
        broken = next(validator.iter_errors(arguments), None)
        right(broken is None, f"{broken.validator}: {broken.message[:80]}" if broken else "")
    if made:
        right(answer["choices"][0]["finish_reason"] == "tool_calls", f"finish_reason {answer['choices'][0]['finish_reason']}")
        right(len({call["id"] for call in made}) == len(made), "ids are not unique")
    return made


def one_of(*names):
    return lambda body, status, answer: calls(body, status, answer, names=names)


def text(body, status, answer):
    said = message(status, answer)
    right(not said.get("tool_calls"), "there are calls")
    right(said["content"], "there is no text")


def call_or_text(body, status, answer):
    right(calls(body, status, answer, least=0) or message(status, answer)["content"], "there is neither text nor a call")


def refused(*words):
    """A client's error in OpenAI's form that names what is wrong."""

    def check(body, status, answer):
        right(status == 400, f"status {status}")
        said = answer["error"]["message"] + str(answer["error"].get("param"))
        right(any(word in said for word in words), f"the message names nothing: {said[:80]}")

    return check


def refused_or(names, check):
    """Held, or refused by its name: but not ignored."""

    def either(body, status, answer):
        return refused(*names)(body, status, answer) if status == 400 else check(body, status, answer)

    return either


def no_half_call(body, status, answer):
    said = message(status, answer)
    right(answer["choices"][0]["finish_reason"] == "length", f"finish_reason {answer['choices'][0]['finish_reason']}")
    for call in said.get("tool_calls") or []:
        try:
            json.loads(call["function"]["arguments"])
        except ValueError as error:
            raise Wrong("half a call is given as a call") from error
    right(not re.search(r"<tool_call>|\"arguments\"", said.get("content") or ""), "half a call is given as text")


def call_or_cut(body, status, answer):
    """A call, or an answer that says that the budget ended: a recursion need not end."""
    cut = status == 200 and answer["choices"][0]["finish_reason"] == "length"
    return no_half_call(body, status, answer) if cut else calls(body, status, answer)


def json_of(schema):
    def check(body, status, answer):
        try:
            value = json.loads(message(status, answer)["content"])
        except ValueError as error:
            raise Wrong(f"the text is not JSON: {error}") from error
        broken = next(jsonschema.Draft202012Validator(schema).iter_errors(value), None)
        right(broken is None, broken.message[:80] if broken else "")

    return check


def stopped(body, status, answer):
    text(body, status, answer)
    right("e" not in message(status, answer)["content"], "the stop string is in the text")
    right(answer["choices"][0]["finish_reason"] == "stop", "finish_reason is not stop")


def two_choices(body, status, answer):
    message(status, answer)
    right(len(answer["choices"]) == 2, f"{len(answer['choices'])} choices for n=2")


def short(body, status, answer):
    message(status, answer)
    right(answer["usage"]["completion_tokens"] <= body["max_completion_tokens"], f"{answer['usage']}")


def log_probabilities(body, status, answer):
    said = message(status, answer)["content"]
    content = answer["choices"][0]["logprobs"]["content"]
    right("".join(token["token"] for token in content).startswith(said.rstrip()), "the tokens are not the text")
    for token in content:
        right(len(token["top_logprobs"]) == body["top_logprobs"], f"{len(token['top_logprobs'])} in the place of a token")
        right(token["logprob"] <= 0 and bytes(token["bytes"]).decode(errors="replace") == token["token"], "a token's entry is wrong")


def exact_number(digits):
    def check(body, status, answer):
        made = calls(body, status, answer)
        right(digits in made[0]["function"]["arguments"], f"the number is {made[0]['function']['arguments'][:80]}")

    return check


def joined(body, status, events):
    """The pieces of a stream are a call."""
    right(status == 200, f"status {status}: {str(events)[:120]}")
    made, finish = {}, None
    for event in events:
        for choice in event.get("choices") or []:
            finish = choice.get("finish_reason") or finish
            for piece in choice["delta"].get("tool_calls") or []:
                call = made.setdefault(piece["index"], {"id": piece.get("id"), "function": {"name": "", "arguments": ""}})
                for name, value in piece.get("function", {}).items():
                    call["function"][name] += value or ""
    whole = {"choices": [{"message": {"tool_calls": list(made.values())}, "finish_reason": finish}]}
    calls(body, status, whole)
    right(events[-1].get("usage", {}).get("completion_tokens"), "the last chunk has no usage")


# --- the requests


def history(arguments, result_id="call_1", name="FindRestaurants"):
    body = restaurants()
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": result_id, "content": '[{"restaurant_name": "Bangkok Palace", "city": "San Jose"}]'},
        {"role": "user", "content": "Book a table there at 7 pm, please."},
    ]
    return body


def allowed(mode, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def named(name):
    return {"type": "function", "function": {"name": name}}


NODE = {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}, "required": ["value"]}
PLACE = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "kind": {"enum": ["inside", "outside"]}},
         "required": ["city", "kind"], "additionalProperties": False}
SHORT = {"type": "string", "minLength": 2, "maxLength": 12}


def case(name, body, check, **how):
    return {"name": name, "body": body, "check": check, **how}


def cases():
    tools = restaurants()
    hello = asks("Hello!", max_tokens=40)
    format_of = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE, "strict": True}}
    parts = [{"type": "text", "text": "Thai food "}, {"type": "text", "text": "in San Jose"}]
    return [
        # Which call
        case("tool_choice required", tools, calls),
        case("tool_choice names a function", {**tools, "tool_choice": named("ReserveRestaurant")}, one_of("ReserveRestaurant")),
        case("tool_choice none", {**tools, "tool_choice": "none", "max_tokens": 40}, text),
        case("tool_choice auto", {**tools, "tool_choice": "auto"}, call_or_text),
        case("allowed_tools, required", {**tools, "tool_choice": allowed("required", "ReserveRestaurant", "respond_to_user")},
             one_of("ReserveRestaurant", "respond_to_user")),
        case("allowed_tools, auto", {**tools, "tool_choice": allowed("auto", "ReserveRestaurant")},
             lambda *a: calls(*a, least=0, names=["ReserveRestaurant"])),
        case("parallel_tool_calls", {**tools, "parallel_tool_calls": True, "max_tokens": 800}, calls),
        case("parallel_tool_calls off", {**tools, "parallel_tool_calls": False}, calls),
        case("tool_choice of an unknown tool", {**tools, "tool_choice": named("Nothing")}, refused("Nothing", "tool_choice")),
        case("required without tools", asks(tool_choice="required"), refused("tools", "tool_choice")),
        # Schema keywords
        case("enum, const, nullable type", forced(record({"a": {"enum": ["p", 3, None]}, "b": {"const": {"k": [1, "x"]}}, "c": {"type": ["integer", "null"]}})), calls),
        case("pattern, minLength, maxLength", forced(record({"a": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, "b": SHORT})), calls),
        case("format date, ipv4, uuid", forced(record({"a": {"type": "string", "format": "date"}, "b": {"type": "string", "format": "ipv4"}, "c": {"type": "string", "format": "uuid"}})), calls),
        case("minimum, maximum, exclusive ones", forced(record({"a": {"type": "integer", "minimum": 17, "maximum": 23}, "b": {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 0.75}})), calls),
        case("multipleOf", forced(record({"a": {"type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 200}})), calls),
        case("minItems, maxItems, uniqueItems", forced(record({"a": {"type": "array", "items": {"enum": [1, 2, 3, 4]}, "minItems": 3, "maxItems": 4, "uniqueItems": True}})), calls),
        case("prefixItems, items, contains", forced(record({"a": {"type": "array", "prefixItems": [{"const": "x"}, {"type": "integer", "maximum": 9}], "items": False, "minItems": 2}, "b": {"type": "array", "items": {"enum": ["p", "q"]}, "contains": {"const": "q"}, "minItems": 1, "maxItems": 3}})), calls),
        case("patternProperties, propertyNames", forced({"type": "object", "patternProperties": {"^x_[a-z]$": {"type": "integer", "maximum": 99}}, "additionalProperties": False, "propertyNames": {"maxLength": 4}, "minProperties": 1, "maxProperties": 3}), calls),
        case("dependentRequired, minProperties", forced({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "dependentRequired": {"a": ["b"], "b": ["c"]}, "minProperties": 2, "additionalProperties": False}), calls),
        case("allOf, anyOf, oneOf", forced(record({"a": {"allOf": [{"type": "integer"}, {"minimum": 5}, {"maximum": 8}]}, "b": {"anyOf": [{"const": "u"}, {"type": "boolean"}]}, "c": {"oneOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]}})), calls),
        case("not, if, then, else", forced(record({"a": {"enum": ["p", "q", "r"], "not": {"const": "p"}}, "b": {"type": "integer", "minimum": 0, "maximum": 9}}, **{"if": {"properties": {"a": {"const": "q"}}}, "then": {"properties": {"b": {"minimum": 5}}}, "else": {"properties": {"b": {"maximum": 4}}}})), calls),
        case("$ref, $defs, recursion", forced({"type": "object", "properties": {"list": {"$ref": "#/$defs/node"}}, "required": ["list"], "additionalProperties": False, "$defs": {"node": {**NODE, "additionalProperties": False}}}), call_or_cut),
        case("a tool without parameters", asks(tools=[function("now", {"type": "object", "properties": {}})], tool_choice="required"), calls),
        case("an unusable schema", asks(tools=[function("f", {"type": "objekt"})], tool_choice="required"), refused("objekt", "type")),
        # Limits and ends
        case("a budget that ends in the call", {**tools, "max_tokens": 8}, no_half_call),
        case("max_completion_tokens", {**asks("Hello!"), "max_completion_tokens": 6}, short),
        case("stop", {**hello, "max_tokens": 200, "stop": ["e"]}, stopped),
        case("n of 2", {**hello, "n": 2}, refused_or(["`n`", "n "], two_choices)),
        case("response_format with a schema", asks("A city, please.", response_format=format_of), json_of(PLACE)),
        case("response_format json_object", asks("Thai food in San Jose", response_format={"type": "json_object"}), json_of({"type": "object"})),
        # Conversations
        case("the role developer", {**tools, "messages": [{"role": "developer", "content": "Be brief."}, *tools["messages"]]}, calls),
        case("content in parts", {**tools, "messages": [{"role": "user", "content": parts}]}, calls),
        case("a tool's result by id", history('{"city": "San Jose"}'), calls),
        case("a history with broken arguments", history('{"city": "San Jo'), refused_or(["messages", "arguments", "JSON"], calls)),
        case("a result with an unknown id", history('{"city": "San Jose"}', result_id="call_9"), refused_or(["messages", "call_9", "tool"], calls)),
        case("a history that calls a tool of old", history('{"city": "San Jose"}', name="FindPlaces"), calls),
        # Values
        case("Unicode in names and values", forced(record({"größe": {"enum": ["klein 🐁", "日本語"]}, "\u0645": {"const": "\U0001f600 \\ \" \n"}}), "Größe?"), calls),
        case("an integer beyond 64 bits", forced(record({"a": {"const": 123456789012345678901234567890}})), exact_number("123456789012345678901234567890")),
        case("a stream with usage", {**tools, "stream": True, "stream_options": {"include_usage": True}}, joined, streams=True),
        case("logprobs", {**hello, "logprobs": True, "top_logprobs": 3}, log_probabilities),
    ]
