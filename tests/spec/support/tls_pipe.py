"""Carries connections without TLS to an address with it, and keeps next to nothing: who does not read on one side stops who
writes on the other. Each request opens a port: {"do": "open", "to": "host:port", "ca": …, "name": …, "protocols": […]}.
"""
import select
import socket
import ssl
import threading

from jsonlines import read_request, write_answer

STEP = 16384
KERNEL = 65536


class End:
    """One side, and what waits to be written to it."""

    def __init__(self, connection):
        self.connection, self.waiting, self.has_ended = connection, b"", False
        connection.setblocking(False)

    def read(self):
        """Bytes, b"" at the end, or None."""
        try:
            return self.connection.recv(STEP)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            return b""

    def write(self):
        try:
            self.waiting = self.waiting[self.connection.send(self.waiting):]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass

    def has_more(self):
        return isinstance(self.connection, ssl.SSLSocket) and self.connection.pending() > 0


def carry(plain, secure):
    ends = End(plain), End(secure)
    ways = (ends[0], ends[1]), (ends[1], ends[0])
    while not any(to.has_ended and not to.waiting for to in ends):
        readers = [source.connection for source, to in ways if not to.waiting and not to.has_ended]
        writers = [end.connection for end in ends if end.waiting]
        more = any(source.has_more() and not to.waiting for source, to in ways)
        select.select(readers, writers, [], 0 if more else None)
        for source, to in ways:
            if to.waiting:
                to.write()
            elif not to.has_ended:
                data = source.read()
                to.waiting, to.has_ended = data or b"", data == b""


def serve(listener, request):
    host, port = request["to"].rsplit(":", 1)
    context = ssl.create_default_context(cafile=request["ca"])
    context.set_alpn_protocols(request["protocols"])
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=begin, args=(plain, context, (host, int(port)), request["name"]), daemon=True).start()


def begin(plain, context, address, name):
    connection = socket.socket()
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
        connection.connect(address)
        secure = context.wrap_socket(connection, server_hostname=name)
        carry(plain, secure)
        secure.close()
    except OSError:
        connection.close()
    plain.close()


while True:
    request = read_request()
    if request is None:
        break
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL)
    threading.Thread(target=serve, args=(listener, request), daemon=True).start()
    write_answer({"value": listener.getsockname()[1]})
