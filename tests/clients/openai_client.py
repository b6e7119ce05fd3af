"""The openai package for Python against a server at EDGECALL_URL."""

import json
import os
import threading
from pathlib import Path

import openai
from pydantic import BaseModel

EXAMPLES = Path(os.environ["EDGECALL_EXAMPLES"])
TOOLS = json.loads((EXAMPLES / "tools.json").read_text())
TASK = (EXAMPLES / "task.txt").read_text()
MESSAGES = [{"role": "developer", "content": TASK}, {"role": "user", "content": "Thai food in San Jose, please"}]
client = openai.OpenAI(base_url=os.environ["EDGECALL_URL"], api_key="none", max_retries=0, timeout=300)


def create(**fields):
    return client.chat.completions.create(**{"model": "pocket", "messages": MESSAGES, "max_tokens": 200, **fields})


def names():
    return {tool["function"]["name"] if "function" in tool else tool["name"] for tool in TOOLS}


def a_call_is_read():
    for choice in ["required", {"type": "function", "function": {"name": "FindRestaurants"}}]:
        answer = create(tools=TOOLS, tool_choice=choice)
        call = answer.choices[0].message.tool_calls[0]
        assert answer.choices[0].finish_reason == "tool_calls", answer
        assert call.function.name in names() and call.type == "function" and call.id
        assert isinstance(json.loads(call.function.arguments), dict)
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def a_whole_turn_with_a_result_is_answered():
    first = create(tools=TOOLS, tool_choice="required").choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": '{"restaurants": ["Bangkok Garden"]}'}
    again = create(messages=[*MESSAGES, first, result], tools=TOOLS, tool_choice="required")
    assert again.choices[0].message.tool_calls[0].function.name in names()
    none = create(messages=[*MESSAGES, first, result], tools=TOOLS, tool_choice="none", max_tokens=10)
    assert none.choices[0].message.tool_calls is None


def a_stream_adds_up_to_the_answer():
    for fields in [{"tools": TOOLS, "tool_choice": "required"}, {}]:
        whole = create(**fields).choices[0].message
        text, name, arguments, usage = "", "", "", None
        for chunk in create(**fields, stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for call in choice.delta.tool_calls or []:
                    name += call.function.name or ""
                    arguments += call.function.arguments or ""
        assert usage.completion_tokens > 0
        if fields:
            assert (name, arguments) == (whole.tool_calls[0].function.name, whole.tool_calls[0].function.arguments)
        else:
            assert text == whole.content


def the_streaming_helper_reads_calls():
    with client.chat.completions.stream(
        model="pocket", messages=MESSAGES, tools=TOOLS, tool_choice="required", max_tokens=200
    ) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    assert answer.choices[0].message.tool_calls[0].function.name in names()


def log_probabilities_are_read():
    hello = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 12, "logprobs": True, "top_logprobs": 2}
    whole = create(**hello).choices[0]
    tokens = whole.logprobs.content
    assert "".join(token.token for token in tokens) == whole.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)
    streamed = []
    for chunk in create(**hello, stream=True):
        for choice in chunk.choices:
            streamed += choice.logprobs.content if choice.logprobs else []
    assert streamed == tokens


def a_continuation_is_read_whole_and_as_a_stream():
    fields = {"model": "pocket", "prompt": "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n", "max_tokens": 12, "logprobs": 2}
    whole = client.completions.create(**fields).choices[0]
    assert "".join(whole.logprobs.tokens) == whole.text and len(whole.logprobs.top_logprobs) == len(whole.logprobs.tokens)
    chunks = [chunk.choices[0] for chunk in client.completions.create(**fields, stream=True)]
    assert "".join(chunk.text for chunk in chunks) == whole.text
    offsets = [offset for chunk in chunks if chunk.logprobs for offset in chunk.logprobs.text_offset]
    assert offsets == whole.logprobs.text_offset


class Restaurant(BaseModel):
    name: str
    stars: int
    tags: list[str]


def structured_output_is_parsed():
    answer = client.chat.completions.parse(
        model="pocket", messages=MESSAGES, response_format=Restaurant, max_tokens=400
    )
    assert isinstance(answer.choices[0].message.parsed, Restaurant), answer


def errors_have_their_classes():
    for error, fields in [
        (openai.BadRequestError, {"n": 2}),
        (openai.BadRequestError, {"messages": []}),
        (openai.NotFoundError, None),
    ]:
        try:
            client.embeddings.create(model="pocket", input="x") if fields is None else create(**fields)
        except error as refused:
            assert refused.body["message"], refused
        else:
            raise AssertionError(f"{fields} was answered")


def a_full_queue_is_tried_again():
    patient = client.with_options(max_retries=20)
    answers = []

    def ask():
        answers.append(patient.chat.completions.create(model="pocket", messages=MESSAGES, tools=TOOLS, tool_choice="required"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.choices[0].message.tool_calls[0].function.arguments for answer in answers}) == 1
    assert len(answers) == 4


def models_are_listed():
    assert len(client.models.list().data) == 1


for test in [
    models_are_listed,
    a_call_is_read,
    a_whole_turn_with_a_result_is_answered,
    a_stream_adds_up_to_the_answer,
    the_streaming_helper_reads_calls,
    log_probabilities_are_read,
    a_continuation_is_read_whole_and_as_a_stream,
    structured_output_is_parsed,
    errors_have_their_classes,
    a_full_queue_is_tried_again,
]:
    test()
    print(f"  {test.__name__.replace('_', ' ')}")
