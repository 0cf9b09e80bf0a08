"""Writes cases.json: chat templates of this project's own, in the ways that model makers write theirs, and what
transformers renders from them.

    pip install transformers==5.23.0 jinja2
    python make_cases.py > cases.json
"""

import json
import sys

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Says what the weather <will> be & isn't",
     "parameters": {"type": "object", "properties": {
         "place": {"type": "string", "description": "Übersee or \"home\""},
         "days": {"type": "integer", "minimum": 1, "default": 1.0}}, "required": ["place"]}}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]

TEMPLATES = {
    # Roles between marks, tools as JSON, what the assistant says marked for training.
    "marks": """\
{%- if tools %}
    {{- '<|start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif %}
    {{- 'You may call:' }}
    {%- for tool in tools %}
        {{- '\\n' ~ (tool | tojson) }}
    {%- endfor %}
    {{- '<|end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|start|>system\\n' + messages[0].content + '<|end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|start|>' + message.role + '\\n' + message.content + '<|end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant\\n' }}
        {%- generation %}
        {%- if message.content is string %}{{ message.content }}{% endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function is defined %}{% set call = call.function %}{% endif %}
            {{- '<call>{"name": "' }}{{ call.name }}{{ '", "arguments": ' }}{{ call.arguments | tojson }}{{ '}</call>' }}
        {%- endfor %}
        {{- '<|end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{ '<|start|>user' }}{% endif %}
        {{- '\\n<result>' + message.content + '</result>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{ '<|end|>\\n' }}{% endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant\\n' }}
{%- endif %}
""",
    # Headers, a date, documents, indented tools, contents that are lists of parts.
    "headers": """\
{{- bos_token }}
{%- if date is not defined %}{% set date = '26 Jul 2024' %}{% endif %}
{%- set ns = namespace(system='') %}
{%- if messages[0]['role'] == 'system' %}
    {%- set ns.system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- '[system]\\nToday: ' + date + '\\n' }}
{%- if documents is not none %}
    {%- for document in documents %}
        {{- '- ' ~ document['title'] ~ ': ' ~ document.text | indent(2) ~ '\\n' }}
    {%- endfor %}
{%- endif %}
{%- if tools is not none %}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- '\\n' }}{%- endfor %}
{%- endif %}
{{- ns.system + eos_token }}
{%- for m in messages %}
    {{- '[' + m['role'] + ']\\n' }}
    {%- if m.content is string %}
        {{- m.content | trim }}
    {%- elif m.content is iterable %}
        {%- for part in m.content %}
            {%- if part.type == 'text' %}{{ part.text }}{% else %}{{ '<' ~ part.type ~ '>' }}{% endif %}
        {%- endfor %}
    {%- endif %}
    {{- eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]\\n' }}{% endif %}
""",
    # Strict: two roles in turn, no system message.
    "strict": """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('There is no system role') }}{% endif %}
{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate user/assistant/user/assistant/..., and message ' ~ loop.index ~ ' is ' ~ message['role']) }}
{% endif %}
{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{ '<turn>' + role + '
' + message['content'] | trim + '</turn>
' }}{% endfor %}
{% if add_generation_prompt %}
{{ '<turn>model
' }}{% endif %}
""",
    # Thoughts of earlier answers are left out; macros; methods of Python's strings.
    "thoughts": """\
{%- macro block(name, text='') -%}
{{ '<' ~ name ~ '>' ~ text ~ '</' ~ name ~ '>' }}
{%- endmacro -%}
{%- set ns = namespace(last=-1, names=[]) -%}
{%- for message in messages[::-1] -%}
    {%- set index = (messages | length - 1) - loop.index0 -%}
    {%- if ns.last < 0 and message.role == 'user' and not (message.content.startswith('<result>') and message.content.endswith('</result>')) -%}
        {%- set ns.last = index -%}
    {%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
    {%- set content = message.content | default('', true) -%}
    {%- set ns.names = ns.names + [message.role | upper] -%}
    {%- if message.role == 'assistant' -%}
        {%- set reasoning = '' -%}
        {%- if message.reasoning_content is string -%}
            {%- set reasoning = message.reasoning_content -%}
        {%- elif '</think>' in content -%}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') -%}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
        {%- endif -%}
        {%- if loop.index0 > ns.last and reasoning -%}
            {{ block('think', reasoning.strip()) }}
        {%- endif -%}
    {%- endif -%}
    {{ block(message.role, content) }}
{%- endfor -%}
{{ '\\n' + ns.names | join(' ') }}
{%- if add_generation_prompt %}{{ '<assistant>' }}{% if enable_thinking is defined and enable_thinking is false %}{{ block('think') }}{% endif %}{% endif -%}
""",
}

