// A call by gRPC-Web, with messages as JSON: one request, and replies as they come.
const frame = (payload) => {
  const bytes = new Uint8Array(5 + payload.length);
  new DataView(bytes.buffer).setUint32(1, payload.length);
  bytes.set(payload, 5);
  return bytes;
};

// Frames: a byte of flags, four of length, the payload; cut anywhere.
async function* frames(body) {
  let bytes = new Uint8Array();
  for (const reader = body.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(bytes.length + value.length);
    joined.set(bytes);
    joined.set(value, bytes.length);
    bytes = joined;
    while (bytes.length >= 5) {
      const end = 5 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
      if (bytes.length < end) break;
      yield { flags: bytes[0], text: new TextDecoder().decode(bytes.subarray(5, end)) };
      bytes = bytes.slice(end);
    }
  }
}

const parseTrailers = (text) =>
  Object.fromEntries(text.split("\r\n").filter(Boolean).map((line) => [
    line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim(),
  ]));

// Resolves with the trailers.
export async function call(path, message, { metadata, onHeaders, onMessage } = {}) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+json", "x-grpc-web": "1", ...metadata },
    body: frame(new TextEncoder().encode(JSON.stringify(message))),
  });
  if (response.headers.has("grpc-status")) return Object.fromEntries(response.headers);
  onHeaders?.(Object.fromEntries(response.headers));
  for await (const { flags, text } of frames(response.body)) {
    if (flags & 0x80) return parseTrailers(text);
    onMessage?.(JSON.parse(text));
  }
  return { "grpc-status": "14", "grpc-message": "the answer was cut off" };
}
