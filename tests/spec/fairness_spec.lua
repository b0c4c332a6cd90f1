-- Who floods its worker, or is slow, does not keep the others waiting: what a quiet client's call has seen of the work
-- that lay before the gateway at the same time. It is stopped while both send, so that all of it is there at once.
-- (What it costs in time: bench/isolation.)
local gateway = require "support.gateway"
local process = require "support.process"
local raw = require "support.raw"

local bidi = "greet.GreetService/GreetStream"

-- `done` counts the pieces of work that somebody has got done so far; Greet tells it.
local head = [[
local tidewire = require "tidewire"
local greet, done = {}, 0
local function work(ms)
  done = done + 1
  local till = tidewire.monotonic() + (ms or 0) / 1000
  while tidewire.monotonic() < till do end
end
function greet.Greet() return { greeting = tostring(done) } end
]]

describe("a quiet client is answered before", function()
  after_each(gateway.stop_all)

  local function start(script, config)
    return gateway.start { scripts = { ["greet.lua"] = head .. script .. "\nreturn greet" },
      config = "workers = 1\n" .. (config or 'service "greet.GreetService" { script = "greet.lua" }') }
  end

  local function is_stopped(gw)
    local file = assert(io.open(("/proc/%d/stat"):format(gw.process.pid)))
    local state = file:read("*a"):match "%) (%a)"
    file:close()
    return state == "T"
  end

  -- What is sent meanwhile is in the kernel's buffers before the gateway reads any of it.
  local function while_stopped(gw, f)
    gw:signal "STOP"
    assert(process.await(10, function() return is_stopped(gw) end))
    f()
    gw:signal "CONT"
  end

  local function ask(quiet, stream)
    quiet:headers(stream, "greet.GreetService/Greet")
    quiet:data(stream, raw.message(raw.text(1, "q")), true)
  end
  local function answer(quiet, stream)
    local frame = assert(quiet:expect { type = "DATA", stream = stream })
    return tonumber(frame.bytes:sub(8))
  end
  local function connect_quiet(gw)
    local quiet = assert(raw.connect(gw.address))
    ask(quiet, 1)
    assert.equal(0, answer(quiet, 1))
    return quiet
  end

  -- So many streams on one connection; what they send is `bytes` each, in one go.
  local function open_flood(gw, streams, method)
    local flood = assert(raw.connect(gw.address))
    for i = 1, streams do flood:headers(2 * i - 1, method or bidi) end
    for i = 1, streams do assert(flood:expect { type = "HEADERS", stream = 2 * i - 1 }) end
    return flood
  end
  local function pour(flood, streams, bytes)
    local items = {}
    for i = 1, streams do
      for at = 1, #bytes, 16384 do
        items[#items + 1] = { send = "data", stream = 2 * i - 1, bytes = bytes:sub(at, at + 16383) }
      end
    end
    flood:send(items)
  end

  local function await_all(quiet, stream, total, before)
    assert(process.await(30 * gateway.slowness, function()
      ask(quiet, stream)
      stream = stream + 2
      local done = answer(quiet, stream - 2)
      return done == total or not total and done > before
    end))
  end

  -- How much of the flood was done when the quiet one had its answer: its share of a turn or two. In the end all of it
  -- is (nil: it has no end).
  local function seen(gw, streams, bytes, total)
    local quiet, flood = connect_quiet(gw), open_flood(gw, streams)
    while_stopped(gw, function()
      pour(flood, streams, bytes)
      ask(quiet, 3)
    end)
    local done = answer(quiet, 3)
    await_all(quiet, 5, total, done)
    return done
  end

  local one = raw.message(raw.text(1, "f"))
  local many = raw.message(""):rep(12000) -- about what a stream's window lets through

  it("a flood of messages to a hook", function()
    local gw = start "greet.GreetStream = { on_message = function() work() end }"
    assert.is_true(seen(gw, 1, many, 12000) <= 4096)
  end)

  it("a flood of messages to a function", function()
    local gw = start "function greet.GreetStream(stream) for _ in stream:messages() do work() end end"
    assert.is_true(seen(gw, 1, many, 12000) <= 8192)
  end)

  it("a few messages to a hook that takes long for each", function()
    local gw = start "greet.GreetStream = { on_message = function() work(2) end }"
    assert.is_true(seen(gw, 1, one:rep(100), 100) <= 16)
  end)

  it("a few messages to a function that takes long for each", function()
    local gw = start "function greet.GreetStream(stream) for _ in stream:messages() do work(2) end end"
    assert.is_true(seen(gw, 1, one:rep(100), 100) <= 16)
  end)

  -- Every message comes behind the one before, although reads go on while calls wait for their turn.
  it("messages of many streams of one connection, be each stream modest", function()
    local gw = start [[
greet.GreetStream = { on_message = function(stream, message)
  stream.ctx.last = (stream.ctx.last or 0) + 1
  assert(tonumber(message.name) == stream.ctx.last)
  work(0.5)
end }]]
    local quiet, flood, items = connect_quiet(gw), open_flood(gw, 100), {}
    for i = 1, 10 do
      for stream = 1, 199, 2 do
        items[#items + 1] = { send = "data", stream = stream, bytes = raw.message(raw.text(1, ("0"):rep(200) .. i)) }
      end
    end
    while_stopped(gw, function()
      flood:send(items)
      ask(quiet, 3)
    end)
    assert.is_true(answer(quiet, 3) <= 200)
    await_all(quiet, 5, 1000)
  end)

  it("a hook that publishes to a function in the same worker", function()
    local gw = start [[
local topic = tidewire.topic("flood", { type = "greet.GreetStreamRequest" })
topic:subscribe(function() end)
greet.GreetStream = { on_message = function(_, message) work() topic:publish(message) end }]]
    assert.is_true(seen(gw, 1, many, 12000) <= 4096)
  end)

  it("a function that sends as long as there is room", function()
    local gw = start [[
function greet.GreetStream(stream)
  stream:recv()
  for _ = 1, 20000 do stream:send { greeting = "f" } work() end
end]]
    assert.is_true(seen(gw, 1, one, 20000) <= 8192)
  end)

  it("coroutines that hand each other a value for ever", function()
    local gw = start [[
function greet.GreetStream(stream)
  local there, back = tidewire.channel(0), tidewire.channel(0)
  stream:spawn(function() for value in there:values() do back:put(value) end end)
  stream:recv()
  while true do there:put(1) back:get() work() end
end]]
    assert.is_true(seen(gw, 1, one) <= 64)
  end)

  -- What is due at once is done in the order of its time; the quiet one asks again and again meanwhile.
  local function is_answered_in_between(script)
    local gw = start(script)
    local quiet, flood = connect_quiet(gw), open_flood(gw, 1)
    flood:data(1, one)
    local stream, is_in_between = 3, false
    repeat
      ask(quiet, stream)
      local done = answer(quiet, stream)
      is_in_between = is_in_between or (done > 0 and done < 500)
      stream = stream + 2
    until done == 500
    return is_in_between
  end

  it("all of very many timers that are due at the same time", function()
    assert.is_true(is_answered_in_between [[
function greet.GreetStream(stream)
  stream:recv()
  for _ = 1, 500 do stream:after(0, function() work(1) end) end
  stream:wait()
end]])
  end)

  it("all of very many coroutines that can go on at the same time", function()
    assert.is_true(is_answered_in_between [[
function greet.GreetStream(stream)
  local gate = tidewire.channel(0)
  for _ = 1, 500 do stream:spawn(function() gate:get() work(1) end) end
  stream:recv()
  gate:close()
  stream:wait()
end]])
  end)

  -- Greet is refused with what it has to say, so that the upstream has no part in it.
  local filtered = [[
local own = greet.Greet
greet.Greet = { on_open = function(stream) tidewire.fail("ABORTED", own().greeting) end }
]]
  local behind = [[
function greet.GreetStream(stream)
  for message in stream:messages() do
    for _ = 1, message.name == "many" and 300 or 1 do stream:send { greeting = "f" } end
    tidewire.sleep(0.05) -- what was sent has left
    print("answered " .. message.name)
  end
end
]]
  local function start_filter(script)
    local up = start(behind)
    local gw = start(filtered .. script, ('upstream up { target = "%s" }\n'):format(up.address) ..
      'service "greet.GreetService" { script = "greet.lua" upstream = "up" }')
    local quiet, flood = assert(raw.connect(gw.address)), assert(raw.connect(gw.address))
    ask(quiet, 1)
    assert(quiet:trailers(1))
    flood:headers(1, bidi)
    flood:data(1, one)
    assert(flood:expect { type = "DATA", stream = 1 })
    up:wait_for_log "answered f"
    return gw, up, quiet, flood
  end

  it("messages that go through a slow filter", function()
    local gw, _, quiet, flood = start_filter "greet.GreetStream = { on_request = function() work(2) end }"
    while_stopped(gw, function()
      pour(flood, 1, one:rep(300))
      ask(quiet, 3)
    end)
    assert.is_true(tonumber(quiet:trailers(3).fields["grpc-message"]) <= 16)
  end)

  it("replies that go through a slow filter", function()
    local gw, up, quiet, flood = start_filter [[
greet.GreetStream = {
  on_request = function(_, message) print("asks for " .. message.name) end,
  on_response = function() work(2) end,
}]]
    while_stopped(up, function()
      flood:data(1, raw.message(raw.text(1, "many")))
      gw:wait_for_log "asks for many"
      gw:signal "STOP"
    end)
    while_stopped(gw, function()
      up:wait_for_log "answered many"
      ask(quiet, 3)
    end)
    assert.is_true(tonumber(quiet:trailers(3).fields["grpc-message"]) <= 16)
  end)
end)
