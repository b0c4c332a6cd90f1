"""A NATS server whose clock is wrong: nats_clock.py PORT SERVER_PORT SECONDS

Carries connections to the server, and moves what it says of time by so many seconds: when JetStream has stored a message,
and when it has made something.
"""
import asyncio
import datetime
import re
import sys

PORT, SERVER_PORT, SECONDS = (int(word) for word in sys.argv[1:])
MADE = re.compile(rb'("created":\s*")([0-9T:-]+)')


def move_reply(words):
    """$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.TIME.PENDING"""
    for i, word in enumerate(words):
        if word.startswith(b"$JS.ACK."):
            parts = word.split(b".")
            parts[7] = b"%d" % (int(parts[7]) + SECONDS * 10**9)
            words[i] = b".".join(parts)
    return words


def move_made(match):
    """With the same length, so that the message keeps its own; what is behind the seconds stays."""
    at = datetime.datetime.fromisoformat(match[2].decode()) + datetime.timedelta(seconds=SECONDS)
    return match[1] + at.isoformat().encode()


async def move_times(reader, writer):
    while True:
        line = await reader.readuntil(b"\r\n")
        words = line.split()
        if words and words[0] in (b"MSG", b"HMSG"):
            body = await reader.readexactly(int(words[-1]) + 2)
            line = b" ".join(move_reply(words)) + b"\r\n" + MADE.sub(move_made, body)
        writer.write(line)
        await writer.drain()


async def carry_on(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def carry(reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", SERVER_PORT, limit=16 * 1024 * 1024)
    except OSError:
        writer.close()
        return
    ways = [asyncio.ensure_future(carry_on(reader, far_writer)), asyncio.ensure_future(move_times(far_reader, writer))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)
    for one in (writer, far_writer):
        one.close()


async def main():
    server = await asyncio.start_server(carry, "127.0.0.1", PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
