"""A client of gRPC's JSON, gRPC-Web, Connect, WebSocket, Triple, what Goa generates, and REST, over HTTP/1.1 and HTTP/2,
that a spec steers by JSON lines.

usage: doors_client.py DESCRIPTOR_SET

What it knows of the protocols is their documents' and its own; JSON is protobuf's library's. Each call has a connection
of its own, and is read only when asked to.
"""
import base64
import gzip
import itertools
import json
import re
import sys
import time
import traceback
import urllib.parse

from google.protobuf import descriptor_pb2, json_format

import websocket_frames
from http_wires import Http1, Http2, Late
from jsonlines import raw, read_request, unwire, wire, write_answer
from messages import Schema, from_plain, to_plain

CODES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
         "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
         "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]
OWN_HEADERS = {":status", "content-type", "content-length", "transfer-encoding", "connection", "content-encoding",
               "connect-content-encoding", "grpc-encoding", "grpc-accept-encoding", "vary"}
OWN_TRAILERS = {"grpc-status", "grpc-message", "grpc-status-details-bin"}


class Refused(Exception):
    """What the spec gets as `nil, word`."""


def read_base64(text):
    return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)


def write_base64(data):
    return base64.b64encode(data).decode().rstrip("=")


def pairs_of(plain):
    for name, values in (plain or {}).items():
        for value in values if isinstance(values, list) else [values]:
            yield name, write_base64(raw(value)) if name.endswith("-bin") else value


def put(plain, name, value):
    plain.setdefault(name, []).append(read_base64(value).decode("latin-1") if name.endswith("-bin") else value)


class Envelopes:
    """Messages behind five bytes, cut anywhere."""

    def __init__(self):
        self.bytes = b""

    def read(self, data):
        self.bytes += data
        while len(self.bytes) >= 5 and len(self.bytes) >= 5 + int.from_bytes(self.bytes[1:5], "big"):
            end = 5 + int.from_bytes(self.bytes[1:5], "big")
            flags, body, self.bytes = self.bytes[0], self.bytes[5:end], self.bytes[end:]
            yield flags, body


def envelope(flags, body):
    return bytes([flags]) + len(body).to_bytes(4, "big") + body


class Call:
    """A call in one of the protocols: messages are dicts, and what it ends with is a status as gRPC has it."""

    def __init__(self, client, request):
        self.schema = client.schema
        self.codec = request.get("codec") or "proto"
        self.compresses = request.get("compression") == "gzip"
        method = self.schema.method(request["method"])
        self.request_class = self.schema.message_class(method.input_type)
        self.reply_class = self.schema.message_class(method.output_type)
        self.messages, self.code, self.headers, self.trailers, self.text, self.details = [], None, {}, {}, "", []
        self.is_head_read = False
        self.envelopes = Envelopes()
        self.wire = (Http1 if request["http"] == 1 else Http2)(request)
        self.begin(request)

    def type(self):
        return self.base + "+" + self.codec

    def ask(self, request, headers, method="POST", path=None):
        own = [(":method", method), (":path", path or "/" + request["method"]), ("content-type", self.type())]
        self.wire.request(own[:2] + own[2:] * (method == "POST") + headers + list(pairs_of(request.get("metadata"))))

    def encode(self, plain):
        message = from_plain(self.request_class(), plain)
        if self.codec == "json":
            return json_format.MessageToJson(message).encode()
        return message.SerializeToString()

    def decode(self, data):
        if self.codec == "json":
            return to_plain(json_format.Parse(data, self.reply_class(), descriptor_pool=self.schema.pool))
        return to_plain(self.reply_class.FromString(data))

    def body(self, plain):
        """What is sent of a message, compressed if that was asked for: flags and bytes."""
        data = self.encode(plain)
        return (1, gzip.compress(data)) if self.compresses else (0, data)

    def send(self, plain, seconds):
        self.write(envelope(*self.body(plain)), seconds)

    def write(self, data, seconds):
        try:
            self.wire.send(data, seconds)
        except (ConnectionError, EOFError):
            raise Refused("closed")

    def half_close(self, seconds):
        try:
            self.wire.end(seconds)
        except (ConnectionError, EOFError):
            raise Refused("closed")

    def read_head(self, seconds):
        if self.is_head_read:
            return
        self.status, fields = self.wire.head(seconds)
        self.is_head_read = True
        self.fields = dict(fields)
        for name, value in fields:
            self.on_header(name, value)
        self.on_head()

    def on_header(self, name, value):
        if name not in OWN_HEADERS:
            put(self.headers, name, value)

    def on_head(self):
        if not self.fields.get("content-type", "").startswith(self.base) or self.status != 200:
            self.finish("UNKNOWN", "HTTP status %d" % self.status)

    def read_more(self, seconds):
        """Reads once. False: that was the end."""
        self.read_head(seconds)
        data = self.wire.read(seconds)
        if data is None:
            self.on_end()
            return False
        self.on_data(data)
        return True

    def receive(self, seconds):
        while not self.messages:
            if self.code or not self.read_more(seconds):
                raise Refused("end")
        return {"message": self.messages.pop(0)}

    def take(self, flags, body):
        self.messages.append(self.decode(gzip.decompress(body) if flags & 1 else body))

    def on_data(self, data):
        for flags, body in self.envelopes.read(data):
            if self.code:
                raise ValueError("something stands behind the end")
            self.on_envelope(flags, body)

    def finish(self, code, text):
        if not self.code:
            self.code, self.text = code, text

    def result(self, seconds):
        while self.wire.read_until_end(seconds) if self.code else self.read_more(seconds):
            pass
        if self.envelopes.bytes:
            raise ValueError("the answer ends inside of an envelope")
        return {"code": self.code, "text": self.text, "headers": self.headers, "trailers": self.trailers,
                "details": self.details, "http_status": self.status}

    def take_status(self, fields):
        """grpc-status and its company, and other trailers, whatever they have come in."""
        for name, value in fields:
            if name not in OWN_TRAILERS:
                put(self.trailers, name, value)
        fields = dict(fields)
        if "grpc-status-details-bin" in fields:
            status = self.schema.named("google.rpc.Status").FromString(read_base64(fields["grpc-status-details-bin"]))
            self.details = [{"type": d.type_url.rpartition("/")[2], "value": d.value.decode("latin-1")}
                            for d in status.details]
        self.finish(CODES[int(fields["grpc-status"])], wire(urllib.parse.unquote(fields.get("grpc-message", ""))))


