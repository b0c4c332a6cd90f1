"""A gRPC client (python3-grpcio) that a spec steers: one JSON line asks, one answers.

usage: grpc_client.py DESCRIPTOR_SET

Nothing in here decides how a server should behave: it does what it is told and reports what it saw. Streams are
read only when asked to, so that a spec can let flow control close.
"""
import asyncio
import itertools
import os
import sys
import time
import traceback

import grpc
from grpc import aio

import traffic
from jsonlines import raw, read_request, unwire, wire, write_answer
from messages import Schema, from_plain, to_plain

COMPRESSION = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate, None: None}


class Refused(Exception):
    """What the spec gets as `nil, word`."""


async def within(seconds, task):
    """The task's result, without ending the task when the time is up: cancelling a read would cancel the call."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        raise Refused("timeout")
    return task.result()


def metadata_to_plain(metadata):
    plain = {}
    for name, value in metadata or ():
        value = value.decode("latin-1") if isinstance(value, bytes) else wire(value)
        plain.setdefault(name, []).append(value)
    return plain


def metadata_from_plain(plain):
    pairs = []
    for name, values in (plain or {}).items():
        for value in values if isinstance(values, list) else [values]:
            pairs.append((name, raw(value) if name.endswith("-bin") else unwire(value)))
    return pairs


class Stream:
    """One call in flight, whatever its kind: messages are written and read one at a time."""

    def __init__(self, client, channel, request):
        self.channel = channel
        path = request["method"]
        try:
            method = client.schema.method(path)
            request_class = client.schema.message_class(method.input_type)
            reply_class = client.schema.message_class(method.output_type)
        except KeyError: # a method that no schema has: bytes both ways
            request_class = reply_class = None
        self.request_class = request_class
        self.bytes_only = request.get("bytes") or request_class is None
        encode = (lambda m: m) if self.bytes_only else (lambda m: m.SerializeToString())
        decode = (lambda b: b) if self.bytes_only else reply_class.FromString
        self.schema = client.schema
        self.call = channel.stream_stream("/" + path, encode, decode)(
            timeout=request.get("timeout"), metadata=metadata_from_plain(request.get("metadata")),
            compression=COMPRESSION[request.get("compression")])
        self.reading = self.writing = self.flooding = None

    def encode(self, plain):
        if self.bytes_only:
            return raw(plain)
        return from_plain(self.request_class(), plain)

    async def send(self, plain, seconds):
        if self.writing:
            await within(seconds, self.writing)
        self.writing = asyncio.ensure_future(self.call.write(self.encode(plain)))
        try:
            await within(seconds, self.writing)
        except (grpc.RpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            self.writing = None
            raise Refused("closed")
        self.writing = None
        return True

    def flood(self, plain):
        self.flooded = 0

        async def write():
            try:
                while not self.is_calm:
                    plain["number"] = self.flooded + 1
                    await self.call.write(self.encode(plain))
                    self.flooded += 1
            except (grpc.RpcError, asyncio.InvalidStateError, asyncio.CancelledError):
                pass # the spec asks for the status

        self.is_calm = False
        self.flooding = asyncio.ensure_future(write())

    async def calm(self, seconds):
        self.is_calm = True
        await within(seconds, self.flooding)
        return self.flooded

    async def receive(self, seconds):
        if self.reading is None:
            self.reading = asyncio.ensure_future(self.call.read())
        try:
            message = await within(seconds, self.reading)
        except (grpc.RpcError, asyncio.CancelledError):
            self.reading = None
            raise Refused("end")
        self.reading = None
        if message is aio.EOF:
            raise Refused("end")
        return {"message": message.decode("latin-1") if self.bytes_only else to_plain(message)}

    async def headers(self, seconds):
        return metadata_to_plain(await within(seconds, asyncio.ensure_future(self.call.initial_metadata())))

    async def status(self, seconds):
        code = await within(seconds, asyncio.ensure_future(self.call.code()))
        trailers = metadata_to_plain(await self.call.trailing_metadata())
        result = {"code": code.name, "text": wire(await self.call.details() or ""), "trailers": trailers,
                  "headers": metadata_to_plain(await self.call.initial_metadata())}
        details = trailers.get("grpc-status-details-bin")
        if details:
            status = self.schema.named("google.rpc.Status").FromString(raw(details[0]))
            result["details"] = {"code": status.code, "text": wire(status.message),
                                 "list": [self.any_to_plain(d) for d in status.details]}
        return result

    def any_to_plain(self, detail):
        name = detail.type_url.rpartition("/")[2]
        plain = {"type_url": detail.type_url, "value": detail.value.decode("latin-1")}
        try:
            plain["message"] = to_plain(self.schema.named(name).FromString(detail.value))
        except KeyError:
            pass
        return plain


class Client:
    def __init__(self, schema):
        self.schema = schema
        self.channels, self.streams, self.loads = {}, {}, {}
        self.numbers = itertools.count(1)

    def add(self, where, thing):
        number = next(self.numbers)
        where[number] = thing
        return number

    # ---- channels

    async def do_connect(self, request):
        options = [("grpc.max_receive_message_length", request.get("max_receive", -1)),
                   ("grpc.max_send_message_length", request.get("max_send", -1)),
                   ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        options += [(name, raw(value) if isinstance(value, str) else value)
                    for name, value in (request.get("options") or {}).items()]
        compression = COMPRESSION[request.get("compression")]
        tls = request.get("tls")
        if tls is None:
            channel = aio.insecure_channel(request["address"], options=options, compression=compression)
        else:
            def content(name):
                if name not in tls:
                    return None
                with open(tls[name], "rb") as file:
                    return file.read()
            if "name" in tls:
                options.append(("grpc.ssl_target_name_override", tls["name"]))
            channel = aio.secure_channel(
                request["address"],
                grpc.ssl_channel_credentials(content("ca"), content("key"), content("certificate")),
                options=options, compression=compression)
        return self.add(self.channels, channel)

    async def do_wait_ready(self, request):
        channel = self.channels[request["channel"]]
        try:
            await asyncio.wait_for(channel.channel_ready(), request["seconds"])
        except asyncio.TimeoutError:
            raise Refused("timeout")
        return True

    async def do_channel_state(self, request):
        return self.channels[request["channel"]].get_state(try_to_connect=request.get("connect", False)).name

    async def do_disconnect(self, request):
        channel = self.channels.pop(request["channel"])
        # grpcio keeps a connection as long as it knows a call on it.
        for number in [n for n, stream in self.streams.items() if stream.channel is channel]:
            self.streams.pop(number).call.cancel()
        await channel.close()
        return True

    # ---- calls

    async def do_call(self, request):
        """A unary call through the client's own unary path, which is stricter than a stream of one message."""
        channel = self.channels[request["channel"]]
        method = self.schema.method(request["method"])
        reply_class = self.schema.message_class(method.output_type)
        message = from_plain(self.schema.message_class(method.input_type)(), request.get("message"))
        call = channel.unary_unary("/" + request["method"], lambda m: m.SerializeToString(), reply_class.FromString)(
            message, timeout=request.get("timeout"), metadata=metadata_from_plain(request.get("metadata")),
            compression=COMPRESSION[request.get("compression")],
            wait_for_ready=request.get("wait_for_ready"))
        stream = Stream.__new__(Stream)
        stream.call, stream.schema = call, self.schema
        result = {}
        try:
            result["message"] = to_plain(await within(request["seconds"], asyncio.ensure_future(asyncio.shield(call))))
        except (grpc.RpcError, asyncio.CancelledError):
            pass
        result.update(await stream.status(request["seconds"]))
        return result

    async def do_times(self, request):
        """One unary call after the other: how long they took, in milliseconds."""
        channel, method = self.channels[request["channel"]], self.schema.method(request["method"])
        message = from_plain(self.schema.message_class(method.input_type)(), request.get("message"))
        call = channel.unary_unary("/" + request["method"], lambda m: m.SerializeToString(), lambda b: b)
        times = []
        for _ in range(request["times"]):
            start = time.perf_counter()
            await call(message)
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100], "most": times[-1]}

    async def do_open(self, request):
        return self.add(self.streams, Stream(self, self.channels[request["channel"]], request))

    async def do_open_many(self, request):
        return [await self.do_open(request) for _ in range(request["count"])]

    async def do_send(self, request):
        return await self.streams[request["stream"]].send(request.get("message"), request["seconds"])

    async def do_send_all(self, request):
        """Many messages of one stream; how many were accepted before the time was up or the stream closed."""
        stream, sent = self.streams[request["stream"]], 0
        messages = request.get("messages") or itertools.repeat(request.get("message"), request["times"])
        try:
            for message in messages:
                await stream.send(message, request["seconds"])
                sent += 1
        except Refused as reason:
            return {"sent": sent, "reason": str(reason)}
        return {"sent": sent}

    async def do_flood(self, request):
        """Messages whose `number` counts up, as fast as the stream takes them, until do_calm()."""
        self.streams[request["stream"]].flood(request.get("message") or {})
        return True

    async def do_calm(self, request):
        """How many there were."""
        return await self.streams[request["stream"]].calm(request["seconds"])

    async def do_receive(self, request):
        return await self.streams[request["stream"]].receive(request["seconds"])

    async def do_receive_all(self, request):
        """Up to `count` messages, or until the end: `reason` says why it stopped earlier."""
        stream, got, reason = self.streams[request["stream"]], [], None
        try:
            while len(got) < request.get("count", sys.maxsize):
                got.append((await stream.receive(request["seconds"]))["message"])
        except Refused as why:
            reason = str(why)
        return {"messages": got, "reason": reason}

    async def do_half_close(self, request):
        await self.streams[request["stream"]].call.done_writing()
        return True

    async def do_cancel(self, request):
        return self.streams[request["stream"]].call.cancel()

    async def do_headers(self, request):
        return await self.streams[request["stream"]].headers(request["seconds"])

    async def do_status(self, request):
        return await self.streams[request["stream"]].status(request["seconds"])

    async def do_forget(self, request):
        """Drops streams that the spec is done with: without this a channel keeps them."""
        for number in request["streams"]:
            self.streams.pop(number).call.cancel()
        return True

    # ---- many streams at once that check themselves

    async def do_load(self, request):
        channels = [self.channels[number] for number in request["channels"]]
        return self.add(self.loads, traffic.start(self.schema, channels, request))

    async def do_load_state(self, request):
        return self.loads[request["load"]].state()

    async def do_load_await(self, request):
        """Waits until a figure of the load has reached a value."""
        load = self.loads[request["load"]]
        deadline = asyncio.get_event_loop().time() + request["seconds"]
        while load.state()[request["figure"]] < request["least"]:
            if asyncio.get_event_loop().time() > deadline:
                raise Refused("timeout")
            await asyncio.sleep(0.01)
        return load.state()

    async def do_load_stop(self, request):
        return await self.loads.pop(request["load"]).stop(request["seconds"])

    async def answer(self, request):
        try:
            return {"value": await getattr(self, "do_" + request["do"])(request)}
        except Refused as reason:
            return {"refused": str(reason)}
        except Exception: # the spec fails with the whole story
            return {"fault": wire(traceback.format_exc())}

    async def serve(self):
        loop = asyncio.get_event_loop()
        while True:
            request = await loop.run_in_executor(None, read_request)
            if request is None:
                break
            write_answer(await self.answer(request))
        sys.stdout.flush()
        # Nobody waits for the goodbyes of a client that is no longer asked.
        os._exit(0)


async def main():
    await Client(Schema(sys.argv[1])).serve()


asyncio.new_event_loop().run_until_complete(main())
