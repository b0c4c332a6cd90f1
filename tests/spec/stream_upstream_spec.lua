-- stream.upstream of calls that a function answers: the same call to the service's upstream, opened when it is used.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"

describe("stream.upstream in a function", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function start(script)
    local gw = gateway.start { config = [[
      proto = { "interop.proto", "google_status.proto", "greet.proto" }
      workers = 1
      upstream "other" { target = "]] .. foreign.start() .. [[" }
      service "interop.Interop" { script = "front.lua"  upstream = "other" }
      service "greet.GreetService" { script = "bare.lua" }
    ]], scripts = { ["front.lua"] = 'local tidewire = require "tidewire"\nreturn {' .. script .. "\n}",
      ["bare.lua"] = "return { Greet = function(stream) return { greeting = stream.upstream } end }" } }
    return client.connect(gw.address), gw
  end

  it("carries a stream in both directions, its end and its status details", function()
    local channel = start [[ EchoStream = function(stream)
      local up = stream.upstream
      stream:spawn(function()
        for message in stream:messages() do up:send(message) end
        up:half_close()
      end)
      for message in up:messages() do
        message.number = message.number + 1
        stream:send(message)
      end
      stream:close(up:status())
    end, Fail = function(stream, request)
      stream.upstream:send(request)
      local reply = stream.upstream:recv()
      assert(reply == nil)
      stream:close(stream.upstream:status())
    end ]]
    local replies, status = channel:exchange("interop.Interop/EchoStream", { { number = 1 }, { number = 5 } })
    assert.same({ { number = 2 }, { number = 6 } }, replies)
    assert.equal("OK", status.code)
    local failed = channel:call("interop.Interop/Fail", { code = "NOT_FOUND", text = "gone", reason = "why" })
    assert.same({ "NOT_FOUND", "gone" }, { failed.code, failed.text })
    assert.equal("type.googleapis.com/google.rpc.ErrorInfo", failed.details.list[1].type_url)
  end)

  it("starts with the client's metadata, which can be edited until it is used", function()
    local channel = start [[ Echo = function(stream, request)
      local up = stream.upstream
      assert(up == stream.upstream)
      if request.number == 1 then up:set_header("x-echo", "edited") end
      if request.number == 2 then up:remove_header("x-echo") end
      up:send(request)
      local reply = up:recv()
      stream:set_header("x-was", up:metadata "x-echo" or "nothing")
      local is_fine, fault = pcall(up.set_header, up, "x-late", "1")
      assert(not is_fine and fault:find "the call has been opened")
      is_fine, fault = pcall(up.hold_headers, up)
      assert(not is_fine and fault:find "is for the stream that a handler answers")
      return reply
    end ]]
    for number, expected in pairs { [0] = "client's", "edited", "nothing" } do
      local reply = channel:call("interop.Interop/Echo", { number = number },
        { metadata = { ["x-echo"] = "client's" } })
      assert.equal("OK", reply.code, reply.text)
      assert.equal(expected, reply.headers["x-was"][1])
    end
  end)

  it("is not opened for a call that is refused", function()
    local channel, gw = start [[ Wait = function(stream)
      stream.upstream:set_header("x-user", "ann")
      if not stream:metadata "x-token" then tidewire.fail("UNAUTHENTICATED", "no token") end
      stream.upstream:send {}
      stream:send(stream.upstream:recv())
      stream:wait()
    end, Echo = function() return { number = tidewire.upstreams().other.calls } end ]]
    local refused = channel:open "interop.Interop/Wait"
    refused:send {}
    refused:half_close()
    assert.equal("UNAUTHENTICATED", refused:status().code)
    assert.is_nil(channel:call("interop.Interop/Echo", {}).message.number)
    local mark = gw:mark()
    local taken = channel:open("interop.Interop/Wait", { metadata = { ["x-token"] = "x" } })
    taken:send {}
    taken:half_close()
    assert.is_table(taken:receive())
    assert.equal(1, channel:call("interop.Interop/Echo", {}).message.number)
    taken:cancel()
    assert.equal("a call of Wait has ended", foreign.read_line())
    gw:wait_for_log("status=CANCELLED", mark)
  end)

  it("has the client's deadline", function()
    local channel = start [[ Wait = function(stream)
      local up = stream.upstream
      up:send {}
      up:headers()
      local left = up:remaining()
      assert(left and left <= stream:remaining() + 0.01 and left > 10)
      up:cancel()
      assert(up:status() == "CANCELLED")
    end ]]
    local stream = channel:open("interop.Interop/Wait", { timeout = 30 })
    stream:send {}
    stream:half_close()
    assert.same({ "OK" }, { stream:status().code })
  end)

  it("is an error where the config names no upstream", function()
    local channel, gw = start ""
    assert.equal("INTERNAL", channel:call("greet.GreetService/Greet", {}).code)
    gw:wait_for_log "stream.upstream: the service has no `upstream` in the config"
  end)
end)
