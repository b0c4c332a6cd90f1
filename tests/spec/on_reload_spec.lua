-- on_reload: open streams go over to new scripts, types and limits, and nothing of theirs is lost on the way.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local process = require "support.process"
local websocket = require "support.websocket"

local bidi, numbers = "greet.GreetService/GreetStream", "tutorial.NumberService/AccumulateNumbers"

describe("open streams", function()
  after_each(function()
    gateway.stop_all()
    foreign.stop()
  end)

  it("go over at each of ten reloads under traffic, and no generation before the last one stays", function()
    local function scripts(number)
      return { ["tutorial.lua"] = ([[
        return { AccumulateNumbers = {
          on_reload = %s,
          on_message = function(stream, message)
            if message.num %% 7 == 0 then require "tidewire".sleep(0.001) end
            stream.ctx.sum = (stream.ctx.sum or 0) + message.num
            return { sum = stream.ctx.sum }
          end,
        } }
      ]]):format(number % 2 == 0 and "true" or "function(stream) stream.ctx.sum = stream.ctx.sum or 0 end"),
        ["chat.lua"] = [[
        local tidewire = require "tidewire"
        local ticks = tidewire.topic("ticks", { type = "chat.ChatMessage" })
        return { Chat = {
          on_open = function(stream) ticks:subscribe(stream, { filter = function() return true end }) end,
          on_message = function(_, message) ticks:publish(message) end,
          on_reload = function(stream) ticks:subscribe(stream, { filter = function() return true end }) end,
        } }
      ]] }
    end
    local gw = gateway.start { scripts = scripts(1), config = [[
      workers = 2
      service "tutorial.NumberService" { script = "tutorial.lua" }
      service "chat.ChatService" { script = "chat.lua" }
    ]] }
    local load = client.load({ client.connect(gw.address), client.connect(gw.address) },
      { kind = "counters", count = 100, method = numbers, pause = 0.01 })
    assert.is_table(load:await("opened", 100))
    local listeners = client.load({ client.connect(gw.address), client.connect(gw.address) },
      { kind = "listeners", count = 20, method = "chat.ChatService/Chat", field = "timestamp", first = 1 })
    assert.is_table(listeners:await("opened", 20))
    local ticker = client.connect(gw.address):open "chat.ChatService/Chat"
    assert.is_table(ticker:headers())
    local tick = 0
    for i = 1, 10 do
      local received = load:state().received
      for _ = 1, 5 do
        tick = tick + 1
        ticker:send { timestamp = tick } -- some before the reload, some on their way while it happens
      end
      for name, text in pairs(scripts(i + 1)) do gw:write("scripts/" .. name, text) end
      assert.equal(i + 1, gw:reload())
      gw:wait_for_log(("generation %d is gone"):format(i))
      assert.is_table(load:await("received", received + 100, gateway.patience))
    end
    for i = 1, tick do assert.equal(i, ticker:receive().timestamp) end
    assert.is_table(listeners:await("received", 20 * tick, gateway.patience))
    local heard = listeners:stop(gateway.patience)
    assert.same({ 0, 0 }, { heard.wrong, heard.broken })
    local counted = load:stop(gateway.patience)
    assert.same({ 0, 0, 100, {} }, { counted.wrong, counted.broken, counted.ended, counted.reasons })
    assert.equal(counted.sent, counted.received)
  end)

  -- Text is the first field, "\n" its tag.
  local function note(text, more) return "\n" .. string.char(#text) .. text .. (more or "") end
  local function types(message, field)
    return ([[
      syntax = "proto3";
      package notes;
      message %s { string text = 1; %s }
      service Notes { rpc Talk(stream %s) returns (stream %s); }
    ]]):format(message, field or "", message, message)
  end
  local notes = 'proto = "notes.proto"\nservice "notes.Notes" { script = "notes.lua" %s }\n%s'
  local function start(script, more, sections)
    return gateway.start { protos = { ["notes.proto"] = types "Note" }, scripts = { ["notes.lua"] = script },
      config = notes:format(more or "", sections or "") }
  end
  local function open(gw) return client.connect(gw.address):open("notes.Notes/Talk", { bytes = true }) end
  local function say(stream, text)
    assert.is_true(stream:send(note(text)))
    return stream:receive()
  end
  local keeper = [[
    return { Talk = { on_message = function(stream, message)
      stream.ctx.kept = stream.ctx.kept or message
      return message
    end } }
  ]]

  it("speak the types of the new scripts, to which objects of the old ones are known by their names", function()
    local gw = start(keeper)
    local stream = open(gw)
    assert.equal(note "first", say(stream, "first"))
    gw:write("protos/notes.proto", types("Note", "int32 number = 2;"))
    gw:write("scripts/notes.lua", [[
      return { Talk = { on_reload = true, on_message = function(stream, message)
        if message.text == "kept" then return stream.ctx.kept end
        return { text = message.text, number = 7 }
      end } }
    ]])
    assert.equal(2, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    assert.equal(note("second", "\16\7"), say(stream, "second"))
    assert.equal(note "first", say(stream, "kept"))
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  it("keep filters of data as long as the types have their fields", function()
    local function script(field, begins)
      return ([[
        local tidewire = require "tidewire"
        local topic = tidewire.topic("t", { type = "notes.Note" })
        return { Talk = { on_reload = true, %s
          on_message = function(_, message) topic:publish { %s = message.%s } end } }
      ]]):format(begins or "", field, field)
    end
    local gw = start(script("text", 'on_open = function(s) topic:subscribe(s, { filter = { text = "a" } }) end,'))
    local listener, speaker = open(gw), open(gw)
    assert.is_table(listener:headers())
    local function hears(...)
      for _, text in ipairs { ... } do assert.equal(note(text), listener:receive()) end
    end
    local function speak(...)
      for _, text in ipairs { ... } do assert.is_true(speaker:send(note(text))) end
    end
    speak("b", "a")
    hears "a"
    gw:write("protos/notes.proto", types("Note", "int32 number = 2;"))
    gw:write("scripts/notes.lua", script "text")
    assert.equal(2, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    speak("b", "a")
    hears "a"
    gw:write("protos/notes.proto", (types("Note"):gsub("string text", "string words")))
    gw:write("scripts/notes.lua", script "words")
    assert.equal(3, gw:reload())
    gw:wait_for_log "without the filter that they had"
    gw:wait_for_log "generation 2 is gone"
    speak("b", "a")
    hears("b", "a")
  end)

  it("of WebSockets read and write the JSON of the new types", function()
    local gw = start(keeper)
    local ws = websocket.open(gw.address, "/notes.Notes/Talk")
    ws:text '{"text":"first"}'
    assert.equal('{"text":"first"}', ws:message())
    gw:write("protos/notes.proto", types("Note", "int32 number = 2;"))
    gw:write("scripts/notes.lua", [[
      return { Talk = { on_reload = true, on_message = function(_, message)
        return { text = message.text, number = message.number + 1 }
      end } }
    ]])
    assert.equal(2, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    ws:text '{"text":"second","number":6}'
    assert.equal('{"text":"second","number":7}', ws:message())
    ws:cut()
  end)

  it("stay on their scripts where the method's types have other names", function()
    local gw = start(keeper)
    local stream = open(gw)
    assert.equal(note "first", say(stream, "first"))
    gw:write("protos/notes.proto", types "Letter")
    gw:write("scripts/notes.lua",
      "return { Talk = { on_reload = true, on_message = function() error 'not mine' end } }")
    assert.equal(2, gw:reload())
    assert.equal(note "second", say(stream, "second"))
    stream:half_close()
    assert.equal("OK", stream:status().code)
    gw:wait_for_log "generation 1 is gone"
  end)

  it("have the limits of the new config, and what was counted stays", function()
    local echo = "return { Talk = { on_reload = true, on_message = function(_, message) return message end } }"
    local gw = start(echo, 'limit = "few"', "limit few { messages = 100 }")
    local first, second = open(gw), open(gw)
    for _ = 1, 3 do assert.equal(note "a", say(first, "a")) end
    gw:configure(notes:format('limit = "few"  message = 10B', "limit few { messages = 4 }"))
    assert.equal(2, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    assert.equal(note "a", say(first, "a"))
    assert.is_nil(say(first, "a"))
    assert.same({ "RESOURCE_EXHAUSTED", 'limit "few": more than 4 messages' },
      { first:status().code, first:status().text:match "^[^;]+" })
    assert.is_nil(say(second, ("a"):rep(20)))
    assert.equal("RESOURCE_EXHAUSTED", second:status().code)
    gw:configure(notes:format("", ""))
    local third = open(gw)
    assert.equal(note "a", say(third, "a"))
    assert.equal(3, gw:reload())
    for _ = 1, 5 do assert.equal(note "a", say(third, "a")) end -- the limit is gone
  end)

  it("are let go of by a limit that the new config has not, and held by one that it has", function()
    local echo = "return { Talk = { on_reload = true, on_message = function(_, message) return message end } }"
    local slow = 'limit slow { per = "metadata x-user"  messages_per_second = 0.001 }'
    local gw = start(echo, 'limit = "slow"', slow)
    local function open_as(user)
      return client.connect(gw.address):open("notes.Notes/Talk", { bytes = true, metadata = { ["x-user"] = user } })
    end
    local first, second = open_as "ann", open_as "eve"
    for _, stream in ipairs { first, second } do
      assert.equal(note "a", say(stream, "a"))
      stream:send(note "waits")
    end
    gw:wait_for_log "delays messages"
    second:cancel()
    gw:configure(notes:format("", ""))
    assert.equal(2, gw:reload())
    assert.equal(note "waits", first:receive())
    gw:configure(notes:format('limit = "slow"', slow))
    assert.equal(3, gw:reload())
    gw:wait_for_log "generation 2 is gone"
    assert.equal(note "b", say(first, "b"))
    local mark = gw:mark()
    first:send(note "waits again")
    gw:wait_for_log("delays messages", mark)
    first:cancel()
  end)

  it("stay, with a line in the log for each, when on_reload fails, and go over when it is mended", function()
    local gw = start(keeper)
    local streams = { open(gw), open(gw) }
    for _, stream in ipairs(streams) do assert.equal(note "a", say(stream, "a")) end
    gw:write("scripts/notes.lua", [[
      return { Talk = { on_reload = function(stream)
        stream.ctx.missing.field = 1
      end } }
    ]])
    assert.equal(2, gw:reload())
    for _, stream in ipairs(streams) do assert.equal(note "b", say(stream, "b")) end
    assert(process.await(gateway.patience, function()
      return gw:count_in_log "on_reload failed, the stream stays on its scripts: notes.lua:2: " == 2
    end))
    gw:write("scripts/notes.lua",
      "return { Talk = { on_reload = true, on_message = function() return { text = 'new' } end } }")
    assert.equal(3, gw:reload())
    gw:wait_for_log "generation 1 is gone"
    for _, stream in ipairs(streams) do assert.equal(note "new", say(stream, "c")) end
  end)

  it("keep what they have opened, which holds its generation until it ends", function()
    local function relay(number)
      return ([[
        local tidewire = require "tidewire"
        local function read(stream)
          for reply in stream.ctx.up:messages() do stream:send { greeting = "%d " .. reply.greeting } end
        end
        return { GreetStream = {
          on_open = function(stream)
            stream.ctx.up = tidewire.open("behind", "greet.GreetService/GreetStream")
            stream:spawn(read)
          end,
          on_message = function(stream, message) stream.ctx.up:send(message) end,
          on_half_close = function(stream) stream.ctx.up:half_close() end,
          on_reload = function(stream) stream:spawn(read) end,
        } }
      ]]):format(number)
    end
    local gw = gateway.start { scripts = { ["greet.lua"] = relay(1) }, config = ([[
      upstream behind { target = "%s" }
      service "greet.GreetService" { script = "greet.lua" }
    ]]):format(foreign.start_cpp()) }
    local stream = client.connect(gw.address):open(bidi)
    for i = 1, 3 do
      assert.is_true(stream:send { name = "a" })
      assert.equal(i .. " a", assert(stream:receive()).greeting)
      gw:write("scripts/greet.lua", relay(i + 1))
      assert.equal(i + 1, gw:reload())
      gw:wait_for_log("open streams moved to generation " .. i + 1)
    end
    gw:wait_for_log "generation 3 is gone" -- nothing of it is left; what the stream has opened is of the first
    assert.equal(0, gw:count_in_log "generation 1 is gone")
    stream:half_close()
    assert.equal("OK", stream:status().code)
    gw:wait_for_log "generation 1 is gone"
  end)

  it("that go through filters go over with both their ends", function()
    local function filter(number)
      return ([[
        local greet = {}
        greet.GreetStream = {
          on_open = function(stream) stream:set_header("x-script", "%d") end,
          on_request = function(_, m) m.name = m.name .. " %d" end,
          on_response = function(_, m) m.greeting = m.greeting .. " %d" end,
          on_reload = true,
        }
        greet.AccumulateNumbers = {
          on_request = function(_, m) assert(m.num == 1) end,
          on_response = function(_, m) if m.sum %% 50 == 0 then require "tidewire".sleep(0.001) end end,
          on_reload = true,
        }
        return greet
      ]]):format(number, number, number)
    end
    local gw = gateway.start { scripts = { ["filter.lua"] = filter(1) }, config = ([[
      upstream behind { target = "%s" }
      service "greet.GreetService" { script = "filter.lua"  upstream = "behind" }
      service "tutorial.NumberService" { script = "filter.lua"  upstream = "behind" }
    ]]):format(foreign.start_cpp()) }
    local load = client.load({ client.connect(gw.address) },
      { kind = "counters", count = 50, method = numbers, pause = 0.01 })
    assert.is_table(load:await("opened", 50))
    local stream = client.connect(gw.address):open(bidi)
    for i = 1, 5 do
      assert.is_true(stream:send { name = "a" })
      assert.equal(("a %d %d"):format(i, i), assert(stream:receive()).greeting)
      local received = load:state().received
      gw:write("scripts/filter.lua", filter(i + 1))
      assert.equal(i + 1, gw:reload())
      gw:wait_for_log(("generation %d is gone"):format(i))
      assert.is_table(load:await("received", received + 100, gateway.patience))
    end
    stream:half_close()
    assert.same({ "OK", "1" }, { stream:status().code, stream:status().headers["x-script"][1] })
    local counted = load:stop(gateway.patience)
    assert.same({ 0, 0, 50, {} }, { counted.wrong, counted.broken, counted.ended, counted.reasons })
    assert.equal(counted.sent, counted.received)
  end)
end)
