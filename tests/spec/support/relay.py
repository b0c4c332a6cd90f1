"""A TCP relay that makes a network slow, deaf or broken; steered by JSON lines.

Each relay listens on a port of the loopback and carries every connection to one address. Bytes (and ends) arrive
`forth` seconds later at the target, `back` seconds later at the client; the connection to the target is made `forth`
seconds after the client's. While a relay is held, nothing moves.
"""
import asyncio
import os
import socket
import struct
import threading
import traceback

from jsonlines import read_request, write_answer

relays = {}


class Relay:
    def __init__(self):
        self.host, self.port, self.forth, self.back = None, None, 0.0, 0.0
        self.made, self.most, self.alive = 0, 0, []  # connections: lists of their one or two writers
        self.is_held, self.released, self.server = False, asyncio.Event(), None
        self.released.set()

    async def listen(self, port):
        self.server = await asyncio.start_server(self.carry, "127.0.0.1", port)
        return self.server.sockets[0].getsockname()[1]

    async def later(self, due):
        left = due - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)
        await self.released.wait()

    async def read(self, reader, queue, delay):
        now = asyncio.get_running_loop().time
        while True:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            await queue.put((now() + delay(), data))
            if not data:
                return

    async def write(self, writer, queue):
        while True:
            due, data = await queue.get()
            await self.later(due)
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    async def pump(self, reader, writer, delay):
        queue = asyncio.Queue(64)
        reading = asyncio.ensure_future(self.read(reader, queue, delay))
        try:
            await self.write(writer, queue)
        except OSError:
            pass
        finally:
            reading.cancel()

    async def carry(self, reader, writer):
        writers = [writer]
        self.alive.append(writers)
        self.made += 1
        self.most = max(self.most, len(self.alive))
        for one in writers:
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self.later(asyncio.get_running_loop().time() + self.forth)
            if not self.port:
                raise ConnectionRefusedError
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
            writers.append(far_writer)
            far_writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # An end on either side ends both as soon as what came before it has arrived.
            await asyncio.wait([asyncio.ensure_future(self.pump(reader, far_writer, lambda: self.forth)),
                                asyncio.ensure_future(self.pump(far_reader, writer, lambda: self.back))])
        except OSError:
            pass
        finally:
            self.alive = [other for other in self.alive if other is not writers]
            for one in writers:
                one.close()

    def cut(self):
        """Resets every connection. One that its own end has just closed has no socket left to reset."""
        for writers in self.alive:
            for writer in writers:
                connected = writer.get_extra_info("socket")
                if connected.fileno() >= 0:
                    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()


async def obey(request):
    verb = request["do"]
    if verb == "listen":
        relay = Relay()
        port = await relay.listen(request["port"])
        relays[port] = relay
        return port
    relay = relays[request["port"]]
    if verb == "set":
        for name in ("host", "forth", "back"):
            setattr(relay, name, request.get(name, getattr(relay, name)))
        relay.port = request.get("to", relay.port)
    elif verb == "hold":
        relay.released.clear()
    elif verb == "release":
        relay.released.set()
    elif verb == "cut":
        relay.cut()
    elif verb == "shut":
        relay.server.close()
        await relay.server.wait_closed()
    elif verb == "reopen":
        await relay.listen(request["port"])
    return {"alive": len(relay.alive), "made": relay.made, "most": relay.most}


async def answer(request):
    try:
        write_answer({"value": await obey(request)})
    except Exception:
        write_answer({"fault": traceback.format_exc()})


def listen_to_spec(loop):
    while True:
        request = read_request()
        if request is None:
            os._exit(0)
        asyncio.run_coroutine_threadsafe(answer(request), loop).result()


async def main():
    threading.Thread(target=listen_to_spec, args=(asyncio.get_running_loop(),), daemon=True).start()
    await asyncio.Event().wait()


asyncio.run(main())
