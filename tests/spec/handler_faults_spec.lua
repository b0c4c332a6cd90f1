-- What one handler does wrong ends its own stream at most. (How little time it costs others: bench/isolation.)
local gateway = require "support.gateway"
local client = require "support.client"

local script = require "support.faulty_handlers"

describe("a handler that", function()
  local gw, quiet, faulty
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = script }, config = [[
      workers = 1
      limits { handler_time = 100ms }
      service "greet.GreetService" { script = "greet.lua" }
      log { level = info  access = off }
    ]] }
    quiet, faulty = client.connect(gw.address), client.connect(gw.address)
  end)
  after_each(gateway.stop_all)

  local function misbehave(name)
    local stream = faulty:open "greet.GreetService/GreetStream"
    stream:send { name = name }
    return stream
  end

  for _, name in ipairs { "sleeps", "loops", "throws", "forgets", "sends_to_gone" } do
    it(name:gsub("_", " ") .. " leaves other streams served meanwhile", function()
      local streams = {}
      for i = 1, 20 do streams[i] = misbehave(name) end
      local answered = quiet:times("greet.GreetService/Greet", { name = "a" }, 200) -- raises unless each is answered
      assert.is_number(answered.most)
      for _, stream in ipairs(streams) do stream:cancel() end
    end)
  end

  it("never returns is stopped after its budget, and its call ends INTERNAL; the log says where", function()
    local stream = misbehave "never_returns"
    assert.equal("INTERNAL", stream:status().code)
    local line = gw:wait_for_log "handler_time"
    assert.is_truthy(gw:log():find "greet%.lua:%d+")
    assert.is_string(line)
    assert.equal("OK", quiet:call("greet.GreetService/Greet", { name = "a" }).code)
  end)

  it("waits between its bursts of work is not stopped: waits do not count", function()
    local slow = gateway.start { scripts = { ["greet.lua"] = [[
      local tidewire = require "tidewire"
      return { Greet = function(_, request)
        for _ = 1, 10 do
          local until_then = tidewire.monotonic() + 0.04
          while tidewire.monotonic() < until_then do end
          tidewire.sleep(0.01)
        end
        return { greeting = request.name }
      end }
    ]] }, config = [[
      limits { handler_time = 200ms }
      service "greet.GreetService" { script = "greet.lua" }
    ]] }
    assert.equal("OK", client.connect(slow.address):call("greet.GreetService/Greet", { name = "a" }).code)
  end)

  -- Each level of string.gsub takes 8 KiB of the worker's own stack, long before Lua's limit.
  it("recurses through the callbacks of string.gsub, or through load, ends its own call", function()
    if gateway.slowness > 1 then return end -- AddressSanitizer does not follow a jump out of so much stack
    local deep = gateway.start { scripts = { ["greet.lua"] = [[
      local greet = {}
      local function by_gsub(n) return (("x"):gsub(".", function() return by_gsub(n + 1) end)) end
      local function by_load(n) return load(function() by_load(n + 1) return nil end) end
      function greet.Greet(_, request)
        return { greeting = request.name == "gsub" and by_gsub(1) or request.name == "load" and by_load(1) or "fine" }
      end
      return greet
    ]] }, config = 'workers = 1\nservice "greet.GreetService" { script = "greet.lua" }' }
    local channel = client.connect(deep.address)
    for _, way in ipairs { "gsub", "load", "gsub" } do
      assert.equal("INTERNAL", channel:call("greet.GreetService/Greet", { name = way }).code)
      assert.equal("fine", channel:call("greet.GreetService/Greet", { name = "a" }).message.greeting)
    end
    assert.is_string(deep:wait_for_log "stack overflow")
  end)

  it("sends to a stream that has gone hears that it is closed", function()
    local first = misbehave "sends_to_gone"
    assert.equal("OK", first:status().code)
    assert.equal("OK", misbehave("sends_to_gone"):status().code)
  end)
end)
