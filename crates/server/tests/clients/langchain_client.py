"""LangChain's ChatOpenAI against a server: langchain_client.py http://127.0.0.1:8080"""

import sys

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel
from typing import Literal

base = {"base_url": sys.argv[1] + "/v1", "api_key": "nobody asks for this one", "model": "tiny", "max_retries": 0}
chat = ChatOpenAI(**base, seed=7, max_tokens=24)
talk = [SystemMessage("Be brief."), HumanMessage("Say something.")]
whole = chat.invoke(talk)
assert whole.usage_metadata["output_tokens"] <= 24
assert "".join(chunk.content for chunk in chat.stream(talk)) == whole.content


class Place(BaseModel):
    """A place."""

    city: Literal["Rome", "Oslo"]


wide = ChatOpenAI(**base, seed=7, max_tokens=100)
for method in ("json_schema", "function_calling"):
    # Without it a model of chance would add properties to the end of its tokens.
    structured = wide.with_structured_output(Place, method=method, strict=True)
    assert structured.invoke("Weather?").city in ("Rome", "Oslo"), method
called = wide.bind_tools([Place], tool_choice="Place", strict=True).invoke("Weather?")
assert called.tool_calls[0]["args"]["city"] in ("Rome", "Oslo")
vector = OpenAIEmbeddings(**base, check_embedding_ctx_length=False).embed_query("Once")
assert len(vector) == 64
print("LangChain is served")
