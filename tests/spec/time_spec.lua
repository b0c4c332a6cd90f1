local gateway = require "support.gateway"
local client = require "support.client"
local process = require "support.process"

describe("time", function()
  local gw, channel
  before_each(function()
    gw = gateway.start { scripts = { ["greet.lua"] = [[
      local tidewire = require "tidewire"
      local greet, log = {}, tidewire.log
      local acts = {
        now = function() return ("%.3f"):format(tidewire.now()) end,
        time = function() return ("%d"):format(tidewire.time()) end,
        sleep = function()
          local start = tidewire.monotonic()
          tidewire.sleep(0.2)
          return ("%.3f"):format(tidewire.monotonic() - start)
        end,
        order = function()
          local order = {}
          for i, s in ipairs { 0.15, 0.05, 0.1 } do tidewire.timer.at(s, function() order[#order + 1] = i end) end
          tidewire.spawn(function() order[#order + 1] = "spawn" end)
          tidewire.sleep(0.3)
          return table.concat(order, " ")
        end,
        cancel = function()
          local count = 0
          local every = tidewire.timer.every(0.01, function() count = count + 1 end)
          local never = tidewire.timer.at(0.05, function() count = -1000 end)
          never:cancel()
          while count < 3 do tidewire.sleep(0.005) end
          every:cancel()
          local before = count
          tidewire.sleep(0.1)
          return tostring(count == before)
        end,
        overlap = function()
          local running, most, count = 0, 0, 0
          local every = tidewire.timer.every(0.01, function()
            running = running + 1
            most = math.max(most, running)
            tidewire.sleep(0.03)
            running, count = running - 1, count + 1
          end)
          while count < 3 do tidewire.sleep(0.01) end
          every:cancel()
          return tostring(most)
        end,
        fault = function()
          tidewire.timer.at(0, function() error "the timer's fault" end)
          tidewire.spawn(function() error "the spawned fault" end)
          tidewire.sleep(0.05)
          return "alive"
        end,
      }
      function greet.Greet(_, request) return { greeting = acts[request.name]() } end
      return greet
    ]] }, config = 'service "greet.GreetService" { script = "greet.lua" }' }
    channel = client.connect(gw.address)
  end)
  after_each(gateway.stop_all)

  local function act(name) return channel:call("greet.GreetService/Greet", { name = name }).message.greeting end

  it("of day is what the system says, with fractions and without", function()
    local before, now, seconds, after = os.time(), tonumber(act "now"), tonumber(act "time"), os.time()
    assert.is_true(before <= now and now < after + 1)
    assert.is_true(now - 1 < seconds and seconds <= after)
  end)

  it("passes while a handler sleeps, and others are served", function()
    local before, slept = process.now(), tonumber(act "sleep")
    assert.is_true(slept >= 0.2 and slept <= process.now() - before, slept)
  end)

  it("runs timers when they are due, spawned functions before", function()
    assert.equal("spawn 2 3 1", act "order")
  end)

  it("runs no timer that was cancelled", function()
    assert.equal("true", act "cancel")
  end)

  it("never runs a repeating timer beside itself", function()
    assert.equal("1", act "overlap")
  end)

  it("logs a fault in a timer or a spawned function, and goes on", function()
    assert.equal("alive", act "fault")
    gw:wait_for_log "the timer's fault"
    gw:wait_for_log "the spawned fault"
  end)
end)
