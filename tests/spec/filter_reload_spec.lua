-- Filters while their scripts are swapped, and while the gateway drains.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"

local bidi, numbers = "greet.GreetService/GreetStream", "tutorial.NumberService/AccumulateNumbers"

-- Writes its number behind every name and every greeting, waiting a little; looks at numbers.
local function filter(number)
  return ([[
local tidewire = require "tidewire"
local greet = {}
greet.GreetStream = {
  on_open = function(stream) stream:set_header("x-script", "%d") end,
  on_request = function(_, m)
    tidewire.sleep(0.001)
    m.name = m.name .. " %d"
  end,
  on_response = function(_, m) m.greeting = m.greeting .. " %d" end,
}
greet.AccumulateNumbers = {
  on_request = function(_, m) assert(m.num == 1) end,
  on_response = function(_, m) if m.sum %% 50 == 0 then tidewire.sleep(0.001) end end,
}
return greet
]]):format(number, number, number)
end

local config = [[
upstream behind { target = "%s" }
service "greet.GreetService" { script = "filter.lua"  upstream = "behind" }
service "tutorial.NumberService" { script = "filter.lua"  upstream = "behind" }
]]

local function say(stream, name)
  assert.is_true(stream:send { name = name })
  return assert(stream:receive()).greeting
end