# In the manner of the families that the program runs: thinking switches, tools, the developer's role, dates, nested macros.
FAMILIES = {
    "switch": """\
{%- if tools %}
    {{- '<|turn|>system\\n' }}{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Functions\\n<tools>" }}{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}{{- "\\n</tools><|done|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}{{- '<|turn|>system\\n' + messages[0].content + '<|done|>\\n' }}{%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step=true, last_query=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string and not(message.content.startswith('<answer>') and message.content.endswith('</answer>')) %}
        {%- set ns.multi_step = false %}{%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|turn|>' + message.role + '\\n' + content + '<|done|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}{%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or (not loop.last and reasoning)) %}
            {{- '<|turn|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}{{- '<|turn|>' + message.role + '\\n' + content }}{%- endif %}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
            {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '<call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
            {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
            {{- '}\\n</call>' }}
        {%- endfor %}
        {{- '<|done|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|turn|>user' }}{%- endif %}
        {{- '\\n<answer>\\n' }}{{- content }}{{- '\\n</answer>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|done|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|turn|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
""",
    "types": """\
{%- macro kind(spec, required, nullable=false) -%}
    {%- if spec.type == "array" -%}
        {%- if spec['items'] -%}
            {%- if spec['items']['type'] == "string" -%}{{- "string[]" }}{%- elif spec['items'].type in ["number", "integer"] -%}{{- "number[]" }}
            {%- else -%}{%- set inner = kind(spec['items'], required) -%}{%- if inner == "object | object" or inner|length > 50 -%}{{- "any[]" }}{%- else -%}{{- inner + "[]" }}{%- endif -%}{%- endif -%}
        {%- else -%}{{- "any[]" }}{%- endif -%}
    {%- elif spec.type is defined and spec.type is iterable and spec.type is not string and spec.type is not mapping and spec.type[0] is defined -%}
        {%- if spec.type | length > 1 -%}{{- spec.type | join(" | ") }}{%- else -%}{{- spec.type[0] }}{%- endif -%}
    {%- elif spec.oneOf -%}
        {%- for variant in spec.oneOf -%}{{- kind(variant, required) -}}{%- if variant.description %}{{- "// " + variant.description }}{%- endif -%}{%- if not loop.last %}{{- " | " }}{% endif -%}{%- endfor -%}
    {%- elif spec.type == "string" -%}{%- if spec.enum -%}{{- '"' + spec.enum|join('" | "') + '"' -}}{%- else -%}{{- "string" }}{%- if spec.nullable %}{{- " | null" }}{%- endif -%}{%- endif -%}
    {%- elif spec.type == "integer" or spec.type == "number" -%}{{- "number" }}
    {%- elif spec.type == "object" -%}
        {%- if spec.properties -%}
            {{- "{\\n" }}{%- for name, prop in spec.properties.items() -%}{{- name -}}{%- if name not in (spec.required or []) -%}{{- "?" }}{%- endif -%}{{- ": " }}{{ kind(prop, spec.required or []) }}{%- if not loop.last -%}{{-", " }}{%- endif -%}{%- endfor -%}{{- "}" }}
        {%- else -%}{{- "object" }}{%- endif -%}
    {%- else -%}{{- "any" }}{%- endif -%}
{%- endmacro -%}
{%- macro functions(tools) -%}
    {{- "namespace functions {\\n\\n" }}
    {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- "// " + tool.description|default('nothing said') + "\\n" }}{{- "type "+ tool.name + " = " }}
        {%- if tool.parameters and tool.parameters.properties %}
            {{- "(_: {\\n" }}
            {%- for name, spec in tool.parameters.properties.items() %}
                {%- if spec.description %}{{- "// " + spec.description + "\\n" }}{%- endif %}
                {{- name }}{%- if name not in (tool.parameters.required or []) %}{{- "?" }}{%- endif %}{{- ": " }}{{- kind(spec, tool.parameters.required or []) }}
                {%- if spec.default is defined %}{%- if spec.enum %}{{- ", // default: " + spec.default }}{%- elif spec.default is string %}{{- "// default: \\"" + spec.default + "\\"" }}{%- else %}{{- ", // default: " }}{{ spec.default|tojson }}{%- endif %}{%- endif %}
                {%- if not loop.last %}{{- ",\\n" }}{%- else %}{{- ",\\n" }}{%- endif %}
            {%- endfor %}
            {{- "}) => any;\\n\\n" }}
        {%- else -%}{{- "() => any;\\n\\n" }}{%- endif -%}
    {%- endfor %}
    {{- "} // namespace functions" }}
{%- endmacro -%}
{%- macro head() -%}
    {%- if model_identity is not defined %}{%- set model_identity = "You are a model." %}{%- endif %}
    {{- model_identity + "\\n" }}{{- "Today: " + (today if today is defined else strftime_now("no format")) + "\\n\\n" }}
    {%- if reasoning_effort is not defined %}{%- set reasoning_effort = "medium" %}{%- endif %}
    {{- "Effort: " + reasoning_effort + "\\n" }}
{%- endmacro -%}
{{- "<|start|>system<|message|>" }}{{- head() }}{{- "<|end|>" }}
{%- if messages[0].role == "developer" or messages[0].role == "system" %}{%- set developer_message = messages[0].content %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set developer_message = "" %}{%- set loop_messages = messages %}{%- endif %}
{%- if developer_message or tools %}
    {{- "<|start|>developer<|message|>" }}{%- if developer_message %}{{- "# Instructions\\n\\n" }}{{- developer_message }}{{- "\\n\\n" }}{%- endif %}
    {%- if tools -%}{{- "# Tools\\n\\n" }}{{- functions(tools) }}{%- endif -%}{{- "<|end|>" }}
{%- endif %}
{%- set last_tool_call = namespace(name=none) %}
{%- for message in loop_messages -%}
    {%- if message.role == 'assistant' -%}
        {%- if "content" in message and "<|channel|>" in message.content %}{{- raise_exception("A message holds <|channel|>: use thinking instead.") }}{%- endif %}
        {%- if "tool_calls" in message %}
            {%- set future_final_message = namespace(found=false) %}
            {%- for future_message in loop_messages[loop.index:] %}{%- if future_message.role == 'assistant' and "tool_calls" not in future_message %}{%- set future_final_message.found = true %}{%- endif %}{%- endfor %}
            {%- set tool_call = message.tool_calls[0] %}{%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {%- if message.thinking and not future_final_message.found %}{{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}{%- endif %}
            {{- "<|start|>assistant to=functions." + tool_call.name + "<|message|>" }}{{- tool_call.arguments|tojson }}{{- "<|call|>" }}
            {%- set last_tool_call.name = tool_call.name %}
        {%- elif loop.last and not add_generation_prompt %}
            {%- if "thinking" in message %}{{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}{%- endif %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|return|>" }}
        {%- else %}{{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}{%- set last_tool_call.name = none %}{%- endif %}
    {%- elif message.role == 'tool' -%}
        {%- if last_tool_call.name is none %}{{- raise_exception("A tool answers before it was called!") }}{%- endif %}
        {{- "<|start|>functions." + last_tool_call.name + " to=assistant<|message|>" + message.content|tojson + "<|end|>" }}
    {%- elif message.role == 'user' -%}{{- "<|start|>user<|message|>" + message.content + "<|end|>" }}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}
""",
    "turns": """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}{%- set first_user_prefix = messages[0]['content'] + '

' -%}{%- else -%}{%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}{%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}{%- set first_user_prefix = "" -%}{%- set loop_messages = messages -%}{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}{%- endif -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}{{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}{%- if item['type'] == 'image' -%}{{ '<image>' }}{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}
    {%- else -%}{{ raise_exception("Invalid content type") }}{%- endif -%}
    {{ '</turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<turn>model
'}}{%- endif -%}
""",
    "modes": """\
{# ---- defaults ---- #}
{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}
{%- if enable_thinking -%}{%- set mode = "/think" -%}{%- else -%}{%- set mode = "/no_think" -%}{%- endif -%}
{%- if messages[0].role == "system" -%}
  {%- set system_message = messages[0].content -%}
  {%- if "/no_think" in system_message -%}{%- set mode = "/no_think" -%}{%- elif "/think" in system_message -%}{%- set mode = "/think" -%}{%- endif -%}
  {%- set custom = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{{- "<|im_start|>system\\n" -}}
{%- if custom and "/system_override" in custom -%}
  {{- custom.replace("/system_override", "").rstrip() -}}{{- "<|im_end|>\\n" -}}
{%- else -%}
  {{- "## Metadata\\n\\nKnowledge Cutoff Date: June 2025\\n" -}}{{- "Reasoning Mode: " + mode + "\\n\\n" -}}
  {{- "## Instructions\\n\\n" -}}
  {%- if custom -%}{{- custom + "\\n\\n" -}}{%- elif mode == "/think" -%}{{- "Think first.\\n\\n" -}}{%- else -%}{{- "Be brief.\\n\\n" -}}{%- endif -%}
  {%- if xml_tools or python_tools or tools -%}
    {{- "### Tools\\n\\n" -}}
    {%- if tools -%}{%- set xml_tools = tools -%}{%- endif -%}
    {%- if xml_tools -%}
      {%- set ns = namespace(xml_tool_string="<tools>\\n") -%}
      {%- for tool in xml_tools[:] -%}{%- set ns.xml_tool_string = ns.xml_tool_string ~ (tool | string) ~ "\\n" -%}{%- endfor -%}
      {%- set xml_tool_string = ns.xml_tool_string + "</tools>" -%}{{- xml_tool_string + "\\n\\n" -}}
    {%- endif -%}
    {%- if python_tools -%}{%- set ns = namespace(s="<code>\\n") -%}{%- for tool in python_tools[:] -%}{%- set ns.s = ns.s ~ (tool | string) ~ "\\n" -%}{%- endfor -%}{{- ns.s + "</code>" -}}{%- endif -%}
    {{- "\\n\\n" -}}{{- "<|im_end|>\\n" -}}
  {%- endif -%}
{%- endif -%}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}{{ "<|im_start|>" + message.role + "\\n"  + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}{% generation %}{%- if mode == "/think" -%}{{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}{%- else -%}{{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}{%- endif -%}{% endgeneration %}
    {%- elif message.role == "tool" -%}{{ "<|im_start|>" + "user\\n"  + content + "<|im_end|>\\n" }}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{%- if mode == "/think" -%}{{ "<|im_start|>assistant\\n" }}{%- else -%}{{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n"  }}{%- endif -%}{%- endif -%}
""",
    "instructions": """\
{%- if messages[0]["role"] == "system" %}{%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}{{- raise_exception("After the optional system message, roles must alternate") }}{%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}{{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}{%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}{%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}
                {{- "}}" }}{%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}{{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}{%- else %}{{- "[INST] " + message["content"] + "[/INST]" }}{%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}{{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}{{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}{%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}{%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}{{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}{%- set content = message.content.content %}{%- else %}{%- set content = message.content %}{%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}{{- '"call_id": "' + (message.tool_call_id or 'none') + '"}[/TOOL_RESULTS]' }}
    {%- else %}{{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}{%- endif %}
{%- endfor %}
""",
    "documents": """\
{%- set role_order = {'system': 0, 'user': 1, 'assistant': 2} -%}
{%- macro to_text(x) -%}{%- if x is string -%}{{ x }}{%- elif x is sequence and x is not mapping -%}{%- for part in x -%}{{ part.text if part.type == 'text' else '[' ~ part.type ~ ']' }}{%- endfor -%}{%- else -%}{{ x | tojson }}{%- endif -%}{%- endmacro -%}
{%- set today = date_string if date_string is defined else '26 Jul 2024' -%}
{%- if thinking_budget is not defined -%}{%- set thinking_budget = -1 -%}{%- endif -%}
{{ bos_token }}<|sys|>{{ 'Date: %s. Budget: %d. %.1f%%' % (today, thinking_budget, 12.345) }}
{%- if documents %}
{% for doc in documents | sort(attribute='title') %}
<doc {{ loop.index }}/{{ loop.length }}>{{ '{}: {:>10}'.format(doc.title | upper, doc.text | truncate(8, true)) }}{{ ' ' * 2 }}{{ doc.text | wordcount }}</doc>
{% endfor %}
{%- endif %}
{% for message in messages %}
{%- set content = to_text(message.content | default('')) %}
{%- if message.role not in role_order %}{{ raise_exception('Unknown role: ' ~ message.role) }}{% endif %}
<|{{ message.role }}|>{{ content.strip().partition('\\n')[0] }}{{ ' (%s)' % loop.revindex if loop.previtem is defined and loop.previtem.role == message.role }}
{%- for key, value in message | dictsort if key not in ('role', 'content') %} {{ key }}={{ value }}{% endfor %}
{{ eos_token }}
{%- endfor %}
{{ '<|assistant|>' if add_generation_prompt }}
""",
}


