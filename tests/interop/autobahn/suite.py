"""kosoku with its arguments; but that its cases may hash a message which came uncompressed: it has that as text, a
character for each byte."""
import hashlib

from kosoku._cli import main

sha1 = hashlib.sha1


class Digest:
    def __init__(self):
        self.inner = sha1()

    def update(self, data):
        self.inner.update(data.encode("latin-1") if isinstance(data, str) else data)

    def digest(self):
        return self.inner.digest()


hashlib.sha1 = Digest
main()
