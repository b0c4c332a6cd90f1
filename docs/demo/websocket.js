// A call as a WebSocket, with the sub-protocol tidewire.json: what is sent is a message, what comes says what it is.
export function talk(path, { metadata, onHeaders, onMessage, onEnd }) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams(metadata); // a browser can set no headers here
  const socket = new WebSocket(url, "tidewire.json");
  let last = null;
  socket.onopen = () => onHeaders?.({});
  socket.onmessage = ({ data }) => {
    const { headers, message, end } = JSON.parse(data);
    if (headers) onHeaders?.(headers);
    if (message) onMessage?.(message);
    if (end) last = end;
  };
  socket.onclose = ({ code, reason }) => onEnd?.(last ?? { error: { code: String(code), message: reason } });
  return {
    send: (message) => socket.send(JSON.stringify(message)),
    halfClose: () => socket.send(""), // no more messages from here, but the answers to come
    cancel: () => socket.close(),
  };
}
