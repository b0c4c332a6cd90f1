"""Loads: many streams at once, each checking every answer it gets.

A load counts; it never fails by itself. `wrong` says how many answers were not the one expected, `broken` how many
streams ended in a way that they should not have, `reasons` holds the first few stories.
"""
import asyncio

import grpc
from grpc import aio

from messages import from_plain, to_plain


class Load:
    def __init__(self):
        self.opened = self.sent = self.received = self.wrong = self.broken = self.ended = 0
        self.reasons = []
        self.stopping = asyncio.Event()
        self.tasks = []

    def state(self):
        names = ("opened", "sent", "received", "wrong", "broken", "ended", "reasons")
        return {name: getattr(self, name) for name in names}

    def complain(self, reason):
        if len(self.reasons) < 10:
            self.reasons.append(reason)

    async def stop(self, seconds):
        self.stopping.set()
        done, pending = await asyncio.wait(self.tasks, timeout=seconds) if self.tasks else ((), ())
        for task in pending:
            self.broken += 1
            self.complain("still running")
            task.cancel()
        for task in done:
            if task.exception():
                self.broken += 1
                self.complain(repr(task.exception()))
        return self.state()

    async def expect_ok(self, call):
        code = await call.code()
        self.ended += 1
        if code != grpc.StatusCode.OK:
            self.broken += 1
            self.complain("%s %s" % (code.name, await call.details()))


class Counters(Load):
    """Each stream sends 1, 1, 1, … and expects 1, 2, 3, …, until told to stop; then half-closes and expects OK."""

    async def run(self, call, pause):
        count = 0
        try:
            while not self.stopping.is_set():
                await call.write(self.one)
                self.sent += 1
                reply = await call.read()
                if reply is aio.EOF:
                    break
                count += 1
                self.received += 1
                if reply.sum != count:
                    self.wrong += 1
                    self.complain("expected %d, got %d" % (count, reply.sum))
                if count == 1:
                    self.opened += 1
                if pause:
                    try:
                        await asyncio.wait_for(self.stopping.wait(), pause)
                    except asyncio.TimeoutError:
                        pass
            await call.done_writing()
            if await call.read() is not aio.EOF:
                self.wrong += 1
                self.complain("a message after the half-close")
        except (grpc.RpcError, asyncio.InvalidStateError) as fault:
            self.complain(repr(fault))
        if not self.stopping.is_set():
            self.broken += 1
            self.complain("ended early")
        await self.expect_ok(call)


class Listeners(Load):
    """Each stream only listens; `field` of the messages must count up by one from whatever comes first."""

    async def run(self, call, field, first):
        self.opened += 1
        expected = first
        reading = asyncio.ensure_future(call.read())
        stop = asyncio.ensure_future(self.stopping.wait())
        while True:
            await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                break
            try:
                message = reading.result()
            except grpc.RpcError:
                message = aio.EOF
            if message is aio.EOF:
                if not self.stopping.is_set():
                    self.broken += 1
                    self.complain("ended early: %s" % (await call.code()).name)
                return
            self.received += 1
            value = int(getattr(message, field))
            if expected is not None and value != expected:
                self.wrong += 1
                self.complain("expected %s, got %s" % (expected, value))
            expected = value + 1
            reading = asyncio.ensure_future(call.read())
        call.cancel()
        reading.cancel()
        self.ended += 1


class Callers(Load):
    """Workers that make one unary call after the other and compare the reply with what they expect."""

    async def run(self, call_one, message, expected):
        self.opened += 1
        while not self.stopping.is_set():
            self.sent += 1
            try:
                reply = to_plain(await call_one(message))
            except aio.AioRpcError as fault:
                self.broken += 1
                self.complain("%s %s" % (fault.code().name, fault.details()))
                continue
            self.received += 1
            if reply != expected:
                self.wrong += 1
                self.complain("got %r" % (reply,))
        self.ended += 1


def start(schema, channels, request):
    method = schema.method(request["method"])
    request_class = schema.message_class(method.input_type)
    reply_class = schema.message_class(method.output_type)

    def encode(message):
        return message.SerializeToString()

    def open_on(channel):
        return channel.stream_stream("/" + request["method"], encode, reply_class.FromString)()

    load = {"counters": Counters, "listeners": Listeners, "callers": Callers}[request["kind"]]()
    for number in range(request["count"]):
        channel = channels[number % len(channels)]
        if request["kind"] == "counters":
            load.one = from_plain(request_class(), {"num": 1})
            work = load.run(open_on(channel), request.get("pause"))
        elif request["kind"] == "listeners":
            work = load.run(open_on(channel), request["field"], request.get("first"))
        else:
            call_one = channel.unary_unary("/" + request["method"], encode, reply_class.FromString)
            work = load.run(call_one, from_plain(request_class(), request.get("message")), request["expected"])
        load.tasks.append(asyncio.ensure_future(work))
    return load
