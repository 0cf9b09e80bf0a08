"""Writes src/python/unicode.txt: what Python says of characters, where Rust's own methods say something else.

    python make_unicode.py > src/python/unicode.txt
"""


def ranges(holds):
    out, start = [], None
    for code in range(0x110001):
        now = code < 0x110000 and holds(chr(code))
        if now and start is None:
            start = code
        elif not now and start is not None:
            out.append(f"{start:x}" if start == code - 1 else f"{start:x}-{code - 1:x}")
            start = None
    return " ".join(out)


def cases(change, usual):
    letters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    return " ".join(f"{ord(c):x}={'+'.join(f'{ord(d):x}' for d in change(c))}" for c in letters if change(c) != usual(c))


for name in ["alpha", "decimal", "digit", "numeric", "printable"]:
    print(name, ranges(getattr(str, "is" + name)))
print("titlecase", ranges(lambda c: c.istitle() and not c.isupper()))
print("title", cases(str.title, str.upper))
print("casefold", cases(str.casefold, str.lower))
