-- The example scripts that open streams: prices.lua, mirror.lua, split.lua.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"

local function await(what) assert(process.await(gateway.patience, what)) end

local function start(config)
  return gateway.start { config = ('script_path = "%s/scripts"\n'):format(gateway.root) .. config }
end

-- A gateway whose script plays the upstream.
local function start_upstream(service, script, more)
  return gateway.start { scripts = { ["up.lua"] = 'local tidewire = require "tidewire"\nreturn {' .. script .. "}" },
    config = ('%s\nworkers = 1\nservice "%s" { script = "up.lua" }'):format(more or "", service) }
end

describe("scripts/prices.lua", function()
  after_each(gateway.stop_all)

  local exchange = [[ Watch = function(stream)
    tidewire.log.info "a subscription"
    for i = 1, 2 do stream:send { symbol = "A", price = i } end
    stream:send { symbol = "B", price = 10 }
    local go = tidewire.topic("go", { type = "prices.Price" })
    go:subscribe(stream)
    stream:wait()
  end, ]]
  local watch = "prices.Prices/Watch"

  local function start_both()
    local protos = 'proto = { "prices.proto", "greet.proto" }\n'
    local up = gateway.start { config = protos .. 'workers = 1\nservice "prices.Prices" { script = "up.lua" }\n'
      .. 'service "greet.GreetService" { script = "up.lua" }\nlisten "unix:up.sock" { }\nlisten "127.0.0.1:0" { }\n'
      .. "drain_timeout = 50ms",
      scripts = { ["up.lua"] = 'local tidewire = require "tidewire"\nreturn {' .. exchange .. [[
        Greet = function(_, request)
          local reached = tidewire.topic("go", { type = "prices.Price" }):publish { symbol = request.name, price = 99 }
          return { greeting = tostring(reached) }
        end } ]] } }
    local gw = start(protos .. 'workers = 2\nupstream "exchange" { target = "unix:' .. up:path "up.sock"
      .. '"  backoff = 20ms }\nservice "prices.Prices" { script = "prices.lua" }')
    up:wait_for_log "a subscription"
    return gw, up, client.connect(up.address)
  end

  local function open(gw, symbol)
    local stream = client.connect(gw.address):open(watch)
    stream:send { symbols = { symbol } }
    stream:half_close()
    return stream
  end

  it("asks the exchange once for all clients, and gives each what is known and what changes", function()
    local gw, up, control = start_both()
    local streams = {}
    for i = 1, 6 do
      streams[i] = open(gw, i % 2 == 0 and "A" or "B")
    end
    for i = 1, 6 do
      local price = streams[i]:receive()
      if i % 2 == 0 and price.price == 1 then price = streams[i]:receive() end -- it came before the second
      assert.same(i % 2 == 0 and { symbol = "A", price = 2 } or { symbol = "B", price = 10 }, price)
    end
    local function publish(symbol)
      await(function() return control:call("greet.GreetService/Greet", { name = symbol }).message.greeting == "1" end)
    end
    publish "A"
    for i = 2, 6, 2 do assert.same({ symbol = "A", price = 99 }, streams[i]:receive()) end
    publish "B"
    for i = 1, 5, 2 do assert.same({ symbol = "B", price = 99 }, streams[i]:receive()) end
    assert.equal(1, up:count_in_log "a subscription")
    for i = 1, 6 do streams[i]:cancel() end
  end)

  it("asks again when the exchange was away, and after a reload", function()
    local gw, up = start_both()
    up:signal "TERM"
    assert.equal(0, up:wait_exit())
    local mark = up:mark()
    up:launch()
    up:wait_for_log("a subscription", mark)
    mark = up:mark()
    assert.equal(2, gw:reload())
    up:wait_for_log("a subscription", mark)
    local stream = open(gw, "B")
    assert.same({ symbol = "B", price = 10 }, stream:receive())
    stream:cancel()
  end)
end)

