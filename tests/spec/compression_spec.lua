local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

-- gzip of 20 MiB of nothing is 20 KiB, and gzip of "\10\5hello" is made by whoever runs the specs.
local function gzip(bytes)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(bytes)
  file:close()
  local pipe = assert(io.popen("gzip -9nc " .. name))
  local packed = pipe:read "*a"
  pipe:close()
  os.remove(name)
  return packed
end

local function gunzip(bytes)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(bytes)
  file:close()
  local pipe = assert(io.popen("gzip -dc < " .. name))
  local plain = pipe:read "*a"
  pipe:close()
  os.remove(name)
  return plain
end

describe("compression", function()
  local gw, channel, wire
  before_each(function()
    gw = gateway.start { config = gateway.examples }
    channel, wire = client.connect(gw.address), assert(raw.connect(gw.address))
  end)
  after_each(gateway.stop_all)

  it("with gzip works both ways for a real client, for messages of every size", function()
    local names, greetings = {}, {}
    for i, size in ipairs { 0, 1, 100, 70000, 1000000, 5 } do
      names[i] = { name = ("ab"):rep(size) }
      greetings[i] = size == 0 and {} or { greeting = ("ab"):rep(size) }
    end
    local replies, status = channel:exchange("greet.GreetService/GreetStream", names, { compression = "gzip" })
    assert.equal("OK", status.code)
    assert.same(greetings, replies)
  end)

  local hello = raw.text(1, ("hello "):rep(100))

  -- The one reply: its headers, its flag and its bytes; or the trailers when there is none.
  local function answer(stream, more, body)
    wire:headers(stream, "greet.GreetService/Greet", more)
    wire:data(stream, body, true)
    local headers = wire:expect { type = "HEADERS", stream = stream }
    if headers.is_end then return headers.fields end
    local data = wire:expect({ type = "DATA", stream = stream }).bytes
    return headers.fields, data:byte(1), data:sub(6)
  end

  it("answers in the encoding of the request, when the client accepts it", function()
    local fields, flag, bytes = answer(1, { ["grpc-encoding"] = "gzip", ["grpc-accept-encoding"] = "identity,gzip" },
      raw.message(gzip(hello), 1))
    assert.same({ "gzip", 1 }, { fields["grpc-encoding"], flag })
    assert.equal(hello, gunzip(bytes))
  end)

  it("leaves the reply alone for a client that does not accept it, or sends nothing compressed", function()
    local fields, flag, bytes = answer(1, { ["grpc-encoding"] = "gzip", ["grpc-accept-encoding"] = "identity" },
      raw.message(gzip(hello), 1))
    assert.same({ 0, hello }, { flag, bytes })
    assert.is_true(fields["grpc-encoding"] == nil or fields["grpc-encoding"] == "identity")
    local _
    _, flag, bytes = answer(3, {}, raw.message(hello))
    assert.same({ 0, hello }, { flag, bytes })
  end)

  it("may be declared and not used", function()
    local _, _, bytes = answer(1, { ["grpc-encoding"] = "gzip" }, raw.message(hello))
    assert.equal(hello, bytes)
  end)

  it("of a kind that is not known is UNIMPLEMENTED, and says what is", function()
    local fields = answer(1, { ["grpc-encoding"] = "snappy" }, raw.message(hello, 1))
    assert.equal("12", fields["grpc-status"])
    assert.is_truthy(fields["grpc-accept-encoding"]:find "gzip")
  end)

  it("that is broken is INTERNAL", function()
    local packed = gzip(hello)
    for i, broken in ipairs { "no gzip", packed:sub(1, -9), packed:sub(1, 10) .. "xxxx" .. packed:sub(15), "" } do
      local fields = answer(2 * i - 1, { ["grpc-encoding"] = "gzip" }, raw.message(broken, 1))
      assert.equal("13", fields["grpc-status"], i)
    end
  end)

  it("is what a handler says, message by message, once it has said so before the headers", function()
    gw = gateway.start {
      scripts = { ["greet.lua"] = [[
        return {
          GreetStream = function(stream)
            for request in stream:messages() do
              local is_on
              if request.name == "on" then is_on = stream:compress() end
              if request.name == "off" then is_on = stream:compress(false) end
              stream:send { greeting = ("%s %s"):format(stream.compressed, is_on) .. ("-"):rep(1000) }
            end
          end,
          GreetServerStream = function(stream, request)
            if request.name == "early" then stream:compress() end
            stream:send_headers()
            stream:compress(false)
            stream:send { greeting = "plain" .. ("-"):rep(1000) }
            stream:send { greeting = tostring(stream:compress()) .. ("-"):rep(1000) }
          end,
        }
      ]] },
      config = [[ service "greet.GreetService" { script = "greet.lua" } ]],
    }
    wire = assert(raw.connect(gw.address))
    -- The next message: whether it is compressed, and what it says before its filling.
    local come = { "", [3] = "", [5] = "", [7] = "" }
    local function reply(stream)
      local data = come[stream]
      local function length() return 5 + data:byte(4) * 256 + data:byte(5) end
      while #data < 5 or #data < length() do data = data .. wire:expect({ type = "DATA", stream = stream }).bytes end
      local message, is_compressed = data:sub(6, length()), data:byte(1) == 1
      come[stream] = data:sub(length() + 1)
      if is_compressed then message = gunzip(message) end
      return is_compressed, message:sub(4):match "^([%w ]+)%-+$"
    end
    -- What the client compresses is answered alike, until the handler says otherwise.
    wire:headers(1, "greet.GreetService/GreetStream",
      { ["grpc-encoding"] = "gzip", ["grpc-accept-encoding"] = "gzip" })
    wire:data(1, raw.message(gzip(raw.text(1, "off")), 1))
    assert.same({ false, "true false" }, { reply(1) })
    wire:data(1, raw.message(raw.text(1, "nothing")))
    assert.same({ false, "false nil" }, { reply(1) })
    wire:data(1, raw.message(gzip(raw.text(1, "on")), 1), true)
    assert.same({ true, "true true" }, { reply(1) })

    -- Headers that leave first can name it for later.
    for i, name in ipairs { "early", "late" } do
      local stream = 2 * i + 1
      wire:headers(stream, "greet.GreetService/GreetServerStream", { ["grpc-accept-encoding"] = "gzip" })
      wire:data(stream, raw.message(raw.text(1, name)), true)
      local fields = wire:expect({ type = "HEADERS", stream = stream }).fields
      assert.equal(name == "early" and "gzip" or nil, fields["grpc-encoding"])
      assert.same({ false, "plain" }, { reply(stream) })
      assert.same({ name == "early", tostring(name == "early") }, { reply(stream) })
    end

    -- Nobody gets what it has not said it takes.
    wire:headers(7, "greet.GreetService/GreetServerStream", {})
    wire:data(7, raw.message(raw.text(1, "early")), true)
    assert.is_nil(wire:expect({ type = "HEADERS", stream = 7 }).fields["grpc-encoding"])
    assert.same({ false, "plain" }, { reply(7) })
    assert.same({ false, "false" }, { reply(7) })
  end)

  it("cannot carry more than the message limit: a bomb is RESOURCE_EXHAUSTED and costs no memory", function()
    local before = gw:resident_bytes()
    local bomb = gzip(raw.text(1, "") .. ("\0"):rep(48 * 1048576))
    for i = 1, 5 do
      local fields = answer(2 * i - 1, { ["grpc-encoding"] = "gzip" }, raw.message(bomb, 1))
      assert.equal("8", fields["grpc-status"])
    end
    assert.is_true(gw:resident_bytes() - before < 32 * 1048576 * gateway.slowness)
  end)
end)
