-- Gateways with named limits: interop.Interop answered by a handler here, or by grpcio behind a filter or passed on.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"

local metered = { ways = { "function", "hooks", "filtered", "passed" }, echo = "interop.Interop/EchoStream" }

local scripts = {
  ["function.lua"] = [[return {
    Echo = function(_, message) return message end,
    EchoStream = function(stream) for message in stream:messages() do stream:send(message) end end,
  }]],
  ["hooks.lua"] = [[return {
    Echo = { on_message = function(_, message) return message end },
    EchoStream = { on_message = function(_, message) return message end },
  }]],
  ["filtered.lua"] = [[
    local hooks = { on_request = function(_, message) assert(message.number) end,
      on_response = function(_, message) assert(message.number) end }
    return { Echo = hooks, EchoStream = hooks }
  ]],
}

local services = {
  ["function"] = 'script = "function.lua"',
  hooks = 'script = "hooks.lua"',
  filtered = 'script = "filtered.lua"  upstream = "behind"',
  passed = 'upstream = "behind"',
}

local behind
local function address_of_behind(way)
  if not services[way]:find "behind" then return "127.0.0.1:1" end
  behind = behind or foreign.start()
  return behind
end

-- `limits`: the sections; `names`: those that interop.Interop names. options: workers =, more = (sections),
-- service = (what else its section says)
function metered.config(way, limits, names, options)
  options = options or {}
  return ('workers = %d\nproto = { "interop.proto" }\nupstream behind { target = "%s" }\n%s\n%s\n'
    .. 'service "interop.Interop" { %s  limit = { %s } %s }\n'):format(options.workers or 1, address_of_behind(way),
    options.more or "", limits, services[way], names, options.service or "")
end

-- The gateway, and a channel to it.
function metered.start(way, limits, names, options)
  local gw = gateway.start { config = metered.config(way, limits, names, options), scripts = scripts }
  return gw, client.connect(gw.address)
end

-- For after_each. The server behind serves all cases of a file.
metered.stop = gateway.stop_all
gateway.at_exit(foreign.stop)

function metered.numbered(from, to)
  local messages = {}
  for i = from, to do messages[#messages + 1] = { number = i } end
  return messages
end

-- That these are the messages, each once and in order.
function metered.are_numbered(assert, messages, to)
  assert.equal(to, #messages)
  for i, message in ipairs(messages) do assert.equal(i, message.number) end
end

-- That this status is a limit's, with the time after which another try makes sense.
function metered.assert_limited(assert, status, limit)
  assert.equal("RESOURCE_EXHAUSTED", status.code)
  assert.is_truthy(status.text:find('limit "' .. limit .. '"', 1, true), status.text)
  local detail = status.details.list[1]
  assert.equal("type.googleapis.com/google.rpc.RetryInfo", detail.type_url)
  assert.equal(8, status.details.code)
  assert.equal(status.text, status.details.text)
  return detail.message.retry_delay
end

-- What a limit has done, as the gateway's last words say; it is stopped for that.
function metered.figures(gw, name)
  gw:signal "TERM"
  gw:wait_exit()
  local line = gw:log():match('[^\n]*what a limit has done[^\n]*limit="?' .. name .. '"?[^\n]*') or ""
  local figures = {}
  for _, word in ipairs { "delayed", "refused", "ended", "crowded" } do
    figures[word] = tonumber(line:match(word .. "=(%d+)") or 0)
  end
  return figures
end

-- A way for each, as it() makes them.
function metered.each(it, name, act)
  for _, way in ipairs(metered.ways) do
    it(way .. ": " .. name, function() act(way) end)
  end
end

return metered
