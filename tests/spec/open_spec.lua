-- Streams and calls that scripts make: tidewire.open and tidewire.call, over a server that others have written.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"

local config = [[
proto = { "greet.proto", "tutorial.proto", "chat.proto", "interop.proto", "google_status.proto" }

workers = 1
upstream "other" { target = "%s"  backoff = 100ms  %s }
service "greet.GreetService" { script = "front.lua" }
service "chat.ChatService" { script = "front.lua" }
]]

local bidi, chat = "greet.GreetService/GreetStream", "chat.ChatService/Chat"

describe("a script that opens streams", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  local function start(script, at, more)
    at = at or foreign.start()
    local gw = gateway.start { config = config:format(at, more or ""),
      scripts = { ["front.lua"] = 'local tidewire = require "tidewire"\nreturn {' .. script .. "\n}" } }
    return client.connect(gw.address), gw
  end

  -- What the Greet of that script answers.
  local function answer(body, at, more, options)
    local channel, gw = start("Greet = function(stream, request)\n" .. body .. "\nend", at, more)
    local reply = channel:call("greet.GreetService/Greet", { name = "ann" }, options)
    return reply.message and reply.message.greeting or reply.code .. ": " .. reply.text, gw
  end

  it("sends and receives in any order, and hears the end", function()
    assert.equal("1,2,3 nil OK", (answer [[
      local up = tidewire.open("other", "interop.Interop/EchoStream")
      local got = {}
      for i = 1, 3 do
        assert(up:send { number = i })
        got[i] = up:recv().number
      end
      up:half_close()
      local more = up:recv()
      return { greeting = table.concat(got, ",") .. " " .. tostring(more) .. " " .. up:status() }
    ]]))
  end)

  it("reads in a loop while another coroutine sends", function()
    assert.equal("500 125250", (answer [[
      local up = tidewire.open("other", "interop.Interop/EchoStream")
      stream:spawn(function()
        for i = 1, 500 do up:send { number = i, body = ("x"):rep(1000) } end
        up:half_close()
      end)
      local count, sum = 0, 0
      for message in up:messages() do count, sum = count + 1, sum + message.number end
      return { greeting = count .. " " .. sum }
    ]]))
  end)

  it("sends what several coroutines send in the order of their calls", function()
    assert.equal("true", (answer [[
      local up = tidewire.open("other", "interop.Interop/EchoStream")
      local last, body = 0, ("x"):rep(20000)
      for _ = 1, 5 do
        stream:spawn(function()
          for _ = 1, 60 do last = last + 1; up:send { number = last, body = body } end
        end)
      end
      while last == 0 do tidewire.sleep(0.001) end
      local got, in_order = 0, true
      while got < 300 do
        got = got + 1
        in_order = in_order and up:recv().number == got
      end
      return { greeting = tostring(in_order) }
    ]]))
  end)

  it("hears a failure as status, text and details, and no exception", function()
    assert.equal("nil PERMISSION_DENIED no QUOTA google.rpc.ErrorInfo", (answer [[
      local up = tidewire.open("other", "interop.Interop/Fail")
      up:send { code = "PERMISSION_DENIED", text = "no", reason = "QUOTA" }
      local got = up:recv()
      local code, text, details = up:status()
      return { greeting = table.concat({ tostring(got), code, text, details[1].reason,
        tidewire.message.type(details[1]) }, " ") }
    ]]))
  end)

  it("reads the headers and trailers of the answer", function()
    assert.equal("hello hello \1\2 OK", (answer [[
      local up = tidewire.open("other", "interop.Interop/Echo",
        { metadata = { ["x-echo"] = "hello", ["x-echo-bin"] = { "\1\2" } } })
      up:send { number = 1 }
      local headers = up:headers()
      local first = up:metadata "x-echo"
      local trailers = up:trailers()
      return { greeting = table.concat({ headers["x-echo"][1], first, trailers["x-echo-bin"][1], (up:status()) }, " ") }
    ]]))
  end)

  it("has the status of a stream that nobody reads", function()
    assert.equal("UNIMPLEMENTED nil closed", (answer [[
      local up = tidewire.open("other", "interop.Interop/WaitStubbornly")
      local code = up:status()
      local headers, why = up:headers()
      return { greeting = code .. " " .. tostring(headers) .. " " .. tostring(why) }
    ]]))
  end)

  it("has the status of a stream whose messages nobody wants, but does not take them from another coroutine", function()
    assert.equal("OK OK 1,2,3,4,5", (answer [[
      local up = tidewire.open("other", "greet.GreetService/GreetServerStream")
      up:send { name = "x" }
      up:recv()
      local first = up:status()
      local shared = tidewire.open("other", "interop.Interop/EchoStream")
      local got, last = {}
      stream:spawn(function()
        for message in shared:messages() do
          got[#got + 1] = message.number
          tidewire.sleep(0.02)
        end
      end)
      for i = 1, 5 do shared:send { number = i } end
      shared:half_close()
      tidewire.sleep(0.01)
      local second = shared:status()
      return { greeting = first .. " " .. second .. " " .. table.concat(got, ",") }
    ]]))
  end)

  it("makes one call: the reply, or the status", function()
    assert.equal("7 nil NOT_FOUND gone 1", (answer [[
      local reply = tidewire.call("other", "interop.Interop/Echo", { number = 7 })
      local none, code, text, details = tidewire.call("other", "interop.Interop/Fail",
        { code = "NOT_FOUND", text = "gone", reason = "x" })
      return { greeting = table.concat({ reply.number, tostring(none), code, text, #details }, " ") }
    ]]))
  end)

  it("makes many calls at once over one connection", function()
    assert.equal("100 1 1", (answer [[
      local done, sum = 0, 0
      for i = 1, 100 do
        stream:spawn(function()
          local reply = tidewire.call("other", "interop.Interop/Echo", { number = 1 })
          sum, done = sum + reply.number, done + 1
        end)
      end
      while done < 100 do tidewire.sleep(0.005) end
      local counts = tidewire.upstreams().other
      local _, target = next(counts.targets)
      return { greeting = table.concat({ sum, counts.connections, target.dials }, " ") }
    ]]))
  end)

  it("raises for what it got wrong, with the nearest right name", function()
    local text = answer [[
      local faults = {}
      local function raises(f, ...)
        local is_fine, fault = pcall(f, ...)
        faults[#faults + 1] = is_fine and "fine" or fault
      end
      raises(tidewire.open, "othr", "interop.Interop/Echo")
      raises(tidewire.open, "other", "interop.Interp/Echo")
      raises(tidewire.open, "other", "interop.Interop/Ecko")
      raises(tidewire.open, "other", "Echo")
      raises(tidewire.open, "other", "interop.Interop/Echo", { timout = 1 })
      raises(tidewire.open, "other", "interop.Interop/Echo", { metadata = { ["grpc-x"] = "1" } })
      raises(tidewire.call, "other", "interop.Interop/EchoStream", {})
      raises(tidewire.call, "other", "interop.Interop/Echo", { nmber = 1 })
      raises(stream.half_close, stream)
      local up = tidewire.open("other", "interop.Interop/Wait")
      local has_begun
      stream:spawn(function() has_begun = true; up:recv() end)
      while not has_begun do tidewire.sleep(0.001) end
      raises(up.recv, up)
      up:send {}
      raises(up.send, up, {})
      raises(up.close, up, "OK")
      return { greeting = table.concat(faults, "\n") .. " " .. tidewire.upstreams().other.calls }
    ]]
    local expected = {
      'the config has no upstream "othr" (did you mean "other"?)',
      'no .proto file has the service "interop.Interp" (did you mean "interop.Interop"?)',
      'interop.Interop has no method "Ecko" (did you mean "Echo"?)',
      'expected tidewire.open(upstream, "pkg.Service/Method"',
      'there is no option "timout" (did you mean "timeout"?)',
      'metadata: "grpc-x":',
      "interop.Interop/EchoStream has more than one request or reply",
      'did you mean "number"',
      "stream:half_close() is for streams that a script has opened",
      "another coroutine waits for this stream's messages already",
      "interop.Interop/Wait has one request, and it was sent",
      "the status of this call is its server's",
    }
    local place = 1
    for _, line in ipairs(expected) do
      local from, to = text:find(line, place, true)
      assert.is_truthy(from, line .. " is not in:\n" .. text)
      place = to + 1
    end
    assert.equal(" 1", text:sub(-2)) -- nothing was opened but the one stream
  end)

  it("fails where no server can be reached", function()
    assert.equal("UNAVAILABLE nil UNAVAILABLE", (answer([[
      local up = tidewire.open("other", "interop.Interop/EchoStream")
      local code = up:status()
      local reply, call_code = tidewire.call("other", "interop.Interop/Echo", {})
      return { greeting = code .. " " .. tostring(reply) .. " " .. call_code }
    ]], "127.0.0.1:1")))
  end)

  it("passes the time that is left on, and its own timeout where that is shorter", function()
    local text = answer([[
      local long = tidewire.open("other", "interop.Interop/Wait")
      local short = tidewire.open("other", "interop.Interop/Wait", { timeout = 0.2 })
      local free = tidewire.open("other", "interop.Interop/Wait", { detached = true })
      local most = stream:remaining() + 0.01
      local is_inherited = long:remaining() > most / 2 and long:remaining() <= most
      local code = short:status()
      local has_none = free:remaining() == nil
      free:cancel()
      return { greeting = table.concat({ tostring(is_inherited), code, tostring(has_none), (free:status()) }, " ") }
    ]], nil, nil, client.soon)
    assert.equal("true DEADLINE_EXCEEDED true CANCELLED", text)
  end)

  it("takes what it has opened along when it ends, however it ends", function()
    local channel, gw = start [[ GreetStream = function(stream)
      local up = tidewire.open("other", "interop.Interop/Wait")
      up:on_close(function(_, code) tidewire.log.info("up closed " .. code) end)
      up:send {}
      up:recv()
      local how = stream:recv().name
      stream:send { name = nil, greeting = "open" }
      if how == "return" then return end
      if how == "fail" then error "oops" end
      up:recv()
      tidewire.log.info "not reached"
    end ]]
    for _, how in ipairs { "return", "fail", "cancel" } do
      local mark = gw:mark()
      local stream = channel:open(bidi)
      stream:send { name = how }
      assert.equal("open", stream:receive().greeting)
      if how == "cancel" then stream:cancel() end
      assert.equal("a call of Wait has ended", foreign.read_line())
      gw:wait_for_log("up closed CANCELLED", mark)
    end
    assert.is_false(gw:said "not reached")
  end)

  it("leaves a detached stream alone, which ends with its generation", function()
    local channel, gw = start [[ Greet = function(stream)
      local up = tidewire.open("other", "interop.Interop/Wait", { detached = true })
      up:send {}
      up:recv()
      up:on_close(function(_, code) tidewire.log.info("up closed " .. code) end)
      return { greeting = "done" }
    end, Chat = function(stream)
      stream:send { message = tostring(tidewire.upstreams().other.streams) }
    end ]]
    assert.equal("done", channel:call("greet.GreetService/Greet", { name = "x" }).message.greeting)
    assert.equal("1", channel:open(chat):receive().message)
    assert.is_false(gw:said "up closed")
    assert.equal(2, gw:reload())
    gw:wait_for_log "up closed CANCELLED"
    assert.equal("a call of Wait has ended", foreign.read_line())
  end)

  it("does not keep a draining gateway with streams of its own", function()
    local gw = gateway.start { config = "drain_timeout = 1h\n" .. config:format(foreign.start(), ""),
      scripts = { ["front.lua"] = [[
        local tidewire = require "tidewire"
        local function open(name)
          return function()
            local up = tidewire.open("other", "interop.Interop/Wait")
            up:send {}
            up:recv()
            tidewire.log.info(name .. " is open")
            up:recv()
          end
        end
        tidewire.spawn(open "one")
        tidewire.spawn(open "two", { serve = true })
        return {}
      ]] } }
    gw:wait_for_log "one is open"
    gw:wait_for_log "two is open"
    gw:signal "TERM"
    assert.equal(0, gw:wait_exit())
  end)

  it("serves its open streams over a reload from a spawn that serves", function()
    local channel, gw = start [[ Chat = function(stream)
      local up = tidewire.open("other", "interop.Interop/EchoStream", { detached = true })
      tidewire.spawn(function()
        for message in up:messages() do
          if stream:send { message = tostring(message.number) } == nil then break end
        end
      end, { serve = true })
      for message in stream:messages() do up:send { number = #message.message } end
      up:half_close()
      up:status()
    end ]]
    local stream = channel:open(chat)
    stream:send { message = "a" }
    assert.equal("1", stream:receive().message)
    assert.equal(2, gw:reload())
    stream:send { message = "ab" }
    assert.equal("2", stream:receive().message)
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("is told closed when it sends to a stream that has ended, or was half-closed", function()
    assert.equal("nil closed nil closed", (answer [[
      local up = tidewire.open("other", "interop.Interop/EchoStream")
      up:half_close()
      local a, b = up:send { number = 1 }
      up:status()
      local c, d = up:try_send { number = 1 }
      return { greeting = table.concat({ tostring(a), b, tostring(c), d }, " ") }
    ]]))
  end)

  it("cancels a call when the coroutine that waits for it is cancelled", function()
    local _, gw = answer [[
      local has_begun
      local job = stream:spawn(function()
        has_begun = true
        tidewire.call("other", "interop.Interop/Echo", {})
      end)
      while not has_begun do tidewire.sleep(0.001) end
      job:cancel()
      local function open() return tidewire.upstreams().other.streams + tidewire.upstreams().other.waiting end
      while open() > 0 do tidewire.sleep(0.001) end
      tidewire.log.info("streams " .. open())
      return { greeting = "x" }
    ]]
    gw:wait_for_log "streams 0"
  end)

  it("cannot open while it is loaded", function()
    local at = foreign.start()
    local gw = gateway.prepare { config = config:format(at, ""), scripts = { ["front.lua"] =
      'local tidewire = require "tidewire"\ntidewire.open("other", "interop.Interop/Echo")\nreturn {}' } }
    local code, output = gateway.run { "check", "-c", gw:path "tidewire.conf" }
    assert.equal(1, code)
    assert.is_truthy(output:find("front.lua:2: error: tidewire.open", 1, true), output)
  end)
end)
