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
    templates = dict(TEMPLATES)
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
