"""One HTTP exchange on a connection of its own, as a client: the same for HTTP/1.1 and HTTP/2.

request(headers), send(bytes), end(); head() → status, fields; read() → bytes, or None at the end; then `trailers`, and
`reset`: why the answer was cut, or None. All of them raise Late when the time is up.
"""
import select
import socket
import struct
import time

import hpack

ERRORS = {0: "NO_ERROR", 1: "PROTOCOL_ERROR", 2: "INTERNAL_ERROR", 5: "STREAM_CLOSED", 7: "REFUSED_STREAM", 8: "CANCEL",
          11: "ENHANCE_YOUR_CALM"}
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WINDOW = 1 << 24


class Late(Exception):
    pass


class Wire:
    def __init__(self, request):
        host, _, port = request["address"].rpartition(":")
        self.authority = request["address"]
        self.socket = socket.create_connection((host.strip("[]"), int(port)), request["seconds"])
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.trailers, self.reset, self.has_ended = b"", [], None, False

    def close(self):
        self.socket.close()

    cancel = close

    def write(self, data, deadline):
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            self.socket.sendall(data)
        except socket.timeout:
            raise Late()

    def read_some(self, deadline):
        """Appends to the buffer; raises EOFError when there is no more."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.socket], [], [], left)[0]:
            raise Late()
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the connection has ended")
        self.buffer += data

    def take(self, count, deadline):
        while len(self.buffer) < count:
            self.read_some(deadline)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_until_end(self, seconds):
        """What stands behind the end of a call is a fault of its server. False: nothing did."""
        if self.has_ended:
            return False
        data = self.read(seconds)
        if data:
            raise ValueError("behind the end: %r" % data)
        return data is not None


class Http1(Wire):
    """Chunked requests; answers of any length."""

    def request(self, headers):
        pseudo = dict(headers[:2])
        self.is_get = pseudo[":method"] in ("GET", "OPTIONS", "HEAD")
        self.method = pseudo[":method"]
        lines = ["%s %s HTTP/1.1" % (pseudo[":method"], pseudo[":path"]), "Host: " + self.authority]
        lines += ["%s: %s" % pair for pair in headers[2:]]
        if not self.is_get:
            lines.append("Transfer-Encoding: chunked")
        self.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), time.monotonic() + 60)

    def send(self, data, seconds):
        if data and not self.is_get:
            self.write(b"%x\r\n%s\r\n" % (len(data), data), time.monotonic() + seconds)

    def end(self, seconds):
        if not self.is_get:
            self.write(b"0\r\n\r\n", time.monotonic() + seconds)

    def line(self, deadline):
        while b"\r\n" not in self.buffer:
            self.read_some(deadline)
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("latin-1")

    def fields(self, deadline):
        fields = []
        while True:
            line = self.line(deadline)
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip()))

    def head(self, seconds):
        deadline = time.monotonic() + seconds
        status = int(self.line(deadline).split(" ")[1])
        fields = self.fields(deadline)
        by_name = dict(fields)
        self.is_chunked = by_name.get("transfer-encoding") == "chunked"
        self.left = int(by_name["content-length"]) if "content-length" in by_name else None
        if status in (204, 304) or self.method == "HEAD":
            self.is_chunked, self.left = False, 0
        return status, fields

    def read(self, seconds):
        deadline = time.monotonic() + seconds
        if self.has_ended:
            return None
        try:
            data = self.chunk(deadline) if self.is_chunked else self.piece(deadline)
        except EOFError:
            if self.is_chunked or self.left is not None:
                self.reset = "the connection was cut"
            data = None
        self.has_ended = data is None
        return data

    def chunk(self, deadline):
        size = int(self.line(deadline), 16)
        if not size:
            self.trailers = self.fields(deadline)
            return None
        data = self.take(size, deadline)
        self.take(2, deadline)
        return data

    def piece(self, deadline):
        if self.left == 0:
            return None
        if not self.buffer:
            self.read_some(deadline)
        data = self.take(min(len(self.buffer), self.left or len(self.buffer)), deadline)
        if self.left is not None:
            self.left -= len(data)
        return data


class Http2(Wire):
    """The connection's only stream; the windows that we give are wide, those that we have are kept."""

    def __init__(self, request):
        super().__init__(request)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.initial_window, self.windows = 65535, {0: 65535, 1: 65535}
        self.blocks, self.pieces, self.is_closed = [], [], False
        settings = struct.pack(">HI", 4, WINDOW)
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(SETTINGS, 0, settings, 0)
        hello += self.frame(WINDOW_UPDATE, 0, struct.pack(">I", WINDOW), 0)
        self.write(hello, time.monotonic() + request["seconds"])

    @staticmethod
    def frame(kind, flags, payload, stream=1):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    def request(self, headers):
        headers = headers[:2] + [(":scheme", "http"), (":authority", self.authority)] + headers[2:]
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        # With END_STREAM only in end(): an empty DATA frame is an end, too.
        self.write(self.frame(HEADERS, END_HEADERS, self.encoder.encode(fields)), time.monotonic() + 60)

    def send(self, data, seconds):
        deadline = time.monotonic() + seconds
        while data:
            while min(self.windows[0], self.windows[1]) <= 0:
                self.read_frame(deadline)
                if self.is_closed:
                    raise ConnectionError("the stream is closed")
            length = min(len(data), 16384, self.windows[0], self.windows[1])
            self.write(self.frame(DATA, 0, data[:length]), deadline)
            data = data[length:]
            self.windows[0] -= length
            self.windows[1] -= length

    def end(self, seconds):
        self.write(self.frame(DATA, END_STREAM, b""), time.monotonic() + seconds)

    def cancel(self):
        self.write(self.frame(RST_STREAM, 0, struct.pack(">I", 8)), time.monotonic() + 60)

    def read_frame(self, deadline):
        head = self.take(9, deadline)
        payload = self.take(int.from_bytes(head[:3], "big"), deadline)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, at)
                if name == 4:
                    self.windows[1] += value - self.initial_window
                    self.initial_window = value
            self.write(self.frame(SETTINGS, ACK, b"", 0), deadline)
        elif kind == PING and not flags & ACK:
            self.write(self.frame(PING, ACK, payload, 0), deadline)
        elif kind == WINDOW_UPDATE:
            self.windows[stream] += int.from_bytes(payload, "big")
        elif kind == HEADERS:
            if not flags & END_HEADERS:
                raise ValueError("a header block in several frames")
            self.blocks.append(self.decoder.decode(payload))
        elif kind == DATA:
            self.pieces.append(payload)
            if payload:
                update = struct.pack(">I", len(payload))
                self.write(self.frame(WINDOW_UPDATE, 0, update, 0) +
                           (b"" if flags & END_STREAM else self.frame(WINDOW_UPDATE, 0, update)), deadline)
        elif kind == RST_STREAM:
            if not self.is_closed:
                self.reset = ERRORS.get(int.from_bytes(payload, "big"), payload.hex())
            self.is_closed = True
        elif kind == GOAWAY:
            raise EOFError("GOAWAY %r" % payload)
        if stream == 1 and kind in (DATA, HEADERS) and flags & END_STREAM:
            self.is_closed = True

    def head(self, seconds):
        deadline = time.monotonic() + seconds
        while not self.blocks:
            if self.is_closed:
                raise EOFError("no answer: " + (self.reset or ""))
            self.read_frame(deadline)
        fields = [(name.lower(), value) for name, value in self.blocks.pop(0)]
        return int(dict(fields)[":status"]), fields

    def read(self, seconds):
        deadline = time.monotonic() + seconds
        while not self.pieces and not self.is_closed:
            self.read_frame(deadline)
        if self.pieces:
            return self.pieces.pop(0)
        self.has_ended = True
        if self.blocks:
            self.trailers = self.blocks.pop(0)
        return None
