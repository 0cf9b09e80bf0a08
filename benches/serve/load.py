"""Total tokens per second and times to the first token of a server with OpenAI's API, under 1, 4, 16 and 64 texts at once.

    python3 load.py PORT [TEXTS ...] [--tokens 48] [--system WORDS]

Each text is a streamed chat with a question of its own, and ends after so many tokens. `--system 700` begins all of them with
the same 700 words, about 1000 tokens. Needs no package.
"""

import argparse
import http.client
import json
import random
import statistics
import threading
import time

WORDS = (
    "the of and to in that is was for it with as his on be at by had are but from or have an they which one you were her all "
    "she there would their we him been has when who will more no if out so said what up its about into than them can only "
    "other new some could time these two may then do first any my now such like our over man me even most made after also "
    "river stone window letter garden engine paper winter market island signal copper summer bridge valley captain mirror"
).split()


def words(seed, count):
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) for _ in range(count))


class Text(threading.Thread):
    def __init__(self, port, number, tokens, system):
        super().__init__()
        self.port, self.arrivals, self.tokens, self.error = port, [], 0, None
        self.body = json.dumps(
            {
                "messages": [
                    {"role": "system", "content": system},
                    {"role": "user", "content": f"Tell me of {words(number, 20)}"},
                ],
                "max_tokens": tokens,
                "temperature": 0,
                "ignore_eos": True,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        self.start_time = time.monotonic()
        connection.request("POST", "/v1/chat/completions", self.body, {"content-type": "application/json"})
        for line in connection.getresponse():
            data = line.removeprefix(b"data: ").strip()
            if not line.startswith(b"data: ") or data == b"[DONE]":
                continue
            event = json.loads(data)
            self.error = self.error or event.get("error")
            choices = event.get("choices") or []
            if choices and choices[0]["delta"].get("content"):
                self.arrivals.append(time.monotonic())
            if event.get("usage"):
                self.tokens = event["usage"]["completion_tokens"]


def load(port, count, tokens, system):
    # Questions of a load are not those of another, so that none is known from before.
    texts = [Text(port, 1000 * count + number, tokens, system) for number in range(count)]
    start = time.monotonic()
    for text in texts:
        text.start()
    for text in texts:
        text.join()
    seconds = time.monotonic() - start
    errors = [text.error for text in texts if text.error or not text.arrivals]
    if errors:
        raise SystemExit(f"{len(errors)} of {count} texts failed: {errors[0]}")
    first = [1e3 * (text.arrivals[0] - text.start_time) for text in texts]
    rate = sum(text.tokens for text in texts) / seconds
    print(f"{count:3} texts: {rate:7.1f} tokens/s, first token after {statistics.median(first):5.0f} ms, {max(first):5.0f} at most")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("port", type=int)
    arguments.add_argument("texts", type=int, nargs="*", default=[1, 4, 16, 64])
    arguments.add_argument("--tokens", type=int, default=48)
    arguments.add_argument("--system", type=int, default=0)
    arguments = arguments.parse_args()
    system = words(0, arguments.system) if arguments.system else "You are helpful."
    for count in arguments.texts:
        load(arguments.port, count, arguments.tokens, system)


if __name__ == "__main__":
    main()
