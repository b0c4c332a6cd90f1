local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local script = [[
local tidewire = require "tidewire"
local greet = {}

-- What the name says is done until it is over; what became of it is told to the log.
local function act(stream, name)
  if name == "sleep" then tidewire.sleep(3600)
  elseif name == "receive" then return stream:recv()
  elseif name == "stubborn" then
    while true do pcall(tidewire.sleep, 3600) end
  elseif name == "catch" then
    local is_fine, why = pcall(tidewire.sleep, 3600)
    tidewire.log.info(("caught %s %s"):format(tostring(is_fine), tostring(why == tidewire.cancelled)))
  elseif name == "spawned" then
    stream:spawn(function()
      local is_fine = pcall(tidewire.sleep, 3600)
      tidewire.log.info("the spawned one was woken: " .. tostring(not is_fine))
    end)
    tidewire.sleep(3600)
  elseif name == "ignore" then
    local is_there = true
    stream:on_close(function() is_there = false end)
    pcall(tidewire.sleep, 3600)
    tidewire.log.info("on_close has run: " .. tostring(not is_there))
  end
end

greet.GreetStream = {
  run = function(stream)
    local first = stream:recv()
    stream:send { greeting = "ready" }
    act(stream, first.name)
  end,
  on_close = function(_, code, text) tidewire.log.info("closed " .. code .. " " .. tostring(text)) end,
}

function greet.Greet(stream, request)
  local left = stream:remaining()
  if request.name == "remaining" then return { greeting = left and ("%.3f"):format(left) or "none" } end
  tidewire.sleep(3600)
end

-- Hooks: a cancel wakes the hook that waits.
greet.GreetServerStream = {
  on_message = function() tidewire.sleep(3600) end,
  on_close = function(_, code) tidewire.log.info("hooks closed " .. code) end,
}

return greet
]]

local bidi = "greet.GreetService/GreetStream"

describe("a deadline or a cancel", function()
  local gw, channel
  before_each(function()
    gw = gateway.start {
      scripts = { ["greet.lua"] = script },
      config = [[ service "greet.GreetService" { script = "greet.lua" } ]],
    }
    channel = client.connect(gw.address)
  end)
  after_each(gateway.stop_all)

  local function open(name, options)
    local stream = channel:open(bidi, options)
    stream:send { name = name }
    assert.equal("ready", stream:receive().greeting)
    return stream
  end

  -- A client that resets the stream at its own deadline would be there first now and then: this one does not.
  local function open_with_deadline(path, name)
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, path, { ["grpc-timeout"] = ("%dm"):format(client.brief.timeout * 1000) })
    wire:data(1, raw.message(raw.text(1, name)), path ~= bidi)
    return wire
  end

  it("ends a handler that sleeps, and on_close knows why", function()
    assert.equal("4", open_with_deadline(bidi, "sleep"):trailers(1).fields["grpc-status"])
    gw:wait_for_log "closed DEADLINE_EXCEEDED"
    open("sleep"):cancel()
    gw:wait_for_log "closed CANCELLED"
    assert.equal("DEADLINE_EXCEEDED", open("sleep", client.brief):status().code)
  end)

  it("ends a handler that waits for a message", function()
    open("receive"):cancel()
    gw:wait_for_log "closed CANCELLED"
  end)

  it("raises tidewire.cancelled once in what waits, also in what the stream spawned", function()
    open("catch"):cancel()
    gw:wait_for_log "caught false true"
    open("spawned"):cancel()
    gw:wait_for_log "the spawned one was woken: true"
  end)

  it("discards a handler that catches it in a loop", function()
    open("stubborn"):cancel()
    gw:wait_for_log "closed CANCELLED"
    -- The worker goes on.
    assert.equal("none", channel:call("greet.GreetService/Greet", { name = "remaining" }).message.greeting)
  end)

  it("calls on_close after everything else of the stream", function()
    open("ignore"):cancel()
    gw:wait_for_log "on_close has run: false"
    gw:wait_for_log "closed CANCELLED"
  end)

  it("ends a hook that waits", function()
    local stream = channel:open "greet.GreetService/GreetServerStream"
    stream:send {}
    stream:half_close()
    stream:cancel()
    local reply = channel:call("greet.GreetService/Greet", { name = "sleep" }, { timeout = 0.3 })
    assert.equal("DEADLINE_EXCEEDED", reply.code)
    local wire = open_with_deadline("greet.GreetService/GreetServerStream", "")
    assert.equal("4", wire:trailers(1).fields["grpc-status"])
    gw:wait_for_log "hooks closed DEADLINE_EXCEEDED"
  end)

  it("is no fault of the script: nothing is logged as an error", function()
    local mark = gw:mark()
    for _ = 1, 3 do open("sleep"):cancel() end
    channel:call("greet.GreetService/Greet", { name = "sleep" }, { timeout = 0.2 })
    gw:wait_for_log("closed CANCELLED", mark)
    assert.is_nil(gw:log(mark):find "traceback")
    assert.is_nil(gw:log(mark):lower():find "error")
  end)

  it("tells the handler how much time is left", function()
    local function remaining(timeout)
      return channel:call("greet.GreetService/Greet", { name = "remaining" }, { timeout = timeout }).message.greeting
    end
    assert.equal("none", remaining(nil))
    local left = tonumber(remaining(60))
    assert.is_true(left > 30 and left <= 61, tostring(left))
  end)

  it("ends many streams of one connection at once, and each by itself", function()
    local streams = {}
    for i = 1, 50 do streams[i] = open("sleep") end
    for i = 1, 50, 2 do streams[i]:cancel() end
    for i = 1, 50, 2 do assert.equal("CANCELLED", streams[i]:status().code) end
    assert.equal("none", channel:call("greet.GreetService/Greet", { name = "remaining" }).message.greeting)
    channel:disconnect()
    assert.equal(50, require("support.process").await(gateway.patience, function()
      local count = gw:count_in_log "closed CANCELLED"
      return count >= 50 and count
    end))
  end)

  it("comes when the connection goes", function()
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, bidi)
    wire:data(1, raw.message(raw.text(1, "sleep")))
    assert.is_table(wire:expect { type = "DATA", stream = 1 })
    wire:abort()
    gw:wait_for_log "closed CANCELLED"
  end)
