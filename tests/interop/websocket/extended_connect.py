"""A client of WebSockets over HTTP/2 (RFC 8441) by Python's h2 and wsproto.

usage: extended_connect.py ADDRESS TLS_ADDRESS CA
"""
import json
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection as Frames, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

PLAIN, SECURE, CA = sys.argv[1:4]
PATIENCE = 100  # seconds


class Connection:
    """One connection of HTTP/2, and the WebSockets on it."""

    def __init__(self, address, is_secure):
        host, port = address.rsplit(":", 1)
        self.scheme = "https" if is_secure else "http"
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        if is_secure:
            context = ssl.create_default_context(cafile=CA)
            context.set_alpn_protocols(["h2", "http/1.1"])
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
            assert self.socket.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.streams = {}
        self.has_settings = False
        while not self.has_settings:
            self.turn()
        assert self.h2.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.h2.close_connection()
        self.flush()
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def turn(self):
        """Says what there is to say, and reads once."""
        self.flush()
        data = self.socket.recv(65536)
        assert data, "the connection has ended"
        for event in self.h2.receive_data(data):
            assert not isinstance(event, h2.events.ConnectionTerminated), event
            if isinstance(event, h2.events.RemoteSettingsChanged):
                self.has_settings = True
            stream = self.streams.get(getattr(event, "stream_id", None))
            if stream:
                stream.take(event)

    def open(self, path, headers=(), extensions=()):
        return WebSocket(self, path, list(headers), list(extensions))


class WebSocket:
    def __init__(self, connection, path, headers, extensions):
        self.connection, self.h2 = connection, connection.h2
        self.id = self.h2.get_next_available_stream_id()
        connection.streams[self.id] = self
        self.answer, self.frames, self.events, self.early, self.has_ended = None, None, [], b"", False
        if extensions:
            offers = ", ".join("%s; %s" % (e.name, e.offer()) for e in extensions)
            headers.append(("sec-websocket-extensions", offers))
        self.h2.send_headers(self.id, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", connection.scheme), (":path", path),
            (":authority", "localhost"), ("sec-websocket-version", "13")] + headers)
        while self.answer is None:
            connection.turn()
        if self.answer[":status"] == "200":
            taken = self.answer.get("sec-websocket-extensions")
            for extension in extensions if taken else []:
                extension.finalize(taken)
            self.frames = Frames(ConnectionType.CLIENT, [e for e in extensions if e.enabled()])
            self.feed(b"")

    def take(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            self.answer = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, self.id)
            self.feed(event.data)
        elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
            self.has_ended = True

    def feed(self, data):
        self.early += data
        if not self.frames:
            return
        self.frames.receive_data(self.early)
        self.early = b""
        for event in self.frames.events():
            if isinstance(event, Ping):
                self.send(event.response())
            else:
                self.events.append(event)

    def send(self, event):
        data = self.frames.send(event)
        while data:
            room = min(self.h2.local_flow_control_window(self.id), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.connection.turn()
                continue
            self.h2.send_data(self.id, data[:room])
            data = data[room:]

    def text(self, value):
        self.send(TextMessage(data=value if isinstance(value, str) else json.dumps(value)))

    def half_close(self):
        self.text("")

    def event(self):
        while not self.events:
            assert not self.has_ended, "the stream has ended"
            self.connection.turn()
        return self.events.pop(0)

    def message(self):
        """A whole one: str or bytes; or None and then `closed`."""
        parts = []
        while True:
            event = self.event()
            if isinstance(event, CloseConnection):
                self.closed = (event.code, event.reason or "")
                if self.frames.state is not ConnectionState.CLOSED:  # or it answers ours
                    self.send(event.response())
                return None
            if not isinstance(event, (TextMessage, BytesMessage)):
                continue
            parts.append(event.data)
            if event.message_finished:
                return type(event.data)().join(parts)

    def json(self):
        return json.loads(self.message())

    def wait_for_end(self):
        assert self.message() is None
        while not self.has_ended:
            self.connection.turn()
        self.h2.end_stream(self.id)
        return self.closed


def unary(connection):
    call = connection.open("/greet.GreetService/Greet")
    call.text({"name": "h2"})
    assert call.json() == {"greeting": "h2"}
    assert call.wait_for_end() == (1000, "")


def many_at_once(connection):
    calls = [connection.open("/tutorial.NumberService/AccumulateNumbers") for _ in range(10)]
    for num in range(1, 51):
        for call in calls:
            call.text({"num": num})
        for call in calls:
            assert call.json() == {"sum": num * (num + 1) // 2}
    for call in calls:
        call.half_close()
    for call in calls:
        assert call.wait_for_end() == (1000, "")


def sub_protocols(connection):
    call = connection.open("/greet.GreetService/Greet", [("sec-websocket-protocol", "other, tidewire.proto")])
    assert call.answer["sec-websocket-protocol"] == "tidewire.proto"
    call.send(BytesMessage(data=b"\n\2h2"))
    assert call.message() == b"\n\2h2"
    assert call.json() == {"end": {}}
    assert call.wait_for_end() == (1000, "")


def large_and_compressed(connection):
    text = "so much of it " * 200000
    for extensions in [PerMessageDeflate()], [PerMessageDeflate(server_max_window_bits=10)], []:
        call = connection.open("/greet.GreetService/Greet", extensions=extensions)
        assert bool(extensions) == bool(call.answer.get("sec-websocket-extensions"))
        call.text({"name": text})
        assert call.json() == {"greeting": text}
        assert call.wait_for_end() == (1000, "")


def fragments_and_pings(connection):
    call = connection.open("/greet.GreetService/Greet")
    call.send(TextMessage(data='{"name":"one ', message_finished=False))
    call.send(Ping(payload=b"between"))
    call.send(TextMessage(data='two"}', message_finished=True))
    event = call.event()
    assert isinstance(event, Pong) and event.payload == b"between", event
    assert call.json() == {"greeting": "one two"}


def ends(connection):
    call = connection.open("/greet.GreetService/Greet")
    call.text("{")
    code, reason = call.wait_for_end()
    assert code == 4003 and "column" in reason, (code, reason)
    call = connection.open("/tutorial.NumberService/AccumulateNumbers")
    call.send(CloseConnection(code=1001, reason="enough"))
    assert call.wait_for_end()[0] == 1001
    call = connection.open("/tutorial.NumberService/AccumulateNumbers")
    connection.h2.reset_stream(call.id, 8)
    unary(connection)  # the connection goes on


def refusals(connection):
    for path, headers, status in (("/greet.GreetService/Missing", [], "404"), ("/nothing", [], "404"),
                                  ("/greet.GreetService/Greet", [("origin", "https://elsewhere.example")], "403"),
                                  ("/greet.GreetService/Greet", [("sec-websocket-protocol", "soap")], "400")):
        call = connection.open(path, headers)
        assert call.answer[":status"] == status, call.answer
    unary(connection)


CASES = {"a unary greeting": unary, "ten calls of both directions on one connection": many_at_once,
         "a sub-protocol of binary messages": sub_protocols, "large messages, compressed and not": large_and_compressed,
         "fragments, and a ping between them": fragments_and_pings, "closes and resets": ends, "refusals": refusals}


def main():
    passed = failed = 0
    for way, address, is_secure in ("", PLAIN, False), (", TLS", SECURE, True):
        for name, run in CASES.items():
            try:
                with Connection(address, is_secure) as connection:
                    run(connection)
                passed += 1
                print("ok      %s%s" % (name, way))
            except Exception as error:  # every one is a failure
                failed += 1
                print("not ok  %s%s: %r" % (name, way, error))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
