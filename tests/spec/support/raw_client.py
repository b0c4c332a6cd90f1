"""An HTTP/2 client, or server, that sends exactly the frames it is told to, right or wrong; steered by JSON lines.

It never does anything by itself except acknowledge SETTINGS and PING, and even that can be turned off: no window is
given back, nothing is answered. Received frames wait, in order, until a spec asks for one.
"""
import random
import select
import socket
import ssl
import struct
import time
import traceback

import hpack

from jsonlines import raw, read_request, wire, write_answer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TYPES = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
         "CONTINUATION"]
ERRORS = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
          "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
          "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32


def frame(kind, flags, stream, payload=b""):
    number = TYPES.index(kind) if isinstance(kind, str) else kind
    return struct.pack(">I", len(payload))[1:] + bytes([number, flags]) + struct.pack(">I", stream) + payload


def error_name(code):
    return ERRORS[code] if code < len(ERRORS) else str(code)


class Connection:
    def __init__(self, request, accepted=None):
        address = request.get("address", "")
        if accepted:
            self.socket = accepted
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(request["seconds"])
            self.socket.connect(address[len("unix:"):])
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host.strip("[]"), int(port)), request["seconds"])
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if request.get("receive_buffer"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, request["receive_buffer"])
        if request.get("first"):
            self.socket.sendall(raw(request["first"])) # before TLS: a PROXY header
        if request.get("tls"):
            self.start_tls(request["tls"])
        self.acknowledges = request.get("acknowledges", True)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.received, self.waiting, self.is_gone = b"", [], False
        self.to_skip = len(PREFACE) if accepted else 0
        # What the peer lets us send: for pump().
        self.initial_window, self.windows, self.largest_frame = 65535, {0: 65535}, 16384
        if request.get("preface", True):
            settings = b"".join(struct.pack(">HI", int(k), v) for k, v in (request.get("settings") or {}).items())
            items = b"".join(self.compose(item) for item in request.get("items", ()))
            self.send((b"" if accepted else PREFACE) + frame("SETTINGS", 0, 0, settings) + items)

    def start_tls(self, options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        if "ca" in options:
            context.load_verify_locations(options["ca"])
        else:
            context.verify_mode = ssl.CERT_NONE
        if "certificate" in options:
            context.load_cert_chain(options["certificate"], options["key"])
        if options.get("protocols"):
            context.set_alpn_protocols(options["protocols"])
        if "version" in options:
            context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, options["version"])
        self.socket = context.wrap_socket(self.socket, server_hostname=options.get("name"))

    def tls(self):
        certificate = self.socket.getpeercert()
        names = [value for _, value in (certificate or {}).get("subjectAltName", ())]
        return {"version": self.socket.version(), "protocol": self.socket.selected_alpn_protocol(), "names": names}

    def send(self, data):
        """How much left before the time was up: all, unless the server has stopped reading."""
        try:
            self.socket.sendall(data)
            return True
        except OSError as fault:
            return "timeout" if isinstance(fault, socket.timeout) else "gone"

    def headers(self, stream, fields, flags, pieces=1):
        block = self.encoder.encode([(raw(n), raw(v)) for n, v in fields])
        size = -(-len(block) // pieces) or 1
        parts = [block[i:i + size] for i in range(0, len(block), size)]
        out = b""
        for i, part in enumerate(parts):
            last = END_HEADERS if i == len(parts) - 1 else 0
            out += frame("HEADERS", flags | last, stream, part) if i == 0 else frame("CONTINUATION", last, stream, part)
        return out

    def compose(self, item):
        """One thing to send, as bytes."""
        kind, stream, flags = item["send"], item.get("stream", 0), END_STREAM if item.get("end") else 0
        if kind == "bytes":
            return raw(item["bytes"])
        if kind == "headers":
            return self.headers(stream, item["fields"], flags, item.get("pieces", 1))
        if kind == "data":
            data = raw(item.get("bytes", ""))
            parts = [data[i:i + 16384] for i in range(0, len(data), 16384)] or [b""]
            return b"".join(frame("DATA", flags if i == len(parts) - 1 else 0, stream, part)
                            for i, part in enumerate(parts))
        if kind == "data_each_byte":
            data = raw(item["bytes"])
            return b"".join(frame("DATA", flags if i == len(data) - 1 else 0, stream, data[i:i + 1])
                            for i in range(len(data)))
        if kind == "reset":
            return frame("RST_STREAM", 0, stream, struct.pack(">I", ERRORS.index(item.get("code", "CANCEL"))))
        if kind == "window":
            return frame("WINDOW_UPDATE", 0, stream, struct.pack(">I", item["by"]))
        if kind == "ping":
            return frame("PING", ACK if item.get("ack") else 0, 0, raw(item.get("bytes", "12345678")))
        if kind == "settings":
            return frame("SETTINGS", 0, 0, b"".join(struct.pack(">HI", int(k), v) for k, v in item["values"].items()))
        if kind == "goaway":
            return frame("GOAWAY", 0, 0, struct.pack(">II", item.get("last", 0), ERRORS.index(item.get("code", "NO_ERROR"))))
        return frame(item["type"], item.get("flags", 0), stream, raw(item.get("bytes", "")))

    # ---- receiving

    def read_more(self, seconds):
        """Takes what the socket has; False when nothing came in time or the peer is gone."""
        pending = getattr(self.socket, "pending", lambda: 0)()
        if not pending and not select.select([self.socket], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.is_gone = True
            return False
        self.received += data
        skipped = min(self.to_skip, len(self.received))
        self.received, self.to_skip = self.received[skipped:], self.to_skip - skipped
        while len(self.received) >= 9:
            length = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + length:
                break
            kind, flags = self.received[3], self.received[4]
            stream = int.from_bytes(self.received[5:9], "big") & 0x7FFFFFFF
            payload = self.received[9:9 + length]
            self.received = self.received[9 + length:]
            self.take(kind, flags, stream, payload)
        return True

    def take(self, kind, flags, stream, payload):
        name = TYPES[kind] if kind < len(TYPES) else str(kind)
        got = {"type": name, "stream": stream, "flags": flags, "length": len(payload)}
        if name == "DATA":
            got["bytes"] = payload.decode("latin-1")
            got["is_end"] = bool(flags & END_STREAM)
        elif name == "HEADERS":
            got["is_end"] = bool(flags & END_STREAM)
            fields = [(n, v) for n, v in self.decoder.decode(payload, raw=True)]
            got["fields"] = {n.decode("latin-1"): v.decode("latin-1") for n, v in fields}
            got["names"] = [n.decode("latin-1") for n, _ in fields]
            got["list"] = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in fields]
        elif name == "RST_STREAM":
            got["code"] = error_name(int.from_bytes(payload, "big"))
        elif name == "GOAWAY":
            got["last"] = int.from_bytes(payload[:4], "big")
            got["code"] = error_name(int.from_bytes(payload[4:8], "big"))
            got["text"] = payload[8:].decode("latin-1")
        elif name == "WINDOW_UPDATE":
            got["by"] = int.from_bytes(payload, "big")
            self.windows[stream] = self.window_of(stream) + got["by"]
        elif name == "SETTINGS":
            got["is_ack"] = bool(flags & ACK)
            got["values"] = {str(int.from_bytes(payload[i:i + 2], "big")): int.from_bytes(payload[i + 2:i + 6], "big")
                             for i in range(0, len(payload), 6)}
            self.largest_frame = got["values"].get("5", self.largest_frame)
            initial = got["values"].get("4", self.initial_window)
            for each in self.windows:
                self.windows[each] += initial - self.initial_window if each else 0
            self.initial_window = initial
            if not got["is_ack"] and self.acknowledges:
                self.send(frame("SETTINGS", ACK, 0))
        elif name == "PING":
            got["is_ack"] = bool(flags & ACK)
            if not got["is_ack"] and self.acknowledges:
                self.send(frame("PING", ACK, 0, payload))
        self.waiting.append(got)

    def expect(self, wanted, seconds):
        """The first waiting frame with these members; frames before it stay unless of the same stream and type."""
        deadline = time.monotonic() + seconds
        while True:
            for i, got in enumerate(self.waiting):
                if all(got.get(k) == v for k, v in wanted.items()):
                    return self.waiting.pop(i)
            if self.is_gone:
                return "gone"
            if not self.read_more(deadline - time.monotonic()) and not self.is_gone:
                return "timeout"

    def window_of(self, stream):
        return self.windows.get(stream, self.initial_window)

    def data_in_windows(self, stream, data, is_end):
        """One DATA frame with as much of the data as windows allow; how many bytes it has, or None."""
        size = min(len(data), self.windows[0], self.window_of(stream))
        if size <= 0:
            return None
        self.send(frame("DATA", END_STREAM if is_end and size == len(data) else 0, stream, data[:size]))
        self.windows[0] -= size
        self.windows[stream] = self.window_of(stream) - size
        return size

    def send_on_each(self, request):
        """The same bytes on many streams, as fast as windows allow."""
        data, deadline = raw(request["bytes"]), time.monotonic() + request["seconds"]
        for stream in range(1, 2 * request["count"], 2):
            at = 0
            while at < len(data):
                size = self.data_in_windows(stream, data[at:at + 16384], False)
                at += size or 0
                if not size and not self.read_more(deadline - time.monotonic()):
                    return False
        return True

    def pour(self, request):
        """Opens many streams and sends on each a message without its last bytes, as far as windows allow.

        Ends when the first of them have been ended. Says how much was sent and which statuses came back.
        """
        deadline = time.monotonic() + request["seconds"]
        settings = self.expect({"type": "SETTINGS", "is_ack": False}, request["seconds"])
        initial, connection_window, sent, statuses = settings["values"].get("4", 65535), 65535, 0, {}
        whole = 5 + request["message"] - request["leave"]
        window, left = {}, {}
        for i in range(request["count"]):
            stream = 2 * i + 1
            self.send(self.headers(stream, request["fields"], 0))
            window[stream], left[stream] = initial, whole
        while time.monotonic() < deadline and left and not statuses:
            moved = False
            for stream in list(left):
                size = min(window[stream], connection_window, 16384, left[stream])
                first = left[stream] == whole
                if size <= 0 or (first and size < 5):
                    continue
                data = (b"\0" + struct.pack(">I", request["message"]) if first else b"")
                data += b"\0" * (size - len(data))
                if self.send(frame("DATA", 0, stream, data)) is not True:
                    return {"sent": sent, "statuses": statuses}
                moved, sent = True, sent + size
                window[stream] -= size
                connection_window -= size
                left[stream] -= size
                if left[stream] == 0:
                    del left[stream]
            moved = self.read_more(0 if moved else 0.1) or moved
            for got in self.waiting:
                if got["type"] == "WINDOW_UPDATE" and got["stream"] == 0:
                    connection_window += got["by"]
                elif got["type"] == "WINDOW_UPDATE" and got["stream"] in window:
                    window[got["stream"]] += got["by"]
                elif got["type"] == "HEADERS" and got["is_end"]:
                    status = got["fields"].get("grpc-status", "none")
                    statuses[status] = statuses.get(status, 0) + 1
                    left.pop(got["stream"], None)
                elif got["type"] == "GOAWAY":
                    return {"sent": sent, "statuses": statuses, "goaway": got["code"]}
                elif got["type"] == "RST_STREAM":
                    left.pop(got["stream"], None)
            self.waiting = []
        return {"sent": sent, "statuses": statuses}

    def await_gone(self, seconds):
        deadline = time.monotonic() + seconds
        while not self.is_gone:
            if not self.read_more(deadline - time.monotonic()) and not self.is_gone:
                return False
        return True

    def read_bytes(self, seconds):
        """What comes before the time is up or the peer closes, unparsed."""
        deadline, out = time.monotonic() + seconds, b""
        while select.select([self.socket], [], [], max(deadline - time.monotonic(), 0))[0]:
            data = self.socket.recv(65536)
            if not data:
                break
            out += data
        return out


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def some_messages(dice, total, largest):
    """gRPC messages of many sizes up to `largest`, `total` bytes or more of them: a text, which is field 1, between
    fields that no type has."""
    out = bytearray()
    while len(out) < total:
        text = dice.randbytes(int(largest ** dice.random()) // 2).hex().encode()
        body = varint(25 << 3) + varint(dice.getrandbits(30)) + varint(1 << 3 | 2) + varint(len(text)) + text
        body += varint(30 << 3 | 2) + varint(len(text[:9])) + text[:9]
        out += b"\0" + struct.pack(">I", len(body)) + body
    return bytes(out)


def pump(source, to, request):
    """Sends `total` random bytes on a stream of one connection, in frames of any size up to `longest`, and takes them
    from a stream of another, giving the window back as they come. Windows are kept to. The cuts are `seed`'s. With
    `largest` it sends messages up to that size, no fewer bytes than `total`; what it says as `total` is how many.

    With `takes` false nothing is given back, and it ends when nothing moves for `quiet` seconds: says how much was
    sent. What it did not send another call goes on with: seed and total say the same bytes, `offset` where.
    """
    dice = random.Random(request["seed"])
    largest = request.get("largest")
    data = some_messages(dice, request["total"], largest) if largest else dice.randbytes(request["total"])
    sent, offset, deadline = request.get("offset", 0), request.get("taken", 0), time.monotonic() + request["seconds"]
    frames, quiet_since = 0, time.monotonic()
    while time.monotonic() < deadline:
        moved = False
        if sent < len(data):
            step = min(dice.randint(1, request["longest"]), source.largest_frame)
            is_last = sent + step >= len(data)
            size = source.data_in_windows(request["stream"], data[sent:sent + step], is_last and request.get("end", True))
            if size:
                sent, frames, moved = sent + size, frames + 1, True
        while source.read_more(0 if moved or request.get("takes", True) else 0.05):
            moved = True
        if request.get("takes", True):
            to.read_more(0 if moved else 0.05)
            for got in [got for got in to.waiting if got["type"] == "DATA" and got["stream"] == request["to_stream"]]:
                to.waiting.remove(got)
                bytes_here = raw(got["bytes"])
                if bytes_here != data[offset:offset + len(bytes_here)]:
                    return {"wrong_at": offset}
                offset += len(bytes_here)
                if bytes_here:
                    size = struct.pack(">I", len(bytes_here))
                    to.send(frame("WINDOW_UPDATE", 0, 0, size) + frame("WINDOW_UPDATE", 0, request["to_stream"], size))
            if offset == len(data):
                break
        if moved:
            quiet_since = time.monotonic()
        elif not request.get("takes", True) and time.monotonic() - quiet_since > request["quiet"]:
            break
    return {"sent": sent, "taken": offset, "frames": frames, "total": len(data)}


connections = {}
listeners = {}


def perform(request):
    verb = request["do"]
    if verb == "connect":
        number = len(connections) + 1
        try:
            connections[number] = Connection(request)
        except (OSError, ssl.SSLError) as fault:
            return {"refused": wire(str(fault))}
        return {"value": number}
    if verb == "listen":
        listener = socket.create_server(("127.0.0.1", 0))
        listeners[listener.getsockname()[1]] = listener
        return {"value": listener.getsockname()[1]}
    if verb == "accept":
        listener = listeners[request["port"]]
        if not select.select([listener], [], [], request["seconds"])[0]:
            return {"refused": "timeout"}
        number = len(connections) + 1
        connections[number] = Connection(request, listener.accept()[0])
        return {"value": number}
    if verb == "unlisten":
        listeners.pop(request["port"]).close()
        return {"value": True}
    connection = connections[request["connection"]]
    if verb == "pump":
        connection.socket.settimeout(request["seconds"])
        return {"value": pump(connection, connections[request["to"]], request)}
    if verb == "send":
        connection.socket.settimeout(request["seconds"])
        times = request.get("times", 1)
        step = request.get("step", 0)
        for i in range(times):
            # Many in one write, so that a flood is one; streams count up when told to.
            items = request["items"]
            if step:
                items = [dict(item, stream=item["stream"] + i * step) if item.get("stream") else item for item in items]
            outcome = connection.send(b"".join(connection.compose(item) for item in items))
            if outcome is not True:
                return {"refused": outcome}
        return {"value": True}
    if verb == "expect":
        got = connection.expect(request["wanted"], request["seconds"])
        return {"refused": got} if isinstance(got, str) else {"value": got}
    if verb == "waiting":
        while connection.read_more(request["seconds"]):
            pass
        waiting, connection.waiting = connection.waiting, []
        return {"value": waiting}
    if verb == "send_on_each":
        connection.socket.settimeout(request["seconds"])
        return {"value": connection.send_on_each(request)}
    if verb == "await_gone":
        return {"value": connection.await_gone(request["seconds"])}
    if verb == "read_bytes":
        return {"value": connection.read_bytes(request["seconds"]).decode("latin-1")}
    if verb == "pour":
        connection.socket.settimeout(request["seconds"])
        return {"value": connection.pour(request)}
    if verb == "tls":
        return {"value": connection.tls()}
    if verb == "shutdown_write":
        connection.socket.shutdown(socket.SHUT_WR)
        return {"value": True}
    if verb == "abort": # a reset instead of an orderly end
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.close()
    connections[request["connection"]] = None
    return {"value": True}


def main():
    while True:
        request = read_request()
        if request is None:
            break
        try:
            write_answer(perform(request))
        except Exception: # the spec fails with the whole story
            write_answer({"fault": wire(traceback.format_exc())})


main()
