"""Requests as JSON lines on standard input, an answer to each on standard output.

Text crosses as bytes: each character of a JSON string stands for the byte of that value, so that any bytes
survive the way through Lua. `wire` and `unwire` turn Python's text into that form and back.
"""
import json
import sys


def wire(text):
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def unwire(text):
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def raw(text):
    return text.encode("latin-1")


def read_request():
    line = sys.stdin.buffer.readline()
    return json.loads(line.decode("latin-1")) if line else None


def write_answer(answer):
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("latin-1") + b"\n")
    sys.stdout.buffer.flush()
