-- A real gRPC client (Debian's python3-grpcio) for specs: one Python process a spec file, steered by JSON lines.
--
--   local channel = client.connect(gw.address)
--   local reply = channel:call("greet.GreetService/Greet", { name = "ann" })      -- reply.message, .code, .text, …
--   local stream = channel:open("chat.ChatService/Chat", { timeout = 5 })
--   stream:send { … }; stream:receive(); stream:half_close(); stream:status()
local asking = require "support.asking"
local process = require "support.process"
local gateway = require "support.gateway"
local schema = require "support.schema"

local client = {}
local channel = {}
channel.__index = channel
local stream = {}
stream.__index = stream
local load = {}
load.__index = load

local python = asking.new(function() return { "tests/spec/support/grpc_client.py", schema.descriptor_set() } end)
local function ask(request) return python:ask(request) end

local function with(request, options)
  for k, v in pairs(options or {}) do request[k] = v end
  return request
end

-- ---- channels

local open_channels = {}

-- Options of a call that has to be answered although others make trouble: it does not wait for ever.
client.soon = { timeout = gateway.patience }
-- Of one that has begun before its deadline, also on a busy machine, and waits for that.
client.brief = { timeout = 2 * gateway.slowness ^ 0.5 }

-- options: tls = { ca =, certificate =, key =, name = }, max_receive =, max_send =, compression =, options = { … }
function client.connect(address, options)
  address = address:gsub("^%[?::%]?:", "[::1]:"):gsub("^0%.0%.0%.0:", "127.0.0.1:")
  local new = setmetatable({ number = ask(with({ ["do"] = "connect", address = address }, options)) }, channel)
  open_channels[new] = true
  return new
end

function channel:disconnect()
  open_channels[self] = nil
  return ask { ["do"] = "disconnect", channel = self.number }
end

function channel:wait_ready(seconds)
  return ask { ["do"] = "wait_ready", channel = self.number, seconds = seconds }
end

function channel:state() return ask { ["do"] = "channel_state", channel = self.number } end

-- A unary call: { message =, code =, text =, headers =, trailers =, details = }
-- options: timeout =, metadata = { name = value or list }, compression =
function channel:call(method, message, options)
  return assert(ask(with({ ["do"] = "call", channel = self.number, method = method, message = message }, options)))
end

-- Calls one after the other: { p50 =, p99 =, most = } in milliseconds.
function channel:times(method, message, times)
  return ask { ["do"] = "times", channel = self.number, method = method, message = message, times = times,
    seconds = gateway.patience }
end

function channel:open(method, options)
  local number = ask(with({ ["do"] = "open", channel = self.number, method = method }, options))
  return setmetatable({ number = number }, stream)
end

function channel:open_many(count, method, options)
  local request = with({ ["do"] = "open_many", channel = self.number, method = method, count = count }, options)
  local streams = {}
  for i, number in ipairs(ask(request)) do streams[i] = setmetatable({ number = number }, stream) end
  return streams
end

-- Sends one list of messages, half-closes and reads to the end: the messages and the status.
function channel:exchange(method, messages, options)
  local call = self:open(method, options)
  for _, message in ipairs(messages) do
    if not call:send(message) then break end
  end
  call:half_close()
  return call:receive_all().messages, call:status()
end

-- ---- streams

-- true; nil, "closed"; nil, "timeout" when flow control keeps it (it is still sent when that opens).
function stream:send(message, seconds)
  return ask { ["do"] = "send", stream = self.number, message = message, seconds = seconds }
end

function stream:send_times(times, message, seconds)
  return ask { ["do"] = "send_all", stream = self.number, message = message, times = times, seconds = seconds }
end

-- A list of them; how many were accepted: { sent =, reason = }
function stream:send_each(messages, seconds)
  return ask { ["do"] = "send_all", stream = self.number, messages = messages, seconds = seconds }
end

-- Messages whose `number` counts up, as fast as the stream takes them, until calm(), which returns how many.
function stream:flood(message) return ask { ["do"] = "flood", stream = self.number, message = message } end
function stream:calm(seconds) return ask { ["do"] = "calm", stream = self.number, seconds = seconds } end

-- The next message; nil, "end"; nil, "timeout"
function stream:receive(seconds)
  local answer, why = ask { ["do"] = "receive", stream = self.number, seconds = seconds }
  if not answer then return nil, why end
  return answer.message
end

-- { messages = list, reason = nil, "end" or "timeout" }
function stream:receive_all(count, seconds)
  return ask { ["do"] = "receive_all", stream = self.number, count = count, seconds = seconds }
end

-- Reads until a message satisfies `is_wanted`, and returns it.
function stream:receive_until(is_wanted, seconds)
  local deadline = process.now() + (seconds or gateway.patience)
  repeat
    local message, why = self:receive(deadline - process.now())
    if not message then return nil, why end
    if is_wanted(message) then return message end
  until process.now() > deadline
  return nil, "timeout"
end

function stream:half_close() return ask { ["do"] = "half_close", stream = self.number } end
function stream:cancel() return ask { ["do"] = "cancel", stream = self.number } end
function stream:headers(seconds) return ask { ["do"] = "headers", stream = self.number, seconds = seconds } end
-- { code =, text =, headers =, trailers =, details = }; waits for the end of the call.
function stream:status(seconds) return ask { ["do"] = "status", stream = self.number, seconds = seconds } end

-- ---- loads: see traffic.py

-- options: kind =, count =, method =, and what that kind takes; `channels` a list
function client.load(channels, options)
  local numbers = {}
  for i, one in ipairs(channels) do numbers[i] = one.number end
  return setmetatable({ number = ask(with({ ["do"] = "load", channels = numbers }, options)) }, load)
end

function load:state() return ask { ["do"] = "load_state", load = self.number } end
function load:await(figure, least, seconds)
  return ask { ["do"] = "load_await", load = self.number, figure = figure, least = least, seconds = seconds }
end
function load:stop(seconds) return ask { ["do"] = "load_stop", load = self.number, seconds = seconds } end

-- ---- the end

gateway.before_stop(function()
  for one in pairs(open_channels) do one:disconnect() end
end)

return client
