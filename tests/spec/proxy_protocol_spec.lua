local gateway = require "support.gateway"
local raw = require "support.raw"

local scripts = { ["greet.lua"] = [[
local greet = {}
function greet.Greet(stream) return { greeting = stream.peer } end
return greet
]] }

local function config(from)
  return ([[
    listen "127.0.0.1:0" { proxy_from = { %s } }
    service "greet.GreetService" { script = "greet.lua" }
  ]]):format(from)
end
local function start(from) return gateway.start { scripts = scripts, config = config(from) } end

-- What the script takes for the client's address; nil when the connection is closed without an answer.
local function peer(gw, header)
  local wire = assert(raw.connect(gw.address, { first = header }))
  wire:headers(1, "greet.GreetService/Greet")
  wire:data(1, raw.message "", true)
  local data = wire:expect { type = "DATA", stream = 1 }
  return data and data.bytes:sub(8)
end

local signature = "\r\n\r\n\0\r\nQUIT\n"
local function version_2(command, family, body, length)
  length = length or #body
  return signature .. string.char(0x20 + command, family, math.floor(length / 256), length % 256) .. body
end
local ipv4 = "\203\0\113\9" .. "\127\0\0\1" .. "\018\103" .. "\195\82" -- 203.0.113.9:4711 → 127.0.0.1:50002

describe("the PROXY protocol", function()
  after_each(gateway.stop_all)

  it("version 1 tells who the client is", function()
    local gw = start '"127.0.0.0/8"'
    assert.equal("203.0.113.9:4711", peer(gw, "PROXY TCP4 203.0.113.9 127.0.0.1 4711 50051\r\n"))
    assert.equal("[2001:db8::9]:4711", peer(gw, "PROXY TCP6 2001:db8::9 ::1 4711 50051\r\n"))
    assert.is_truthy(peer(gw, "PROXY UNKNOWN\r\n"):find "^127%.0%.0%.1:%d+$")
  end)

  it("version 2 tells it too, with what may follow the addresses", function()
    local gw = start '"127.0.0.0/8"'
    assert.equal("203.0.113.9:4711", peer(gw, version_2(1, 0x11, ipv4)))
    assert.equal("203.0.113.9:4711", peer(gw, version_2(1, 0x11, ipv4 .. "\4\0\3abc")))
    local ipv6 = "\32\1\13\184" .. ("\0"):rep(11) .. "\9" .. ("\0"):rep(15) .. "\1" .. "\018\103\195\82"
    assert.equal("[2001:db8::9]:4711", peer(gw, version_2(1, 0x21, ipv6)))
    assert.is_truthy(peer(gw, version_2(0, 0, "")):find "^127%.0%.0%.1:%d+$") -- LOCAL: the proxy itself
  end)

  it("may come in pieces, and together with the preface", function()
    local gw = start '"127.0.0.1"'
    local wire = assert(raw.connect(gw.address, { preface = false }))
    for byte in ("PROXY TCP4 203.0.113.9 127.0.0.1 4711 50051\r\n"):gmatch "." do
      wire:send { { send = "bytes", bytes = byte } }
    end
    wire:send { { send = "bytes", bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
      { send = "settings", values = { ["4"] = 65535 } } }
    wire:headers(1, "greet.GreetService/Greet")
    wire:data(1, raw.message "", true)
    assert.equal("203.0.113.9:4711", wire:expect({ type = "DATA", stream = 1 }).bytes:sub(8))
  end)

  it("that is broken, or missing where it must be, closes the connection", function()
    local gw = start '"127.0.0.0/8"'
    for _, header in ipairs {
      "", "PROXY TCP4 203.0.113.9\r\n", "PROXY TCP4 999.0.113.9 127.0.0.1 4711 50051\r\n",
      "PROXY TCP4 203.0.113.9 127.0.0.1 4711 99999\r\n", "PROXY " .. ("x"):rep(200),
      version_2(1, 0x11, ipv4:sub(1, 8)), version_2(5, 0x11, ipv4), signature .. "\16\17\0\12" .. ipv4,
    } do
      assert.is_nil(peer(gw, header), header)
    end
    assert.equal("203.0.113.9:4711", peer(gw, version_2(1, 0x11, ipv4)))
  end)

  it("is believed or not as a reload says, on the address that stays", function()
    local header = "PROXY TCP4 203.0.113.9 127.0.0.1 4711 50051\r\n"
    local gw = start '"10.0.0.0/8"'
    assert.is_nil(peer(gw, header))
    gw:configure(config '"127.0.0.0/8"')
    assert.equal(2, gw:reload())
    assert.equal("203.0.113.9:4711", peer(gw, header))
    gw:configure(config '"10.0.0.0/8"')
    assert.equal(3, gw:reload())
    assert.is_nil(peer(gw, header))
    assert.is_truthy(peer(gw, nil):find "^127%.0%.0%.1:%d+$")
  end)

  it("from a network that is not trusted is no PROXY header", function()
    local gw = start '"10.0.0.0/8", "::1"'
    assert.is_nil(peer(gw, "PROXY TCP4 203.0.113.9 127.0.0.1 4711 50051\r\n"))
    assert.is_truthy(peer(gw, nil):find "^127%.0%.0%.1:%d+$")
  end)
end)
