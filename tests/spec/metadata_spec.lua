local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local script = [[
local tidewire = require "tidewire"
local greet = {}

local function show(value)
  return (tostring(value):gsub("[^%w]", function(c) return ("<%d>"):format(c:byte()) end))
end

-- Says what it saw of the metadata that the name asks for.
function greet.Greet(stream, request)
  if request.name == "*" then
    local names = {}
    for name, values in pairs(stream:metadata()) do names[#names + 1] = name .. "=" .. #values end
    table.sort(names)
    return { greeting = table.concat(names, " ") }
  end
  local all = {}
  for i, value in ipairs(stream:metadata_all(request.name)) do all[i] = show(value) end
  return { greeting = show(stream:metadata(request.name)) .. "|" .. table.concat(all, " ") }
end

function greet.GreetServerStream(stream)
  stream:set_header("x-one", "replaced")
  stream:set_header("x-one", "1")
  stream:add_header("x-two", "a")
  stream:add_header("x-two", "b")
  stream:add_header("x-raw-bin", "\0\255\1")
  stream:set_trailer("y-one", "1")
  stream:add_trailer("y-two", "a")
  stream:add_trailer("y-two", "b")
  stream:add_trailer("y-raw-bin", "")
  stream:send { greeting = "body" }
  local is_fine, fault = pcall(stream.set_header, stream, "x-late", "1")
  stream:send { greeting = tostring(is_fine) .. " " .. tostring(fault) }
end

greet.GreetStream = {
  on_open = function(stream) stream:set_header("x-early", "1") end,
  on_message = function(stream, message)
    local call = loadstring("local stream = ... ; " .. message.name)
    local is_fine, fault = pcall(call, stream)
    return { greeting = tostring(is_fine) .. " " .. tostring(fault) }
  end,
}

function greet.GreetClientStream(stream)
  stream:send_headers()
  for _ in stream:messages() do end
  return { greeting = stream.service .. " " .. stream.method .. " " .. stream.protocol .. " " .. stream.peer }
end

return greet
]]

describe("metadata", function()
  local gw, channel
  before_each(function()
    gw = gateway.start {
      scripts = { ["greet.lua"] = script },
      config = [[ service "greet.GreetService" { script = "greet.lua" } ]],
    }
    channel = client.connect(gw.address, { options = { ["grpc.max_metadata_size"] = 1048576 } })
  end)
  after_each(gateway.stop_all)

  local function seen(name, metadata)
    local reply = channel:call("greet.GreetService/Greet", { name = name }, { metadata = metadata })
    assert.same({ "OK", "" }, { reply.code, reply.text })
    return reply.message.greeting
  end

  it("of a request reads as its first value and as all of them, in order", function()
    assert.equal("a|a b c", seen("x-many", { ["x-many"] = { "a", "b", "c" } }))
    assert.equal("one|one", seen("x-one", { ["x-one"] = "one" }))
  end)

  it("that is absent reads as nil and as no values", function()
    assert.equal("nil|", seen("x-absent"))
  end)

  it("with names ending in -bin is bytes", function()
    local bytes = "\0\1\254\255%"
    assert.equal("<0><1><254><255><37>|<0><1><254><255><37>", seen("x-raw-bin", { ["x-raw-bin"] = bytes }))
    assert.equal("|", seen("x-raw-bin", { ["x-raw-bin"] = "" }))
  end)

  it("is shown without what belongs to the protocol", function()
    local names = seen("*", { ["x-many"] = { "a", "b" }, ["x-raw-bin"] = "z" })
    assert.is_truthy(names:find("x-many=2", 1, true))
    assert.is_truthy(names:find("x-raw-bin=1", 1, true))
    for _, hidden in ipairs { ":path", ":method", "content-type=", "grpc-timeout", "te=", "grpc-accept-encoding" } do
      assert.is_nil(names:find(hidden, 1, true))
    end
  end)

  it("of 60 KiB comes through whole", function()
    local big = ("m"):rep(55 * 1024)
    assert.equal(big .. "|" .. big, seen("x-big", { ["x-big"] = big }))
  end)

  it("of a reply arrives as headers and as trailers, with every value", function()
    local stream = channel:open "greet.GreetService/GreetServerStream"
    stream:send {}
    stream:half_close()
    local headers = stream:headers()
    assert.same({ { "1" }, { "a", "b" }, { "\0\255\1" } },
      { headers["x-one"], headers["x-two"], headers["x-raw-bin"] })
    stream:receive_all()
    local trailers = stream:status().trailers
    assert.same({ { "1" }, { "a", "b" }, { "" } }, { trailers["y-one"], trailers["y-two"], trailers["y-raw-bin"] })
  end)

  it("set after the headers have left is a clear error in the script", function()
    local replies = channel:exchange("greet.GreetService/GreetServerStream", { {} })
    assert.is_truthy(replies[2].greeting:find "^false .*headers")
  end)

  it("set in on_open leaves with the headers, before any message", function()
    local stream = channel:open "greet.GreetService/GreetStream"
    assert.same({ "1" }, stream:headers()["x-early"])
  end)

  it("of a reply waits for the first message where the handler holds it back", function()
    gw = gateway.start {
      scripts = { ["greet.lua"] = [[
        return {
          GreetStream = function(stream)
            stream:hold_headers()
            local first = stream:recv()
            stream:set_header("x-first", first.name)
            stream:send { greeting = first.name }
            stream:recv()
          end,
          GreetClientStream = {
            on_open = function(stream) stream:hold_headers() end,
            on_message = function(stream, message)
              stream:set_header("x-first", message.name)
              stream:send_headers()
            end,
            on_half_close = function() return {} end,
          },
          Greet = function() return {} end,
        }
      ]] },
      config = [[ service "greet.GreetService" { script = "greet.lua" } ]],
    }
    local wire = assert(raw.connect(gw.address))
    for i, method in ipairs { "GreetStream", "GreetClientStream" } do
      local stream = 4 * i - 3
      wire:headers(stream, "greet.GreetService/" .. method)
      -- This answer comes behind the turn in which the handler above has begun to wait.
      wire:headers(stream + 2, "greet.GreetService/Greet")
      wire:data(stream + 2, raw.message "", true)
      wire:trailers(stream + 2)
      wire:data(stream, raw.message(raw.text(1, "ann")))
      assert.equal("ann", wire:expect({ type = "HEADERS", stream = stream }).fields["x-first"])
      wire:data(stream, "", true)
      assert.equal("0", wire:trailers(stream).fields["grpc-status"])
    end
  end)

  it("that no client may read is refused when it is set", function()
    local stream = channel:open "greet.GreetService/GreetStream"
    for _, wrong in ipairs {
      [[stream:set_trailer("Upper", "1")]], [[stream:set_trailer("with blank", "1")]], [[stream:set_trailer("", "1")]],
      [[stream:set_trailer("grpc-status", "1")]], [[stream:set_trailer(":path", "1")]],
      [[stream:set_trailer("x-line", "a\nb")]], [[stream:set_trailer("x-nul", "a\0b")]],
    } do
      stream:send { name = wrong }
      assert.is_truthy(stream:receive().greeting:find "^false ", wrong)
    end
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("tells a script who calls what, and how", function()
    local replies = channel:exchange("greet.GreetService/GreetClientStream", {})
    assert.is_truthy(replies[1].greeting:find "^greet%.GreetService GreetClientStream grpc 127%.0%.0%.1:%d+$")
  end)

  it("joined with commas in one -bin field is split before it is decoded", function()
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, "greet.GreetService/Greet", { ["x-raw-bin"] = "YQ,YmI=" })
    wire:data(1, raw.message(raw.text(1, "x-raw-bin")), true)
    assert.equal("a|a bb", wire:expect({ type = "DATA", stream = 1 }).bytes:sub(8))
  end)

  it("may have blanks around it, which go, and bytes that no ASCII has", function()
    local wire = assert(raw.connect(gw.address))
    for i, value in ipairs { " a\tb ", "\ta\tb", "\255\128" } do
      wire:headers(2 * i - 1, "greet.GreetService/Greet", { ["x-raw"] = value, ["grpc-timeout"] = " 10S " })
      wire:data(2 * i - 1, raw.message(raw.text(1, "x-raw")), true)
      local shown = value == "\255\128" and "<255><128>" or "a<9>b"
      assert.equal(shown .. "|" .. shown, wire:expect({ type = "DATA", stream = 2 * i - 1 }).bytes:sub(8))
    end
  end)

  it("with broken base64 ends the call with INTERNAL", function()
    local wire = assert(raw.connect(gw.address))
    wire:headers(1, "greet.GreetService/Greet", { ["x-raw-bin"] = "a" })
    wire:data(1, raw.message "", true)
    assert.equal("13", wire:trailers(1).fields["grpc-status"])
  end)
end)
