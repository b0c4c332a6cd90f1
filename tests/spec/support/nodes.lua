-- Gateways that are each other's peers, and scripts on them that a spec steers:
--
--   local a, b = nodes.pair()                 -- each dials the other through a relay: a.way, b.way
--   a:ask "call ann"                          -- what a's handler says about one call to its peer
--   local talk = a:talk(); talk:ask "open"    -- a handler that keeps a stream to the peer
--
-- What a control stream understands: see `control` below. A node answers greet.GreetService to everybody, with its own
-- name and, from a peer, the node that asks.
local client = require "support.client"
local gateway = require "support.gateway"
local json = require "cjson"
local process = require "support.process"
local relay = require "support.relay"

local nodes = {}
local node = {}
node.__index = setmetatable(node, { __index = gateway })

nodes.greet = [[
local function says(stream, name) return { greeting = "NODE to " .. (stream.node or "a client") .. ": " .. name } end
return {
  Greet = function(stream, request) return says(stream, request.name) end,
  GreetStream = function(stream)
    for message in stream:messages() do stream:send(says(stream, message.name)) end
  end,
}
]]

-- call NAME [TIMEOUT]  asks the peer once
-- open [TIMEOUT]       opens a stream to the peer, which says one thing on it; `say WORD` another
-- status               waits for the stream's end
-- many N               opens N more, each of which says one thing; `all` says one more thing on each
-- close                half-closes all streams and waits for their ends
-- peers                tidewire.peers() as JSON
nodes.control = [[
local tidewire = require "tidewire"
local other = tidewire.peer "PEER"

local function timeout(word) return { timeout = tonumber(word) } end
local function join(...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  return table.concat(words, " ")
end

local function ended(up)
  local code, text = up:status()
  return join(code, text)
end

local function say(up, word)
  local reply = up:send { name = word } and up:recv()
  return reply and reply.greeting or ended(up)
end

local verbs = {}
function verbs.call(_, name, seconds)
  local reply, code, text = other:call("greet.GreetService/Greet", { name = name }, timeout(seconds))
  return reply and reply.greeting or join(code, text)
end
function verbs.open(streams, seconds)
  local up = other:open("greet.GreetService/GreetStream", timeout(seconds))
  streams[#streams + 1] = up
  return say(up, "hello")
end
function verbs.say(streams, word) return say(streams[#streams], word) end
function verbs.status(streams) return ended(streams[#streams]) end
function verbs.many(streams, count)
  for _ = 1, tonumber(count) do
    local up = other:open "greet.GreetService/GreetStream"
    streams[#streams + 1] = up
    up:send { name = "one of many" }
  end
  local answered = 0
  for i = #streams - count + 1, #streams do
    if streams[i]:recv() then answered = answered + 1 end
  end
  return join(answered)
end
function verbs.all(streams)
  local answered = 0
  for _, up in ipairs(streams) do up:send { name = "another" } end
  for _, up in ipairs(streams) do
    if up:recv() then answered = answered + 1 end
  end
  return join(answered)
end
function verbs.close(streams)
  local codes = {}
  for _, up in ipairs(streams) do up:half_close() end
  for _, up in ipairs(streams) do
    local code = up:status()
    codes[code] = (codes[code] or 0) + 1
  end
  local parts = {}
  for code, count in pairs(codes) do parts[#parts + 1] = count .. " " .. code end
  return table.concat(parts, ", ")
end
function verbs.peers() return tidewire.json.encode(tidewire.peers()) end
function verbs.connected() return tostring(other.connected) end
function verbs.worker() return tostring(tidewire.worker.id) end

return { Chat = function(stream)
  local streams = {}
  for order in stream:messages() do
    local words = {}
    for word in order.message:gmatch "%S+" do words[#words + 1] = word end
    stream:send { message = verbs[words[1] ](streams, words[2], words[3]) }
  end
end }
]]

local function fill(text, values)
  return (text:gsub("%f[%u](%u+)%f[%U]", values))
end

-- What a node's config says; `peer` and `listen` stand in those sections. The first listener is that for peers.
function nodes.config(me, other, address, options)
  return ('node = "%s"\nworkers = %d\nlisten "%s" { peers = on %s }\nlisten "unix:control.sock" { }\n'):format(me,
      options.workers or 2, options.address or "127.0.0.1:0", options.listen or "")
    .. ('peer "%s" { %s %s }\n'):format(other, address and ('address = "%s"'):format(address) or "",
      options.peer or "linger = 100ms")
    .. 'service "greet.GreetService" { script = "greet.lua" }\n'
    .. 'service "chat.ChatService" { script = "control.lua" }\n'
    .. (options.more or "")
end

-- A folder for a node, which is started by begin(). `other` is whom it talks to, `address` where it dials.
-- options: workers =, listen =, address = (of its listener), peer =, more = (of the config), before =, files =,
-- scripts =
function nodes.prepare(me, other, address, options)
  options = options or {}
  local values = { NODE = me, PEER = other }
  local scripts = { ["greet.lua"] = fill(nodes.greet, values), ["control.lua"] = fill(nodes.control, values) }
  for name, text in pairs(options.scripts or {}) do scripts[name] = text end
  local self = setmetatable(gateway.prepare {
    config = nodes.config(me, other, address, options), scripts = scripts, files = options.files }, node)
  self.name, self.other, self.dials, self.options = me, other, address, options
  return self
end

function nodes.start(me, other, address, options)
  return nodes.prepare(me, other, address, options):begin(options)
end

-- Two that can dial each other. Options of prepare() for both, and of one of them: a =, b =
function nodes.pair(options)
  options = options or {}
  local function merged(more)
    local all = {}
    for k, v in pairs(options) do all[k] = v end
    for k, v in pairs(more or {}) do all[k] = v end
    return all
  end
  local from_a, from_b = relay.open(), relay.open()
  local a = nodes.start("a", "b", from_a.address, merged(options.a))
  local b = nodes.start("b", "a", from_b.address, merged(options.b))
  from_a:set { to = b.address }
  from_b:set { to = a.address }
  a.way, b.way = from_a, from_b
  return a, b
end

-- How many connections there are between two of a pair.
function nodes.connections(a, b) return a.way:state().alive + b.way:state().alive end

function nodes.await_connections(a, b, count)
  return process.await(gateway.patience, function() return nodes.connections(a, b) == count end)
end

-- ---- steering one

local talk = {}
talk.__index = talk

-- A new channel each: the next may be another worker's.
function node:talk()
  local channel = client.connect("unix:" .. self:path "control.sock")
  return setmetatable({ channel = channel, stream = channel:open "chat.ChatService/Chat" }, talk)
end

function talk:tell(order) return self.stream:send { message = order } end

-- What the handler says; nil and "no answer", or the status when it has failed.
function talk:hear(seconds)
  local message, why = self.stream:receive(seconds or gateway.patience)
  if message then return message.message end
  if why == "timeout" then return nil, "no answer" end
  local status = self.stream:status()
  return nil, status and status.code .. " " .. (status.text or "") or "no status"
end

function talk:ask(order, seconds)
  self:tell(order)
  return self:hear(seconds)
end

function talk:finish()
  self.stream:half_close()
  local code = self.stream:status().code
  self.channel:disconnect()
  return code
end

function node:ask(order, seconds)
  local one = self:talk()
  local answer, why = one:ask(order, seconds)
  one:finish()
  return answer, why
end

-- What the node's scripts see of its peer.
function node:counts(one)
  local text, why = (one or self):ask "peers"
  return json.decode((assert(text, why)))[self.other]
end

function node:await_counts(is_wanted)
  local one, last = self:talk(), nil
  local found = process.await(gateway.patience, function()
    last = self:counts(one)
    return is_wanted(last)
  end)
  one:finish()
  return found, json.encode(last)
end

return nodes
