"""Writes cases.json: templates, most of them one expression, and what transformers' Jinja makes of them (null: an error).

    pip install transformers==5.23.0 jinja2==3.1.6
    python make_cases.py > cases.json
"""

import copy
import itertools
import json
import random
import struct
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

random.seed(14)

VALUES = dict(
    t=True, n=None, f=1.5, i=7, e=[], s="Hello World", u="Straße ǆΣ İ ﬁ ß", z="", l=[3, 1, 2], w=["b", "A", "c", "a"],
    d=dict(b=1, a=[1, 2.5, None, True, "x'y", 'q"r', dict(k="<v>")], z={}), items=[dict(n=2, c="x"), dict(n=1, c="Y"), dict(n=3, c="y")],
    m="a\tb\\c\x01\x7f\u2028é😀", many=[1e16, 1e-5, 0.1, 1e22, 12345678901234567890, -7], k={"items": 1, "get": 2, "x y": 3})

STRINGS = ["''", "'abc'", "'a,b,,c'", "'  pad\\t\\n'", "'Hello World'", "'123'", "'-42'", "'ǆΣß ﬁ'", "'ὈΔΥΣΣΕΎΣ'", "'l1\\nl2\\r\\nl3\\x0bl4\\u2028l5'",
           "'x²½٣五'", "'a_1'", "'they\\'re bill\\'s'", "'\\t1\\t22\\t333'", "'xxaxx'", "'ABC DEF'", "'\\x1c \\u3000'", "'+7'", "'Ⅷ ⓐ'", "'😀é'"]

METHODS = {
    **{name: [""] for name in ["capitalize", "casefold", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower",
                               "isnumeric", "isprintable", "isspace", "istitle", "isupper", "lower", "swapcase", "title", "upper"]},
    **{name: ["", "'x'", "' \\n'", "none", "'ab'", "1", "chars='x'"] for name in ["strip", "lstrip", "rstrip"]},
    **{name: ["8", "9,'*'", "2", "-3", "5,'ab'", "", "width=3"] for name in ["center", "ljust", "rjust"]},
    **{name: ["'b'", "'l'", "''", "'b',1", "'b',-2", "'l',3,9", "'',99", "'c',none,none", "1", ""] for name in ["count", "find", "index", "rfind", "rindex"]},
    **{name: ["'a'", "''", "('a','H')", "'b',1", "'c',0,2", "()", "['a']", "('a',1)", "'',9"] for name in ["startswith", "endswith"]},
    **{name: ["", "','", "' '", "',',1", "none,1", "sep=',',maxsplit=2", "maxsplit=0", "''", "'b'", "',',-1", "1", "'l', maxsplit=1"]
       for name in ["split", "rsplit"]},
    "splitlines": ["", "true", "keepends=true", "1"], "partition": ["','", "' '", "'zz'", "''"], "rpartition": ["','", "' '", "'zz'", "'l'"],
    "replace": ["'a','-'", "'','-'", "'l','L',1", "'','-',2", "'a','',0", "'a','b',-1", "'a'", "'a','b',count=1"], "zfill": ["6", "2", "-1", ""],
    "removeprefix": ["'a'", "''", "'Hello '", "1"], "removesuffix": ["'c'", "''", "'World'"], "join": ["['x','y']", "'abc'", "[]", "['a',1]", "('p',)", "d"],
    "expandtabs": ["", "4", "tabsize=1", "0"], "encode": ["", "'utf-8'", "'ascii'", "'ascii','ignore'", "'latin-1','replace'", "'ascii','backslashreplace'"],
    "translate": ["{97:'X',98:none,99:100}", "{'a':'b'}"], "format": ["", "1", "x=2"], "format_map": ["{}", "{'a': 1}"], "nonsense": [""],
}