end)

describe("the header grpc-timeout", function()
  local gw, wire
  before_each(function()
    gw = gateway.start {
      scripts = { ["greet.lua"] = script },
      config = [[ service "greet.GreetService" { script = "greet.lua" } ]],
    }
    wire = assert(raw.connect(gw.address))
  end)
  after_each(gateway.stop_all)

  local stream = -1
  local function call(timeout, name)
    stream = stream + 2
    wire:headers(stream, "greet.GreetService/Greet", { ["grpc-timeout"] = timeout })
    wire:data(stream, raw.message(raw.text(1, name)), true)
    return stream
  end

  it("knows every unit", function()
    stream = -1
    local least = { ["1H"] = 3000, ["2M"] = 100, ["99S"] = 90, ["99000m"] = 90, ["99000000u"] = 90 }
    for timeout, seconds in pairs(least) do
      local number = call(timeout, "remaining")
      local left = tonumber(wire:expect({ type = "DATA", stream = number }).bytes:sub(8))
      assert.is_true(left > seconds and left < seconds * 1.3, timeout .. " gave " .. left)
    end
  end)

  it("that has run out ends the call with DEADLINE_EXCEEDED, in trailers alone", function()
    stream = -1
    for _, timeout in ipairs { "0n", "0S", "1n", "50m" } do
      assert.equal("4", wire:trailers(call(timeout, "sleep")).fields["grpc-status"])
    end
  end)

  it("that can't be read is refused with INTERNAL", function()
    stream = -1
    for _, timeout in ipairs { "", "S", "1", "1x", "-1S", "123456789S", "1.5S", "1 S" } do
      local trailers = wire:trailers(call(timeout, "remaining"))
      assert.equal("13", trailers.fields["grpc-status"], timeout)
    end
  end)

  it("of 99999999 hours is no reason to stop", function()
    stream = -1
    local number = call("99999999H", "remaining")
    assert.is_true(tonumber(wire:expect({ type = "DATA", stream = number }).bytes:sub(8)) > 1e6)
  end)
end)
