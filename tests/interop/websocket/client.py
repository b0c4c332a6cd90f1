"""A client by Python's websockets.

usage: client.py ADDRESS
"""
import asyncio
import json
import sys

import websockets

ADDRESS = sys.argv[1]


def connect(path, **options):
    return websockets.connect("ws://%s%s" % (ADDRESS, path), max_size=1 << 26, **options)


async def unary():
    async with connect("/greet.GreetService/Greet") as socket:
        await socket.send('{"name":"python"}')
        assert json.loads(await socket.recv()) == {"greeting": "python"}
        await socket.wait_closed()
        assert socket.close_code == 1000


async def both_directions():
    async with connect("/tutorial.NumberService/AccumulateNumbers", subprotocols=["other", "tidewire.json"]) as socket:
        assert socket.subprotocol == "tidewire.json"
        for num in range(1, 101):
            await socket.send(json.dumps({"num": num}))
            assert json.loads(await socket.recv()) == {"message": {"sum": num * (num + 1) // 2}}
        await (await socket.ping())
        await socket.send("")
        assert json.loads(await socket.recv()) == {"end": {}}
        await socket.wait_closed()
        assert socket.close_code == 1000


async def fragments():
    async with connect("/greet.GreetService/Greet") as socket:
        await socket.send(['{"name":"', "one ", "two ", "\u03ba\u1f79\u03c3\u03bc\u03b5", '"}'])
        assert json.loads(await socket.recv()) == {"greeting": "one two \u03ba\u1f79\u03c3\u03bc\u03b5"}


async def compressed():
    text = "so much of it " * 200000
    for compression in "deflate", None:
        async with connect("/greet.GreetService/Greet", compression=compression) as socket:
            await socket.send(json.dumps({"name": text}))
            assert json.loads(await socket.recv()) == {"greeting": text}


async def no_json():
    async with connect("/greet.GreetService/Greet") as socket:
        await socket.send("{")
        await socket.wait_closed()
        assert socket.close_code == 4003 and "column" in socket.close_reason, socket.close_reason


CASES = {"a unary greeting": unary, "both directions": both_directions, "a message in fragments": fragments,
         "large messages, compressed and not": compressed, "what is no JSON": no_json}


async def main():
    passed = failed = 0
    for name, run in CASES.items():
        try:
            await asyncio.wait_for(run(), 100)
            passed += 1
            print("ok      " + name)
        except Exception as error: # every one is a failure
            failed += 1
            print("not ok  %s: %r" % (name, error))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