def said(*texts, system=None):
    messages = [] if system is None else [dict(role="system", content=system)]
    roles = ["user", "assistant"]
    return messages + [dict(role=roles[i % 2], content=text) for i, text in enumerate(texts)]


PLAIN = [said("Hello!"), said("What is 2+2?", system="You are terse."), said("Hi", "Hello, how can I help?", "A joke.\nShort."),
         said("a", "b", "c", "d", system="  Sys \n"), said(" spaces \n", "\n\nkept? ", "ünïcödé 😀 <b>&amp;</b> '\"\\ \t"),
         said("</s><|end|>{{ bos_token }}{% raw %}"), said("x") + said("two in a row")]
CALLS = [dict(role="user", content="Weather?"),
         dict(role="assistant", content=None, tool_calls=[dict(type="function", id="123456789", function=dict(
             name="weather", arguments=dict(place="Übersee", days=2, exact=0.1, far=1e20, near=1e-7, more=None, yes=True)))]),
         dict(role="tool", content="{\"sun\": true}", tool_call_id="123456789"), dict(role="tool", content="late"),
         dict(role="assistant", content="Sun."), dict(role="user", content="Thanks")]
PARTS = [dict(role="user", content=[dict(type="image"), dict(type="text", text="What is it?")])]
THOUGHT = said("a", "<think>\nhm\n</think>\n\nb", "c", "<think>\nhm hm\n</think>\n\nd")
DEVELOPER = [dict(role="developer", content="Rules."), dict(role="user", content="/no_think x"), dict(role="assistant", content="", thinking="t", tool_calls=CALLS[1]["tool_calls"]), dict(role="tool", content="{}"), dict(role="assistant", content="fin")]
NESTED = {"type": "function", "function": {"name": "nested", "description": "d", "parameters": {"type": "object", "properties": {
    "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "enum": ["x", "y"]}, "b": {"type": ["string", "null"]}}, "required": ["a"]}},
    "one": {"oneOf": [{"type": "string", "description": "a text"}, {"type": "integer"}]}, "e": {"type": "string", "enum": ["p", "q"], "default": "p"}, "n": {"type": "number", "default": 1e-5}}}}}
