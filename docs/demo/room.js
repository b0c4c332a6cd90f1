// The same room by three ways, without a library.
import { talk } from "./websocket.js";
import { call } from "./grpc_web.js";

const at = (id) => document.getElementById(id);

function hear(way, word) {
  const line = document.createElement("li");
  line.textContent = `${word.sender ?? ""}: ${word.text ?? ""}`;
  at(way).append(line);
}

// WebSocket: one call, both directions.
const websocket = talk("/room.Room/Talk", {
  onHeaders: () => (at("websocket-state").textContent = "open"),
  onMessage: (word) => hear("websocket", word),
  onEnd: (end) => (at("websocket-state").textContent = end.error?.code ?? "closed"),
});

// gRPC-Web: a browser cannot go on sending while it is answered, so one call listens and others say.
call("/room.Room/Listen", {}, {
  onHeaders: () => (at("grpc-web-state").textContent = "open"),
  onMessage: (word) => hear("grpc-web", word),
}).then((trailers) => (at("grpc-web-state").textContent = `closed: ${trailers["grpc-status"]}`));

// Server-Sent Events: the browser comes back by itself, and misses nothing that the room still knows.
const events = new EventSource("/words");
events.onopen = () => (at("events-state").textContent = "open");
events.onerror = () => (at("events-state").textContent = events.readyState === EventSource.CLOSED ? "closed" : "lost");
events.onmessage = (event) => hear("events", JSON.parse(event.data));
events.addEventListener("end", () => events.close());

const say = {
  websocket: (word) => websocket.send(word),
  "grpc-web": (word) => call("/room.Room/Say", word),
  events: (word) => fetch("/words", { method: "POST", headers: { "content-type": "application/json" },
                                      body: JSON.stringify(word) }),
};

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  say[at("way").value]({ sender: at("sender").value, text: at("text").value });
  at("text").value = "";
});
