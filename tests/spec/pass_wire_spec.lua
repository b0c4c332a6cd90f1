-- Pass-through, frame by frame: what leaves on one side is what came on the other.
local behind = require "support.behind"
local gateway = require "support.gateway"
local process = require "support.process"
local raw = require "support.raw"

local answer = { { ":status", "200" }, { "content-type", "application/grpc" } }
local ok = { { "grpc-status", "0" } }

describe("a call that is passed on", function()
  local gw, listener, client, server

  -- One call that stands on both sides, as stream 1.
  local function open(options)
    options = options or {}
    listener = raw.listen()
    gw = behind.start(listener.address, options)
    client = assert(raw.connect(gw.address, options.client))
    client:headers(1, options.path or "legacy.Service/Method", options.fields, options.is_end)
    server = assert(listener:accept(options.server))
    return assert(server:expect { type = "HEADERS", stream = 1 })
  end

  after_each(gateway.stop_all)
  after_each(function()
    if listener then listener:close() end
    listener = nil
  end)

  it("has the client's headers, all of them, in their order, with a timeout that is what is left", function()
    listener = raw.listen()
    gw = behind.start(listener.address)
    client = assert(raw.connect(gw.address))
    local big = ("x"):rep(10000)
    client:send { { send = "headers", stream = 1, fields = {
      { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/legacy.Service/Method" }, { ":authority", "a.test" },
      { "te", "trailers" }, { "content-type", "application/grpc+thrift" }, { "x-two", "1" }, { "x-bin", "AAE" },
      { "x-two", "2" }, { "x-bin", "AAE=,Ag" }, { "grpc-timeout", "30S" }, { "grpc-encoding", "snappy" },
      { "grpc-accept-encoding", "snappy,zstd" }, { "x-empty", "" }, { "x-big", big }, { "user-agent", "me/1" } } } }
    server = assert(listener:accept())
    local got = assert(server:expect { type = "HEADERS", stream = 1 }).list
    local left, unit = got[11][2]:match "^(%d+)([mun])$"
    left = tonumber(left) * ({ m = 1e-3, u = 1e-6, n = 1e-9 })[unit]
    assert.is_true(left <= 30 and left > 25, got[11][2])
    got[11][2] = "30S"
    assert.same({
      { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/legacy.Service/Method" }, { ":authority", "a.test" },
      { "te", "trailers" }, { "content-type", "application/grpc+thrift" }, { "x-two", "1" }, { "x-bin", "AAE" },
      { "x-two", "2" }, { "x-bin", "AAE=,Ag" }, { "grpc-timeout", "30S" }, { "grpc-encoding", "snappy" },
      { "grpc-accept-encoding", "snappy,zstd" }, { "x-empty", "" }, { "x-big", big }, { "user-agent", "me/1" } }, got)
  end)

  it("has the upstream's authority where the config says one", function()
    assert.equal("numbers.test", open({ upstream = 'authority = "numbers.test"' }).fields[":authority"])
  end)

  it("has the server's headers and trailers as they are, and none of its 1xx", function()
    open()
    server:send { { send = "headers", stream = 1, fields = { { ":status", "103" }, { "link", "a" } } } }
    server:respond(1, { { ":status", "200" }, { "content-type", "application/grpc" }, { "x-b", "1" }, { "x-a", "2" },
      { "x-b", "3" }, { "x-bin", "//8" } })
    assert.same({ { ":status", "200" }, { "content-type", "application/grpc" }, { "x-b", "1" }, { "x-a", "2" },
      { "x-b", "3" }, { "x-bin", "//8" } }, assert(client:expect { type = "HEADERS", stream = 1 }).list)
    server:data(1, "half a mess")
    assert.equal("half a mess", assert(client:expect { type = "DATA", stream = 1 }).bytes)
    local trailers = { { "grpc-status", "9" }, { "grpc-message", "%41%zz" }, { "grpc-status-details-bin", "CAkSAWE" },
      { "x-t", "1" }, { "x-t", "2" } }
    server:respond(1, trailers, true)
    assert.same(trailers, assert(client:trailers(1)).list)
  end)

  it("keeps a Trailers-Only answer what it is", function()
    open()
    local all = { { ":status", "200" }, { "content-type", "application/grpc" }, { "grpc-status", "5" },
      { "grpc-message", "no such thing" }, { "grpc-status-details-bin", "CAUSAmhp" } }
    server:respond(1, all, true)
    local got = assert(client:expect { type = "HEADERS", stream = 1 })
    assert.is_true(got.is_end)
    assert.same(all, got.list)
    assert.is_truthy(gw:wait_for_log("call ended"):find "status=NOT_FOUND reason=upstream upstream=behind target=127")
  end)

  it("lets an answer of something that is no gRPC server through", function()
    open()
    server:respond(1, { { ":status", "503" }, { "content-type", "text/html" } })
    server:data(1, "<h1>later</h1>", true)
    assert.equal("503", assert(client:expect { type = "HEADERS", stream = 1 }).fields[":status"])
    local data = assert(client:expect { type = "DATA", stream = 1 })
    assert.equal("<h1>later</h1>", data.bytes)
  end)

  it("carries any bytes in any cuts, both ways, and trailers behind the last", function()
    for seed, longest in ipairs { 1, 7, 1000, 16384 } do
      local total = longest == 1 and 20000 or longest == 7 and 100000 or 1024 * 1024
      open()
      server:respond(1, answer)
      local up = assert(client:pump(1, server, 1, { total = total, longest = longest, seed = seed }))
      assert.same({ total, total }, { up.sent, up.taken })
      local down = assert(server:pump(1, client, 1,
        { total = total, longest = longest, seed = -seed, ["end"] = false }))
      assert.same({ total, total }, { down.sent, down.taken })
      server:respond(1, ok, true)
      assert.equal("0", assert(client:trailers(1)).fields["grpc-status"])
      local line = gw:wait_for_log "call ended"
      assert.is_truthy(line:find("bytes_in=" .. total .. " bytes_out=" .. total, 1, true), line)
      gateway.stop_all()
      listener:close()
      listener = nil
    end
  end)

  it("tells the server of the half-close, and of trailers that a client sends", function()
    open()
    client:data(1, "last", true)
    assert.is_true(assert(server:expect { type = "DATA", stream = 1 }).bytes == "last")
    client:headers(3, "legacy.Service/Method")
    assert(server:expect { type = "HEADERS", stream = 3 })
    client:send { { send = "headers", stream = 3, fields = { { "x-checksum", "7" } }, ["end"] = true } }
    assert.equal("7", assert(server:trailers(3)).fields["x-checksum"])
  end)

  it("needs no body", function()
    assert.is_true(open({ is_end = true }).is_end)
  end)

  it("carries a client's reset with its code, and a lost client as a cancel", function()
    open()
    client:reset(1, "ENHANCE_YOUR_CALM")
    assert.equal("ENHANCE_YOUR_CALM", assert(server:expect { type = "RST_STREAM", stream = 1 }).code)
    client:headers(3, "legacy.Service/Method")
    assert(server:expect { type = "HEADERS", stream = 3 })
    client:abort()
    assert.equal("CANCEL", assert(server:expect { type = "RST_STREAM", stream = 3 }).code)
  end)

  it("tells a server's reset as a status before its headers, as a reset behind them", function()
    open()
    server:reset(1, "INTERNAL_ERROR")
    local got = assert(client:trailers(1))
    assert.same({ "200", "13" }, { got.fields[":status"], got.fields["grpc-status"] })
    client:headers(3, "legacy.Service/Method")
    client:headers(5, "legacy.Service/Method")
    assert(server:expect { type = "HEADERS", stream = 5 })
    server:respond(3, answer)
    server:respond(5, answer)
    server:data(3, raw.message("cut off", 0, 100))
    server:reset(3, "CANCEL")
    assert.equal("CANCEL", assert(client:expect { type = "RST_STREAM", stream = 3 }).code)
    server:data(5, raw.message "whole") -- the others on the connection go on
    assert.equal(raw.message "whole", assert(client:expect { type = "DATA", stream = 5 }).bytes)
  end)

  it("ends at its deadline on both sides", function()
    open { fields = { ["grpc-timeout"] = "300m" } }
    server:respond(1, answer)
    assert.equal("4", assert(client:trailers(1)).fields["grpc-status"])
    assert.equal("CANCEL", assert(server:expect { type = "RST_STREAM", stream = 1 }).code)
  end)

  it("is made again, with what was sent, when the server refuses the stream", function()
    open()
    client:data(1, raw.message "asked")
    assert(server:expect { type = "DATA", stream = 1 })
    server:reset(1, "REFUSED_STREAM")
    local again = assert(server:expect { type = "HEADERS", stream = 3 })
    assert.equal("/legacy.Service/Method", again.fields[":path"])
    client:data(1, raw.message "more", true)
    assert.equal(raw.message "asked", assert(server:expect { type = "DATA", stream = 3 }).bytes)
    assert.equal(raw.message "more", assert(server:expect { type = "DATA", stream = 3 }).bytes)
    server:respond(3, answer)
    server:respond(3, ok, true)
    assert.equal("0", assert(client:trailers(1)).fields["grpc-status"])
  end)

  it("goes on after a GOAWAY when it is below, and elsewhere when it is above", function()
    open()
    server:respond(1, answer)
    assert(client:expect { type = "HEADERS", stream = 1 })
    client:headers(3, "legacy.Service/Method")
    assert(server:expect { type = "HEADERS", stream = 3 })
    server:send { { send = "goaway", last = 1 } }
    local other = assert(listener:accept())
    assert(other:expect { type = "HEADERS", stream = 1 })
    other:respond(1, answer)
    other:respond(1, ok, true)
    assert.equal("0", assert(client:trailers(3)).fields["grpc-status"])
    server:data(1, "still here")
    assert.equal("still here", assert(client:expect { type = "DATA", stream = 1 }).bytes)
    server:respond(1, ok, true)
    assert.equal("0", assert(client:trailers(1)).fields["grpc-status"])
  end)

  it("bears a server that measures its bandwidth with a PING for each message, as grpc-go does", function()
    open()
    server:respond(1, answer)
    local items = {}
    for i = 1, 100 do
      items[2 * i - 1] = { send = "data", stream = 1, bytes = raw.message "m" }
      items[2 * i] = { send = "ping", bytes = "\2\4\16\16\9\14\7\7" }
    end
    for _ = 1, 30 do
      assert(server:send(items))
      client:send { { send = "data", stream = 1, bytes = raw.message "m" } }
      assert(server:expect { type = "DATA", stream = 1 })
      server:waiting()
    end
    server:respond(1, ok, true)
    assert.equal("0", assert(client:trailers(1)).fields["grpc-status"])
  end)

  it("holds back a server whose client does not read: little is kept, and nothing is lost", function()
    open { service = "buffered_per_stream = 128KiB" }
    server:respond(1, answer)
    assert(client:expect { type = "HEADERS", stream = 1 })
    local total = 5 * 1024 * 1024
    local before = gw:resident_bytes()
    local options = { total = total, longest = 16384, seed = 5, takes = false, quiet = 1 }
    options["end"] = false
    local stuck = assert(server:pump(1, client, 1, options))
    -- The client's window, and what may be buffered here.
    assert.is_true(stuck.sent >= 65535 and stuck.sent <= 65536 + 128 * 1024, tostring(stuck.sent))
    assert.is_true(gw:resident_bytes() - before < 2 * 1024 * 1024 * gateway.slowness)
    options.takes, options.offset = true, stuck.sent
    local rest = assert(server:pump(1, client, 1, options))
    assert.same({ total, total }, { rest.sent, rest.taken })
  end)

  it("holds back a client whose server does not read", function()
    open { service = "buffered_per_stream = 128KiB" }
    local options = { total = 1024 * 1024, longest = 16384, seed = 5, takes = false, quiet = 1 }
    local stuck = assert(client:pump(1, server, 1, options))
    assert.is_true(stuck.sent >= 65535 and stuck.sent <= 65536 + 128 * 1024, tostring(stuck.sent))
    options.takes, options.offset = true, stuck.sent
    local rest = assert(client:pump(1, server, 1, options))
    assert.same({ options.total, options.total }, { rest.sent, rest.taken })
  end)

  it("goes on over a reload, and is finished by a drain", function()
    open()
    server:respond(1, answer)
    assert(client:expect { type = "HEADERS", stream = 1 })
    assert.equal(2, gw:reload())
    client:data(1, "after the reload")
    assert.equal("after the reload", assert(server:expect { type = "DATA", stream = 1 }).bytes)
    gw:signal "TERM"
    gw:wait_for_log "draining"
    server:data(1, "after TERM")
    assert.equal("after TERM", assert(client:expect { type = "DATA", stream = 1 }).bytes)
    server:respond(1, ok, true)
    assert.equal("0", assert(client:trailers(1)).fields["grpc-status"])
    client:close()
    assert.equal(0, gw:wait_exit())
  end)

  it("ends UNAVAILABLE when a drain takes too long", function()
    open { more = "drain_timeout = 200ms\n" }
    server:respond(1, answer)
    gw:signal "TERM"
    assert.equal("14", assert(client:trailers(1)).fields["grpc-status"])
    assert.equal("CANCEL", assert(server:expect { type = "RST_STREAM", stream = 1 }).code)
    client:close()
    assert.equal(0, gw:wait_exit())
  end)

  it("moves to another upstream for new calls alone when a reload says so", function()
    open()
    server:respond(1, answer)
    assert(client:expect { type = "HEADERS", stream = 1 })
    local other = raw.listen()
    gw:configure(behind.config(other.address))
    assert.equal(2, gw:reload())
    client:headers(3, "legacy.Service/Method")
    local wire = assert(other:accept())
    assert(wire:expect { type = "HEADERS", stream = 1 })
    client:data(1, "old")
    assert.equal("old", assert(server:expect { type = "DATA", stream = 1 }).bytes)
    wire:close()
    assert.equal("14", assert(client:trailers(3)).fields["grpc-status"])
    server:respond(1, ok, true)
    assert.equal("0", assert(client:trailers(1)).fields["grpc-status"])
    assert.is_truthy(process.await(gateway.patience, function() return gw:said "generation 1 is gone" end))
    other:close()
  end)
end)
