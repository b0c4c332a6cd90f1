"""Frames of WebSocket (RFC 6455), as a client writes and reads them; compressed ones (RFC 7692) each by itself."""
import os
import zlib

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN, COMPRESSED = 0x80, 0x40


def write(opcode, payload, compresses=False):
    first = FIN | opcode
    if compresses:
        deflater = zlib.compressobj(wbits=-15)
        payload = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        first |= COMPRESSED
    length = len(payload)
    if length < 126:
        head = bytes([first, 0x80 | length])
    elif length < 65536:
        head = bytes([first, 0x80 | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, 0x80 | 127]) + length.to_bytes(8, "big")
    mask = os.urandom(4)
    key = int.from_bytes(mask * (length // 4 + 1), "big") >> 8 * (4 - length % 4)
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")


class Frames:
    """Yields opcode and payload of whole frames that a server has sent, cut anywhere."""

    def __init__(self):
        self.bytes = b""

    def read(self, data):
        self.bytes += data
        while True:
            frame = self.next_frame()
            if not frame:
                return
            yield frame

    def next_frame(self):
        if len(self.bytes) < 2:
            return None
        first, length, at = self.bytes[0], self.bytes[1], 2
        if length > 127 or not first & FIN:
            raise ValueError("a server's frame is whole and has no mask")
        if length >= 126:
            at += 2 if length == 126 else 8
            length = int.from_bytes(self.bytes[2:at], "big")
        if len(self.bytes) < at + length:
            return None
        payload, self.bytes = self.bytes[at:at + length], self.bytes[at + length:]
        if first & COMPRESSED:
            payload = zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff")
        return first & 15, payload
