-- What flows between peers, both ways at once: much, large, and more than somebody takes.
local gateway = require "support.gateway"
local nodes = require "support.nodes"
local process = require "support.process"

local MIB = 1048576

-- "COUNT SIZE": so many messages of that size; "forever": until nobody takes them any more.
local greet = [[
local function text(i, size) return string.char(97 + i % 26):rep(size) end
return {
  Greet = function(_, request) return { greeting = request.name } end,
  GreetStream = function(stream)
    for message in stream:messages() do stream:send { greeting = message.name } end
  end,
  GreetServerStream = function(stream, request)
    local count, size = request.name:match "^(%d+) (%d+)$"
    for i = 1, count or math.huge do stream:send { greeting = text(i, size or 1000) } end
  end,
}
]]

local control = [[
local tidewire = require "tidewire"
local other = tidewire.peer "PEER"
local verbs = {}

function verbs.fetch(_, count, size)
  local up = other:open "greet.GreetService/GreetServerStream"
  up:send { name = count .. " " .. size }
  local right = 0
  for message in up:messages() do
    right = right + 1
    if message.greeting ~= string.char(97 + right % 26):rep(size) then return "message " .. right .. " is wrong" end
  end
  return right .. " " .. up:status()
end

function verbs.echo(_, count, size)
  local up = other:open "greet.GreetService/GreetStream"
  up:spawn(function()
    for i = 1, count do up:send { name = string.char(97 + i % 26):rep(size) } end
    up:half_close()
  end)
  local right = 0
  for message in up:messages() do
    if message.greeting == string.char(97 + (right + 1) % 26):rep(size) then right = right + 1 end
  end
  return right .. " " .. up:status()
end

function verbs.neglect(streams, count)
  for _ = 1, count do
    local up = other:open "greet.GreetService/GreetServerStream"
    up:send { name = "forever" }
    up:headers()
    streams[#streams + 1] = up
  end
  return "neglected"
end

function verbs.call(_, size)
  local reply, code, text = other:call("greet.GreetService/Greet", { name = ("x"):rep(size) })
  return reply and tostring(#reply.greeting) or code .. " " .. text
end
function verbs.peers() return tidewire.json.encode(tidewire.peers()) end

return { Chat = function(stream)
  local streams = {}
  for order in stream:messages() do
    local verb, first, second = order.message:match "^(%S+) ?(%S*) ?(%S*)$"
    stream:send { message = verbs[verb](streams, tonumber(first), tonumber(second)) }
  end
end }
]]

-- Time is what the network below is made of.
local function let_pass(seconds) process.await(seconds, function() end) end

describe("between peers", function()
  after_each(gateway.stop_all)

  local function pair(more)
    local scripts = {}
    for _, other in ipairs { "a", "b" } do scripts[other] = (control:gsub("PEER", other)) end
    local a, b = nodes.pair { peer = "linger = 5s", more = "log { level = info  access = off }\n" .. (more or ""),
      a = { scripts = { ["greet.lua"] = greet, ["control.lua"] = scripts.b } },
      b = { scripts = { ["greet.lua"] = greet, ["control.lua"] = scripts.a } } }
    assert.equal("1", a:ask "call 1") -- so that it is a who has dialled
    return a, b
  end

  it("messages of every size come whole and in order, both ways at once", function()
    local a, b = pair()
    local orders = { "echo 2000 10", "echo 300 16384", "echo 50 100000", "echo 4 3000000", "fetch 20000 20",
      "fetch 100 65536", "fetch 5 4000000" }
    local talks = {}
    for _, order in ipairs(orders) do
      for _, one in ipairs { a, b } do
        local talk = one:talk()
        talk:tell(order)
        talks[#talks + 1] = { talk = talk, wanted = order:match " (%d+) " .. " OK", name = one.name .. ": " .. order }
      end
    end
    for _, one in ipairs(talks) do assert.equal(one.wanted, one.talk:hear(gateway.patience), one.name) end
    assert.equal(1, nodes.connections(a, b))
  end)

  for _, taker in ipairs { "a", "b" } do
    it("who does not read holds back its own streams alone, and memory stays bounded (" .. taker .. ")", function()
      local a, b = pair()
      local one = taker == "a" and a or b
      local before = { a:resident_bytes(), b:resident_bytes() }
      local idle = one:talk()
      assert.equal("neglected", idle:ask "neglect 40")
      for _ = 1, 20 do
        assert.equal("100000", a:ask "call 100000")
        assert.equal("100000", b:ask "call 100000")
      end
      assert.equal("200 OK", a:ask "echo 200 10000")
      assert.equal("200 OK", b:ask "echo 200 10000")
      if gateway.slowness == 1 then
        for i, node in ipairs { a, b } do
          local grown = node:resident_bytes() - before[i]
          assert(grown < 64 * MIB, node.name .. " has grown by " .. grown)
        end
      end
      idle.stream:cancel()
      assert.is_truthy(process.await(gateway.patience, function() return one:counts().streams == 0 end))
    end)
  end

  it("a network that stops for a while stops everything, and loses nothing", function()
    local a, b = pair()
    local talks = {}
    for i, one in ipairs { a, b, a, b } do
      talks[i] = one:talk()
      talks[i]:tell "echo 3000 5000"
    end
    for _ = 1, 5 do
      let_pass(0.1)
      a.way:hold()
      let_pass(0.1)
      a.way:release()
    end
    for _, one in ipairs(talks) do assert.equal("3000 OK", one:hear(gateway.patience)) end
  end)
end)