REASONED = [dict(role="user", content="a"), dict(role="assistant", content="b", reasoning="because", name=None)]


def cases():
    for name in TEMPLATES:
        for messages in PLAIN:
            for add in [False, True]:
                yield dict(template=name, messages=messages, add_generation_prompt=add)
    for name in ["marks", "headers"]:
        yield dict(template=name, messages=said("x", system="S"), tools=TOOLS, add_generation_prompt=True)
    yield dict(template="marks", messages=CALLS, tools=TOOLS, add_generation_prompt=True)
    yield dict(template="headers", messages=PARTS, add_generation_prompt=True)
    yield dict(template="headers", messages=said("x"), variables=dict(date="1 Jan 2000", eos_token="<eos>"),
               documents=[dict(title="One", text="first\nsecond"), dict(title="Two", text="")])
    yield dict(template="thoughts", messages=THOUGHT, add_generation_prompt=True)
    yield dict(template="thoughts", messages=THOUGHT[:2], add_generation_prompt=True, variables=dict(enable_thinking=False))
    yield dict(template="thoughts", messages=REASONED)
    for name in FAMILIES:
        for messages in [*PLAIN, CALLS, PARTS, THOUGHT, REASONED, DEVELOPER]:
            for more in [{}, dict(tools=TOOLS), dict(variables=dict(enable_thinking=False, reasoning_effort="high", thinking_budget=512, today="1 Jan 2025")),
                         dict(documents=[dict(title="Zwei", text="a b c d e f"), dict(title="eins", text="ünï\n x")], tools=[TOOLS[0], NESTED])]:
                yield dict(template=name, messages=messages, add_generation_prompt=messages is not REASONED, **more)


