-- The rules for what a handler returns, and for how a call lives and ends.
local gateway = require "support.gateway"
local client = require "support.client"

local bidi, unary = "greet.GreetService/GreetStream", "greet.GreetService/Greet"
local server, collect = "greet.GreetService/GreetServerStream", "greet.GreetService/GreetClientStream"

describe("a handler", function()
  after_each(gateway.stop_all)

  -- A gateway whose greeter has these entries, and a channel to it.
  local function serve(entries, config)
    local gw = gateway.start {
      scripts = { ["greet.lua"] = 'local tidewire = require "tidewire"\nlocal log = tidewire.log\nreturn {'
        .. entries .. "\n}" },
      config = (config or "") .. '\nservice "greet.GreetService" { script = "greet.lua" }',
    }
    return client.connect(gw.address), gw
  end

  describe("in hook form", function()
    it("answers with what on_message returns: a message, a list, nothing", function()
      local channel = serve [[ GreetStream = { on_message = function(_, message)
        if message.name == "one" then return { greeting = "1" } end
        if message.name == "list" then return { { greeting = "1" }, { greeting = "2" } } end
        if message.name == "empty" then return {} end
        if message.name == "false" then return false end
        if message.name == "drop" then return tidewire.DROP end
      end } ]]
      local names = { "one", "nothing", "list", "false", "empty", "drop", "one" }
      local messages = {}
      for i, name in ipairs(names) do messages[i] = { name = name } end
      local replies, status = channel:exchange(bidi, messages)
      assert.same({ { greeting = "1" }, { greeting = "1" }, { greeting = "2" }, {}, { greeting = "1" } }, replies)
      assert.equal("OK", status.code)
    end)

    it("sends what on_open returns, headers and all, before anything has come", function()
      local channel = serve [[ GreetStream = { on_open = function() return { greeting = "welcome" } end } ]]
      local stream = channel:open(bidi)
      assert.equal("welcome", stream:receive().greeting)
      stream:half_close()
      assert.equal("OK", stream:status().code)
    end)

    it("sends headers as soon as on_open has returned", function()
      local channel = serve [[ GreetStream = { on_open = function(stream) stream:set_header("x-open", "1") end } ]]
      assert.same({ "1" }, channel:open(bidi):headers()["x-open"])
    end)

    it("answers a client-streaming method with what on_half_close returns", function()
      local channel = serve [[ GreetClientStream = {
        on_open = function(stream) stream.ctx.names = {} end,
        on_message = function(stream, message) table.insert(stream.ctx.names, message.name) end,
        on_half_close = function(stream) return { greeting = table.concat(stream.ctx.names, "+") } end,
      } ]]
      local replies, status = channel:exchange(collect, { { name = "a" }, { name = "b" } })
      assert.same({ { greeting = "a+b" } }, replies)
      assert.equal("OK", status.code)
    end)

    it("handles the messages of a stream one after the other, also when a hook waits", function()
      local channel = serve [[ GreetStream = { on_message = function(stream, message)
        assert(not stream.ctx.is_busy, "two hooks at once")
        stream.ctx.is_busy = true
        if message.name:find "slow" then tidewire.sleep(0.05) end
        stream.ctx.is_busy = false
        return { greeting = message.name }
      end } ]]
      local replies, status = channel:exchange(bidi, { { name = "slow 1" }, { name = "2" }, { name = "slow 3" } })
      assert.same({ { greeting = "slow 1" }, { greeting = "2" }, { greeting = "slow 3" } }, replies)
      assert.equal("OK", status.code)
    end)

    it("ends with OK after the half-close, once nothing is left that could still send", function()
      local channel, gw = serve [[ GreetStream = { on_message = function(stream, message)
        if message.name == "timer" then stream:after(0.2, function() stream:send { greeting = "timer" } end) end
        if message.name == "spawn" then
          stream:spawn(function() tidewire.sleep(0.2) stream:send { greeting = "spawn" } end)
        end
      end } ]]
      for _, name in ipairs { "timer", "spawn" } do
        local replies, status = channel:exchange(bidi, { { name = name } })
        assert.same({ { greeting = name } }, replies)
        assert.equal("OK", status.code)
      end
      local replies, status = channel:exchange(bidi, { { name = "nothing" } })
      assert.same({ {}, "OK" }, { replies, status.code })
      assert.is_table(gw)
    end)

    it("that holds its call is not ended by the half-close, until it closes", function()
      local channel = serve [[ GreetStream = {
        on_open = function(stream)
          stream:hold()
          tidewire.spawn(function() tidewire.sleep(0.3) stream:send { greeting = "held" } stream:close() end)
        end,
      } ]]
      local replies, status = channel:exchange(bidi, {})
      assert.same({ { { greeting = "held" } }, "OK" }, { replies, status.code })
    end)

    it("calls on_close once, last, with the status", function()
      local channel, gw = serve [[ GreetStream = {
        on_message = function(stream, message) stream:close("ABORTED", message.name) end,
        on_close = function(stream, code, text) log.info(("closed: %s %s %s"):format(code, text, stream.method)) end,
      } ]]
      local _, status = channel:exchange(bidi, { { name = "why" } })
      assert.equal("ABORTED", status.code)
      gw:wait_for_log "closed: ABORTED why GreetStream"
      assert.equal(1, gw:count_in_log "closed: ")
    end)

    it("calls on_writable when there is room again", function()
      local channel, gw = serve([[ GreetStream = {
        on_message = function(stream)
          repeat local is_sent = stream:try_send { greeting = ("x"):rep(1000) } until not is_sent
          log.info "full"
        end,
        on_writable = function(stream) log.info "writable" stream:close() end,
      } ]])
      local stream = channel:open(bidi)
      stream:send {}
      gw:wait_for_log "full"
      stream:receive_all()
      gw:wait_for_log "writable"
      assert.equal("OK", stream:status().code)
    end)
  end)

  describe("in function form", function()
    it("ends the call when it returns, with OK", function()
      local channel = serve [[ GreetStream = function(stream) stream:send { greeting = "bye" } end ]]
      local stream = channel:open(bidi)
      assert.equal("bye", stream:receive().greeting)
      assert.equal("OK", stream:status().code)
    end)

    it("may be a table with run, on_drain and on_close", function()
      local channel, gw = serve [[ GreetStream = {
        run = function(stream) for m in stream:messages() do stream:send { greeting = m.name } end end,
        on_close = function(_, code) log.info("closed: " .. code) end,
      } ]]
      local replies = channel:exchange(bidi, { { name = "a" } })
      assert.same({ { greeting = "a" } }, replies)
      gw:wait_for_log "closed: OK"
    end)

    it("waits for a message as long as it says", function()
      local channel = serve [[ GreetStream = function(stream)
        local message, why = stream:recv(0.1)
        stream:send { greeting = tostring(message) .. " " .. tostring(why) }
        message = stream:recv()
        stream:send { greeting = message.name }
        stream:send { greeting = tostring(stream:recv()) }
      end ]]
      local stream = channel:open(bidi)
      assert.equal("nil timeout", stream:receive().greeting)
      stream:send { name = "late" }
      assert.equal("late", stream:receive().greeting)
      stream:half_close()
      assert.equal("nil", stream:receive().greeting)
      assert.equal("OK", stream:status().code)
    end)

    it("sends headers when it first waits", function()
      local channel = serve [[ GreetStream = function(stream) stream:set_header("x-early", "1") stream:recv() end ]]
      local stream = channel:open(bidi)
      assert.same({ "1" }, stream:headers()["x-early"])
      stream:half_close()
    end)

    it("fails in trailers alone before that, so that a client may retry", function()
      local channel = serve [[ GreetStream = function(stream)
        stream:set_header("x-early", "1")
        tidewire.fail("UNAVAILABLE", "not now")
      end ]]
      local status = channel:open(bidi):status()
      assert.same({ "UNAVAILABLE", "not now" }, { status.code, status.text })
    end)

    it("is woken by a close from another coroutine, and that status stands", function()
      local channel, gw = serve [[ GreetStream = {
        run = function(stream)
          stream:after(0.1, function() stream:close("OUT_OF_RANGE", "by the timer") end)
          local is_fine, why = pcall(stream.recv, stream)
          log.info(("woken: %s %s"):format(tostring(is_fine), tostring(why == tidewire.cancelled)))
        end,
      } ]]
      local status = channel:open(bidi):status()
      assert.same({ "OUT_OF_RANGE", "by the timer" }, { status.code, status.text })
      gw:wait_for_log "woken: false true"
    end)

    it("hears nil, \"closed\" at its first send to a peer that has gone, and is cancelled at the next", function()
      local channel, gw = serve [[ GreetStream = {
        run = function(stream)
          stream:on_close(function() log.info "gone" end)
          stream:send { greeting = "ready" }
          local deadline = tidewire.monotonic() + 20
          repeat
            local is_fine, is_sent, why = pcall(stream.send, stream, { greeting = "again" })
            if not is_fine then log.info(("raised: %s"):format(tostring(is_sent == tidewire.cancelled))) break end
            if not is_sent then log.info("said: " .. why) end
          until tidewire.monotonic() > deadline or pcall(tidewire.sleep, 0.01) == nil
        end,
      } ]]
      local stream = channel:open(bidi)
      assert.equal("ready", stream:receive().greeting)
      stream:cancel()
      gw:wait_for_log "gone"
    end)

    it("may send lists and read with pairs, and spawn and await its own coroutines", function()
      local channel = serve [[ GreetStream = function(stream)
        local generate = coroutine.wrap(function()
          for i = 1, 3 do
            tidewire.sleep(0.01) -- a wait inside an author's own coroutine
            coroutine.yield(i)
          end
        end)
        for i in generate do stream:send { greeting = tostring(i) } end
      end ]]
      local replies, status = channel:exchange(bidi, {})
      assert.same({ { greeting = "1" }, { greeting = "2" }, { greeting = "3" } }, replies)
      assert.equal("OK", status.code)
    end)
  end)

  it("of one request starts when that is whole; what it returns is the reply", function()
    local channel = serve [[
      Greet = function(_, request) tidewire.sleep(0.01) return { greeting = request.name } end,
      GreetServerStream = function(stream, request)
        for word in request.name:gmatch "%a+" do stream:send { greeting = word } end
      end,
    ]]
    assert.same({ greeting = "ann" }, channel:call(unary, { name = "ann" }).message)
    local replies = channel:exchange(server, { { name = "a b c" } })
    assert.same({ { greeting = "a" }, { greeting = "b" }, { greeting = "c" } }, replies)
  end)

  it("named \"*\" stands for every method that is not named", function()
    local channel = serve [[
      Greet = function() return { greeting = "named" } end,
      ["*"] = { on_message = function(stream) return { greeting = "star " .. stream.method } end },
    ]]
    assert.equal("named", channel:call(unary, {}).message.greeting)
    assert.same({ { greeting = "star GreetStream" } }, (channel:exchange(bidi, { {} })))
    assert.same({ { greeting = "star GreetServerStream" } }, (channel:exchange(server, { {} })))
  end)

  it("closes with what it sent before, and resets without", function()
    local channel = serve [[ GreetStream = { on_message = function(stream, message)
      for i = 1, 100 do stream:send { greeting = tostring(i) } end
      if message.name == "close" then stream:close("ABORTED") else stream:reset "ABORTED" end
    end } ]]
    local replies, status = channel:exchange(bidi, { { name = "close" } })
    assert.same({ 100, "ABORTED" }, { #replies, status.code })
    local _, reset = channel:exchange(bidi, { { name = "reset" } })
    assert.is_true(reset.code ~= "OK")
  end)

  it("keeps what a stream's timers and spawned coroutines do to that stream's life", function()
    local channel, gw = serve [[ GreetStream = { on_open = function(stream)
      local count = 0
      stream:every(0.02, function(s) count = count + 1 s:send { greeting = tostring(count) } end)
      stream:spawn(function(s, word) s:send { greeting = word } tidewire.sleep(3600) end, "spawned")
      stream:on_close(function() log.info "cleaned up" end)
    end } ]]
    local stream = channel:open(bidi)
    local seen = {}
    for _ = 1, 4 do seen[stream:receive().greeting] = true end
    assert.is_true(seen.spawned and seen["1"] and seen["2"] and seen["3"])
    stream:cancel()
    gw:wait_for_log "cleaned up"
  end)

  it("that misuses the API learns what it should have said", function()
    local channel = serve [[ GreetStream = { on_message = function(stream, message)
      local calls = {
        function() stream.send() end,
        function() stream:send(5) end,
        function() stream:close("NO_SUCH_CODE") end,
        function() stream:close(5.5) end,
        function() tidewire.sleep "long" end,
        function() stream:nosuch() end,
        function() tidewire.topic() end,
        function() stream:after(-1, function() end) end,
        function() tidewire.open("numbers", "a.B/C") end,
      }
      local is_fine, fault = pcall(calls[tonumber(message.name)])
      return { greeting = tostring(is_fine) .. " " .. tostring(fault) }
    end } ]]
    local stream = channel:open(bidi)
    for i = 1, 9 do
      stream:send { name = tostring(i) }
      local greeting = stream:receive().greeting
      assert.is_truthy(greeting:find "^false .", i .. ": " .. greeting)
    end
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("waits where Lua cannot wait: a clear error that names the place", function()
    local channel, gw = serve [[ Greet = function()
      table.sort({ 3, 1, 2 }, function(a, b) tidewire.sleep(0.01) return a < b end)
    end ]]
    assert.equal("INTERNAL", channel:call(unary, {}).code)
    gw:wait_for_log "greet.lua"
  end)

  it("prints to the log, with the stream's id", function()
    local channel, gw = serve [[ Greet = function(stream, request)
      print("printed", request.name, 5)
      log.warn("logged", { name = request.name, count = 5 })
      return { greeting = tostring(stream.id) }
    end ]]
    local id = channel:call(unary, { name = "ann" }).message.greeting
    assert.is_truthy(gw:wait_for_log("printed"):find(id, 1, true))
    local line = gw:wait_for_log "logged"
    assert.is_truthy(line:find "name=ann" and line:find "count=5")
  end)

  it("finds no way out of its sandbox", function()
    local channel = serve [[ Greet = function(_, request)
      local f = assert(loadstring("return " .. request.name))
      local is_fine, value = pcall(f)
      return { greeting = tostring(is_fine) .. " " .. tostring(value) }
    end ]]
    for _, expression in ipairs { 'os.execute "true"', 'io.popen "true"', 'require "ffi"', "debug.getregistry()",
      'package.loadlib("x", "y")', 'require "socket"', "os.exit(3)" } do
      local reply = channel:call(unary, { name = expression })
      assert.is_truthy(not reply.message or reply.message.greeting:find "^false", expression)
    end
  end)
end)