class Grpc(Call):
    base = "application/grpc"

    def begin(self, request):
        headers = [("te", "trailers")] + self.options(request)
        self.ask(request, headers)

    def options(self, request):
        options = []
        if request.get("timeout"):
            options.append(("grpc-timeout", "%dm" % (request["timeout"] * 1000)))
        if self.compresses:
            options += [("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")]
        return options

    def on_header(self, name, value):
        if name not in OWN_TRAILERS:
            super().on_header(name, value)

    def on_head(self):
        super().on_head()
        if "grpc-status" in self.fields: # Trailers-Only
            self.take_status([field for field in self.fields.items() if field[0] in OWN_TRAILERS])
            self.trailers, self.headers = self.headers, {}

    def on_envelope(self, flags, body):
        self.take(flags, body)

    def on_end(self):
        if self.wire.reset:
            self.finish("CANCELLED", "reset " + self.wire.reset)
        if not self.code:
            self.take_status(self.wire.trailers)


class Triple(Grpc):
    """As dubbo-go's client asks: gRPC with some headers of its own."""

    def options(self, request):
        return [("user-agent", "grpc-go-triple/3.3.2 (go1.25)"), ("accept-encoding", "identity"),
                ("grpc-accept-encoding", "gzip"), ("interface", request["method"].rpartition("/")[0]), ("timeout", "3s"),
                ("tri-service-group", "tide"), ("tri-service-version", "1.0.0")] + super().options(request)


class GrpcWeb(Grpc):
    base = "application/grpc-web"

    def begin(self, request):
        self.ask(request, [("x-grpc-web", "1")] + self.options(request))

    def on_envelope(self, flags, body):
        if not flags & 0x80:
            return self.take(flags, body)
        lines = body.decode().split("\r\n")
        if lines.pop() != "":
            raise ValueError("the last trailer has no line end")
        self.take_status([tuple(line.split(":", 1)) for line in lines])

    def on_end(self):
        if self.wire.trailers:
            raise ValueError("trailers of HTTP")
        self.finish("UNKNOWN", self.wire.reset or "no trailers")


class GrpcWebText(GrpcWeb):
    base = "application/grpc-web-text"
    characters = b""

    def write(self, data, seconds):
        super().write(base64.b64encode(data), seconds)

    def on_data(self, data):
        """Groups of four, each of which may be the last one of a piece."""
        self.characters += data
        whole = len(self.characters) // 4 * 4
        groups, self.characters = self.characters[:whole], self.characters[whole:]
        for piece in re.findall(b"[^=]+=*", groups):
            super().on_data(base64.b64decode(piece, validate=True))

    def on_end(self):
        if self.characters:
            raise ValueError("the text ends inside of a group")
        super().on_end()


