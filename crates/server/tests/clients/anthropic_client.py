"""The anthropic client for Python against a server: anthropic_client.py http://127.0.0.1:8080"""

import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="nobody asks for this one", max_retries=0)
same = {"model": "tiny", "max_tokens": 24, "messages": [{"role": "user", "content": "Say something."}], "extra_body": {"seed": 7}}

whole = client.messages.create(**same)
assert whole.stop_reason in ("end_turn", "max_tokens") and whole.usage.output_tokens <= 24
with client.messages.stream(**same) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text == whole.content[0].text == final.content[0].text and final.stop_reason == whole.stop_reason

counted = client.messages.count_tokens(model="tiny", messages=same["messages"])
assert counted.input_tokens == whole.usage.input_tokens + whole.usage.cache_read_input_tokens

schema = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"], "additionalProperties": False}
tools = {"tools": [{"name": "weather", "input_schema": schema}], "tool_choice": {"type": "any"}, "max_tokens": 100}
called = client.messages.create(**{**same, **tools})
assert called.stop_reason == "tool_use" and called.content[0].input["city"] in ("Rome", "Oslo")
with client.messages.stream(**{**same, **tools}) as stream:
    final = stream.get_final_message()
assert final.content[0].type == "tool_use" and final.content[0].input["city"] in ("Rome", "Oslo")
again = [
    *same["messages"],
    {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in final.content]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": final.content[0].id, "content": "Sun"}]},
]
assert client.messages.create(**{**same, "messages": again}).role == "assistant"

try:
    client.messages.create(**{**same, "model": "other"})
except anthropic.NotFoundError as error:
    assert error.body["error"]["type"] == "not_found_error" and error.request_id.startswith("req_"), error
else:
    raise AssertionError("another model was served")
print("anthropic", anthropic.__version__, "is served")
