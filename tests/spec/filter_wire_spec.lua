-- What a filter lets through, byte by byte: a raw client before it, a raw server behind.
local gateway = require "support.gateway"
local raw = require "support.raw"

local script = [[
local tidewire = require "tidewire"
local greet = {}

-- "wait" is left alone after a wait, "name" becomes another message.
local function look(text)
  if text:find "wait" then tidewire.sleep(0.01) end
end

greet.GreetStream = {
  on_request = function(_, m)
    look(m.name)
    if m.name == "change" then m.name = ("changed "):rep(50) end
  end,
  on_response = function(_, m) look(m.greeting) end,
}

greet.GreetServerStream = { on_request = tidewire.project({ fields = { "name" }, patch = { "name" } },
  function(_, name)
    look(name)
    if name == "change" then return "changed" end
  end) }

greet.GreetClientStream = { on_open = function() end }
return greet
]]

local function through(command, bytes)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(bytes)
  file:close()
  local pipe = assert(io.popen(command .. " " .. name))
  local result = pipe:read "*a"
  pipe:close()
  os.remove(name)
  return result
end

local function gzip(bytes) return through("gzip -1nc <", bytes) end
local function gunzip(bytes) return through("gzip -dc <", bytes) end

-- Not as anybody would write it: an unknown field first, and a name that comes twice.
local function odd(text) return "\200\1\7" .. raw.text(1, "first") .. raw.text(1, text) end

local answer = { { ":status", "200" }, { "content-type", "application/grpc" }, { "grpc-encoding", "gzip" } }

describe("a filter leaves what its hooks do not change", function()
  local gw, client, server, listener
  local both = { ["grpc-encoding"] = "gzip", ["grpc-accept-encoding"] = "gzip" }

  local function open(method, fields, other)
    listener = raw.listen()
    gw = gateway.start { scripts = { ["filter.lua"] = other or script }, config = ([[
upstream behind { target = { "%s" } }
service "greet.GreetService" { script = "filter.lua"  upstream = "behind" }
]]):format(listener.address) }
    client = assert(raw.connect(gw.address))
    client:headers(1, "greet.GreetService/" .. method, fields)
    if method == "GreetServerStream" then return end
    server = assert(listener:accept())
    return assert(server:expect { type = "HEADERS", stream = 1 })
  end

  after_each(gateway.stop_all)
  after_each(function()
    if listener then listener:close() end
    listener = nil
  end)

  local function seen_by_server(bytes)
    client:data(1, bytes)
    return assert(server:expect({ type = "DATA", stream = 1 })).bytes
  end

  it("as it came, in both directions, after a wait too", function()
    open "GreetStream"
    server:respond(1, answer)
    for _, text in ipairs { "plain", "wait", ("x"):rep(5000) } do
      local bytes = raw.message(odd(text))
      assert.equal(bytes, seen_by_server(bytes))
      server:data(1, bytes)
      assert.equal(bytes, assert(client:expect { type = "DATA", stream = 1 }).bytes)
    end
  end)

  it("compressed as it came, even where compressing gains nothing", function()
    local headers = open("GreetStream", both)
    assert.equal("gzip", headers.fields["grpc-encoding"])
    server:respond(1, answer)
    assert.equal("gzip", assert(client:expect { type = "HEADERS", stream = 1 }).fields["grpc-encoding"])
    for _, text in ipairs { "plain", "wait", ("x"):rep(5000) } do
      local bytes = raw.message(gzip(odd(text)), 1)
      assert.equal(bytes, seen_by_server(bytes))
      server:data(1, bytes)
      assert.equal(bytes, assert(client:expect { type = "DATA", stream = 1 }).bytes)
    end
    local bytes = raw.message(odd "not compressed")
    assert.equal(bytes, seen_by_server(bytes))
  end)

  it("compresses anew what they do change", function()
    open("GreetStream", both)
    local bytes = seen_by_server(raw.message(gzip(raw.text(1, "change")), 1))
    assert.equal(1, bytes:byte(1))
    assert.equal(raw.text(1, ("changed "):rep(50)), gunzip(bytes:sub(6)))
  end)

  it("and inflates what the client could not read", function()
    open "GreetStream"
    server:respond(1, answer)
    server:data(1, raw.message(gzip(odd "small"), 1))
    assert.equal(raw.message(odd "small"), assert(client:expect { type = "DATA", stream = 1 }).bytes)
  end)

  it("where there is no hook", function()
    open("GreetClientStream", both)
    for _, bytes in ipairs { gzip "not even a message", "broken" } do
      bytes = raw.message(bytes, 1)
      assert.equal(bytes, seen_by_server(bytes))
    end
  end)

  it("where a projection patches nothing, and the rest of the message where it does", function()
    for text, wanted in pairs { plain = "plain", wait = "wait", change = "changed" } do
      open("GreetServerStream", both)
      client:data(1, raw.message(gzip(odd(text)), 1), true)
      server = assert(listener:accept())
      local bytes = assert(server:expect({ type = "DATA", stream = 1 })).bytes
      if text == wanted then assert.equal(raw.message(gzip(odd(text)), 1), bytes)
      else assert.equal(raw.message("\200\1\7" .. raw.text(1, wanted)), bytes) end
      client:close()
      server:close()
      listener:close()
      gateway.stop_all()
    end
    listener = nil
  end)

  it("ends a call whose message cannot be inflated, or is none", function()
    open("GreetStream", both)
    client:data(1, raw.message("broken", 1))
    assert.equal("13", assert(client:trailers(1)).fields["grpc-status"])
    client:headers(3, "greet.GreetService/GreetStream")
    client:data(3, raw.message "\255")
    assert.equal("13", assert(client:trailers(3)).fields["grpc-status"])
  end)

  -- No message of it is whole, none could be read, and its encoding is not ours.
  local function assert_passed(method)
    local odd_fields = { ["grpc-encoding"] = "snappy", ["x-odd-bin"] = "not base64!", ["grpc-timeout"] = "9S" }
    local headers = open(method, odd_fields).fields
    assert.same({ "snappy", "not base64!" }, { headers["grpc-encoding"], headers["x-odd-bin"] })
    for _, bytes in ipairs { "\7", "\0\0\0\0", raw.message(("x"):rep(20000), 9):sub(1, 10000) } do
      assert.equal(bytes, seen_by_server(bytes))
    end
    server:respond(1, { { ":status", "200" }, { "content-type", "application/grpc+odd" } })
    assert.equal("application/grpc+odd", assert(client:expect { type = "HEADERS", stream = 1 }).fields["content-type"])
    server:data(1, "\200\1")
    assert.equal("\200\1", assert(client:expect { type = "DATA", stream = 1 }).bytes)
    server:respond(1, { { "grpc-status", "77" }, { "x-end", "z" } }, true)
    local trailers = assert(client:trailers(1)).fields
    assert.same({ "77", "z" }, { trailers["grpc-status"], trailers["x-end"] })
  end

  it("and all of a method without an entry, which nobody reads", function()
    assert_passed "Greet"
    client:headers(3, "greet.GreetService/GreetStream")
    assert.is_truthy(server:expect { type = "HEADERS", stream = 3 }) -- beside those that have one
  end)

  it("and all of a method that the types do not know", function() assert_passed "GreetByName" end)

  it("but passes on no unknown method behind the entry of every method, which would not see it", function()
    open("GreetStream", nil, 'return { ["*"] = { on_open = function() end } }')
    client:headers(3, "greet.GreetService/GreetByName", nil, true)
    assert.equal("12", assert(client:trailers(3)).fields["grpc-status"])
  end)
end)