def expressions():
    for text in STRINGS:
        for method, options in METHODS.items():
            for args in options if text in STRINGS[:10] else options[:4]:
                yield f"{text}.{method}({args})"
    # Numbers, as text.
    for _ in range(250):
        value = struct.unpack("<d", struct.pack("<Q", random.getrandbits(64)))[0]
        if value == value and abs(value) != float("inf"):
            yield repr(abs(value))
    for exponent in range(-8, 24):
        for digits in ["1", "1.5", "9.999999999999999", "123.456", "12345678901234567"]:
            yield f"{digits}e{exponent}"
    for value in ["1e999", "-1e999", "1e999 - 1e999", "[1e16, 0.1+0.2]", "1e16 ~ ''", "'' ~ [1e-5, 1e22]", "'%s' % 1e16", "{'a': 1e-7}", "(1e5,)", "0.0", "-0.0",
                  "1_000.5", "1_0", "0x1F", "0b101", "0o17", "1e5|string", "[1e400]|tojson", "2.50", "100000000000000000000", "1E3", "1.5e+3", "00", "0xfF"]:
        yield value
    for value in ["0", "1", "-1", "255", "-255", "123456789", "true", "3.7", "-2.5", "0.0", "1e16", "1e-5", "1e999", "'s'", "'é'", "none", "[1]", "(1,)", "(1,2)", "{'a':1}", "nothing"]:
        for conversion in "sradiuoxXeEfFgGc%":
            flags = random.sample(["", "5", "-6", "05", "+", " ", "#", ".2", "8.3", "-8.1", "+08.2", "#x"[:1] + "010", ".0", "#.0", "0-5", "l", "20.12"], 5)
            for flag in flags:
                yield f"'|%{flag}{conversion}|' % {value}"
    for text in ["'a%sb' % 'x'", "'%s-%s' % ('a', 'b')", "'%s' % ('a', 'b')", "'%s %s' % 'a'", "'%(a)s %(b)05.1f' % {'a': 1, 'b': 2.25}", "'%(x)s' % {'a': 1}",
                 "'%(a)s' % 1", "'abc' % {}", "'abc' % []", "'abc' % 1", "'abc' % ()", "'%*d' % (5, 3)", "'%-*d|' % (5, 3)", "'%*d|' % (-5, 3)", "'%.*f' % (2, 1.239)",
                 "'%d%%' % 3", "'%' % 1", "'%y' % 1", "'%(a' % {'a': 1}", "'%(a(b))s' % {'a(b)': 1}", "'%s' % [1, 'a']", "'%s %%' % 1.0", "'%5s|%-5s|' % ('é', '五')", "'%c%c' % (97, 'b')",
                 "'%s'|format('x')", "'%s %s'|format(1, none)", "'%(a)s'|format(a=1)", "'%d'|format('x')", "'%s'|format", "1|format(2)", "'%s' % d", "'%s' % l", "'%s' % nothing", "7 % 4", "-7 % 4",
                 "7.5 % 2", "-7.5 % 2", "7 % -4", "7 % 0", "'%.3s' % 'abcdef'", "'%r' % 'a\\'b'", "'%a' % 'é😀'", "'%5.1s|' % 'abc'", "'%x' % 3.0", "'%i' % true", "'%ld %hd' % (1, 2)"]:
        yield text
    specs = ["", "5", "<5", ">5", "^5", "*^7", "05", "+", " ", "+.2f", ".0f", ".3", "10.4", ",", "_", "08,.2f", "x", "#x", "#010x", "b", "o", "X", "c", "e", ".2e", "E", "g", ".3g", "#g", "%", ".1%",
             "n", "d", "s", "=6", "0=6", "z.1f", "é>4", "_x", "_b", ",d", ".2s", "08", "<08", "F", "G", "q", "5.", ",_", "+d", "#b", ",.3g", "015,", "^+9"]
    for value in ["5", "-5", "1234567", "1.5", "-0.04", "1234567.891", "1e20", "1e-7", "true", "'abc'", "none", "[1]", "1e999", "0.0"]:
        for spec in specs:
            yield f"'{{:{spec}}}'.format({value})"
    for text in ["'{} {}'.format(1, 'z')", "'{1} {0}'.format(1, 'z')", "'{a} {b!r}'.format(a=1, b='x')", "'{{}}'.format()", "'{'.format()", "'}'.format()", "'{0} {}'.format(1, 2)", "'{} {0}'.format(1, 2)",
                 "'{:{}}'.format('a', 5)", "'{:{w}.{p}f}'.format(1.2345, w=8, p=2)", "'{0[a]} {0[b][0]}'.format({'a': 1, 'b': [2]})", "'{x.a}'.format(x={'a': 5})", "'{}'.format()", "'{a}'.format()", "'{!s:>4}'.format(1)",
                 "'{!a}'.format('é')", "'{!x}'.format(1)", "'{0.__class__}'.format('a')", "'{a}'.format_map({'a': 1})", "'{a}'.format_map({})", "'{}'.format(nothing)", "'{:5}'.format(nothing)", "'{[1]}'.format([1,2])",
                 "'{0[1]}'.format([1,2])", "'{0[x]}|'.format([1,2])", "'{:>{}}|{:<{}}|'.format('a', 3, 'b', 4)"]:
        yield text
    objects = ["l.count(1)", "l.index(2)", "l.index(9)", "l.index(1, 1)", "l.index(3, 1)", "l.copy()", "l.append(4)", "l.append is defined", "l.sort()", "l.pop", "(1,2,1).count(1)", "(1,2).index(2)", "(1,).append",
               "d.items()", "d.keys()", "d.values()", "d.items()|list", "d.get('b')", "d.get('q')", "d.get('q', 5)", "d.get([])", "d.get()", "d.copy().b", "d.pop('b')", "d.update({})", "d.update is defined", "d.setdefault('a', 1)",
               "d.items()|first", "d.keys()|sort", "d.keys()|list|length", "d.items()|length", "d.keys()[0]", "'b' in d.keys()", "1 in d.values()", "('b', 1) in d.items()", "d.keys() == {'b':1,'a':2,'z':3}.keys()",
               "dict.fromkeys(['a','b'], 1)", "dict(a=1)", "dict([('a', 1)], b=2)", "dict({'a': 1}, a=2)", "dict(1)", "{}.fromkeys('ab')", "k.items", "k['items']", "k.get('x y')", "k.x", "k['x y']",
               "(5).bit_length()", "(255).bit_count()", "(5).real", "(5).numerator", "true.real", "(2.5).is_integer()", "(2.0).is_integer()", "(0.5).as_integer_ratio()", "(1.5).hex()", "(5).as_integer_ratio()", "(5).conjugate()",
               "range(5)", "range(1, 10, 3)", "range(5)[1]", "range(5)[-1]", "range(5)[1:3]", "range(5)[::-1]", "range(10)[2:8:2]", "range(3)|list", "range(5).start", "range(3).index(2)", "range(5).count(1)", "3 in range(5)", "range(0)|first",
               "range(100001)", "range(1,2,0)", "range(3) == range(0,3,1)", "range(1.5)", "range()|list", "s.__class__", "s.__class__.x", "s['upper']()", "s.upper", "s['nope']", "s.nope", "s.nope.x", "s[0]", "s[-1]", "s[99]", "s['0']", "l.0", "l['0']", "d.a.0",
               "d.a.1", "d.a[-1].k", "n.x", "nothing.x", "nothing['x']", "nothing[0]", "nothing()", "s()", "raise_exception", "raise_exception is callable", "s.upper is callable", "s is callable", "nothing is callable", "d.keys is callable",
               "cycler('a','b').next()", "cycler()", "joiner('x')()", "joiner()() ~ 1", "namespace(a=1).a", "namespace(a=1)", "namespace({'a': 1}).a", "namespace(_a=1)", "namespace(a=1)['a']", "namespace().b", "'a'.encode().decode()", "'é'.encode().hex()",
               "'é'.encode()[0]", "'ab'.encode()|list", "''.maketrans('ab', 'cd')", "'abc'.translate(''.maketrans('ab', 'xy', 'c'))", "'abc'.translate(''.maketrans({'a': 'AA', 98: none}))", "loop", "varargs"]
    yield from objects
    for slicing in ["[:]", "[1:]", "[:2]", "[-2:]", "[:-1]", "[::2]", "[::-1]", "[1:9]", "[9:1]", "[-9:2]", "[2:0:-1]", "[-1:-3:-1]", "[::0]", "[none:2]", "['a':]", "[1.5:]", "[true:]", "[5:2:-2]", "[:-9:-1]", "[1::-1]", "[-1:0:-1]"]:
        for value in ["s", "l", "range(4)", "u", "d", "n", "nothing", "e"]:
            yield f"{value}{slicing}"
    operands = ["1", "-2", "0", "2.5", "true", "'a'", "''", "'b'", "[1]", "[]", "(1,)", "{'a':1}", "none", "nothing", "range(2)", "1.0", "3"]
    for a, b in itertools.product(operands, operands):
        for operator in ["+", "-", "*", "/", "//", "%", "**", "==", "<", ">=", "in", "~", "and", "or"]:
            if operator not in ("/", ">=", "~", "-", "**") or random.random() < 0.5:
                yield f"{a} {operator} {b}"
    for text in ["1 < 2 < 3", "1 < 3 < 2", "1 == 1.0 == true", "not 1 in [2]", "1 not in [2]", "not none", "2 ** 3 ** 2", "-2 ** 2", "-1|abs", "2 + 3 * 4", "(2 + 3) * 4", "7 // 2 * 2", "'a' ~ 1 + 2", "1 + 2 ~ 3", "1 if 0", "1 if 0 else 2 if 0 else 3",
                 "[1,2] + [3]", "(1,) + (2,)", "[1] * 3", "3 * 'ab'", "'ab' * -1", "'ab' * 1.0", "10**18 * 10", "2**62 * 4", "2 ** -1", "2.0 ** 3", "0 ** 0", "1 / 3", "7 / 2", "6 / 2", "-7 // 2", "-7.5 // 2", "1 // 0", "1 / 0", "1.0 / 0", "5 % 3.5",
                 "'a' 'b'", "[1, 2,]", "{'a': 1,}", "(1)", "(1,)", "()", "1, 2", "{1: 'a', 1.0: 'b', true: 'c'}", "{[]: 1}", "{(1,2): 3}", "[[1]] == [[1.0]]", "(1,2) == [1,2]", "{'a':1} == {'a':1.0}", "[1,2] < [1,3]", "'a' < 'B'", "none == false", "1 is sameas 1", "none is sameas none",
                 "nothing == nothing", "nothing == none", "nothing + 'a'", "'a' + nothing", "nothing ~ 'a'", "[nothing]", "nothing or 'x'", "nothing is none", "-nothing", "nothing < 1", "'a' in nothing", "nothing in [1]", "nothing in 'a'", "+true", "-true", "-'a'",
                 "'\\u00e9\\x41\\n\\\\\\'\\\"\\101\\q'", "\"a'b\"|string", "['a\\'b', \"c\\\"d\", 'e\\n\\t\\x00\\x7f\\xa0\\u200b\\U0001F600']", "m", "[m]", "d", "d|string", "[true, none, 1.0]", "u|upper", "u|lower", "u.title()", "u.swapcase()", "u.capitalize()", "u.casefold()"]:
        yield text
    filters = ["abs", "attr('x')", "attr('upper')", "batch(2)|list", "batch(2, 0)|list", "capitalize", "center(20)", "center", "count", "default('y')", "d('y', true)", "default", "dictsort", "dictsort(true)", "dictsort(by='value')", "dictsort(reverse=true)",
               "e", "escape", "forceescape", "filesizeformat", "filesizeformat(true)", "first", "last", "float", "float(9)", "float('x')", "int", "int(5)", "int(0, 16)", "int(base=2)", "indent", "indent(2)", "indent('> ', true)", "indent(1, blank=true)",
               "items|list", "items", "join", "join('-')", "join(', ', attribute='n')", "length", "list", "lower", "upper", "map('upper')|list", "map(attribute='n')|list", "map(attribute='q', default=0)|list", "map('int')|join(',')", "map|list",
               "max", "min", "max(attribute='n')", "min(case_sensitive=true)", "reject('odd')|list", "select('odd')|list", "select|list", "reject('string')|list", "selectattr('n')|list", "selectattr('n', 'gt', 1)|list", "rejectattr('c', 'equalto', 'x')|map(attribute='n')|list",
               "replace('l', 'L')", "replace('l', 'L', 1)", "replace('', '-')", "reverse", "reverse|list", "round", "round(1)", "round(-1)", "round(1, 'floor')", "round(0, 'ceil')", "round(method='x')", "safe", "slice(2)|list", "slice(2, 'x')|list",
               "sort", "sort(reverse=true)", "sort(attribute='c')", "sort(true, true)", "sort(attribute='c,n')|map(attribute='n')|list", "sort(case_sensitive=true)", "string", "striptags", "sum", "sum(start=10)", "sum(attribute='n')", "title", "trim", "trim('H')", "trim(none)", "truncate(5)",
               "truncate(8, true)", "truncate(8, false, '..', 0)", "truncate(2)", "unique|list", "unique(true)|list", "unique(attribute='n')|list", "urlencode", "wordcount", "xmlattr", "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)", "tojson(sort_keys=true)", "tojson(separators=(',', ':'))",
               "groupby('c')|list", "groupby('n')|map(attribute='grouper')|list", "groupby('c', case_sensitive=true)|map('last')|map('length')|list", "groupby('q', default='z')|list", "nonsense", "tojson(1, 2)", "tojson(true, 0)", "tojson(indent='-')", "tojson(skipkeys=true)", "list|tojson(indent=1)"]
    values = ["s", "z", "l", "w", "d", "items", "i", "f", "n", "t", "nothing", "m", "many", "e", "'<a href=\"x\">b &amp; c</a>'", "'42.9'", "' 7 '", "'0x1f'", "-2.5", "25.5", "'line1\\nline2\\n\\nline4'", "(2, 1)", "1234567", "d.items()", "range(4)", "k", "'12_3'", "'1e3'", "'٣'", "2.675", "-0.5", "1e300", "'the-quick (brown) fOX'"]
    for value, filter in itertools.product(values, filters):
        if value in values[:12] or random.random() < 0.35:
            yield f"{value}|{filter}"
    tests = ["boolean", "callable", "defined", "divisibleby 3", "divisibleby(2)", "eq 7", "equalto(7)", "== 7", "escaped", "even", "odd", "false", "true", "filter", "float", "integer", "ge 2", "gt 2", "greaterthan 2", "in [7]", "in(s)", "iterable", "le 2", "lower", "lt 2", "lessthan 9", "mapping",
             "ne 7", "none", "not none", "number", "sameas(n)", "sequence", "string", "test", "undefined", "upper", "not defined", "nonsense"]
    for value, test in itertools.product(["s", "'abc'", "'ABC'", "i", "f", "t", "n", "nothing", "l", "d", "e", "(1,)", "d.items()", "range(3)", "w|map('upper')", "'odd'", "'<'|e", "-3", "2.0", "namespace(a=1)", "s.upper"], tests):
        if test.split()[0] not in ("==",):
            yield f"{value} is {test}"
    for text in ["('<a>'|e) + '<b>'", "('<a>'|safe) ~ '<b>'", "'<b>' + ('<a>'|safe)", "('%s'|safe) % '<'", "('a'|safe).join(['<', '>'])", "('<a>'|e)|upper", "('<'|e)|e", "('{}'|safe).format('<')", "('a<'|safe).replace('a', '<')", "('a b'|safe).split()", "[('a'|safe)]", "('ab'|safe)[0] + '<'",
                 "w|map('upper')|join", "w|map('nonsense')|list", "w|map('nonsense')", "items|map(attribute='c')|map('upper')|join(',')", "l|map('string')|join('+')", "[[1,2],[3]]|map('sum')|list", "[[1,2],[3]]|sum(start=[])", "items|selectattr('c', 'in', ['x', 'y'])|list|length",
                 "l|select('>', 1)|list", "l|select('in', [1,2])|list", "d|items|list|length", "nothing|items|list", "n|items|list", "items|map(attribute='c')|first", "(l|map('string'))|length", "l|reverse|first", "w|sort|reverse|join", "d.a[:2]|sum", "'a'|attr('upper')", "d|attr('b')", "d|attr('items')",
                 "'x'|default", "{'a': {'b': 3}}|attr('a')", "[{'a': {'b': 3}}]|map(attribute='a.b')|list", "[[1, 2]]|map(attribute=1)|list", "[[1,2]]|map(attribute='1')|list", "(1,2)|join", "{'a b': 'c&d'}|urlencode", "[('a', 1)]|urlencode", "{'a': 1, 'b': none}|xmlattr", "{'a b': 1}|xmlattr", "3.14159|round(2)", "5|round", "2.5|round|int", "1e16|int", "'9' * 20|int",
                 "('9' * 20)|int", "'  4.5e1 '|float", "'nan'|float", "'inf'|float", "'1_000'|int", "'-0b11'|int(0, 0)", "'zz'|int(7, 36)", "nothing|int", "nothing|float", "nothing|abs", "nothing|round", "nothing|first", "nothing|last", "nothing|sort", "nothing|join", "nothing|upper", "nothing|trim", "nothing|tojson", "[nothing]|tojson", "range(3)|tojson", "{1: 2, none: 3, 1.5: 4, true: 5}|tojson", "{(1,): 2}|tojson", "{'b': 1, 'a': 2}|tojson(sort_keys=true)", "{'b': 1, 2: 2}|tojson(sort_keys=true)", "(1, (2,))|tojson", "'</script>&\\''|tojson", "m|tojson", "m|tojson(true)"]:
        yield text


