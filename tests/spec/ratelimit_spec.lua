-- scripts/ratelimit.lua before a server that echoes.
local client = require "support.client"
local gateway = require "support.gateway"
local process = require "support.process"

local method = "greet.GreetService/GreetStream"

describe("the example of a rate limit", function()
  local gw
  before_each(function()
    local behind = gateway.start { scripts = { ["greet.lua"] = [[
return { GreetStream = function(stream) for m in stream:messages() do stream:send { greeting = m.name } end end }
]] }, config = 'service "greet.GreetService" { script = "greet.lua" }' }
    gw = gateway.start { config = ([[
workers = 2
script_path = "%s/scripts"
upstream "behind" { target = "%s" }
service "greet.GreetService" { script = "ratelimit.lua"  upstream = "behind" }]]):format(gateway.root, behind.address) }
  end)
  after_each(gateway.stop_all)

  local function open(token)
    return client.connect(gw.address):open(method, { metadata = { authorization = token } })
  end
  local function say(streams, count)
    for i = 1, count do
      for _, stream in ipairs(streams) do stream:send { name = tostring(i) } end
    end
  end
  local function hear(streams, count)
    for i = 1, count do
      for _, stream in ipairs(streams) do assert.equal(tostring(i), assert(stream:receive()).greeting) end
    end
  end

  it("lets a token's streams in all workers have their messages together, late but all", function()
    local streams, began = { open "ann", open "ann" }, process.now()
    say(streams, 13)
    hear(streams, 13)
    assert.is_true(process.now() - began >= 0.5) -- 20 at once, 6 more at 10 a second
  end)

  it("counts each token for itself, and those who have a very long one or none by their address", function()
    for _, token in ipairs { "ann", "eve", ("x"):rep(2000) } do
      local streams = { open(token) }
      say(streams, 10)
      hear(streams, 10)
    end
    local stream = client.connect(gw.address):open(method)
    say({ stream }, 10)
    hear({ stream }, 10)
  end)
end)
