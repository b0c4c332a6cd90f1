-- A peer that means harm: only its own connection ends, with a reason, and nobody else notices.
local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local path = "greet.GreetService/Greet"
local stream_path = "greet.GreetService/GreetStream"

describe("the gateway survives", function()
  local gw, wire, channel
  before_each(function()
    gw = gateway.start { config = gateway.examples }
    wire, channel = assert(raw.connect(gw.address)), client.connect(gw.address)
  end)
  after_each(gateway.stop_all)

  local function everyone_else_is_served()
    assert.equal("OK", channel:call(path, { name = "a" }, client.soon).code)
  end

  -- The connection ends, with a GOAWAY of one of these codes if there was time for it.
  local function is_sent_away(...)
    local codes = { ... }
    local goaway = wire:expect { type = "GOAWAY" }
    if goaway and #codes > 0 then
      local is_one = false
      for _, code in ipairs(codes) do is_one = is_one or goaway.code == code end
      assert.is_true(is_one, goaway.code)
    end
    assert.is_true(wire:await_gone())
    everyone_else_is_served()
  end

  it("bytes that are no HTTP", function()
    local get, nearly = "GET /\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"
    for _, bytes in ipairs { get, nearly, ("\0"):rep(100) } do
      local other = assert(raw.connect(gw.address, { preface = false }))
      other:send { { send = "bytes", bytes = bytes } }
      assert.is_true(other:await_gone(), bytes)
    end
    everyone_else_is_served()
  end)

  it("a preface without SETTINGS", function()
    local other = assert(raw.connect(gw.address, { preface = false }))
    other:send { { send = "bytes", bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" }, { send = "ping" } }
    assert.is_true(other:await_gone())
    everyone_else_is_served()
  end)

  it("streams that are opened and reset at once, thousands of times", function()
    local before = gw:resident_bytes()
    wire:send({ { send = "headers", stream = 1, fields = raw.request(stream_path) },
      { send = "reset", stream = 1 } }, { times = 20000, step = 2 })
    is_sent_away("ENHANCE_YOUR_CALM", "INTERNAL_ERROR")
    assert.is_true(gw:resident_bytes() - before < 64 * 1048576 * gateway.slowness)
  end)

  it("a client that makes it reset streams (WINDOW_UPDATE overflow)", function()
    wire:send({ { send = "headers", stream = 1, fields = raw.request(stream_path) },
      { send = "window", stream = 1, by = 2147483647 } }, { times = 20000, step = 2 })
    is_sent_away("ENHANCE_YOUR_CALM", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR")
  end)

  it("floods of PING and of SETTINGS that are never read", function()
    for _, item in ipairs { { send = "ping" }, { send = "settings", values = { ["4"] = 65535 } } } do
      wire = assert(raw.connect(gw.address, { receive_buffer = 4096 }))
      wire:send({ item }, { times = 50000 })
      assert.is_true(wire:await_gone())
    end
    everyone_else_is_served()
  end)

  it("floods of empty DATA, PRIORITY and unknown frames", function()
    wire:headers(1, stream_path)
    wire:send({ { send = "data", stream = 1, bytes = "" } }, { times = 50000 })
    is_sent_away("ENHANCE_YOUR_CALM")
    wire = assert(raw.connect(gw.address))
    wire:send({ { send = "frame", type = "PRIORITY", stream = 1, bytes = "\0\0\0\3\16" } },
      { times = 50000 })
    is_sent_away("ENHANCE_YOUR_CALM")
    wire = assert(raw.connect(gw.address))
    wire:send({ { send = "frame", type = 200, stream = 0, bytes = "x" } }, { times = 50000 })
    everyone_else_is_served()
  end)

  it("a header block that never ends", function()
    wire:send { { send = "frame", type = "HEADERS", stream = 1, bytes = "\130" } }
    wire:send({ { send = "frame", type = "CONTINUATION", stream = 1, bytes = "\0\1a\1b" } }, { times = 10000 })
    is_sent_away()
  end)

  it("a header block that is slow, holding everything up", function()
    wire:send { { send = "frame", type = "HEADERS", stream = 1, bytes = "\130" } }
    everyone_else_is_served()
  end)

  it("headers that unpack to much more than they are", function()
    -- One field of 4000 bytes into the dynamic table, then 10000 times a byte that repeats it.
    local block = "\64\1x\127\161\30" .. ("v"):rep(4000) .. ("\190"):rep(10000)
    wire:send { { send = "frame", type = "HEADERS", flags = 5, stream = 1, bytes = "\131\134\68\1/" .. block } }
    local before = gw:resident_bytes()
    local answer = assert(wire:expect { stream = 1 })
    assert.is_true(answer.type == "RST_STREAM" or answer.fields["grpc-status"] == "8", answer.type)
    assert.is_true(gw:resident_bytes() - before < 16 * 1048576 * gateway.slowness)
    everyone_else_is_served()
  end)

  it("header blocks that make no sense", function()
    wire:send { { send = "frame", type = "HEADERS", flags = 5, stream = 1, bytes = "\255\255\255\255\255" } }
    is_sent_away("COMPRESSION_ERROR", "PROTOCOL_ERROR")
  end)

  it("frames that break the rules", function()
    local wrong = {
      { { send = "frame", type = "DATA", stream = 0, bytes = "x" } },
      { { send = "frame", type = "HEADERS", flags = 4, stream = 2, bytes = "\131" } },
      { { send = "frame", type = "SETTINGS", stream = 0, bytes = "12345" } },
      { { send = "frame", type = "PING", stream = 0, bytes = "short" } },
      { { send = "frame", type = "WINDOW_UPDATE", stream = 0, bytes = "\0\0\0\0" } },
      { { send = "frame", type = "RST_STREAM", stream = 99, bytes = "\0\0\0\0" } },
      { { send = "bytes", bytes = "\255\255\255\0\0\0\0\0\1" } },
      { { send = "settings", values = { ["4"] = 4294967295 } } },
    }
    for i, items in ipairs(wrong) do
      wire = assert(raw.connect(gw.address))
      wire:send(items)
      assert.is_true(wire:await_gone(), i)
    end
    everyone_else_is_served()
  end)

  it("a client that goes on with a stream that it has reset", function()
    wire:headers(1, stream_path)
    wire:send { { send = "reset", stream = 1 }, { send = "data", stream = 1, bytes = raw.message "" } }
    is_sent_away("STREAM_CLOSED")
  end)

  it("headers that unpack to much more than they are, again and again", function()
    local value = "\64\1x\127\161\30" .. ("v"):rep(4000)
    local block = "\131\134\68\1/" .. value .. ("\190"):rep(8000)
    wire:send({ { send = "frame", type = "HEADERS", flags = 5, stream = 1, bytes = block } },
      { times = 5000, step = 2 })
    is_sent_away("ENHANCE_YOUR_CALM")
  end)

  it("more DATA than the window allows", function()
    local deaf = gateway.start {
      scripts = { ["greet.lua"] = 'return { GreetStream = function() require("tidewire").sleep(3600) end }' },
      config = 'service "greet.GreetService" { script = "greet.lua" }',
    }
    local other = assert(raw.connect(deaf.address))
    other:headers(1, stream_path)
    other:send({ { send = "data", stream = 1, bytes = raw.message(("m"):rep(1000)):rep(16) } },
      { times = 1000 })
    assert.is_true(other:expect { code = "FLOW_CONTROL_ERROR" } ~= nil or other:await_gone())
  end)

  it("more streams than it was told", function()
    wire:expect { type = "SETTINGS", is_ack = true }
    wire:send({ { send = "headers", stream = 1, fields = raw.request(stream_path) } }, { times = 3000, step = 2 })
    wire:waiting(0.2)
    everyone_else_is_served()
  end)

  it("a connection that is cut in the middle of anything", function()
    for _, items in ipairs {
      { { send = "headers", stream = 1, fields = raw.request(stream_path) } },
      { { send = "headers", stream = 1, fields = raw.request(stream_path) },
        { send = "data", stream = 1, bytes = raw.message("", 0, 1000) .. "half" } },
      { { send = "bytes", bytes = "\0\0\100\1" } },
    } do
      wire = assert(raw.connect(gw.address))
      wire:send(items)
      wire:abort()
    end
    everyone_else_is_served()
  end)

  it("pings that come too fast, but not a client that keeps its connection alive", function()
    wire:headers(1, stream_path)
    for _ = 1, 2 do
      wire:send { { send = "ping" } }
      assert.is_table(wire:expect { type = "PING", is_ack = true })
    end
    wire:send({ { send = "ping" } }, { times = 10 })
    local goaway = wire:expect { type = "GOAWAY" }
    assert.same({ "ENHANCE_YOUR_CALM", "too_many_pings" }, { goaway.code, goaway.text })
    everyone_else_is_served()
  end)
end)
