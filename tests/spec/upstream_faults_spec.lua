-- What servers do to their calls, and to no other: they are killed, stand still, are slow, reset, refuse, leave. Each
-- for calls that are passed on, filtered, and opened by a script.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"
local raw = require "support.raw"
local ways = require "support.ways"

local bidi, numbers = "greet.GreetService/GreetStream", "tutorial.NumberService/AccumulateNumbers"

local answer = { { ":status", "200" }, { "content-type", "application/grpc" } }
local ok = { { "grpc-status", "0" } }

local function to(...)
  local addresses = {}
  for i, address in ipairs { ... } do addresses[i] = '"' .. address .. '"' end
  return "target = { " .. table.concat(addresses, ", ") .. " }"
end

describe("a server that", function()
  local listener, front, server

  after_each(function()
    gateway.stop_all()
    foreign.stop()
    if listener then listener:close() end
    listener = nil
  end)

  -- ---- frame by frame: a raw client, a raw server

  -- So many calls that stand on both sides; the streams 1, 3, 5, … of one connection.
  local function open(way, count)
    listener = raw.listen()
    local gw = ways.start(way, to(listener.address))
    front = assert(raw.connect(gw.address))
    for i = 1, count do
      local stream = 2 * i - 1
      front:headers(stream, bidi)
      server = server or assert(listener:accept())
      assert(server:expect { type = "HEADERS", stream = stream })
    end
    return gw
  end
  before_each(function() server = nil end)

  local function carries(stream, upstream)
    local bytes = raw.message(raw.text(1, "fine"))
    front:data(stream, bytes)
    assert.equal(bytes, assert(server:expect { type = "DATA", stream = upstream or stream }).bytes)
    server:data(upstream or stream, bytes)
    assert.equal(bytes, assert(front:expect { type = "DATA", stream = stream }).bytes)
  end

  local function ends_ok(stream, upstream)
    server:respond(upstream or stream, ok, true)
    assert.equal("0", assert(front:trailers(stream)).fields["grpc-status"])
  end

  local statuses = { PROTOCOL_ERROR = "13", INTERNAL_ERROR = "13", CANCEL = "1", ENHANCE_YOUR_CALM = "8",
    INADEQUATE_SECURITY = "7" }

  ways.each(it, "resets calls in the middle of a message ends them, as it says, and no other", function(way)
    local codes = {}
    for code in pairs(statuses) do codes[#codes + 1] = code end
    open(way, #codes + 1)
    local last = 2 * #codes + 1
    for i = 1, #codes + 1 do server:respond(2 * i - 1, answer) end
    carries(last)
    for i, code in ipairs(codes) do
      local stream = 2 * i - 1
      server:data(stream, raw.message(raw.text(1, "whole")) .. raw.message("\10\100cut off", 0, 102))
      server:reset(stream, code)
      if way == "passed" then -- what the client makes of it is its own
        assert.equal(code, assert(front:expect { type = "RST_STREAM", stream = stream }).code)
      else
        assert.equal(raw.message(raw.text(1, "whole")), assert(front:expect { type = "DATA", stream = stream }).bytes)
        assert.same({ code, statuses[code] }, { code, assert(front:trailers(stream)).fields["grpc-status"] })
      end
      carries(last)
    end
    ends_ok(last)
  end)

  ways.each(it, "refuses streams gets them again a few times, then they end UNAVAILABLE, and no other", function(way)
    open(way, 3)
    server:respond(1, answer)
    carries(1)
    front:data(3, raw.message(raw.text(1, "asked")))
    assert(server:expect { type = "DATA", stream = 3 })
    server:reset(3, "REFUSED_STREAM") -- the first refusal
    assert(server:expect { type = "HEADERS", stream = 7 })
    assert.equal(raw.message(raw.text(1, "asked")), assert(server:expect { type = "DATA", stream = 7 }).bytes)
    server:respond(7, answer)
    carries(3, 7)
    ends_ok(3, 7)
    local status, again = nil, 5 -- and one that is refused for ever
    for next = 9, 49, 2 do
      server:reset(again, "REFUSED_STREAM")
      again = nil
      process.await(gateway.patience, function()
        status = front:trailers(5, 0.01)
        again = not status and server:expect({ type = "HEADERS", stream = next }, 0.01) and next
        return status or again
      end)
      if not again then break end
    end
    assert.equal("14", status and status.fields["grpc-status"])
    carries(1)
    ends_ok(1)
  end)

  ways.each(it, "sends a message byte by byte holds up no other call", function(way)
    open(way, 2)
    server:respond(1, answer)
    server:respond(3, answer)
    local slow = raw.message(raw.text(1, "very slow indeed"))
    for i = 1, #slow do
      server:data(1, slow:sub(i, i))
      carries(3)
    end
    local got = ""
    while #got < #slow do got = got .. assert(front:expect { type = "DATA", stream = 1 }).bytes end
    assert.equal(slow, got)
    ends_ok(1)
    ends_ok(3)
  end)

  ways.each(it, "is slow ends calls at their own deadline, and no other", function(way)
    open(way, 1)
    server:respond(1, answer)
    for i, milliseconds in ipairs { 500, 900, 700 } do
      local stream = 2 * i + 1
      front:headers(stream, bidi, { ["grpc-timeout"] = milliseconds .. "m" })
      assert(server:expect { type = "HEADERS", stream = stream })
      if i == 2 then server:data(1, raw.message(raw.text(1, "in between"))) end
    end
    for _, stream in ipairs { 3, 5, 7 } do
      assert.equal("4", assert(front:trailers(stream)).fields["grpc-status"])
      assert.equal("CANCEL", assert(server:expect { type = "RST_STREAM", stream = stream }).code)
    end
    assert.equal(raw.message(raw.text(1, "in between")), assert(front:expect { type = "DATA", stream = 1 }).bytes)
    carries(1)
    ends_ok(1)
  end)

  ways.each(it, "says GOAWAY keeps the calls that it took; the others are made again elsewhere, with what was sent",
    function(way)
      open(way, 4)
      server:respond(1, answer)
      carries(1)
      front:data(5, raw.message(raw.text(1, "asked")))
      assert(server:expect { type = "DATA", stream = 5 })
      server:send { { send = "goaway", last = 3 } } -- 5 and 7 it has not looked at
      local old, next = server, assert(listener:accept())
      local path = {}
      for stream = 1, 3, 2 do assert(next:expect { type = "HEADERS", stream = stream }) end
      local data = assert(next:expect { type = "DATA" })
      assert.equal(raw.message(raw.text(1, "asked")), data.bytes)
      path[5], path[7] = data.stream, data.stream == 1 and 3 or 1
      carries(1)
      old:respond(3, answer)
      carries(3)
      server = next
      for stream, upstream in pairs(path) do
        server:respond(upstream, answer)
        carries(stream, upstream)
        ends_ok(stream, upstream)
      end
      server = old
      ends_ok(1)
      ends_ok(3)
    end)

  -- ---- programs of another make, that signals reach

  local function say(stream, name)
    stream:send { name = name }
    return (stream:receive() or {}).greeting
  end

  local function count(stream, expected)
    stream:send { num = 1 }
    assert.equal(expected, (stream:receive() or {}).sum)
  end

  local function ends(stream, code)
    stream:half_close()
    stream:receive_all()
    assert.equal(code or "OK", stream:status().code)
  end

  ways.each(it, "is killed ends its calls UNAVAILABLE, and no other; it is called again when it is back", function(way)
    local hurt, well = foreign.start_cpp(), foreign.start_cpp()
    local gw = ways.start(way, to(hurt) .. "  backoff = 50ms  backoff_most = 100ms", to(well))
    local channel = client.connect(gw.address)
    local streams, other = channel:open_many(10, bidi), channel:open(numbers)
    for i, stream in ipairs(streams) do assert.equal(tostring(i), say(stream, tostring(i))) end
    count(other, 1)
    foreign.server(hurt):kill "KILL"
    for _, stream in ipairs(streams) do assert.equal("UNAVAILABLE", stream:status().code) end
    assert.equal("UNAVAILABLE", channel:open(bidi, client.soon):status().code)
    count(other, 2)
    foreign.start_cpp("--port", hurt:match ":(%d+)$")
    assert.is_true(process.await(gateway.patience, function()
      local stream = channel:open(bidi, client.soon)
      if say(stream, "again") ~= "again" then return false end
      ends(stream)
      return true
    end))
    count(other, 3)
    ends(other)
  end)

  ways.each(it, "stands still makes its calls wait, to their deadline, and no other; nothing is lost", function(way)
    local hurt, well = foreign.start_cpp(), foreign.start_cpp()
    local channel = client.connect(ways.start(way, to(hurt), to(well)).address)
    local patient, other = channel:open(bidi), channel:open(numbers)
    assert.equal("a", say(patient, "a"))
    count(other, 1)
    foreign.server(hurt):kill "STOP"
    patient:send { name = "b" }
    local short = channel:open(bidi, { timeout = 0.3 })
    short:send { name = "never" }
    assert.equal("DEADLINE_EXCEEDED", short:status().code)
    count(other, 2)
    foreign.server(hurt):kill "CONT"
    assert.equal("b", assert(patient:receive()).greeting)
    ends(patient)
    ends(other)
  end)

  it("stands still is found out by a PING, in every way: its calls end UNAVAILABLE, and no other", function()
    local hurt, well = foreign.start_cpp(), foreign.start_cpp()
    local streams, others = {}, {}
    for _, way in ipairs(ways.all) do
      local gw = ways.start(way, to(hurt) .. "  keepalive { interval = 300ms timeout = 3s }", to(well))
      local channel = client.connect(gw.address)
      for i, stream in ipairs(channel:open_many(5, bidi)) do
        assert.equal(tostring(i), say(stream, tostring(i)))
        streams[#streams + 1] = stream
      end
      others[#others + 1] = channel:open(numbers)
      count(others[#others], 1)
    end
    foreign.server(hurt):kill "STOP"
    for _, stream in ipairs(streams) do assert.equal("UNAVAILABLE", stream:status().code) end
    for _, other in ipairs(others) do
      count(other, 2)
      ends(other)
    end
  end)

  ways.each(it, "leaves under load finishes its calls; new ones go to the next, and none fails", function(way)
    local leaving, staying = foreign.start_cpp("--grace", "60"), foreign.start_cpp()
    local gw = ways.start(way, to(staying), to(leaving, staying))
    local channels = { client.connect(gw.address), client.connect(gw.address) }
    local lasting = client.load(channels, { kind = "counters", count = 40, method = numbers, pause = 0.01 })
    assert.is_table(lasting:await("opened", 40))
    local passing = client.load(channels, { kind = "counters", count = 20, method = numbers })
    assert.is_table(passing:await("opened", 20))
    foreign.server(leaving):close_input() -- it says GOAWAY, and waits
    -- What reaches it after it has decided to leave, and before its GOAWAY reaches us, it answers CANCELLED. From then
    -- on it must get no call more.
    local asking = channels[1]:open "chat.ChatService/Chat"
    local function calls_of_leaving()
      asking:send { message = leaving }
      local calls = asking:receive()
      asking:receive()
      return calls.message
    end
    local calls
    assert(process.await(gateway.patience, function()
      calls = calls_of_leaving()
      for _ = 1, 4 do -- each of the two targets has its turn
        local stream = channels[1]:open(numbers)
        stream:half_close()
        stream:receive_all()
      end
      return calls == calls_of_leaving()
    end))
    local function finish(load, streams)
      local counted = load:stop(gateway.patience)
      assert.same({ 0, 0, streams, {} }, { counted.wrong, counted.broken, counted.ended, counted.reasons })
      assert.equal(counted.sent, counted.received)
    end
    for _ = 1, 5 do -- streams that come and go all the while
      local next = client.load(channels, { kind = "counters", count = 20, method = numbers })
      assert.is_table(next:await("opened", 20))
      finish(passing, 20)
      passing = next
    end
    finish(passing, 20)
    assert.equal(calls, calls_of_leaving())
    local received = lasting:state().received
    assert.is_table(lasting:await("received", received + 40)) -- they go on
    finish(lasting, 40)
    assert.equal(0, foreign.server(leaving):wait(gateway.patience))
  end)
end)