describe("scripts/mirror.lua", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function start_mirror(shadow)
    return start('proto = { "interop.proto", "greet.proto" }\nworkers = 1\n'
      .. 'upstream "main" { target = "' .. foreign.start() .. '" }\nupstream "shadow" { target = "' .. shadow .. '" }\n'
      .. 'service "interop.Interop" { script = "mirror.lua" }\nservice "greet.GreetService" { script = "mirror.lua" }')
  end

  local listens = [[ GreetClientStream = function(stream)
    local who = stream:metadata "x-who"
    for message in stream:messages() do tidewire.log.info("shadow " .. message.name .. " " .. who) end
    return { greeting = "not seen" }
  end ]]

  it("answers as the main upstream does, and shows the shadow the same requests", function()
    local shadow = start_upstream("greet.GreetService", listens)
    local channel = client.connect(start_mirror(shadow.address).address)
    local stream = channel:open("greet.GreetService/GreetClientStream", { metadata = { ["x-who"] = "ann" } })
    for _, name in ipairs { "a", "b", "c" } do stream:send { name = name } end
    stream:half_close()
    assert.equal("a,b,c", stream:receive().greeting)
    assert.equal("OK", stream:status().code)
    for _, name in ipairs { "a", "b", "c" } do shadow:wait_for_log("shadow " .. name .. " ann") end
  end)

  it("passes all kinds of calls on, and failures, with no shadow there", function()
    local channel = client.connect(start_mirror("127.0.0.1:1").address)
    assert.equal(7, channel:call("interop.Interop/Echo", { number = 7 }).message.number)
    local failed = channel:call("interop.Interop/Fail", { code = "NOT_FOUND", text = "gone", reason = "why" })
    assert.same({ "NOT_FOUND", "gone" }, { failed.code, failed.text })
    assert.equal("type.googleapis.com/google.rpc.ErrorInfo", failed.details.list[1].type_url) -- not known here
    local replies, status = channel:exchange("greet.GreetService/GreetServerStream", { { name = "x" } })
    assert.same({ 5, "OK" }, { #replies, status.code })
    replies, status = channel:exchange("interop.Interop/EchoStream", { { number = 1 }, { number = 2 } })
    assert.same({ { number = 1 }, { number = 2 } }, replies)
    assert.equal("OK", status.code)
  end)
end)

describe("scripts/split.lua", function()
  after_each(gateway.stop_all)

  local method = "greet.GreetService/GreetStream"
  local function echo(name)
    return ([[ GreetStream = function(stream)
      for message in stream:messages() do
        if message.name == "mallory" then stream:close("PERMISSION_DENIED", "not you") return end
        stream:send { greeting = "%s " .. message.name }
      end
    end ]]):format(name)
  end

  local function start_split()
    local first = start_upstream("greet.GreetService", echo "first")
    local second = start_upstream("greet.GreetService", echo "second")
    local gw = start(('workers = 1\nupstream "first" { target = "%s" }\nupstream "second" { target = "%s" }\n')
      :format(first.address, second.address) .. 'service "greet.GreetService" { script = "split.lua" }')
    return client.connect(gw.address), first, second
  end

  it("sends each message where it belongs, and joins the answers", function()
    local channel = start_split()
    local replies, status = channel:exchange(method, { { name = "ann" }, { name = "zoe" }, { name = "Bob" } })
    local got = {}
    for i, reply in ipairs(replies) do got[i] = reply.greeting end
    table.sort(got)
    assert.same({ "first Bob", "first ann", "second zoe" }, got)
    assert.equal("OK", status.code)
  end)

  it("opens only what it needs", function()
    local channel, first, second = start_split()
    assert.same({ { greeting = "first ann" } }, (channel:exchange(method, { { name = "ann" } })))
    first:wait_for_log "call ended"
    assert.is_false(second:said "call ended")
  end)

  it("fails when one of them fails, and the other ends", function()
    local channel, _, second = start_split()
    local stream = channel:open(method)
    stream:send { name = "zoe" }
    assert.equal("second zoe", stream:receive().greeting)
    stream:send { name = "mallory" }
    local status = stream:status()
    assert.same({ "PERMISSION_DENIED", "not you" }, { status.code, status.text })
    second:wait_for_log "call ended"
  end)
end)