class Connect(Call):
    base = "application/connect"
    content_encoding, accept_encoding = "connect-content-encoding", "connect-accept-encoding"

    def begin(self, request):
        self.ask(request, self.options(request))

    def options(self, request):
        options = [("connect-protocol-version", "1")]
        if request.get("timeout"):
            options.append(("connect-timeout-ms", "%d" % (request["timeout"] * 1000)))
        if self.compresses:
            options += [(self.content_encoding, "gzip"), (self.accept_encoding, "gzip")]
        return options

    def take_error(self, error):
        if not set(error) <= {"code", "message", "details"}:
            raise ValueError("an error with other keys: %s" % error)
        self.details = [{"type": d["type"], "value": read_base64(d["value"]).decode("latin-1")}
                        for d in error.get("details", ())]
        code = error["code"].upper()
        self.finish("CANCELLED" if code == "CANCELED" else code, wire(error.get("message", "")))

    def on_envelope(self, flags, body):
        if not flags & 2:
            return self.take(flags, body)
        end = json.loads(gzip.decompress(body) if flags & 1 else body)
        if not set(end) <= {"error", "metadata"}:
            raise ValueError("an end with other keys: %s" % end)
        for name, values in end.get("metadata", {}).items():
            for value in values:
                put(self.trailers, name, value)
        if "error" in end:
            self.take_error(end["error"])
        self.finish("OK", "")

    def on_end(self):
        if self.wire.trailers:
            raise ValueError("trailers of HTTP")
        self.finish("CANCELLED" if self.wire.reset else "UNKNOWN", self.wire.reset or "no end")


class ConnectUnary(Connect):
    base = "application/"
    content_encoding, accept_encoding = "content-encoding", "accept-encoding"

    def type(self):
        return self.base + self.codec

    def begin(self, request):
        self.data = b""
        super().begin(request)

    def send(self, plain, seconds):
        self.write(self.body(plain)[1], seconds)

    def on_header(self, name, value):
        if name.startswith("trailer-"):
            put(self.trailers, name[len("trailer-"):], value)
        else:
            super().on_header(name, value)

    def on_head(self):
        if self.status == 200:
            super().on_head()

    def on_data(self, data):
        self.data += data

    def on_end(self):
        if self.wire.reset or self.wire.trailers:
            return super().on_end()
        data = gzip.decompress(self.data) if self.fields.get("content-encoding") == "gzip" else self.data
        if self.status == 200:
            if self.fields["content-type"] != self.type():
                raise ValueError("another content type: " + self.fields["content-type"])
            self.messages.append(self.decode(data))
            return self.finish("OK", "")
        if self.fields.get("content-type") != "application/json":
            return self.finish("UNKNOWN", "HTTP status %d" % self.status)
        self.take_error(json.loads(data))

    def receive(self, seconds):
        while not self.code:
            self.read_more(seconds)
        if self.messages:
            return {"message": self.messages.pop(0)}
        raise Refused("end")


class TripleUnary(ConnectUnary):
    """Triple without gRPC: what Connect does, but for what it says of itself."""

    def options(self, request):
        options = [("triple-protocol-version", "0.1.0"), ("user-agent", "triple-go/3.3.2 (go1.25)")]
        if self.compresses:
            options += [(self.content_encoding, "gzip"), (self.accept_encoding, "gzip")]
        return options


class ConnectGet(ConnectUnary):
    def begin(self, request):
        self.data, self.asked = b"", request

    def send(self, plain, seconds):
        data = self.body(plain)[1]
        query = {"connect": "v1", "encoding": self.codec, "message": data}
        if self.compresses or self.codec == "proto":
            query.update(base64="1", message=base64.urlsafe_b64encode(data).decode().rstrip("="))
        if self.compresses:
            query["compression"] = "gzip"
        options = [option for option in self.options(self.asked) if option[0] != "content-encoding"]
        self.ask(self.asked, options, "GET", "/" + self.asked["method"] + "?" + urllib.parse.urlencode(query))
        self.wire.end(seconds)

    def half_close(self, seconds):
        pass


