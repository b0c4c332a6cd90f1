-- The three ways in which a gateway stands between clients and a server: what comes is passed on, is filtered by a
-- script that looks at every message, or a script opens a stream of its own and relays.
local gateway = require "support.gateway"

local ways = { all = { "passed", "filtered", "opened" } }

local scripts = {
  ["filter.lua"] = [[
local function look_at(field)
  return function(_, message) assert(message[field] ~= nil) end
end
return {
  GreetStream = { on_request = look_at "name", on_response = look_at "greeting" },
  AccumulateNumbers = { on_request = look_at "num", on_response = look_at "sum" },
}
]],
  ["relay.lua"] = [[
local tidewire = require "tidewire"
local upstreams = { ["greet.GreetService"] = "one", ["tutorial.NumberService"] = "other" }

local function relay(stream)
  local up = tidewire.open(upstreams[stream.service], stream.service .. "/" .. stream.method)
  stream:spawn(function()
    for message in stream:messages() do
      if not up:send(message) then return end
    end
    up:half_close()
  end)
  for message in up:messages() do stream:send(message) end
  stream:close(up:status())
end

return { GreetStream = relay, AccumulateNumbers = relay }
]],
  ["counts.lua"] = [[
local tidewire = require "tidewire"
return { Chat = function(stream)
  for asked in stream:messages() do
    if asked.message ~= "" then
      stream:send { message = tostring(tidewire.upstreams().other.targets[asked.message].calls) }
    end
    local one = tidewire.upstreams().one
    local dials = 0
    for _, target in pairs(one.targets) do dials = dials + target.dials end
    stream:send { message = one.connections .. " connections, " .. one.streams .. " streams, " .. dials .. " dials" }
  end
end }
]],
}

local services = {
  passed = 'upstream = "%s"',
  filtered = 'script = "filter.lua"  upstream = "%s"',
  opened = 'script = "relay.lua"',
}

-- GreetService goes to `one`, NumberService to `other`: each the inside of an `upstream` section. ChatService tells
-- what stands towards `one`, and before that, asked for an address, how many calls the target of `other` there has had.
-- options: as gateway.start(); more = what the config has besides; service = what GreetService's section has besides
function ways.start(way, one, other, options)
  options = options or {}
  local function service(name, upstream, more)
    return ('service "%s" { %s %s }\n'):format(name, services[way]:format(upstream), more or "")
  end
  options.scripts = scripts
  options.config = ("workers = 1\nupstream one { %s }\nupstream other { %s }\n"):format(one, other or one)
    .. service("greet.GreetService", "one", options.service) .. service("tutorial.NumberService", "other")
    .. 'service "chat.ChatService" { script = "counts.lua" }\n' .. (options.more or "")
  return gateway.start(options)
end

-- A test for each way, as it() makes them.
function ways.each(it, name, act)
  for _, way in ipairs(ways.all) do
    it(way .. ": " .. name, function() act(way) end)
  end
end

return ways
