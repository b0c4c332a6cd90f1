// The same room by two ways, without a library.
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

const say = {
  websocket: (word) => websocket.send(word),
  "grpc-web": (word) => call("/room.Room/Say", word),
};

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  say[at("way").value]({ sender: at("sender").value, text: at("text").value });
  at("text").value = "";
});