class WebSocket(Connect):
    """With a sub-protocol of ours: its words say what the code of the close says, and more."""

    def begin(self, request):
        self.frames, self.refusal, self.closed = websocket_frames.Frames(), b"", None
        headers = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "tidewire." + self.codec)]
        if self.compresses:
            headers.append(("sec-websocket-extensions", "permessage-deflate"))
        if request.get("timeout"):
            headers.append(("grpc-timeout", "%dm" % (request["timeout"] * 1000)))
        headers += pairs_of(request.get("metadata"))
        path = (":path", "/" + request["method"])
        if request["http"] == 1:
            headers += [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-key", "A" * 22 + "==")]
            self.wire.request([(":method", "GET"), path] + headers)
            self.put = lambda data, seconds: self.wire.write(data, time.monotonic() + seconds)
        else:
            self.wire.request([(":method", "CONNECT"), path, (":protocol", "websocket")] + headers)
            self.put = self.wire.send

    def write_frame(self, opcode, payload, seconds, compresses=False):
        try:
            self.put(websocket_frames.write(opcode, payload, compresses), seconds)
        except (ConnectionError, EOFError):
            raise Refused("closed")

    def send(self, plain, seconds):
        opcode = websocket_frames.TEXT if self.codec == "json" else websocket_frames.BINARY
        self.write_frame(opcode, self.encode(plain), seconds, self.compresses)

    def half_close(self, seconds):
        if not self.code:
            self.write_frame(websocket_frames.TEXT, b"", seconds)

    def on_header(self, name, value):
        """Metadata has its words."""

    def on_head(self):
        self.is_refused = self.status not in (101, 200)

    def on_data(self, data):
        if self.is_refused:
            self.refusal += data
            return
        for opcode, payload in self.frames.read(data):
            if self.closed:
                raise ValueError("something stands behind the close")
            if opcode == websocket_frames.CLOSE:
                self.closed = int.from_bytes(payload[:2], "big")
            elif opcode == websocket_frames.BINARY:
                self.messages.append(self.decode(payload))
            elif opcode == websocket_frames.TEXT:
                self.on_word(json.loads(payload))

    def on_word(self, word):
        (name, value), = word.items()
        if name == "message":
            self.messages.append(self.decode(json.dumps(value)))
        elif name == "headers":
            for key, values in value.items():
                for one in values:
                    put(self.headers, key, one)
        else:
            for key, values in value.get("metadata", {}).items():
                for one in values:
                    put(self.trailers, key, one)
            if "error" in value:
                self.take_error(value["error"])
            self.finish("OK", "")

    def on_end(self):
        if self.is_refused:
            return self.take_error(json.loads(self.refusal))
        number = CODES.index(self.code) if self.code else None
        if self.closed not in (1009, 4000 + number if number else 1000):
            raise ValueError("closed with %s for %s" % (self.closed, self.code))

    def result(self, seconds):
        while self.read_more(seconds):
            pass
        return {"code": self.code, "text": self.text, "headers": self.headers, "trailers": self.trailers,
                "details": self.details, "http_status": self.status}


class Goa(WebSocket):
    """As a client that Goa has generated, of routes at /goa/pkg.Service/Method: plain JSON in lines, "null" as the half-close.
    What a method without a stream of requests is asked stands in the query, so that it is asked when that is known."""

    def begin(self, request):
        self.frames, self.refusal, self.closed, self.asked = websocket_frames.Frames(), b"", None, request
        if self.schema.method(request["method"]).client_streaming:
            self.connect("")

    def connect(self, query):
        headers = [("sec-websocket-version", "13"), ("upgrade", "websocket"), ("connection", "upgrade"),
                   ("sec-websocket-key", "A" * 22 + "==")]
        if self.compresses:
            headers.append(("sec-websocket-extensions", "permessage-deflate"))
        self.wire.request([(":method", "GET"), (":path", "/goa/" + self.asked["method"] + query)] + headers +
                          list(pairs_of(self.asked.get("metadata"))))
        self.put = lambda data, seconds: self.wire.write(data, time.monotonic() + seconds)

    def plain(self, plain):
        message = from_plain(self.request_class(), plain)
        return {field.name: value for field, value in message.ListFields()}

    def send(self, plain, seconds):
        if not self.schema.method(self.asked["method"]).client_streaming:
            return self.connect("?" + urllib.parse.urlencode(self.plain(plain)))
        line = json.dumps(self.plain(plain)) + "\n"
        self.write_frame(websocket_frames.TEXT, line.encode(), seconds, self.compresses)

    def half_close(self, seconds):
        if not self.code and self.schema.method(self.asked["method"]).client_streaming:
            self.write_frame(websocket_frames.TEXT, b"null\n", seconds)

    def on_header(self, name, value):
        if name not in ("upgrade", "date", "server") and not name.startswith("sec-websocket"):
            Call.on_header(self, name, value)

    def on_data(self, data):
        if self.is_refused:
            self.refusal += data
            return
        for opcode, payload in self.frames.read(data):
            if self.closed:
                raise ValueError("something stands behind the close")
            if opcode == websocket_frames.CLOSE:
                self.closed = int.from_bytes(payload[:2], "big")
                self.finish("OK" if self.closed == 1000 else "UNKNOWN", wire(payload[2:].decode()))
            elif opcode == websocket_frames.TEXT:
                self.messages.append(to_plain(json_format.Parse(payload, self.reply_class())))

    def on_end(self):
        if self.is_refused:
            error = json.loads(self.refusal)
            if self.fields["goa-error"] != error["name"]:
                raise ValueError("another error: %s" % error)
            self.finish(error["name"].upper(), wire(error["message"]))
        elif self.closed not in (1000, 1011):
            raise ValueError("closed with %s" % self.closed)


class Rest(Call):
    """Routes of the method's name, with all of the request in the body; a stream of answers is lines."""
    base, accept = "application/json", "application/x-ndjson"

    def begin(self, request):
        self.data, self.text_left, self.has_ended = b"", "", False
        method = descriptor_pb2.MethodDescriptorProto()
        self.schema.method(request["method"]).CopyToProto(method)
        self.is_stream = method.server_streaming
        headers = [("accept", self.accept), ("te", "trailers")]
        if request.get("timeout"):
            headers.append(("grpc-timeout", "%dm" % (request["timeout"] * 1000)))
        if self.compresses:
            headers += [("content-encoding", "gzip"), ("accept-encoding", "gzip")]
        self.ask(request, headers, path="/rest/" + method.name)

    def type(self):
        return self.base

    def send(self, plain, seconds):
        data = json_format.MessageToJson(from_plain(self.request_class(), plain), indent=None).encode() + b"\n"
        self.write(gzip.compress(data) if self.compresses else data, seconds)

    def on_header(self, name, value):
        if name.startswith("trailer-"):
            put(self.trailers, name[len("trailer-"):], value)
        elif name not in ("cache-control", "x-accel-buffering"):
            super().on_header(name, value)

    def on_head(self):
        self.is_stream = self.is_stream and self.status == 200
        expected = self.accept if self.is_stream else self.base
        if self.fields["content-type"] != expected:
            raise ValueError("%s in place of %s" % (self.fields["content-type"], expected))

    def on_data(self, data):
        self.data += data
        if self.is_stream: # a piece may end inside of a character, but none has the byte of a line's end in it
            whole, newline, self.data = self.data.rpartition(b"\n")
            self.text_left += (whole + newline).decode()
            self.read_stream()

    def read_stream(self):
        *lines, self.text_left = self.text_left.split("\n")
        for line in lines:
            self.take_element(*json.loads(line).items())

    def take_element(self, pair):
        if self.has_ended:
            raise ValueError("something stands behind the end")
        name, value = pair
        if name == "error":
            self.end_stream(value)
        elif name == "result":
            self.messages.append(self.decode_value(value))
        else:
            raise ValueError("neither a result nor an error: %s" % name)

    def end_stream(self, status):
        self.has_ended = True
        self.take_error(status)

    def decode_value(self, value):
        return to_plain(json_format.ParseDict(value, self.reply_class(), descriptor_pool=self.schema.pool))

    def take_error(self, status):
        if set(status) != {"code", "message", "details"}:
            raise ValueError("a status with other keys: %s" % status)
        for detail in status["details"]:
            any_ = self.schema.named("google.protobuf.Any")()
            json_format.ParseDict(detail, any_, descriptor_pool=self.schema.pool)
            self.details.append({"type": any_.type_url.rpartition("/")[2], "value": any_.value.decode("latin-1")})
        self.finish(CODES[status["code"]], wire(status["message"]))

    def on_end(self):
        for name, value in self.wire.trailers:
            put(self.trailers, name, value)
        if self.wire.reset:
            self.finish("CANCELLED", self.wire.reset)
        elif self.is_stream:
            self.on_stream_end()
        elif self.status == 200:
            is_packed = self.fields.get("content-encoding") == "gzip"
            self.messages.append(self.decode_value(json.loads(gzip.decompress(self.data) if is_packed else self.data)))
        else:
            self.take_error(json.loads(self.data))
        self.finish("OK", "")

    def on_stream_end(self):
        if self.text_left or self.data:
            raise ValueError("the answer ends inside of a line")

    def receive(self, seconds):
        while not self.messages and not self.code and (self.read_more(seconds) or self.messages):
            pass
        if not self.messages:
            raise Refused("end")
        return {"message": self.messages.pop(0)}

    def result(self, seconds):
        while not self.wire.has_ended and self.read_more(seconds):
            pass
        return {"code": self.code, "text": self.text, "headers": self.headers, "trailers": self.trailers,
                "details": self.details, "http_status": self.status}


class RestList(Rest):
    """Read when it is whole."""
    accept = "application/json"

    def on_data(self, data):
        self.data += data

    def on_stream_end(self):
        for value in json.loads(self.data):
            self.take_element(("error", value["error"]) if set(value) == {"error"} else ("result", value))


class RestEvents(Rest):
    accept = "text/event-stream"

    def read_stream(self):
        *events, self.text_left = self.text_left.split("\n\n")
        for event in events:
            fields = dict(line.split(": ", 1) for line in event.split("\n") if not line.startswith(":"))
            name = fields.pop("event", "result")
            if name == "end":
                self.has_ended = True
            elif fields:
                self.take_element((name, json.loads(fields["data"])))

    def on_stream_end(self):
        super().on_stream_end()
        if not self.has_ended:
            raise ValueError("the answer has no end")


PROTOCOLS = {"websocket": WebSocket, "goa": Goa, "rest": Rest, "rest-list": RestList, "rest-events": RestEvents,
             "triple": Triple, "triple-unary": TripleUnary,
             "grpc": Grpc, "grpc-web": GrpcWeb, "grpc-web-text": GrpcWebText, "connect": Connect,
             "connect-unary": ConnectUnary, "connect-get": ConnectGet}


class Client:
    def __init__(self, schema):
        self.schema, self.calls, self.numbers = schema, {}, itertools.count(1)

    def do_open(self, request):
        number = next(self.numbers)
        self.calls[number] = PROTOCOLS[request["protocol"]](self, request)
        return number

    def do_send(self, request):
        self.calls[request["stream"]].send(request.get("message"), request["seconds"])
        return True

    def do_receive(self, request):
        return self.calls[request["stream"]].receive(request["seconds"])

    def do_half_close(self, request):
        self.calls[request["stream"]].half_close(request["seconds"])
        return True

    def do_headers(self, request):
        call = self.calls[request["stream"]]
        call.read_head(request["seconds"])
        return call.headers

    def do_status(self, request):
        return self.calls[request["stream"]].result(request["seconds"])

    def do_cancel(self, request):
        self.calls.pop(request["stream"]).wire.cancel()
        return True

    def do_forget(self, request):
        for call in self.calls.values():
            call.wire.close()
        self.calls = {}
        return True

    def do_exchange(self, request):
        """One request as it is, of any kind; its answer as it is."""
        exchange = (Http1 if request["http"] == 1 else Http2)(request)
        exchange.request([(":method", request.get("method") or "POST"), (":path", request["path"])] +
                         [tuple(pair) for pair in request.get("headers") or ()])
        try:
            exchange.send(raw(request.get("body") or ""), request["seconds"])
            exchange.end(request["seconds"])
        except (ConnectionError, EOFError):
            pass # what was answered before that stands
        status, fields = exchange.head(request["seconds"])
        body = b""
        while True:
            data = exchange.read(request["seconds"])
            if data is None:
                break
            body += data
        exchange.close()
        headers = {}
        for name, value in fields:
            headers.setdefault(name, []).append(value)
        return {"status": status, "headers": {name: ", ".join(values) for name, values in headers.items()},
                "body": body.decode("latin-1"), "trailers": dict(exchange.trailers), "reset": exchange.reset}

    def answer(self, request):
        try:
            return {"value": getattr(self, "do_" + request["do"])(request)}
        except Refused as reason:
            return {"refused": str(reason)}
        except Late:
            return {"refused": "timeout"}
        except Exception: # the spec fails with the whole story
            return {"fault": wire(traceback.format_exc())}

    def serve(self):
        while True:
            request = read_request()
            if request is None:
                break
            write_answer(self.answer(request))


Client(Schema(sys.argv[1])).serve()
