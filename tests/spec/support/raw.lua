-- A raw HTTP/2 client, or server, for specs that need to send single frames, wrong ones too; see raw_client.py.
--
--   local wire = raw.connect(gw.address)
--   wire:headers(1, "greet.GreetService/Greet"); wire:data(1, raw.message(bytes), true)
--   wire:expect { type = "HEADERS", stream = 1 }
local asking = require "support.asking"
local gateway = require "support.gateway"

local raw = {}
raw.__index = raw

local python = asking.new(function() return { "tests/spec/support/raw_client.py" } end)
local open = {}

-- nil and the reason when there is no connection.
-- options: preface = false, settings = { [number] = value }, acknowledges = false, first = bytes, receive_buffer =,
-- items = what goes with the preface, as for send(),
-- tls = { ca =, certificate =, key =, name =, protocols = list, version = "TLSv1_2" }
function raw.connect(address, options)
  local request = { ["do"] = "connect", address = address }
  for k, v in pairs(options or {}) do request[k] = v end
  if request.settings then
    local by_name = {} -- JSON knows only text as a key
    for k, v in pairs(request.settings) do by_name[tostring(k)] = v end
    request.settings = by_name
  end
  local number, why = python:ask(request)
  if not number then return nil, why end
  local self = setmetatable({ number = number }, raw)
  open[self] = true
  return self
end

local listener = {}
listener.__index = listener

-- A server: `address`, and accept([options of connect]), which gives a connection as connect() does.
function raw.listen()
  local port = python:ask { ["do"] = "listen" }
  return setmetatable({ port = port, address = "127.0.0.1:" .. port }, listener)
end

function listener:accept(options, seconds)
  local request = { ["do"] = "accept", port = self.port, seconds = seconds }
  if options and options.settings then
    request.settings = {}
    for k, v in pairs(options.settings) do request.settings[tostring(k)] = v end
  end
  local number, why = python:ask(request)
  if not number then return nil, why end
  local accepted = setmetatable({ number = number }, raw)
  open[accepted] = true
  return accepted
end

function listener:close() return python:ask { ["do"] = "unlisten", port = self.port } end

-- Random bytes from a stream here to one of another connection, compared there; see raw_client.py's pump().
function raw:pump(stream, to, to_stream, options)
  local request = { to = to.number, stream = stream, to_stream = to_stream }
  for k, v in pairs(options) do request[k] = v end
  return self:ask("pump", request)
end

-- The head of an answer; with `is_end` all of it (Trailers-Only).
function raw:respond(stream, fields, is_end)
  return self:send { { send = "headers", stream = stream, fields = fields, ["end"] = is_end } }
end

function raw:ask(verb, more)
  return python:ask({ ["do"] = verb, connection = self.number }, more)
end

-- `items` as raw_client.py's compose() takes them. options: times =, step = (stream numbers count up by it)
-- true, or nil and "timeout" or "gone"
function raw:send(items, options)
  local request = { items = items }
  for k, v in pairs(options or {}) do request[k] = v end
  return self:ask("send", request)
end

-- A gRPC message: prefix and bytes.
function raw.message(bytes, flag, length)
  length = length or #bytes
  return string.char(flag or 0, math.floor(length / 2^24) % 256, math.floor(length / 2^16) % 256,
    math.floor(length / 2^8) % 256, length % 256) .. bytes
end

-- A field of a message that is text or bytes, shorter than 16384 bytes.
function raw.text(number, value)
  local length = #value < 128 and string.char(#value)
    or string.char(#value % 128 + 128, math.floor(#value / 128))
  return string.char(number * 8 + 2) .. length .. value
end

-- The header fields of a request. `more` replaces some (false leaves one out) or adds.
function raw.request(path, more)
  local fields, order = {}, { ":method", ":scheme", ":path", ":authority", "content-type", "te" }
  local values = { [":method"] = "POST", [":scheme"] = "http", [":path"] = "/" .. path, [":authority"] = "localhost",
    ["content-type"] = "application/grpc", te = "trailers" }
  local rest = {}
  for name, value in pairs(more or {}) do
    if values[name] == nil then rest[#rest + 1] = name end
    values[name] = value
  end
  table.sort(rest)
  for _, name in ipairs(rest) do order[#order + 1] = name end
  for _, name in ipairs(order) do
    if values[name] then fields[#fields + 1] = { name, values[name] } end
  end
  return fields
end

function raw:headers(stream, path, more, is_end)
  return self:send { { send = "headers", stream = stream, fields = raw.request(path, more), ["end"] = is_end } }
end

function raw:data(stream, bytes, is_end)
  return self:send { { send = "data", stream = stream, bytes = bytes, ["end"] = is_end } }
end

function raw:reset(stream, code) return self:send { { send = "reset", stream = stream, code = code } } end

-- Bytes on each of the streams 1, 3, 5 … so many; false when windows stay closed.
function raw:data_on_each(count, bytes) return self:ask("send_on_each", { count = count, bytes = bytes }) end

-- The next frame with these members ({ type = "DATA", stream = 1 }); nil and "timeout" or "gone".
function raw:expect(wanted, seconds) return self:ask("expect", { wanted = wanted, seconds = seconds }) end

-- The trailers of a stream: the frame that ends it.
function raw:trailers(stream, seconds)
  return self:expect({ type = "HEADERS", stream = stream, is_end = true }, seconds)
end

-- Everything that has come and comes until nothing does for `seconds`.
function raw:waiting(seconds) return self:ask("waiting", { seconds = seconds or 0 }) end
function raw:await_gone(seconds) return self:ask("await_gone", { seconds = seconds }) end
function raw:read_bytes(seconds) return self:ask("read_bytes", { seconds = seconds }) end
function raw:tls() return self:ask "tls" end
function raw:shutdown_write() return self:ask "shutdown_write" end

function raw:close()
  open[self] = nil
  return self:ask "close"
end
function raw:abort()
  open[self] = nil
  return self:ask "abort"
end

gateway.before_stop(function()
  for one in pairs(open) do one:close() end
end)

return raw
