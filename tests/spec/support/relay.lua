-- A slow, deaf or broken network between two gateways: see relay.py.
--
--   local way = relay.open()             -- way.address is what the dialler's config names
--   way:set { to = gw.addresses[2], forth = 0.01, back = 0.02 }
--   way:cut(); way:hold(); way:release(); way:shut(); way:reopen()
--   way:state()                          -- { alive =, made =, most = }: connections now, ever, most at a time
local asking = require "support.asking"
local gateway = require "support.gateway"
local ports = require "support.ports"

local relay = {}
relay.__index = relay

local python = asking.new(function() return { "tests/spec/support/relay.py" } end)
local open = {}

function relay:ask(verb, more)
  local request = { ["do"] = verb, port = self.port }
  for k, v in pairs(more or {}) do request[k] = v end
  return python:ask(request)
end

function relay.open()
  local port = python:ask { ["do"] = "listen", port = ports.free() }
  local self = setmetatable({ port = port, address = "127.0.0.1:" .. port }, relay)
  open[self] = true
  return self
end

function relay:set(options)
  local host, port = (options.to or ""):match "^(.*):(%d+)$"
  return self:ask("set", { host = host, to = tonumber(port), forth = options.forth, back = options.back })
end

function relay:state() return self:ask "state" end
function relay:cut() return self:ask "cut" end
function relay:hold() return self:ask "hold" end
function relay:release() return self:ask "release" end
function relay:shut() return self:ask "shut" end
function relay:reopen() return self:ask "reopen" end

gateway.before_stop(function()
  for one in pairs(open) do one:release() end
  open = {}
end)

return relay
