"""The openai client for Python against a server: openai_client.py http://127.0.0.1:8080"""

import json
import struct
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1/", api_key="nobody asks for this one", max_retries=0)
talk = [{"role": "user", "content": "Say something."}]
same = {"model": "tiny", "messages": talk, "seed": 7, "max_tokens": 24}

models = client.models.list().data
assert models[0].id == "tiny" and client.models.retrieve("tiny").object == "model"

whole = client.chat.completions.create(**same)
choice = whole.choices[0]
assert choice.finish_reason in ("stop", "length") and whole.usage.prompt_tokens_details.cached_tokens >= 0

pieces, usage = [], None
for chunk in client.chat.completions.create(**same, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    if chunk.choices:
        pieces.append(chunk.choices[0].delta.content or "")
assert "".join(pieces) == choice.message.content and usage.completion_tokens == whole.usage.completion_tokens

with client.chat.completions.stream(**same) as stream:
    for _ in stream:
        pass
    assert stream.get_final_completion().choices[0].message.content == choice.message.content

told = client.chat.completions.create(**same, logprobs=True, top_logprobs=2).choices[0].logprobs.content
assert "".join(token.token for token in told) == choice.message.content and len(told[0].top_logprobs) == 2

schema = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"], "additionalProperties": False}
tool = {"type": "function", "function": {"name": "weather", "parameters": schema, "strict": True}}
forced = {"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "weather"}}, "max_tokens": 100}
called = client.chat.completions.create(**{**same, **forced}).choices[0]
assert called.finish_reason == "tool_calls"
assert json.loads(called.message.tool_calls[0].function.arguments)["city"] in ("Rome", "Oslo")
with client.chat.completions.stream(**{**same, **forced}) as stream:
    for _ in stream:
        pass
    final = stream.get_final_completion().choices[0]
assert final.finish_reason == "tool_calls" and final.message.tool_calls[0].function.name == "weather"

form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
held = client.chat.completions.create(**{**same, "max_tokens": 100}, response_format=form)
assert json.loads(held.choices[0].message.content)["city"] in ("Rome", "Oslo")

text = client.completions.create(model="tiny", prompt="Once", max_tokens=8, echo=True, seed=1)
assert text.choices[0].text.startswith("Once")

# The client asks for base64 of its own accord.
vector = client.embeddings.create(model="tiny", input=["Once", "Twice"]).data[0].embedding
plain = client.embeddings.create(model="tiny", input="Once", encoding_format="float").data[0].embedding
assert len(vector) == 64 and struct.pack("64f", *vector) == struct.pack("64f", *plain)

response = client.responses.create(model="tiny", input="Say something.", max_output_tokens=16)
assert response.status in ("completed", "incomplete") and response.usage.output_tokens <= 16
events = [event.type for event in client.responses.create(model="tiny", input="Hi", max_output_tokens=16, stream=True)]
assert events[0] == "response.created" and events[-1] in ("response.completed", "response.incomplete")

for wrong, error in [
    ({"model": "other"}, openai.NotFoundError),
    ({"temperature": -1}, openai.BadRequestError),
    ({"messages": [{"role": "user", "content": "x" * 3000}]}, openai.BadRequestError),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"tpye": "object"}}}}, openai.UnprocessableEntityError),
]:
    try:
        client.chat.completions.create(**{**same, **wrong})
    except error as found:
        assert found.body["message"] and found.request_id.startswith("req_"), found
    else:
        raise AssertionError(f"{wrong} was taken")

# Who leaves in the middle.
stream = client.chat.completions.create(**{**same, "max_tokens": 900}, stream=True, extra_body={"ignore_eos": True})
next(iter(stream))
stream.close()
print("openai", openai.__version__, "is served")
