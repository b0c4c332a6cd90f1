-- Where lines go, and what happens when they can't.
local gateway = require "support.gateway"
local client = require "support.client"
local process = require "support.process"
local raw = require "support.raw"
local unistd = require "posix.unistd"

local script = [[
local tidewire = require "tidewire"
local fields = { "zone", "id", "customer", "a", "kind", "size", "node", "b", "path", "c" }
local greet = {}
function greet.Greet(_, request)
  -- The same fields, put in in any order.
  local all = {}
  for i = 1, #fields do all[ fields[(i * 3 + #request.name) % #fields + 1] ] = i end
  tidewire.log.info("an order", all)
  return { greeting = request.name }
end
function greet.GreetStream(stream)
  stream:send_headers()
  stream:wait()
end
return greet
]]

local function start(log)
  return gateway.start { scripts = { ["greet.lua"] = script },
    config = "workers = 1\n" .. log .. '\nservice "greet.GreetService" { script = "greet.lua" }' }
end

describe("a log line", function()
  after_each(gateway.stop_all)

  it("has its members in one order, whichever a script gave its fields in", function()
    local gw = start "log { level = info }"
    local channel = client.connect(gw.address)
    for i = 1, 10 do channel:call("greet.GreetService/Greet", { name = ("n"):rep(i) }) end
    assert.is_truthy(process.await(gateway.patience, function() return gw:count_in_log "an order" == 10 end))
    for line in gw:log():gmatch "[^\n]*an order[^\n]*" do
      local names = {}
      for name in line:gmatch " ([%w_]+)=" do names[#names + 1] = name end
      assert.equal("connection stream method script a b c customer id kind node path size zone",
        table.concat(names, " "))
    end
  end)
end)

describe("the line of a call that its client leaves by closing the connection", function()
  after_each(gateway.stop_all)

  it("names the client", function()
    local gw = start "log { level = info }"
    for _ = 1, 3 do -- the line that tells of an open call, which is no test of this, comes after a second
      local mark = gw:mark()
      local wire = assert(raw.connect(gw.address))
      wire:headers(1, "greet.GreetService/GreetStream")
      assert(wire:expect { type = "HEADERS", stream = 1 })
      wire:close()
      local ended = gw:wait_for_log("call ended", mark)
      assert.is_truthy(ended:find("peer=127.0.0.1:%d+ "), ended)
    end
  end)
end)

describe("a log file that was moved away", function()
  after_each(gateway.stop_all)

  for _, signal in ipairs { "USR1", "HUP" } do
    it("is made anew at " .. signal, function()
      local gw = gateway.prepare { scripts = { ["greet.lua"] = script }, config = [[
        log { level = info  file = "lines.log" }
        service "greet.GreetService" { script = "greet.lua" }
      ]] }
      gw.output = gw:path "lines.log"
      gw.process = process.start({ gateway.binary, "run", "-c", gw:path "tidewire.conf" },
        { output = gw:path "errors" })
      local address = gw:wait_for_log("listening on"):match "listening on (.+)$"
      gw:wait_for_log "generation 1"
      assert.is_truthy(os.rename(gw:path "lines.log", gw:path "lines.log.1"))
      gw:signal(signal)
      assert.is_truthy(process.await(gateway.patience, function()
        return unistd.access(gw:path "lines.log") == 0
      end))
      client.connect(address):call("greet.GreetService/Greet", { name = "a" })
      assert.is_string(gw:wait_for_log "an order")
    end)
  end
end)

describe("standard error that nobody reads", function()
  after_each(gateway.stop_all)

  it("does not hold up the end by more than about a second", function()
    local gw = gateway.prepare { scripts = { ["greet.lua"] = script }, config = [[
      listen "unix:gateway.sock" { }
      log { level = debug }
      service "greet.GreetService" { script = "greet.lua" }
    ]] }
    local child = process.start({ "sh", "-c", 'exec "$0" run -c "$1" 2>&1', gateway.binary, gw:path "tidewire.conf" },
      { talks = true })
    local line repeat line = assert(child:read_line(gateway.patience)) until line:find "generation 1 is in force"
    local channel = client.connect("unix:" .. gw:path "gateway.sock")
    channel:times("greet.GreetService/Greet", { name = "a" }, 2000) -- far more than a pipe holds
    channel:disconnect()
    local began = process.now()
    child:kill "TERM"
    assert.equal(0, child:wait(gateway.patience))
    -- A second of patience, and the end of a process on a busy machine.
    assert.is_true(process.now() - began < 1 + 5 * gateway.slowness, process.now() - began)
    child:hang_up()
  end)
end)