describe("a reload under open filtered streams", function()
  local gw, channel

  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function start(script, more)
    local address = foreign.start_cpp()
    gw = gateway.start { config = config:format(address) .. (more or ""), scripts = { ["filter.lua"] = script } }
    channel = client.connect(gw.address)
    return address
  end

  it("gives new streams the new filters and leaves open ones the old: none is dropped, no message lost", function()
    start(filter(1))
    local load = client.load({ client.connect(gw.address), client.connect(gw.address) },
      { kind = "counters", count = 100, method = numbers, pause = 0.01 })
    assert.is_table(load:await("opened", 100))
    local witnesses, reloads = {}, 10
    for i = 1, reloads do
      witnesses[i] = channel:open(bidi)
      for j = 1, i do assert.equal(("hello %d %d"):format(j, j), say(witnesses[j], "hello")) end
      local received = load:state().received
      witnesses[i]:send { name = "on its way" } -- in the hook, or before it, when the scripts are swapped
      gw:write("scripts/filter.lua", filter(i + 1))
      assert.equal(i + 1, gw:reload())
      assert.equal(("on its way %d %d"):format(i, i), assert(witnesses[i]:receive()).greeting)
      assert.is_table(load:await("received", received + 100, gateway.patience)) -- traffic goes on
    end
    for i = 1, reloads do
      witnesses[i]:half_close()
      local status = witnesses[i]:status()
      assert.same({ "OK", tostring(i) }, { status.code, status.headers["x-script"][1] })
    end
    local counted = load:stop(gateway.patience)
    assert.same({ 0, 0, 100, {} }, { counted.wrong, counted.broken, counted.ended, counted.reasons })
    assert.equal(counted.sent, counted.received)
    for i = 1, reloads do gw:wait_for_log(("generation %d is gone"):format(i)) end
  end)

  it("that adds a script, or takes all away, changes new streams alone", function()
    local address = start(filter(1))
    local first = channel:open(bidi)
    assert.equal("a 1 1", say(first, "a"))
    gw:write("scripts/second.lua", filter(2))
    gw:configure((config:format(address):gsub('script = "filter.lua"', 'script = { "filter.lua", "second.lua" }')))
    assert.equal(2, gw:reload())
    local second = channel:open(bidi)
    assert.equal("b 1 2 2 1", say(second, "b"))
    gw:configure((config:format(address):gsub('script = "filter.lua"', "")))
    assert.equal(3, gw:reload())
    local third = channel:open(bidi)
    assert.equal("c", say(third, "c"))
    assert.equal("a 1 1", say(first, "a"))
    assert.equal("b 1 2 2 1", say(second, "b"))
    for _, stream in ipairs { first, second, third } do
      stream:half_close()
      assert.equal("OK", stream:status().code)
    end
    gw:wait_for_log "generation 2 is gone"
  end)

  it("that is refused leaves the filters as they were", function()
    start(filter(1))
    local stream = channel:open(bidi)
    assert.equal("a 1 1", say(stream, "a"))
    gw:write("scripts/filter.lua", "return { GreetStream = { on_request = 7 } }")
    local generation, why = gw:reload()
    assert.is_nil(generation)
    assert.is_truthy(why:find("on_request is a function, not a number", 1, true), why)
    assert.equal("b 1 1", say(stream, "b"))
    local new = channel:open(bidi)
    assert.equal("c 1 1", say(new, "c"))
    stream:cancel()
    new:cancel()
  end)

  it("does not end a hook that waits, nor what it has opened", function()
    start([[
local tidewire = require "tidewire"
local is_open = tidewire.topic("open", { type = "greet.GreetStreamRequest" })
return { GreetStream = {
  on_open = function(stream) is_open:subscribe(function() stream.ctx.is_open = true end) end,
  on_request = function(stream, m)
    if m.name == "open" then is_open:publish(m) return false end
    local up = tidewire.open("behind", "greet.GreetService/GreetStream")
    up:send { name = "asked" }
    stream:send { greeting = "waiting" }
    while not stream.ctx.is_open do tidewire.sleep(0.005) end
    m.name = m.name .. " " .. up:recv().greeting
  end,
} }
]])
    local stream = channel:open(bidi)
    assert.equal("waiting", say(stream, "first"))
    stream:send { name = "second" } -- waits behind it
    assert.equal(2, gw:reload())
    local other = channel:open(bidi)
    other:send { name = "open" }
    local answers = {}
    for _ = 1, 3 do
      local greeting = assert(stream:receive()).greeting
      if greeting ~= "waiting" then answers[#answers + 1] = greeting end -- the second hook says that at any time
    end
    assert.same({ "first asked", "second asked" }, answers)
    for _, each in ipairs { stream, other } do
      each:half_close()
      assert.equal("OK", each:status().code)
    end
    gw:wait_for_log "generation 1 is gone"
  end)
end)

describe("a drain of filtered streams", function()
  local gw, channel

  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local drained = [[
local tidewire = require "tidewire"
local greet, name = {}, "%s"
greet["*"] = {
  on_request = function(stream, m)
    if m.name == "slow" and name == "second" then
      stream:send { greeting = "waiting" }
      while not stream.draining do tidewire.sleep(0.005) end
    end
  end,
  on_drain = function(stream)
    tidewire.sleep(0.001)
    if name == "first" then stream:send { greeting = "we are leaving" } end
    tidewire.log.info(name .. " has heard, draining: " .. tostring(stream.draining))
    if stream:metadata "x-end" == name then stream:close("UNAVAILABLE", "come again") end
  end,
  on_close = function(_, code, text) tidewire.log.info(name .. " closed " .. code .. " " .. text) end,
}
return greet
]]

  local function start(more)
    gw = gateway.start { scripts = {
        ["first.lua"] = drained:format "first",
        ["second.lua"] = drained:format "second",
        ["bare.lua"] = 'return { Wait = { on_close = function(_, c) require "tidewire".log.info("gone " .. c) end } }',
      },
      config = ('%s\nproto = { "greet.proto", "interop.proto" }\nupstream behind { target = "%s" }\n'
        .. 'service "greet.GreetService" { script = { "first.lua", "second.lua" }  upstream = "behind" }\n'
        .. 'service "interop.Interop" { script = "bare.lua"  upstream = "behind" }\n')
        :format(more or "", foreign.start_cpp()) }
    channel = client.connect(gw.address)
  end

  it("is told to each script, and they go on until they end by themselves", function()
    start()
    local streams = channel:open_many(20, bidi)
    for i, stream in ipairs(streams) do assert.equal("a" .. i, say(stream, "a" .. i)) end
    gw:signal "TERM"
    for i, stream in ipairs(streams) do
      assert.equal("we are leaving", assert(stream:receive()).greeting)
      assert.equal("b" .. i, say(stream, "b" .. i))
      stream:half_close()
      assert.equal("OK", stream:status().code)
    end
    assert.equal(0, gw:wait_exit())
    assert.equal(20, gw:count_in_log "first has heard, draining: true")
    assert.equal(20, gw:count_in_log "second has heard, draining: true")
    assert.equal(40, gw:count_in_log " closed OK")
  end)

  it("may be ended by a script's on_drain, with a status of its own", function()
    start()
    local streams = {}
    for _, name in ipairs { "first", "second" } do
      local stream = channel:open(bidi, { metadata = { ["x-end"] = name } })
      assert.equal("a", say(stream, "a"))
      streams[#streams + 1] = stream
    end
    gw:signal "TERM"
    for _, stream in ipairs(streams) do
      stream:receive_all()
      local status = stream:status()
      assert.same({ "UNAVAILABLE", "come again" }, { status.code, status.text })
    end
    assert.equal(0, gw:wait_exit())
  end)

  it("waits for a hook that waits", function()
    start()
    local stream = channel:open(bidi)
    assert.equal("waiting", say(stream, "slow"))
    gw:signal "TERM"
    local got = { assert(stream:receive()).greeting, assert(stream:receive()).greeting }
    table.sort(got)
    assert.same({ "slow", "we are leaving" }, got)
    stream:half_close()
    assert.equal("OK", stream:status().code)
    assert.equal(0, gw:wait_exit())
  end)

  it("ends UNAVAILABLE what takes too long, and cancels it upstream", function()
    start "drain_timeout = 200ms"
    local stream = channel:open "interop.Interop/Wait"
    stream:send { number = 1 }
    stream:half_close()
    assert.equal(1, assert(stream:receive()).number)
    gw:signal "TERM"
    assert.equal("UNAVAILABLE", stream:status().code)
    assert.equal("a call of Wait has ended", foreign.read_line())
    assert.equal(0, gw:wait_exit())
    gw:wait_for_log "gone UNAVAILABLE"
  end)
end)
