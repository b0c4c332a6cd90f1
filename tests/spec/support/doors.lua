-- Clients of gRPC-Web, Connect, WebSocket, REST and gRPC as JSON, over either version of HTTP; see doors_client.py.
-- Used as support.client is:
--
--   local channel = doors.connect(gw.address, { protocol = "grpc-web", codec = "json", http = 1 })
--   local reply = channel:call("doors.Doors/Unary", { text = "a" })               -- reply.message, .code, .text, …
--   local stream = channel:open("doors.Doors/Bidi", { timeout = 5 })
--   stream:send { … }; stream:receive(); stream:half_close(); stream:status()
--   doors.exchange(gw.address, { path = "/a", headers = { { "a", "b" } }, body = "" })  -- .status, .headers, .body
local asking = require "support.asking"
local gateway = require "support.gateway"
local schema = require "support.schema"

local doors = {}
local channel = {}
channel.__index = channel
local stream = {}
stream.__index = stream

local is_used
local python = asking.new(function() return { "tests/spec/support/doors_client.py", schema.descriptor_set() } end)
gateway.before_stop(function()
  if is_used then python:ask { ["do"] = "forget" } end
  is_used = false
end)

local function ask(request, options)
  is_used = true
  return python:ask(request, options)
end

-- options: protocol = "grpc", "triple", "grpc-web", "grpc-web-text", "connect", "websocket", "goa", or "rest",
-- "rest-list", "rest-events": by routes "POST /rest/Method"; codec = "proto" or "json"; http = 1 or 2.
-- Calls of the same method go by Connect's form without envelopes with `protocol = "connect-unary"`, "connect-get", or
-- as Triple names it "triple-unary".
function doors.connect(address, options)
  return setmetatable({ address = address, options = options }, channel)
end

local function open(self, protocol, method, options)
  local request = { ["do"] = "open", address = self.address, method = method, http = self.options.http or 2,
    codec = self.options.codec, compression = self.options.compression }
  for k, v in pairs(options or {}) do request[k] = v end
  request.protocol = protocol
  return setmetatable({ number = ask(request) }, stream)
end

-- timeout =, metadata = { name = value or list }, compression = "gzip"
function channel:open(method, options) return open(self, self.options.protocol, method, options) end

-- One message each way: { message =, code =, text =, headers =, trailers =, details =, http_status = }
function channel:call(method, message, options)
  local protocol = self.options.protocol
  local call = open(self, protocol == "connect" and "connect-unary" or protocol, method, options)
  call:send(message)
  call:half_close()
  local reply, why = call:receive()
  assert(reply or why == "end", why)
  local result = call:status()
  result.message = reply
  return result
end

function stream:ask(what, options) return ask({ ["do"] = what, stream = self.number }, options) end
function stream:send(message) return self:ask("send", { message = message }) end
function stream:half_close() return self:ask "half_close" end
function stream:headers() return self:ask "headers" end
function stream:status() return self:ask "status" end
function stream:cancel() return self:ask "cancel" end

-- A message, or nil and "end" or "timeout".
function stream:receive(seconds)
  local reply, why = self:ask("receive", { seconds = seconds })
  if not reply then return nil, why end
  return reply.message
end

-- request: method = "POST", path =, headers = list of pairs, body =, http = 1 or 2
function doors.exchange(address, request)
  request["do"], request.address, request.http = "exchange", address, request.http or 2
  return assert(ask(request))
end

return doors
