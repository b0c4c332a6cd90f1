-- A raw client of WebSocket over HTTP/1.1: it sends frames as they are, right or wrong, and takes frames apart.
--
--   local ws = websocket.open(gw.address, "/greet.GreetService/Greet", { protocol = "tidewire.json" })
--   ws:text '{"name":"ann"}'
--   ws:message()  -->  '{"message":{"greeting":"ann"}}', "text"
--   ws:closed()   -->  1000, ""
local bit = require "bit"
local http1 = require "support.http1"

local websocket = {}
websocket.__index = websocket

-- The handshake's request. options: protocol, extensions, origin, headers = { "Name: value" }, host.
function websocket.request(path, options)
  options = options or {}
  local lines = {
    "GET " .. path .. " HTTP/1.1", "Host: " .. (options.host or "gateway"), "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  }
  if options.protocol then lines[#lines + 1] = "Sec-WebSocket-Protocol: " .. options.protocol end
  if options.extensions then lines[#lines + 1] = "Sec-WebSocket-Extensions: " .. options.extensions end
  if options.origin then lines[#lines + 1] = "Origin: " .. options.origin end
  for _, line in ipairs(options.headers or {}) do lines[#lines + 1] = line end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- The answer to a handshake that is refused.
function websocket.refused(address, path, options)
  local answer = http1.ask(address, websocket.request(path, options))
  assert(answer.status ~= 101, "it was not refused")
  return answer
end

function websocket.open(address, path, options)
  local wire = http1.connect(address, options)
  wire:send(websocket.request(path, options))
  local head = assert(wire:head(), "the connection has ended")
  assert(head.status == 101, head.status)
  assert(head.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  return setmetatable({ wire = wire, headers = head.headers }, websocket)
end

-- ---- sending

local function big_endian(number, bytes)
  local text = ""
  for _ = 1, bytes do
    text = string.char(number % 256) .. text
    number = math.floor(number / 256)
  end
  return text
end

-- A frame: its first byte (0x80: the last of a message; 0x40: compressed; and the opcode) and its payload. A mask of
-- zeros is a mask too, and spares the work of another one on large payloads.
function websocket.frame(first, payload, options)
  local mask = options and options.mask or "\0\0\0\0"
  local flag = options and options.is_bare and 0 or 0x80
  local length = #payload < 126 and string.char(flag + #payload)
    or #payload < 65536 and string.char(flag + 126) .. big_endian(#payload, 2)
    or string.char(flag + 127) .. big_endian(#payload, 8)
  if flag == 0 then return string.char(first) .. length .. payload end
  if mask ~= "\0\0\0\0" then
    local masked = {}
    for i = 1, #payload do masked[i] = string.char(bit.bxor(payload:byte(i), mask:byte((i - 1) % 4 + 1))) end
    payload = table.concat(masked)
  end
  return string.char(first) .. length .. mask .. payload
end

function websocket:send(...) self.wire:send(websocket.frame(...)) end
function websocket:text(payload) self:send(0x81, payload, { mask = "\x1f\x2e\x3d\x4c" }) end
function websocket:binary(payload) self:send(0x82, payload) end
function websocket:half_close() self:text "" end
function websocket:close(code, reason) self:send(0x88, code and big_endian(code, 2) .. (reason or "") or "") end
function websocket:cut() self.wire:close() end

-- ---- receiving

local names = { [1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong" }

-- Its kind, its payload, and whether it is compressed; nil at the end of the connection.
function websocket:receive()
  local head = self.wire:bytes(2)
  if not head then return nil end
  local first, length = head:byte(1, 2)
  assert(first >= 0x80 and length < 128, "a server's frame is whole and has no mask")
  if length >= 126 then
    local bytes = self.wire:bytes(length == 126 and 2 or 8)
    length = 0
    for i = 1, #bytes do length = length * 256 + bytes:byte(i) end
  end
  local payload = length == 0 and "" or self.wire:bytes(length)
  return names[first % 16], payload, first % 128 >= 64
end

-- The next message: its payload and its kind; nil when a close comes first. Pings are answered.
function websocket:message()
  local kind, payload, is_compressed = self:receive()
  while kind == "ping" do
    self:send(0x8a, payload)
    kind, payload, is_compressed = self:receive()
  end
  if kind == "close" then
    self.last = payload
    return nil
  end
  assert(kind == "text" or kind == "binary", kind)
  return payload, kind, is_compressed
end

-- The code and the reason of the close, behind which nothing comes; nil when the connection ends without one.
function websocket:closed()
  local payload = self.last
  while not payload do
    local kind, bytes = self:receive()
    if not kind then return nil end
    if kind == "close" then payload = bytes end
  end
  self.last = nil
  assert(self.wire:is_gone(), "something comes behind the close")
  self.wire:close()
  if payload == "" then return 1005, "" end
  return payload:byte(1) * 256 + payload:byte(2), payload:sub(3)
end

return websocket
