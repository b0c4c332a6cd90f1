local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"
local process = require "support.process"

local script = [[
local greet = {}
function greet.Greet(_, request) return { greeting = tostring(#request.name) } end
function greet.GreetServerStream(_, request) return end
function greet.GreetStream(stream)
  for message in stream:messages() do stream:send { greeting = message.name } end
end
return greet
]]

local MIB = 1048576

local function start(config)
  return gateway.start { scripts = { ["greet.lua"] = script },
    config = config or [[ service "greet.GreetService" { script = "greet.lua" } ]] }
end

-- A request whose message is exactly `size` bytes long: a tag, a length of `prefix` - 1 bytes, the name.
local function of_size(size)
  local prefix = size < 130 and 2 or size < 16387 and 3 or size < 2097156 and 4 or 5
  return { name = ("n"):rep(size - prefix) }
end

describe("a message", function()
  after_each(gateway.stop_all)

  it("of exactly the limit passes in both directions, one byte more is RESOURCE_EXHAUSTED", function()
    local channel = client.connect(start().address)
    assert.equal("OK", channel:call("greet.GreetService/Greet", of_size(4 * MIB)).code)
    local replies, status = channel:exchange("greet.GreetService/GreetStream", { of_size(4 * MIB) })
    assert.equal("OK", status.code)
    assert.equal(4 * MIB - 5, #replies[1].greeting)
    local reply = channel:call("greet.GreetService/Greet", of_size(4 * MIB + 1))
    assert.equal("RESOURCE_EXHAUSTED", reply.code)
    assert.equal("OK", channel:call("greet.GreetService/Greet", of_size(100)).code)
  end)

  it("has the limit of its method, else of its service, else of the file", function()
    local channel = client.connect(start([[
      limits { message = 1000B }
      service "greet.GreetService" {
        script = "greet.lua"
        message = 2000B
        method "GreetStream" { message = 3000B }
      }
    ]]).address)
    assert.equal("OK", channel:call("greet.GreetService/Greet", of_size(2000)).code)
    assert.equal("RESOURCE_EXHAUSTED", channel:call("greet.GreetService/Greet", of_size(2001)).code)
    local _, status = channel:exchange("greet.GreetService/GreetStream", { of_size(3000) })
    assert.equal("OK", status.code)
    _, status = channel:exchange("greet.GreetService/GreetStream", { of_size(3001) })
    assert.equal("RESOURCE_EXHAUSTED", status.code)
  end)

  it("is judged by its prefix, before its bytes have come", function()
    local wire = assert(raw.connect(start().address))
    wire:headers(1, "greet.GreetService/Greet")
    wire:data(1, raw.message("", 0, 4 * MIB + 1))
    assert.equal("8", wire:trailers(1).fields["grpc-status"])
    wire:headers(3, "greet.GreetService/Greet")
    wire:data(3, raw.message("", 0, 4294967295))
    assert.equal("8", wire:trailers(3).fields["grpc-status"])
  end)

  it("larger than the window arrives: the window opens behind what has come", function()
    local wire = assert(raw.connect(start().address))
    wire:headers(1, "greet.GreetService/Greet")
    local message = raw.message("\10\128\128\128\1" .. ("n"):rep(2097152)) -- 2 MiB in one field
    local stream_window, connection_window, sent = 65535, 65535, 0
    local settings = wire:expect { type = "SETTINGS", is_ack = false }
    stream_window = settings.values["4"] or stream_window
    while sent < #message do
      local piece = math.min(stream_window, connection_window, 16384, #message - sent)
      if piece > 0 then
        wire:data(1, message:sub(sent + 1, sent + piece), sent + piece == #message)
        sent, stream_window, connection_window = sent + piece, stream_window - piece, connection_window - piece
      else
        local update = assert(wire:expect { type = "WINDOW_UPDATE" })
        if update.stream == 0 then connection_window = connection_window + update.by
        else stream_window = stream_window + update.by end
      end
    end
    assert.equal("0", wire:trailers(1).fields["grpc-status"])
  end)
end)

describe("the limit of", function()
  after_each(gateway.stop_all)

  it("request headers ends a call whose metadata is larger, and no other", function()
    local gw = start [[
      limits { headers = 8KiB }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    local wire = assert(raw.connect(gw.address))
    assert.equal(8192, wire:expect({ type = "SETTINGS", is_ack = false }).values["6"])
    wire:headers(1, "greet.GreetService/Greet", { ["x-big"] = ("b"):rep(9000) }, true)
    local trailers = wire:trailers(1)
    assert.is_true(trailers.fields[":status"] == "431" or trailers.fields["grpc-status"] == "8")
    wire:headers(3, "greet.GreetService/Greet", { ["x-big"] = ("b"):rep(7000) })
    wire:data(3, raw.message(raw.text(1, "a")), true)
    assert.equal("0", wire:trailers(3).fields["grpc-status"])
  end)

  it("request headers counts many small fields too", function()
    local gw = start [[
      limits { headers = 8KiB }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    local many = {}
    for i = 1, 300 do many["x" .. i] = "" end
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, "greet.GreetService/Greet", many, true)
    local trailers = wire:trailers(1)
    assert.is_true(trailers.fields[":status"] == "431" or trailers.fields["grpc-status"] == "8")
  end)

  it("streams is told to the client and kept", function()
    local gw = start [[
      limits { streams_per_connection = 3 }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    local wire = assert(raw.connect(gw.address))
    assert.equal(3, wire:expect({ type = "SETTINGS", is_ack = false }).values["3"])
    local channel = client.connect(gw.address)
    local streams = channel:open_many(3, "greet.GreetService/GreetStream")
    for _, stream in ipairs(streams) do
      stream:send { name = "a" }
      assert.equal("a", stream:receive().greeting)
    end
    local waiting = channel:open "greet.GreetService/GreetStream"
    assert.same({ nil, "timeout" }, { waiting:send({ name = "b" }, 0.3) })
    streams[1]:half_close()
    assert.equal("OK", streams[1]:status().code)
    assert.equal("b", waiting:receive().greeting)
  end)

  it("connections tells of a flood of refused ones in a line a second", function()
    local gw = start [[
      limits { connections = 1 }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    local first = assert(raw.connect(gw.address))
    assert.is_table(first:expect { type = "SETTINGS" })
    local began = process.now()
    for _ = 1, 100 do
      local wire = assert(raw.connect(gw.address))
      wire:await_gone()
      wire:close()
    end
    local lines = gw:count_in_log "connections refused"
    assert.is_true(lines >= 1 and lines <= process.now() - began + 1, lines)
  end)

  it("connections refuses one more, and takes it when one has gone", function()
    local gw = start [[
      limits { connections = 2 }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    local first, second = assert(raw.connect(gw.address)), assert(raw.connect(gw.address))
    assert.is_table(first:expect { type = "SETTINGS" })
    assert.is_table(second:expect { type = "SETTINGS" })
    local third = raw.connect(gw.address)
    assert.is_true(third:await_gone())
    first:close()
    assert.is_truthy(process.await(gateway.patience, function()
      local again = raw.connect(gw.address)
      return again and again:expect({ type = "SETTINGS" }, 1)
    end))
  end)

  it("idle time closes a connection without streams, with GOAWAY, and no other", function()
    local gw = start [[
      limits { idle = 1s }
      service "greet.GreetService" { script = "greet.lua" }
    ]]
    local request = { send = "headers", stream = 1, fields = raw.request "greet.GreetService/GreetStream" }
    local busy = assert(raw.connect(gw.address, { items = { request } })) -- from its first bytes on
    local idle = assert(raw.connect(gw.address))
    assert.equal("NO_ERROR", idle:expect({ type = "GOAWAY" }).code)
    assert.is_true(idle:await_gone())
    busy:data(1, raw.message(raw.text(1, "a")), true)
    assert.equal("0", busy:trailers(1).fields["grpc-status"])
  end)
end)