STATEMENTS = [
    "  {% if t %}\n  a\n  {% endif %}\n  b\n", "{%- if t -%}\n a \n{%- endif -%}\n b \n", "a\r\nb{% if t %}\r\nc\r\n{% endif %}\r\nd\r\n", "x\n  {%- generation -%}\n a \n{%- endgeneration %}\ny\n\n",
    "{# c #}\n  {#- d #}\nx {%+ if t %} y{% endif %}\n", "{% raw %}{{ x }}{% endraw %}\n z", "a {%- raw -%}  {% x %} {%- endraw -%} b", "  {% raw +%}\n y{% endraw +%}\nz", "{% if t +%}\n a\n{% endif %}", "a\n\n{{ 1 }}\n\n", "a{{- 1 -}} b", "{{ '{{' }}{{ '%}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ {'a': 1} }}}", "{{ 1 }", "{{ 1", "{% if t %}", "{% endif %}", "{% nope %}", "{{ }}", "{% if %}{% endif %}", "{# open", "{{ 1 2 }}", "{{ a. }}", "{{ (1 }}", "{{ 1) }}", "{{ 'open }}", "{% for x in %}{% endfor %}", "{% set 1 = 2 %}", "{% set none = 2 %}", "{{ f(a=1, 2) }}", "{{ f(**d, *l) }}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }};{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}{{ x }}{% else %}no{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in s %}{{ c }}.{% endfor %}", "{% for x in nothing %}a{% else %}b{% endfor %}", "{% for x in n %}a{% endfor %}", "{% for x in 5 %}{% endfor %}",
    "{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for a, b in ['xy'] %}{{ b }}{% endfor %}", "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set d.x = 1 %}", "{% if t %}{% set q = 1 %}{% endif %}{{ q }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}",
    "{% set x %}a{{ s }}{% endset %}{{ x }}{{ x is string }}", "{% set x | upper %}ab{% endset %}{{ x }}", "{% set x | replace('a', 'b') | trim %} aa {% endset %}[{{ x }}]", "{% set ns = namespace(y=1) %}{% set ns.y %}b{% endset %}{{ ns.y }}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set z = 1 %}{% endwith %}{{ z }}!",
    "{% macro f(x, y='d', *z) %}{% endmacro %}", "{% macro f(x, y='d') %}[{{ x }}{{ y }}]{% endmacro %}{{ f(1) }}{{ f(1, y=2) }}{{ f() }}{{ f(y=1, x=2) }}", "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1, z=2) }}", "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro f() %}{{ varargs|length }}{{ kwargs|length }}{% endmacro %}{{ f(1, 2, x=3) }}", "{% macro f(a) %}{{ caller(a) }}{% endmacro %}{% call(x) f(5) %}<{{ x }}>{% endcall %}", "{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}", "{% macro f() %}x{% endmacro %}{% call f() %}y{% endcall %}", "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}{% call f() %}{% endcall %}",
    "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}", "{% macro f() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ f() }}", "{% for x in l %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}", "{% macro f() %}{% set s = 'in' %}{{ s }}{% endmacro %}{{ f() }}{{ s }}",
    "{% macro f() %}a{% endmacro %}{{ f.name }}{{ f.arguments }}{{ f is callable }}{{ f() is string }}", "{% macro f(x) %}{{ x }}{% endmacro %}{% macro g(h) %}{{ h(1) }}{% endmacro %}{{ g(f) }}", "{% macro f(*a) %}{% endmacro %}", "{{ f(*[1, 2]) }}", "{% macro f(a, b) %}{{ a }}-{{ b }}{% endmacro %}{{ f(*[1, 2]) }}{{ f(**{'a': 3, 'b': 4}) }}{{ f(1, **{'b': 5}) }}",
    "{% macro f(a, b) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}", "{% macro f() %}{{ f2() }}{% endmacro %}{% macro f2() %}z{% endmacro %}{{ f() }}", "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "{% filter upper %}ab{{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aa{% endfilter %}", "{% for x in [[1, [2, 3]], [4]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop(l) }}{% endfor %}", "{% for x in l %}{% for y in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for x in l %}{% set outer = loop %}{% for y in [1] %}{{ outer.index }}{% endfor %}{% endfor %}", "{{ loop is defined }}{% for x in [1] %}{{ loop is defined }}{{ loop }}{% endfor %}", "{% block a %}x{{ s }}{% endblock %}", "{% block a %}{% endblock a %}y",
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% do 1 %}", "{% print 1, 's' %}", "{% autoescape false %}<{% endautoescape %}", "{% break %}", "{% for x in l %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}", "{{ 1|nope }}", "{% if false %}{{ 1|nope }}{% endif %}x", "{% if false %}{% for x in l %}{{ 1|nope }}{% endfor %}{% endif %}x", "{{ 1|nope if false }}x", "{{ 1 is nope }}", "{% if false %}{{ 1 is nope }}{% endif %}x",
    "{% macro f() %}{{ 1|nope }}{% endmacro %}x", "{% generation %}a{% set q = 5 %}{% endgeneration %}{{ q }}", "{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}", "{{ raise_exception('no: ' ~ s) }}", "{{ raise_exception(message='m') }}", "{{ raise_exception() }}", "{% set g = l|map('string') %}{{ g|list }}{{ g|list }}", "{% set g = w|select('string') %}{{ g|first }}{{ g|join }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{% set j = joiner('|') %}{{ j() }}a{{ j() }}b", "{% set x = namespace(a=[]) %}{% set x.a = x.a + [1] %}{% set x.a = x.a + [2] %}{{ x.a }}", "{% for x in l|sort %}{{ x }}{% endfor %}", "{% for a in items|groupby('c') %}{{ a.grouper }}:{{ a.list|length }};{% endfor %}", "{% for k, v in items|groupby('c') %}{{ k }}{% endfor %}",
    "{% for x in l recursive %}{{ x }}{% endfor %}", "{% if n %}a{% elif z %}b{% elif s %}c{% else %}d{% endif %}", "{% if not nothing %}u{% endif %}", "{% if 1, 2 %}t{% endif %}", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}", "{% for x in l %}{{ ',' if not loop.last }}{% endfor %}", "{% if s is string and s is not none or nothing %}y{% endif %}", "{% set s = s ~ '!' %}{{ s }}", "{% for s in l %}{{ s }}{% endfor %}{{ s }}",
    "{{ d.a[2:4] }}{{ d['a'][-1]['k'] }}", "{{ (1, 2)[0] }}", "{{ [1, 2][1] }}{{ 'ab'[1] }}", "{{ {'a': 1}.a }}", "{{ x.y if x is defined else 'no' }}", "{{ (s if t else z)|length }}", "{{ s|length > 5 and l|length == 3 }}", "{{ not t or f }}", "{{ 'a' if t and not z else 'b' }}", "{{ l[0] if l else none }}", "{{ [x for x in l] }}", "{{ lambda: 1 }}", "{{ s.split()[0].upper()[::-1] }}", "{{ (l|sort)[0] }}", "{{ -l[0] }}", "{{ l|first|string + 'a' }}", "{{ 1 is divisibleby 1 and true }}", "{{ 3 is divisibleby(3) }}", "{{ s is not string }}",
    "{{ 1 is defined is true }}", "{{ 'a' is in 'abc' }}", "{{ 'a' is string ~ 'b' }}", "{%set x=1%}{{x}}", "{% set x = 1 -%}   \n  {{ x }}", "a\n   {%- set x = 1 %}\nb", "   {{ 1 }}\n   {% set y = 2 %}\n   {{ y }}\n", "{% if t %}\n{% if t %}\n  x\n{% endif %}\n{% endif %}\n", "{#- a -#}   b", "a {#+ x +#}\n b", "{% for x in l -%}\n  {{ x }}\n{%- endfor %}", "\n\n{% if t %}\n\na\n\n{% endif %}\n\n", "{{ '\n' }}{{ 'a\\\nb' }}", "é{{ '五' }}\u2028{% if t %} {% endif %}", "\t {% if t %}\t\n x{% endif %}", "\u3000{% if t %}x{% endif %}",
    "{{ strftime_now }}", "{{ strftime_now(1) }}", "{{ lipsum is callable }}", "{{ range is callable }}{{ dict is callable }}{{ namespace is callable }}", "{% set a = [1,2,3] %}{% set b = a[1:] %}{{ a }}{{ b }}", "{% set _ = l.append(1) %}", "{% set _ = raise_exception is callable %}ok", "{{ l.__len__() }}", "{{ ''.__class__.__mro__ }}", "{{ (s.upper)() }}", "{% set up = s.upper %}{{ up() }}", "{% set k = {'f': 1} %}{{ k.f }}{{ k['f'] }}{{ k.g is defined }}", "{{ caller }}{{ kwargs }}{{ varargs }}", "{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}",
    "{% if loop %}a{% else %}b{% endif %}", "{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% set loop = 1 %}{{ loop }}", "{% for x in [1] %}{% set loop = 5 %}{{ loop }}{% endfor %}", "{{ s|replace('o', '0')|upper|trim('H') }}", "{{ items|map(attribute='n')|sum }}", "{{ items[0].n }}{{ items[0]['c'] }}{{ items[9] }}", "{{ items[9].n }}", "{{ d.q.r }}", "{{ d.q is defined }}{{ d.q.r is defined }}",
    "{% for x in l %}{{ s }}{% endfor %}{% set s = 1 %}{{ s }}", "{{ s }}{% for x in l %}{{ s }}{% endfor %}{% set s = 1 %}{{ s }}", "{% for x in l %}{% for y in l %}{{ s }}{% endfor %}{% set s = x %}{% endfor %}{{ s }}",
    "{% for x in l %}{{ s }}{% endfor %}{% if t %}{% set s = 1 %}{% endif %}{{ s }}", "{% for x in l %}{{ s }}{% endfor %}{% if t %}{% set s = 1 %}{% else %}{% set s = 2 %}{% endif %}{{ s }}", "{% macro g() %}{{ s }}{% endmacro %}{{ g() }}{% set s = 1 %}{{ g() }}",
    "{% macro g() %}{{ s }}{% set s = 2 %}{{ s }}{% endmacro %}{{ g() }}{{ s }}", "{% macro g() %}{% for x in l %}{{ s }}{% endfor %}{% set s = 2 %}{{ s }}{% endmacro %}{{ g() }}", "{% set x %}{% for y in l %}{{ s }}{% endfor %}{% set s = 1 %}{% endset %}{{ x }}{{ s }}",
    "{% with q = s %}{% for y in l %}{{ z }}{{ i }}{% endfor %}{% set i = 1 %}{{ q }}{% endwith %}{{ i }}", "{% for x in l %}{% if x == 3 %}{{ s }}{% endif %}{% set s = x %}{{ s }}{% endfor %}{{ s }}", "{% for x in l %}{% set q = x %}{% endfor %}{{ q }}", "{% for s in l %}{% for y in [1] %}{{ s }}{% endfor %}{% set s = 9 %}{{ s }}{% endfor %}{{ s }}",
    "{% set ns = namespace(a=s) %}{% for x in l %}{% set ns.a = ns.a ~ x %}{{ s }}{% endfor %}{% set s = ns.a %}{{ s }}", "{% block b %}{{ s }}{% set s = 3 %}{{ s }}{% endblock %}{{ s }}", "{% for x in l %}{% block c %}{{ x }}{{ s }}{% endblock %}{% endfor %}", "{% set q = 5 %}{% block d %}{{ q }}{% endblock %}",
    "{% filter upper %}{% for x in w %}{{ s }}{% endfor %}{% set s = 'a' %}{% endfilter %}{{ s }}", "{% generation %}{% for x in w %}{{ s }}{% endfor %}{% set s = 'a' %}{{ s }}{% endgeneration %}{{ s }}", "{% call(x) g(s) %}{% endcall %}{% macro g(a) %}{{ a }}{% endmacro %}", "{% if g is defined %}{{ g(1) }}{% endif %}{% macro g(a) %}{{ a }}{% endmacro %}{{ g(2) }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}x{% endmacro %}{{ a() }}", "{% for x in l %}{{ dict is defined }}{% endfor %}{% set dict = 1 %}", "{% for x in l %}{% if loop.first %}{% set f = x %}{% endif %}{{ f }}{% endfor %}{{ f }}", "{% set s, q = 1, s %}{{ s }}{{ q }}", "{% for x in [s] %}{% for y in [1] %}{{ s }}{% endfor %}{% endfor %}{% set s = 1 %}",
    "{% for x in l %}{% if x == 3 %}{% break %}{% endif %}{% else %}E{% endfor %}|{% for x in l %}{% continue %}{% else %}F{% endfor %}|{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{% else %}G{% endfor %}", "{% for x in l %}{{ x }}{% for y in [] %}{% else %}{% break %}{% endfor %}n{% endfor %}", "{% set ns = namespace(go=true) %}{% for x in l if ns.go %}{{ x }}{% set ns.go = false %}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop.index }}{% set ns.n = ns.n + 1 %}{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop.last }}{% set ns.n = ns.n + 1 %};{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop.nextitem }}{% set ns.n = ns.n + 1 %};{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop.previtem }}{% set ns.n = ns.n + 1 %};{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop.length }}{% set ns.n = ns.n + 1 %};{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop.revindex }}{% set ns.n = ns.n + 1 %};{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop.revindex0 }}{% set ns.n = ns.n + 1 %};{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop['last'] }}{% set ns.n = ns.n + 1 %};{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop|length }}{% set ns.n = ns.n + 1 %};{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{{ x }}{{ loop }}{% set ns.n = ns.n + 1 %};{% endfor %}", "{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{% set outer = loop %}{% for y in [1] %}{{ x }}{{ outer.index }}{{ outer.last }}{% endfor %}{% set ns.n = ns.n + 1 %};{% endfor %}", "{% for x in l if x > 1 %}{{ loop.last }}{{ loop.nextitem }}{{ loop.previtem }}{{ loop.length }}{{ loop.revindex }}{{ loop.cycle('a', 'b') }};{% endfor %}",
    "{% for x in [[1, [2, 3]], [4], 5] if x != 2 recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{{ loop.last }}{% endif %}{% endfor %}", "{% set g = l|map('string') %}{% for x in g %}{{ x }}{% break %}{% endfor %}{{ g|list }}", "{% set g = l|map('string') %}{% for x in g %}{{ x }}{{ loop.last }}{% break %}{% endfor %}{{ g|list }}",
    "{% set g = l|map('string') %}{% for x in g %}{{ x }}{{ loop.length }}{{ loop.revindex0 }}{% break %}{% endfor %}{{ g|list }}", "{% for x in [1, 'a']|map('abs') %}{{ x }}{% break %}{% endfor %}", "{% for x in [1, 'a']|map('abs') %}{{ x }}{% endfor %}",
    "{% for x in [1, 'a']|map('abs') %}{{ x }}{{ loop.last }}{% break %}{% endfor %}", "{% for x in l %}{% block a scoped %}{{ x }}{{ loop.index }}{{ s }}{% endblock %}{% endfor %}", "{% for x in l %}{% block a scoped %}{% set s = x %}{{ s }}{% endblock %}{{ s }}{% endfor %}{{ s }}",
    "{% block a %}x{% endblock %}{% block a %}y{% endblock %}",
    "{{ l|batch(0)|list }}{{ []|batch(0)|list }}{{ l|batch(0, 1)|list }}{{ l|batch(-1, 1)|list }}", "{% macro f(a, a) %}{{ a }}{% endmacro %}{{ f(1) }}", "{% for loop in l %}{{ loop }}{% endfor %}", "{% for a, loop in d.items() %}{% endfor %}", "{% macro f(caller) %}{{ caller }}{% endmacro %}{{ f(1) }}", "{% macro f(caller=2) %}{{ caller }}{% endmacro %}{{ f() }}{{ f(1) }}",
    "{% macro f(caller) %}x{% endmacro %}{{ f(1) }}", "{% macro f(caller=none) %}{{ caller() if caller }}{% endmacro %}{% call f() %}c{% endcall %}{{ f() }}", "{% filter length %}abc{% endfilter %}", "{% filter list %}abc{% endfilter %}", "{% filter safe %}abc{% endfilter %}", "{% set x|length %}abc{% endset %}{{ x + 1 }}",
    "{% block t %}x{% endblock %}{{ self.t() }}", "{{ self.t() }}{% block t %}x{{ s }}{% endblock %}", "{{ self['t']() }}{% block t %}x{% endblock %}", "{{ self.no() }}{% block t %}x{% endblock %}", "{{ self.no is defined }}{{ self is defined }}", "{% for x in l %}{% block a %}{% break %}{% endblock %}{% endfor %}", "{% block items %}I{% endblock %}{{ self.items() }}",
    "{% for x in l %}{% block a scoped %}{{ x }}{{ self.b() }}{% endblock %}{% endfor %}{% block b %}B{{ x }}{% endblock %}", "{% set s = 'q' %}{% block t %}{{ s }}{% endblock %}{{ self.t()|upper }}", "{% macro f() %}{{ self.t() }}{% endmacro %}{% block t %}T{% endblock %}{{ f() }}{{ self.t() is string }}", "{% block t %}{{ self.t() }}{% endblock %}", "{% block t required %}{% endblock %}",
    "{% block a %}{% block b %}y{% endblock %}{% endblock %}{{ self.b() }}{{ self.a() }}", "{% block a %}{% block a %}y{% endblock %}{% endblock %}", "{% for x in l %}{{ self.t() }}{% endfor %}{% block t %}{{ loop }}T{% endblock %}", "{% set self = 1 %}{{ self }}", "{{ self.t(1) }}{% block t %}x{% endblock %}", "{% block t %}{% set q = 1 %}{{ q }}{% endblock %}{{ q }}{{ self.t() }}{{ q }}", "{% block a b %}{% endblock %}",
    "{% set ns = namespace() %}{% for x in l %}{% set ns.l = loop %}{{ ns.l }}{{ ns.l|length }}{{ ns.l.last }};{% endfor %}",
    "{% for x in l if x > 1 %}{% set a, b = loop %}{{ x }}{{ a[0] }}{% endfor %}",
    "{% for x in l %}{{ [loop][0].last }}{{ loop|attr('last') }}{{ loop|attr('nextitem') }}{% if loop %}{{ loop.length }}{% endif %};{% endfor %}",
]


def main():
    cases, seen = [], set()
    for template in itertools.chain(("{{ " + text + " }}" for text in expressions()), STATEMENTS):
        # Jinja writes a constant that is infinite as a name that there is not; the addresses of objects are never the same.
        if template in seen or "1e999" in template and ".format" in template:
            continue
        seen.add(template)
        try:
            text = _compile_jinja_template(template).render(**copy.deepcopy(VALUES))
            if " at 0x" in text:
                continue
            json.dumps(text, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            continue
        except Exception as error:
            text = None
            if "-v" in sys.argv:
                print(template, type(error).__name__, error, file=sys.stderr)
        cases.append([template, text])
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    print('{"values":', json.dumps(VALUES, ensure_ascii=False), ',\n"cases": [\n' + lines + "\n]}")


main()
