-- Messages between a client and a server behind the gateway: in any cuts, to peers that do not read, and on a thousand
-- streams at once. Each for calls that are passed on, filtered, and opened by a script.
local client = require "support.client"
local gateway = require "support.gateway"
local process = require "support.process"
local raw = require "support.raw"
local ways = require "support.ways"

local KIB, MIB = 1024, 1048576

local bidi = "greet.GreetService/GreetStream"
local answer = { { ":status", "200" }, { "content-type", "application/grpc" } }
local ok = { { "grpc-status", "0" } }

describe("a call to a server behind the gateway", function()
  local gw, listener, front, server

  after_each(gateway.stop_all)
  after_each(function()
    if listener then listener:close() end
    listener = nil
  end)

  -- One call that stands on both sides as stream 1. options: as ways.start(); upstream =, peers = what both peers
  -- announce
  local function open(way, options)
    options = options or {}
    listener = raw.listen()
    gw = ways.start(way, ('target = "%s" %s'):format(listener.address, options.upstream or ""), nil, options)
    front = assert(raw.connect(gw.address, options.peers))
    front:headers(1, bidi)
    server = assert(listener:accept(options.peers))
    assert(server:expect { type = "HEADERS", stream = 1 })
    server:respond(1, answer)
  end

  local function ends_ok()
    server:respond(1, ok, true)
    assert.equal("0", assert(front:trailers(1)).fields["grpc-status"])
  end

  -- Frames to the gateway have at most 16 KiB, which is HTTP/2's own bound; those from it as much as `peers` says.
  local cuts = {
    { longest = 1, largest = 100, total = 10000 },
    { longest = 9, largest = 3000, total = 50000 },
    { longest = 3000, largest = 300, total = 500000 }, -- many messages in a frame
    { longest = 16384, largest = MIB, total = 4 * MIB },
    { longest = 16384, largest = MIB, total = 4 * MIB, peers = { settings = { [4] = 16 * MIB, [5] = MIB } } },
  }

  ways.each(it, "carries messages with unknown fields, in any cuts, byte for byte", function(way)
    for seed, cut in ipairs(cuts) do
      open(way, { peers = cut.peers })
      if cut.peers then
        for _, wire in ipairs { front, server } do wire:send { { send = "window", by = 16 * MIB } } end
      end
      local options = { longest = cut.longest, largest = cut.largest, total = cut.total, seed = seed }
      local up = assert(front:pump(1, server, 1, options))
      assert.same({ up.total, up.total, nil }, { up.sent, up.taken, up.wrong_at })
      options.seed, options["end"] = -seed, false
      local down = assert(server:pump(1, front, 1, options))
      assert.same({ down.total, down.total, nil }, { down.sent, down.taken, down.wrong_at })
      ends_ok()
      front:close()
      server:close()
      listener:close()
    end
    listener = nil
  end)

  -- ---- peers that do not read

  local bound = 128 * KIB
  -- What may be under way when nothing moves: the reader's window, what waits on either side of a filter or a script,
  -- a message that is not whole.
  local most = 65536 + 2 * bound + 2 * 65536 + 100 * KIB

  -- Sends from one side to a reader on the other that takes nothing, then everything.
  local function is_held_back(from, reader, act)
    local options = { longest = 16384, largest = 50000, total = 12 * MIB, seed = 5, takes = false,
      quiet = 0.5, ["end"] = false }
    local before = gw:resident_bytes()
    local stuck = assert(from:pump(1, reader, 1, options))
    assert.is_true(stuck.sent >= 65535 and stuck.sent <= most, tostring(stuck.sent))
    assert.is_true(gw:resident_bytes() - before < 2 * MIB or gateway.slowness > 1)
    act()
    options.takes, options.offset = true, stuck.sent
    local rest = assert(from:pump(1, reader, 1, options))
    assert.same({ rest.total, rest.total, nil }, { rest.sent, rest.taken, rest.wrong_at })
    -- With what Lua has not yet collected, far less than has come through.
    assert.is_true(gw:resident_bytes() - before < 8 * MIB or gateway.slowness > 1)
  end

  -- Another client's call on the same connection to the server.
  local function others_go_on()
    local other = assert(raw.connect(gw.address))
    other:headers(1, bidi)
    assert(server:expect { type = "HEADERS", stream = 3 })
    server:respond(3, answer)
    local bytes = raw.message(raw.text(1, "not held back"))
    server:data(3, bytes)
    assert.equal(bytes, assert(other:expect { type = "DATA", stream = 1 }).bytes)
    other:reset(1)
    assert(server:expect { type = "RST_STREAM", stream = 3 })
  end

  ways.each(it, "whose client does not read holds the server back: memory is bounded, nothing is lost", function(way)
    open(way, { service = "buffered_per_stream = 128KiB" })
    is_held_back(server, front, others_go_on)
    ends_ok()
  end)

  ways.each(it, "whose server does not read holds the client back: memory is bounded, nothing is lost", function(way)
    open(way, { service = "buffered_per_stream = 128KiB" })
    is_held_back(front, server, function() end)
    ends_ok()
  end)

  -- ---- a thousand streams

  -- What stands towards the server, once it is so.
  local function await_counts(at, connections, streams, dials)
    local wanted, got = ("%d connections, %d streams, %d dials"):format(connections, streams, dials), nil
    local call = client.connect(at.address):open "chat.ChatService/Chat"
    local is_so = process.await(gateway.patience, function()
      call:send {}
      got = assert(call:receive()).message
      return got == wanted
    end)
    assert(is_so, got)
    call:half_close()
  end

  it("shares one connection with calls of other services and scripts, and of other generations", function()
    listener = raw.listen()
    local opens = [[
local tidewire = require "tidewire"
return { %s = function(stream)
  local up = tidewire.open("one", "greet.GreetService/GreetStream")
  stream:wait()
  up:cancel()
end }
]]
    gw = gateway.start {
      scripts = { ["filter.lua"] = "return { GreetStream = { on_request = function() end } }",
        ["chat.lua"] = opens:format "Chat", ["logger.lua"] = opens:format "Monitor" },
      config = ('workers = 1\nupstream one { target = "%s" }\n'):format(listener.address) .. [[
service "tutorial.NumberService" { upstream = "one" }
service "greet.GreetService" { script = "filter.lua"  upstream = "one" }
service "chat.ChatService" { script = "chat.lua" }
service "logger.Logger" { script = "logger.lua" }
]] }
    front = assert(raw.connect(gw.address))
    local stream = 1
    local function open_all()
      for _, path in ipairs { "tutorial.NumberService/AccumulateNumbers", bidi, "chat.ChatService/Chat",
        "logger.Logger/Monitor" } do
        front:headers(stream, path)
        stream = stream + 2
      end
    end
    open_all() -- before there is a connection
    server = assert(listener:accept())
    for each = 1, 7, 2 do assert(server:expect { type = "HEADERS", stream = each }) end
    assert.equal(2, gw:reload())
    open_all()
    for each = 9, 15, 2 do assert(server:expect { type = "HEADERS", stream = each }) end
    assert.is_nil(listener:accept(nil, 0))
    front:close()
    for each = 1, 15, 2 do assert.equal("CANCEL", assert(server:expect { type = "RST_STREAM", stream = each }).code) end
  end)

  it("is one of a thousand, in every way: one connection has them all and goes after the last; so does their memory",
    function()
      local text = raw.message(raw.text(1, ("x"):rep(16000))):rep(4) -- what waits for clients that take nothing
      local gateways = {}
      for _, way in ipairs(ways.all) do
        listener = raw.listen()
        local at = ways.start(way, ('target = "%s" linger = 200ms'):format(listener.address), nil,
          { more = "log { level = info  access = off }\n" })
        await_counts(at, 0, 0, 0)
        gateways[way] = { gw = at, start = at:resident_bytes() }
        local clients = {}
        for i = 1, 4 do
          clients[i] = assert(raw.connect(at.address, { settings = { [4] = 0 } }))
          clients[i]:send({ { send = "headers", stream = 1, fields = raw.request(bidi) } }, { times = 250, step = 2 })
        end
        server = assert(listener:accept())
        assert(server:expect { type = "HEADERS", stream = 1999 })
        await_counts(at, 1, 1000, 1)
        server:send({ { send = "headers", stream = 1, fields = answer } }, { times = 1000, step = 2 })
        assert.is_true(server:data_on_each(1000, text))
        assert.is_truthy(process.await(gateway.patience, function()
          return at:resident_bytes() > gateways[way].start + 60 * MIB
        end), "it takes no memory")
        for _, each in ipairs(clients) do each:close() end
        assert.is_true(server:await_gone())
        assert.is_nil(listener:accept(nil, 0)) -- there was no other
        server:close()
        await_counts(at, 0, 0, 1)
        listener:close()
      end
      listener = nil
      if gateway.slowness > 1 then return end -- a sanitizer keeps what was freed
      for way, one in pairs(gateways) do
        -- The process gives back what has been idle for some seconds, but for some that the next burst may use.
        assert(process.await(gateway.patience, function() return one.gw:resident_bytes() < one.start + 40 * MIB end),
          ("%s: from %d to %d"):format(way, one.start, one.gw:resident_bytes()))
      end
    end)
end)