# What single pieces of the language do; VALUES are the variables.
VALUES = dict(t=True, n=None, f=1.0, e=[], s="Hello World", d=dict(b=1, a=[1, 2.5, None, True, "x'y", "q\"r", dict(k="<v>")], z={}),
              m="a\tb\\c\x01\x7f\u2028é😀", g=[1e16, 1e-5, 0.1, 1e22, 12345678901234567890, -7])
PIECES = """\
{{ t }} {{ n }} {{ f }} {{ e }} {{ d }}|{{ nothing }}|{{ d.nothing }}|{{ n.nothing is defined }}
{{ 'a' ~ t ~ n ~ 1.5 ~ d.a }}{{ d | string }}
{{ s[::-1] }} {{ s[-3:] }} {{ s[1:4] }} {{ d.a[1:3] }} {{ d.a[-1].k }}
{{ 7 // 2 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** 3 }} {{ 1 < 2 }} {{ 'a' * 3 }}
{{ 'ell' in s }} {{ 'b' in d }} {{ 1 not in [1, 2] }} {{ e or 'empty' }} {{ t and 'yes' }} {{ not nothing }} {{ 'x' if f else 'y' }}
{{ s.split(' ') }} {{ s.split('o', 1) }} {{ '  x '.strip() }}| {{ 'xxaxx'.strip('x') }} {{ s.startswith('He') }} {{ s.endswith(('ld', 'x')) }}
{{ s.replace('o', '0') }} {{ s.upper() }} {{ s.title() }} {{ ', '.join(['a', 'b']) }} {{ 'a{}b{}'.format(1, 'z') }} {{ s.find('W') }}
{{ d.items() | list }} {{ d.keys() | list }} {{ d.get('x') }} {{ d.get('x', 'y') }} {{ dict(a=1, b='x') }}
{{ s | length }} {{ 'é€' | length }} {{ nothing | length }} {{ nothing | default('y') }} {{ n | default('x', true) }} {{ '' | default('z') }}|
{{ [3, 1, 2] | sort }} {{ [1, 1, 2] | unique | list }} {{ [1, 2] | first }} {{ [1, 2, 3] | reverse | list }} {{ range(1, 7, 2) | list }}
{{ d | dictsort }} {{ [dict(r='a'), dict(r='b')] | map(attribute='r') | join('-') }} {{ [dict(r='a'), dict(r='b')] | selectattr('r', 'equalto', 'a') | list }}
{{ s is string }} {{ s is sequence }} {{ d is mapping }} {{ e is iterable }} {{ f is number }} {{ 1 is integer }} {{ t is boolean }} {{ n is none }} {{ nothing is defined }}
{% set ns = namespace(x=0) %}{% for i in [1, 2, 3] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}
{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{{ loop.first }}{% endfor %}{% for x in [] %}{% else %}none{% endfor %}
{% set b %}block {{ s }}{% endset %}{{ b | upper }}{% filter lower %}ABC{% endfilter %}
{% macro f(x, y='d') %}[{{ x }}{{ y }}]{% endmacro %}{{ f(1) }}{{ f(1, y=2) }}{% macro g() %}<{{ caller() }}>{% endmacro %}{% call g() %}in{% endcall %}
{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b {{ '%s and %s' | format('x', 3) }} {{ 'l1\\nl2' | indent(2) }} {{ '1.5' | float }} {{ '12' | int + 1 }}
{{ d | tojson }}{{ m | tojson }}{{ g | tojson }}
{{ d | tojson(indent=2) }}{{ e | tojson(indent=2) }}{{ d.z | tojson(indent=2) }}{{ [[], {}] | tojson(indent=1) }}
{{ m | tojson(ensure_ascii=true) }}{{ m | tojson(true) }}{{ d | tojson(sort_keys=true, separators=(',', ':')) }}{{ d | tojson(indent='--') }}{{ d | tojson(false, 1) }}
{{ nothing | tojson }}
{{ raise_exception('no: ' ~ s) }}
{{ 'a' + n }}
{{ nothing.x }}
{{ s.nonsense() }}
{{ nonsense() }}
{% generation %}a{% set q = 5 %}{% endgeneration %}{{ q }}
{% if t
"""
LINES = ["  {% if t %}\n  a\n  {% endif %}\n  b\n", "{%- if t -%}\n a \n{%- endif -%}\n b \n", "a\r\nb{% if t %}\r\nc\r\n{% endif %}\r\nd\r\n",
         "x\n  {%- generation -%}\n a \n{%- endgeneration %}\ny\n\n", "{# c #}\n  {#- d #}\nx {%+ if t %} y{% endif %}\n", "{{ '\\u00e9\\x41\\n\\\\' }}\n{% raw %}{{ x }}{% endraw %}"]


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")), bos_token="<s>", eos_token="</s>")
    done = []
    templates = {**TEMPLATES, **FAMILIES}
    pieces = PIECES.splitlines() + LINES
    templates.update({f"piece-{i}": piece for i, piece in enumerate(pieces)})
    extra = [dict(template=f"piece-{i}", messages=said("x"), variables=VALUES) for i in range(len(pieces))]
    for case in [*cases(), *extra]:
        given = {key: value for key, value in case.items() if key not in ("template", "messages", "variables")}
        try:
            case["rendered"] = tokenizer.apply_chat_template(
                case["messages"], chat_template=templates[case["template"]], tokenize=False, **given, **case.get("variables", {}))
        except Exception as error:
            case["error"] = f"{type(error).__name__}: {error}"
        done.append(case)
    json.dump(dict(bos_token="<s>", eos_token="</s>", templates=templates, cases=done), sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
