"""litellm, which aider and others ask with, against a server: litellm_client.py http://127.0.0.1:8080"""

import json
import sys

import litellm

same = {
    "model": "openai/tiny",
    "api_base": sys.argv[1] + "/v1",
    "api_key": "nobody asks for this one",
    "messages": [{"role": "user", "content": "Say something."}],
    "seed": 7,
    "max_tokens": 24,
    "num_retries": 0,
}
whole = litellm.completion(**same).choices[0]
pieces = [chunk.choices[0].delta.content or "" for chunk in litellm.completion(**same, stream=True)]
assert "".join(pieces) == whole.message.content
schema = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"], "additionalProperties": False}
tools = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}], "tool_choice": "required", "max_tokens": 100}
called = litellm.completion(**{**same, **tools}).choices[0]
assert called.finish_reason == "tool_calls"
assert json.loads(called.message.tool_calls[0].function.arguments)["city"] in ("Rome", "Oslo")
try:
    litellm.completion(**{**same, "messages": [{"role": "user", "content": "x" * 3000}]})
except litellm.ContextWindowExceededError:
    pass
else:
    raise AssertionError("a prompt that is too long was taken")
print("litellm is served")
