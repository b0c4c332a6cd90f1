-- The recipes of docs/how-to.md: each does what the page says of it.
local certificates = require "support.certificates"
local gateway = require "support.gateway"
local client = require "support.client"
local doors = require "support.doors"
local hosts = require "support.hosts"
local http1 = require "support.http1"
local metrics = require "support.metrics"
local nats = require "support.nats"
local page = require "support.page"
local process = require "support.process"
local raw = require "support.raw"
local relay = require "support.relay"
local terminal = require "support.terminal"
local websocket = require "support.websocket"

local path = "docs/how-to.md"

-- By the name of the recipe: { scripts = { name = text }, conf = text, blocks = list }
local recipes, tried = {}, {}
for _, block in ipairs(page.read(path)) do
  local mark = block.mark
  if mark then
    local recipe = recipes[mark.words[1]] or { scripts = {}, blocks = {} }
    recipes[mark.words[1]] = recipe
    recipe.blocks[#recipe.blocks + 1] = block
    if mark.kind == "script" then recipe.scripts[mark.words[2] or mark.words[1] .. ".lua"] = block.text end
    if mark.kind == "conf" then recipe.conf = block.text end
  end
end

local function recipe(name, text, act)
  tried[name] = true
  it(text, function() act(assert(recipes[name], "the page has no recipe " .. name)) end)
end

-- The service's script is the recipe's, unless the recipe has a config of its own.
local function start(name, service, more)
  local conf = recipes[name].conf or ('service "%s" { script = "%s.lua" }\n'):format(service, name)
  conf = conf:gsub('"127%.0%.0%.1:50051"', '"127.0.0.1:0"')
  return gateway.start { scripts = recipes[name].scripts, config = conf .. (more or "") }
end

local function connect(gw) return client.connect(gw.address) end

describe(path, function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
  end)

  recipe("broadcast", "what one says, the others hear, and a half-close ends a call", function()
    local gw = start("broadcast", "chat.ChatService")
    local ann, bob = connect(gw):open "chat.ChatService/Chat", connect(gw):open "chat.ChatService/Chat"
    ann:headers()
    bob:headers() -- sent when both have subscribed
    ann:send { message = "one" }
    assert.equal("one", bob:receive().message)
    bob:send { message = "two" }
    assert.equal("two", ann:receive().message)
    ann:half_close()
    assert.equal("OK", ann:status().code)
    bob:half_close()
    assert.same({}, bob:receive_all().messages)
  end)

  recipe("one_user", "a message goes to its user alone", function()
    local gw = start("one_user", "chat.ChatService")
    local function enter(user)
      local stream = connect(gw):open("chat.ChatService/Chat", { metadata = { ["x-user"] = user } })
      stream:headers()
      return stream
    end
    local ann, bob, eve = enter "ann", enter "bob", enter "eve"
    ann:send { message = "bob: hello" }
    assert.same({ sender = "ann", message = "hello" }, bob:receive())
    eve:send { message = "nobody: hello" }
    assert.equal("nobody there", eve:receive().message)
    ann:send { message = "eve: hello" }
    assert.equal("hello", eve:receive().message)
    for _, stream in ipairs { ann, bob, eve } do stream:cancel() end
    assert.equal("UNAUTHENTICATED", connect(gw):open("chat.ChatService/Chat"):status().code)
  end)

  recipe("along", "an open stream counts on in the script that has taken the place of its own", function()
    local gw = start("along", "greet.GreetService")
    local stream = connect(gw):open "greet.GreetService/GreetStream"
    for count = 1, 3 do
      stream:send { name = "ann" }
      assert.equal(count .. " times hello, ann", stream:receive().greeting)
      assert.equal(count + 1, gw:reload())
      gw:wait_for_log(("generation %d is gone"):format(count))
    end
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  recipe("details", "a refusal has its status, text and details", function()
    local gw = start("details", "greet.GreetService")
    local channel = connect(gw)
    local answer = channel:call("greet.GreetService/Greet", {})
    assert.equal("INVALID_ARGUMENT", answer.code)
    assert.equal("a name is needed", answer.text)
    assert.equal("type.googleapis.com/greet.GreetRequest", answer.details.list[1].type_url)
    assert.equal("ann", answer.details.list[1].message.name)
    assert.equal("hello bob", channel:call("greet.GreetService/Greet", { name = "bob" }).message.greeting)
  end)

  recipe("credentials", "a call without a token is refused before its first message", function()
    local gw = start("credentials", "chat.ChatService")
    local channel = connect(gw)
    local refused = channel:open "chat.ChatService/Chat":status()
    assert.same({ "UNAUTHENTICATED", "no such token" }, { refused.code, refused.text })
    local stream = channel:open("chat.ChatService/Chat", { metadata = { authorization = "token-of-ann" } })
    stream:send { sender = "eve", message = "hi" }
    assert.same({ sender = "ann", message = "hi" }, stream:receive())
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  recipe("cleanup", "deadlines and cancels end the loop, and clean up", function()
    local gw = start("cleanup", "greet.GreetService")
    local channel = connect(gw)
    local method = "greet.GreetService/GreetServerStream"
    local function ask(options)
      local stream = channel:open(method, options)
      stream:send { name = "x" }
      stream:half_close()
      return stream
    end
    local stream = ask {}
    assert.equal("x", stream:receive().greeting)
    stream:cancel()
    local done = gw:wait_for_log " done "
    assert(done:find "code=CANCELLED" and done:find "working=0", done)
    assert.equal("DEADLINE_EXCEEDED", ask(client.brief):status().code)
    -- Which of the two hears of the deadline first decides the code that the script sees.
    assert(process.await(gateway.patience, function() return gw:count_in_log "working=0" == 2 end))
    assert.is_false(gw:said "error")
  end)

  recipe("ticker", "one tick for all workers, and one for each stream", function()
    local gw = start("ticker", "chat.ChatService", "workers = 3\n")
    local stream = connect(gw):open "chat.ChatService/Chat"
    local count = { clock = 0, ["only you"] = 0 }
    local began = process.now()
    repeat
      local message = assert(stream:receive())
      count[message.sender] = count[message.sender] + 1
    until count.clock >= 10 and count["only you"] >= 10
    local ticks = (process.now() - began) / 0.1
    assert(count.clock <= ticks + 2, count.clock .. " ticks in the time of " .. ticks)
    stream:half_close()
    while stream:receive() do end -- what came meanwhile; gRPC tells the status behind it
    assert.equal("OK", stream:status().code)
  end)

  recipe("quota", "a user's calls count in all workers and over a reload, and end at the limit", function()
    local gw = start("quota", "greet.GreetService", "workers = 2\n")
    local one, other = connect(gw), connect(gw)
    local function greet(channel, user)
      return channel:call("greet.GreetService/Greet", { name = "x" }, { metadata = { ["x-user"] = user } })
    end
    assert.equal("hello x, call 1", greet(one, "ann").message.greeting)
    assert.equal("hello x, call 2", greet(other, "ann").message.greeting)
    assert.equal(2, gw:reload())
    assert.equal("hello x, call 3", greet(one, "ann").message.greeting)
    local refused = greet(other, "ann")
    assert.equal("RESOURCE_EXHAUSTED", refused.code)
    assert(refused.text:find "^again in %d+ seconds$", refused.text)
    assert.equal("hello x, call 1", greet(other, "bob").message.greeting)
    assert.equal("UNAUTHENTICATED", one:call("greet.GreetService/Greet", {}).code)
  end)

  recipe("slow", "a reader that does not keep up gets the newest, and nobody waits for it", function()
    local gw = start("slow", "chat.ChatService", "limits { buffered_per_stream = 64KiB }\nworkers = 1\n")
    local method = "chat.ChatService/Chat"
    local slow, writer = connect(gw):open(method), connect(gw):open(method)
    slow:headers()
    writer:headers()
    local text = ("x"):rep(50000)
    for i = 1, 300 do
      writer:send { sender = tostring(i), message = text }
      assert.equal(tostring(i), writer:receive().sender) -- its own comes back, in time
    end
    local last, got = nil, 0
    slow:half_close()
    for _, message in ipairs(slow:receive_all().messages) do
      last, got = tonumber(message.sender), got + 1
    end
    assert.equal(300, last)
    assert(got < 300, "nothing was dropped")
    assert.equal("OK", slow:status().code)
    writer:half_close()
  end)

  recipe("ids", "ids beyond 2^53 are told apart", function()
    local gw = start("ids", "chat.ChatService")
    local sent = {}
    for i, id in ipairs { "9007199254740992", "9007199254740993", "9007199254740993", "9007199254740994" } do
      sent[i] = { timestamp = id }
    end
    local replies, status = connect(gw):exchange("chat.ChatService/Chat", sent)
    assert.equal("OK", status.code)
    -- Those that a double can hold come back as numbers.
    assert.same({ "9007199254740992", "9007199254740993", "9007199254740994" }, { ("%.0f"):format(replies[1].timestamp),
      replies[2].timestamp, tostring(replies[3].timestamp) })
  end)

  recipe("projection", "the sums come out right", function()
    local gw = start("projection", "tutorial.NumberService")
    local replies = connect(gw):exchange("tutorial.NumberService/AccumulateNumbers", { { num = 1 }, { num = 2 } })
    assert.same({ { sum = 1 }, { sum = 3 } }, replies)
  end)

  recipe("shared", "a module serves its scripts", function()
    local gw = start("shared", "greet.GreetService")
    local answer = connect(gw):call("greet.GreetService/Greet", { name = "  ann " })
    assert.equal("hello ann", answer.message.greeting)
  end)

  recipe("tls", "certificates made as shown let the client in, and no other", function(one)
    local shown = terminal.open()
    finally(function() shown:close() end)
    local function find(kind, word)
      for _, block in ipairs(one.blocks) do
        if block.mark.kind == kind and block.mark.words[2] == word then return block end
      end
    end
    shown:play(find("terminal"))
    shown:write_file("tls.conf", one.conf .. 'proto_path = "proto"\nproto = "greet.proto"\nscript_path = "."\n')
    shown:write_file("tls.lua", one.scripts["tls.lua"])
    shown:expect(shown:start("gateway", "tidewire run -c tls.conf"), "… generation 1 is in force", true)
    local call = find("terminal", "call")
    call.mark.words[2] = nil
    shown:play(call)
    local stranger = shown:start("client",
      "tidewire call --cacert ca.pem -d '{}' 127.0.0.1:50051 greet.GreetService/Greet")
    assert.equal(1, stranger:wait(gateway.patience))
  end)

  recipe("dubbo", "a Triple client's attachments reach the handler, and curl asks as shown", function(one)
    local shown = terminal.open()
    finally(function() shown:close() end)
    local function here(text) return (text:gsub("127%.0%.0%.1:20000", "127.0.0.1:50051")) end
    shown:write_file("dubbo.conf", here(one.conf) .. 'proto_path = "proto"\nproto = "greet.proto"\nscript_path = "."\n')
    shown:write_file("dubbo.lua", one.scripts["dubbo.lua"])
    shown:expect(shown:start("gateway", "tidewire run -c dubbo.conf"), "… generation 1 is in force", true)
    for _, block in ipairs(one.blocks) do
      if block.mark.kind == "terminal" then
        block.text = here(block.text)
        shown:play(block)
      end
    end
    local wire = raw.connect(shown.address)
    wire:headers(1, "greet.GreetService/Greet", {
      ["content-type"] = "application/grpc+proto", ["user-agent"] = "grpc-go-triple/0.1.0 (go1.25)",
      ["grpc-timeout"] = "30S", interface = "greet.GreetService", timeout = "3s", ["tri-service-version"] = "1",
    })
    wire:data(1, raw.message(raw.text(1, "ann")), true)
    assert.equal("application/grpc+proto", wire:expect({ type = "HEADERS", stream = 1 }).fields["content-type"])
    assert.equal(raw.message(raw.text(1, "ann, within 3s")), wire:expect({ type = "DATA" }).bytes)
    assert.equal("0", wire:trailers(1).fields["grpc-status"])
    wire:close()
  end)

  it("says how etc/triple.conf answers the sample's clients as often as they want", function()
    local file = assert(io.open(gateway.root .. "/etc/triple.conf"))
    local conf = file:read("*a"):gsub('"%.%./', '"' .. gateway.root .. "/"):gsub(":20000", ":0")
    file:close()
    for wanted, environment in pairs { [5] = {}, [10] = { GREET_REPLIES = "10" } } do
      local gw = gateway.start { config = conf, environment = environment }
      local replies, status = connect(gw):exchange("greet.GreetService/GreetServerStream", { { name = "triple" } })
      assert.same({ wanted, "OK", "triple" }, { #replies, status.code, replies[wanted].greeting })
    end
  end)

  recipe("web", "curl calls a method as the page shows it", function(one)
    local shown = terminal.open()
    finally(function() shown:close() end)
    shown:write_file("web.conf", one.conf .. 'proto_path = "proto"\nproto = "greet.proto"\nscript_path = "."\n')
    shown:write_file("web.lua", one.scripts["web.lua"])
    shown:expect(shown:start("gateway", "tidewire run -c web.conf"), "… generation 1 is in force", true)
    for _, block in ipairs(one.blocks) do
      if block.mark.kind == "terminal" then shown:play(block) end
    end
    local answer = doors.exchange(shown.address, { path = "/greet.GreetService/Greet", body = "{}",
      headers = { { "content-type", "application/json" }, { "origin", "http://localhost:8080" } } })
    assert.same({ 400, "http://localhost:8080" }, { answer.status, answer.headers["access-control-allow-origin"] })
  end)

  recipe("websocket", "whoever is in a room hears what is said there, by either path", function()
    local gw = start "websocket"
    local ann = websocket.open(gw.address, "/rooms/lobby", { protocol = "tidewire.json" })
    local bob = websocket.open(gw.address, "/chat.ChatService/Chat?grpc-timeout=1H", { origin = "http://gateway" })
    bob:text '{"message":"first"}'
    assert.equal('{"message":"first"}', bob:message())
    local heard
    repeat -- the first may have come before ann was there
      ann:text '{"sender":"ann","message":"hello"}'
      heard = bob:message()
    until heard == '{"sender":"ann","message":"hello"}'
    assert.matches('^{"message":{', (ann:message()))
    bob:half_close()
    assert.equal(1000, (bob:closed()))
    assert.equal(403, websocket.refused(gw.address, "/rooms/lobby", { origin = "http://elsewhere" }).status)
  end)

  recipe("rest", "curl is answered as the page shows it, and who comes back goes on where it was", function(one)
    local shown = terminal.open()
    finally(function() shown:close() end)
    local types = 'proto_path = "proto"\nproto = { "greet.proto", "chat.proto" }\nscript_path = "."\n'
    shown:write_file("rest.conf", one.conf .. types)
    for name, text in pairs(one.scripts) do shown:write_file(name, text) end
    shown:expect(shown:start("gateway", "tidewire run -c rest.conf"), "… generation 1 is in force", true)
    for _, block in ipairs(one.blocks) do
      if block.mark.kind == "terminal" then shown:play(block) end
    end
    local speaker = client.connect(shown.address):open "chat.ChatService/Chat"
    for i = 1, 3 do speaker:send { sender = "ann", message = tostring(i) } end
    local ids = {}
    for i = 1, 3 do ids[i] = ("%.0f"):format(speaker:receive().timestamp) end
    local wire = http1.connect(shown.address)
    wire:send(("GET /v1/chat HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nLast-Event-ID: %s\r\n\r\n")
      :format(ids[1]))
    assert.equal(200, wire:head().status)
    local text, deadline = "", process.now() + gateway.patience
    repeat
      text = text .. assert(wire:chunk())
      assert(process.now() < deadline, text)
    until text:find('"message":"3"', 1, true)
    assert.equal(ids[2], text:match "^:?%s*id: (%d+)\ndata: ")
    wire:close()
    speaker:cancel()
  end)

  recipe("goa", "a path of a design is served as Goa's clients expect it", function()
    local gw = start "goa"
    local answer = websocket.refused(gw.address, "/logs/disk")
    assert.same({ 401, "unauthenticated" }, { answer.status, answer.headers["goa-error"] })
    local ws = websocket.open(gw.address, "/logs/disk", { headers = { "Authorization: me" } })
    assert.equal("default", ws.headers["goa-view"])
    ws:text '{"contains":"a"}\n'
    assert.matches('"component":"disk","message":"now with a"', (ws:message()))
    ws:text "null\n"
    assert.equal(1000, (ws:closed()))
  end)

  recipe("pass", "one service is passed on and another is answered here", function()
    local listener = raw.listen()
    recipes.pass.conf = recipes.pass.conf:gsub("127%.0%.0%.1:50052", listener.address)
    local gw = start "pass"
    assert.equal("from here, ann", connect(gw):call("greet.GreetService/Greet", { name = "ann" }).message.greeting)
    local wire = raw.connect(gw.address)
    wire:headers(1, "legacy.Any/Thing", { ["grpc-timeout"] = "10S" })
    local server = assert(listener:accept())
    local headers = assert(server:expect { type = "HEADERS", stream = 1 }).fields
    assert.equal("/legacy.Any/Thing", headers[":path"])
    assert.is_truthy(headers["grpc-timeout"]:find "^%d+[mu]$")
    wire:data(1, "anything")
    assert.equal("anything", assert(server:expect { type = "DATA", stream = 1 }).bytes)
    server:close()
    assert.equal("14", assert(wire:trailers(1)).fields["grpc-status"])
    assert.is_truthy(gw:wait_for_log("upstream=legacy"):find("target=" .. listener.address, 1, true))
    listener:close()
  end)

  recipe("proxy", "the address of the PROXY header is the client's", function()
    local gw = start("proxy", "greet.GreetService")
    local wire = assert(raw.connect(gw.address, { first = "PROXY TCP4 203.0.113.9 127.0.0.1 4711 50051\r\n" }))
    wire:headers(1, "greet.GreetService/Greet")
    wire:data(1, raw.message "", true)
    assert.equal("203.0.113.9:4711", wire:expect({ type = "DATA", stream = 1 }).bytes:sub(8))
    wire = assert(raw.connect(gw.address))
    wire:headers(1, "greet.GreetService/Greet")
    wire:data(1, raw.message "", true)
    assert.is_nil((wire:expect { type = "DATA", stream = 1 }))
  end)

  recipe("servers", "calls go to the servers that can be reached, and end when there are none", function(one)
    local function serve(name, address)
      local listen = address and ('listen "%s" { }\n'):format(address) or ""
      return gateway.start { scripts = { ["greet.lua"] =
        ("return { Greet = function() return { greeting = '%s' } end }"):format(name) },
        config = 'service "greet.GreetService" { script = "greet.lua" }\n' .. listen }
    end
    local first, second = serve "first", serve "second"
    local conf = one.conf:gsub("127%.0%.0%.1:50061", first.address):gsub("127%.0%.0%.1:50062", second.address)
    local gw = gateway.start { config = conf:gsub("interval = 5s", "interval = 100ms") }
    local channel = connect(gw)
    local function greeting()
      local reply = channel:call("greet.GreetService/Greet", {}, client.soon)
      return reply.message and reply.message.greeting or reply.code
    end
    local function all_say(word)
      return process.await(gateway.patience, function()
        for _ = 1, 4 do if greeting() ~= word then return false end end
        return true
      end)
    end
    assert.is_true(process.await(gateway.patience, function() return greeting() == "second" end))
    first:signal "TERM"
    assert.is_true(all_say "second")
    second:signal "TERM"
    assert.is_true(all_say "UNAVAILABLE")
  end)

  recipe("health", "a service is not serving while its script warms up", function()
    -- Long enough to be seen on a busy machine.
    local scripts, slow = recipes.health.scripts, ("sleep(%d)"):format(2 * gateway.slowness)
    scripts["health.lua"] = scripts["health.lua"]:gsub("sleep%(0%.2%)", slow)
    local gw = start("health", "greet.GreetService")
    local channel = connect(gw)
    local function is(status)
      return process.await(gateway.patience, function()
        local stream = channel:open("grpc.health.v1.Health/Check", { bytes = true })
        stream:send "\10\18greet.GreetService"
        stream:half_close()
        return stream:receive() == status
      end)
    end
    assert(is "\8\2")
    assert(is "\8\1")
  end)

  recipe("limits", "the limits of a service and of a method go before the others", function()
    local script = "return { Greet = function() return {} end, GreetStream = function(stream) "
      .. "for _ in stream:messages() do while true do end end end }"
    recipes.limits.scripts["limits.lua"] = script
    local gw = start("limits", "greet.GreetService")
    local channel = connect(gw)
    local function greet(size) return channel:call("greet.GreetService/Greet", { name = ("x"):rep(size) }).code end
    assert.equal("OK", greet(60 * 1024))
    assert.equal("RESOURCE_EXHAUSTED", greet(70 * 1024))
    local _, status = channel:exchange("greet.GreetService/GreetStream", { { name = "x" } })
    assert.equal("INTERNAL", status.code)
  end)

  local function start_limited(name, service, more)
    recipes[name].scripts["limited.lua"] = [[return {
      Greet = function(_, request) return { greeting = request.name } end,
      GreetStream = function(stream)
        for m in stream:messages() do if #m.name < 100 then stream:send { greeting = m.name } end end
      end,
    }]]
    recipes[name].scripts["chat.lua"] = "return { Chat = { on_message = function(_, m) return m end } }"
    return start(name, service, more)
  end

  local function assert_limited(status, limit)
    assert.equal("RESOURCE_EXHAUSTED", status.code)
    assert.is_truthy(status.text:find('limit "' .. limit .. '"', 1, true), status.text)
  end

  recipe("rates_soft", "messages beyond the burst wait, and none is lost", function()
    local gw = start_limited("rates_soft", "chat.ChatService")
    local from = process.now()
    local sent = {}
    for i = 1, 13 do sent[i] = { message = tostring(i) } end
    local got, status = connect(gw):exchange("chat.ChatService/Chat", sent, { metadata = { ["x-user"] = "ann" } })
    assert.same(sent, got)
    assert.equal("OK", status.code)
    assert.is_true(process.now() - from >= 3 / 5 - 0.1)
  end)

  recipe("rates_hard", "whoever sends too much is cut off", function()
    recipes.rates_hard.conf = recipes.rates_hard.conf:gsub("= 1MiB", "= 1KiB") -- the time that sending takes is nothing
    local stream = connect(start_limited("rates_hard", "greet.GreetService")):open "greet.GreetService/GreetStream"
    stream:receive(0.01) -- it goes on reading, without which grpcio would not hear of the end while it writes
    stream:send_times(3, { name = ("x"):rep(2 * 1024 * 1024) })
    stream:receive_all()
    local status = stream:status()
    assert_limited(status, "upload")
    assert.equal("type.googleapis.com/google.rpc.RetryInfo", status.details.list[1].type_url)
  end)

  recipe("rates_streams", "streams beyond the bound are refused", function()
    local channel = connect(start_limited("rates_streams", "greet.GreetService"))
    local refused
    for _ = 1, 21 do
      local stream = channel:open "greet.GreetService/GreetStream"
      stream:send { name = "x" }
      if not stream:receive() then refused = refused or stream:status() end
    end
    assert_limited(refused, "strangers")
    assert.is_truthy(refused.trailers["grpc-retry-pushback-ms"])
  end)

  recipe("rates_time", "a stream that says nothing, or too much, ends", function()
    local idle = 2 * gateway.slowness
    recipes.rates_time.conf = recipes.rates_time.conf:gsub("5m", idle .. "s"):gsub("1000", "10")
    local channel = connect(start_limited("rates_time", "greet.GreetService"))
    local stream = channel:open "greet.GreetService/GreetStream"
    stream:send { name = "x" }
    assert.same({ { greeting = "x" } }, stream:receive_all().messages)
    local status = stream:status()
    assert_limited(status, "session")
    assert.is_truthy(status.text:find(("no message for %d s"):format(idle), 1, true), status.text)
    stream = channel:open "greet.GreetService/GreetStream"
    stream:send_times(11, { name = "x" })
    stream:receive_all()
    status = stream:status()
    assert_limited(status, "session")
    for _ = 1, 11 do assert.equal("OK", channel:call("greet.GreetService/Greet", {}).code) end
  end)

  recipe("rates_passed", "what is passed on is bounded in size and rate", function()
    local behind = gateway.start { config = 'service "greet.GreetService" { script = "s.lua" }',
      scripts = { ["s.lua"] = "return { Greet = function(_, r) return { greeting = r.name } end }" } }
    recipes.rates_passed.conf = recipes.rates_passed.conf:gsub("127%.0%.0%.1:50052", behind.address)
    local channel = connect(start_limited("rates_passed", "greet.GreetService"))
    assert.equal("OK", channel:call("greet.GreetService/Greet", { name = ("x"):rep(60000) }).code)
    local refused = channel:call("greet.GreetService/Greet", { name = ("x"):rep(70000) })
    assert.equal("RESOURCE_EXHAUSTED", refused.code)
  end)

  recipe("stuck", "a handler that never waits is stopped, and the log says where it was", function()
    local gw = start("stuck", "greet.GreetService")
    local channel = connect(gw)
    assert.equal("INTERNAL", channel:call("greet.GreetService/Greet", {}).code)
    gw:wait_for_log "stuck.lua:5: the handler has used up its CPU budget"
    local replies = channel:exchange("greet.GreetService/GreetStream", { { name = "x" } })
    assert.same({ { greeting = "x" } }, replies)
  end)

  recipe("logs", "log lines are objects with the fields that the page names", function()
    local gw = start("logs", "greet.GreetService")
    connect(gw):call("greet.GreetService/Greet", { name = "ann" })
    local json = require "cjson"
    local said = json.decode(gw:wait_for_log '"a greeting"')
    assert.same({ "info", "ann", "greet.GreetService/Greet", "logs.lua" },
      { said.level, said.fields.name, said.method, said.script })
    assert(said.time and said.connection and said.stream)
    local ended = json.decode(gw:wait_for_log '"call ended"')
    assert.same({ "OK", "handler", 1, 1, 1 },
      { ended.status, ended.reason, ended.messages_in, ended.messages_out, ended.generation })
    assert(ended.duration_ms and ended.bytes_in and ended.bytes_out and ended.peer)
  end)

  recipe("watch", "the page has every metric that the expressions ask for", function()
    local conf = recipes.watch.conf:gsub('"127%.0%.0%.1:9464"', '"127.0.0.1:0"')
    local gw = gateway.start { config = conf, scripts = recipes.logs.scripts }
    local families, asked = metrics.read(gw).families, 0
    for line in io.lines(path) do
      if line:find "^| .* | `.*` |$" then
        for name in line:gmatch "%f[%w_][%a_]*_[%a_]+%f[%s%[{()]" do
          if name:find "^tidewire_" or name:find "^grpc_server_" then
            assert(families[name], name .. " is no metric")
            asked = asked + 1
          end
        end
      end
    end
    assert.is_true(asked >= 11)
  end)

  recipe("etc/tidewire.service", "an installation has its unit, and examples that are fine where they lie", function()
    local folder = assert(require("posix.stdlib").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-XXXXXX"))
    finally(function() process.start({ "rm", "-r", folder }):wait(gateway.patience) end)
    local build = os.getenv "TIDEWIRE_BUILD" or gateway.binary:match "^(.*)/src/tidewire$"
    local function run(...) return process.start({ ... }, { output = folder .. "/output" }):wait(gateway.patience) end
    assert.equal(0, run("cmake", "--install", build, "--prefix", folder))
    local config = folder .. "/share/tidewire/examples/etc/tidewire.conf"
    assert.equal(0, run(folder .. "/bin/tidewire", "check", "-c", config))
    local unit = assert(io.open(folder .. "/lib/systemd/system/tidewire.service")):read "*a"
    local verbs = {}
    for verb in unit:gmatch "=tidewire (%w+) %-c /etc/tidewire/tidewire.conf" do
      verbs[#verbs + 1] = verb
      assert.equal(0, (gateway.run { verb, "-h" }))
    end
    assert.same({ "check", "run", "check" }, verbs)
  end)

  local greets = [[
    Greet = function(_, request)
      if request.name == "nobody" then tidewire.fail("NOT_FOUND", "who?") end
      return { greeting = "NAME " .. request.name }
    end,
    GreetStream = function(stream)
      for message in stream:messages() do stream:send { greeting = "NAME " .. message.name } end
    end,
  ]]
  local prices = 'Watch = function(stream) stream:send { symbol = "A", price = 1 } stream:wait() end'

  local function start_upstream(name, entries, config)
    local script = 'local tidewire = require "tidewire"\nreturn {' .. entries:gsub("NAME", name) .. "}"
    return gateway.start { scripts = { ["up.lua"] = script }, config = "drain_timeout = 50ms\n" .. config }
  end

  -- Each upstream of the recipe is a gateway that answers with its name.
  local function start_with_upstreams(name, entries, config)
    local conf = recipes[name].conf
    for upstream in conf:gmatch 'upstream "(%w+)"' do
      local address = start_upstream(upstream, entries, config).address
      conf = conf:gsub('(upstream "' .. upstream .. '" *{ target = )"[^"]*"', '%1"' .. address .. '"')
    end
    local scripts = recipes[name].scripts
    local own = next(scripts) and "" or ('script_path = "%s/scripts"\n'):format(gateway.root)
    return gateway.start { scripts = scripts, config = own .. conf }
  end
  local greeter = 'service "greet.GreetService" { script = "up.lua" }'

  recipe("ask", "a handler asks another server, and passes its failure on", function()
    local channel = connect(start_with_upstreams("ask", greets, greeter))
    local function greet(name) return channel:call("greet.GreetService/Greet", { name = name }) end
    assert.equal("names ann, says the gateway", greet("ann").message.greeting)
    local failed = greet "nobody"
    assert.same({ "NOT_FOUND", "the other side says: who?" }, { failed.code, failed.text })
  end)

  recipe("before", "a function stands before a server", function()
    local channel = connect(start_with_upstreams("before", greets:gsub('"NAME "', 'stream:metadata "x-user" .. " "'),
      greeter))
    local method = "greet.GreetService/GreetStream"
    assert.equal("UNAUTHENTICATED", channel:open(method):status().code)
    local replies, status = channel:exchange(method, { { name = "a" }, { name = "b" } },
      { metadata = { ["x-token"] = "ann" } })
    assert.same({ { greeting = "1: ann a" }, { greeting = "2: ann b" } }, replies)
    assert.equal("OK", status.code)
  end)

  recipe("prices", "one subscription serves all clients", function()
    local gw = start_with_upstreams("prices", prices,
      'proto = { "prices.proto" }\nservice "prices.Prices" { script = "up.lua" }')
    for _ = 1, 3 do
      local stream = connect(gw):open "prices.Prices/Watch"
      stream:send {}
      stream:half_close()
      assert.same({ symbol = "A", price = 1 }, stream:receive())
      stream:cancel()
    end
  end)

  -- The process stands still while a price and a client come, so that it finds both at once.
  recipe("prices", "a price that comes together with a client is not lost to it", function(one)
    local listener = raw.listen()
    local conf = one.conf:gsub("127%.0%.0%.1:50052", listener.address)
    local gw = gateway.start { config = ('workers = 1\nscript_path = "%s/scripts"\n'):format(gateway.root) .. conf }
    local exchange = assert(listener:accept())
    assert(exchange:expect { type = "DATA", stream = 1 })
    exchange:respond(1, { { ":status", "200" }, { "content-type", "application/grpc" } })
    local wire = assert(raw.connect(gw.address))
    for stream = 1, 79, 2 do
      wire:headers(stream, "prices.Prices/Watch")
      wire:send { { send = "ping" } }
      assert(wire:expect { type = "PING", is_ack = true })
      gw:signal "STOP"
      local symbol = raw.text(1, "stock " .. stream)
      exchange:data(1, raw.message(symbol))
      wire:data(stream, raw.message(symbol), true)
      gw:signal "CONT"
      assert.is_truthy(assert(wire:expect { type = "DATA", stream = stream }).bytes:find(symbol, 1, true))
      wire:reset(stream)
    end
    listener:close()
  end)

  recipe("newest", "a client begins with the last price of each symbol", function()
    local gw = gateway.start { config = ('script_path = "%s/scripts"\n'):format(gateway.root) .. recipes.newest.conf }
    local function watch()
      local stream, seen = connect(gw):open "prices.Prices/Watch", {}
      stream:send {}
      stream:half_close()
      for _ = 1, 4 do seen[stream:receive().symbol] = true end
      stream:cancel()
      return seen
    end
    watch()
    assert.same({ ANT = true, BEE = true, CAT = true, DOG = true }, watch())
  end)

  recipe("resume", "a client that comes back gets what it has missed, and is told when some is gone", function()
    local gw = start("resume", "chat.ChatService", "workers = 2\n")
    local function enter(seen)
      local stream = connect(gw):open "chat.ChatService/Chat"
      stream:send { timestamp = ("%d"):format(seen) }
      return stream
    end
    local ann, bob = enter(0), enter(0)
    for i = 1, 3 do
      ann:send { message = tostring(i) }
      assert.equal(tostring(i), bob:receive().message)
      assert.equal(tostring(i), ann:receive().message)
    end
    bob:cancel()
    ann:send { message = "4" }
    local position = ann:receive().timestamp
    local again = enter(position - 2)
    for i = 3, 4 do assert.equal(tostring(i), again:receive().message) end
    ann:send { message = "5" }
    assert.equal("5", again:receive().message)
    assert.equal("you have missed some", enter(position - 1000):receive().message)
  end)

  recipe("presence", "everyone sees who is there, and who comes and goes", function()
    local gw = start("presence", "chat.ChatService", "workers = 2\n")
    local function enter(user)
      local stream = connect(gw):open("chat.ChatService/Chat", { metadata = { ["x-user"] = user } })
      stream:headers()
      return stream
    end
    local function hears(stream, text)
      assert.is_table(stream:receive_until(function(message) return message.message == text end))
    end
    local ann = enter "ann"
    hears(ann, "ann: join")
    local bob = enter "bob"
    hears(ann, "bob: join")
    ann:send {}
    hears(ann, "ann, bob")
    bob:cancel()
    hears(ann, "bob: leave")
  end)

  recipe("mirror", "the main upstream answers", function()
    local channel = connect(start_with_upstreams("mirror", greets, greeter))
    assert.equal("main ann", channel:call("greet.GreetService/Greet", { name = "ann" }).message.greeting)
    assert.equal("NOT_FOUND", channel:call("greet.GreetService/Greet", { name = "nobody" }).code)
  end)

  recipe("split", "each message goes where it belongs", function()
    local channel = connect(start_with_upstreams("split", greets, greeter))
    local stream = channel:open "greet.GreetService/GreetStream"
    for name, upstream in pairs { ann = "first", zoe = "second" } do
      stream:send { name = name }
      assert.equal(upstream .. " " .. name, stream:receive().greeting)
    end
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  recipe("filters", "a token is needed, cards are hidden, and who is too fast waits", function()
    local chat = [[ Chat = function(stream)
      for message in stream:messages() do
        message.sender = (stream:metadata "x-user" or "nobody") .. " " .. tostring(stream:metadata "authorization")
        stream:send(message)
      end
    end ]]
    local channel = connect(start_with_upstreams("filters", chat, 'service "chat.ChatService" { script = "up.lua" }'))
    local refused = channel:open("chat.ChatService/Chat"):status()
    assert.same({ "UNAUTHENTICATED", "no such token" }, { refused.code, refused.text })
    local stream = channel:open("chat.ChatService/Chat",
      { metadata = { authorization = "Bearer token-of-ann", ["x-user"] = "eve" } })
    local function say(text)
      stream:send { message = text }
      local message = stream:receive()
      return message.sender .. ": " .. message.message
    end
    assert.equal("ann nil: mine is [card]!", say "mine is 4111 1111-11111111!")
    assert.equal("ann nil: 12 and 4711 are no cards", say "12 and 4711 are no cards")
    local before = process.now()
    for i = 3, 30 do assert.equal("ann nil: " .. i, say(tostring(i))) end
    assert.is_true(process.now() - before > 0.8) -- 10 a second after the first 20
    stream:half_close()
    assert.equal("OK", stream:status().code)
  end)

  -- Gateways of these configs; where one listens for another is found through a relay. `port` is where each does.
  local function start_peers(configs, files)
    local scripts, ways, started = { ["peers.lua"] = recipes.peers.scripts["peers.lua"] }, {}, {}
    for i in ipairs(configs) do ways[i] = relay.open() end
    for i, conf in ipairs(configs) do
      conf = conf:gsub('listen "127%.0%.0%.1:50051"', 'listen "127.0.0.1:0"')
      conf = conf:gsub('listen "127%.0%.0%.1:%d%d%d%d"', 'listen "127.0.0.2:0"')
      conf = conf:gsub('"127%.0%.0%.1:700(%d)"', function(n) return '"' .. ways[tonumber(n)].address .. '"' end)
      started[i] = gateway.start { config = conf, scripts = scripts, files = files }
      ways[i]:set { to = started[i].addresses[#started[i].addresses] }
    end
    return unpack(started)
  end
  local function exchanged(conf) return (conf:gsub("%f[%w][ab]%f[^%w]", { a = "b", b = "a" }):gsub("700%d",
    { ["7001"] = "7002", ["7002"] = "7001" })) end
  local function asks(gw, wanted)
    local reply = connect(gw):call("greet.GreetService/Greet", { name = "ann" }, client.soon)
    assert.equal(wanted, reply.message and reply.message.greeting, reply.text)
  end

  recipe("peers", "two gateways ask each other, whichever of them is asked", function()
    local conf = recipes.peers.conf
    local a, b = start_peers { conf, exchanged(conf) }
    asks(a, "ann from a is welcome")
    asks(b, "ann from b is welcome")
  end)

  recipe("peers_hub", "one that cannot be reached is called over its own connection", function()
    tried.peers_inside = true
    local confs = { recipes.peers_hub.conf, recipes.peers_inside.conf .. 'listen "unix:x.sock" { }\n' }
    local hub, inside = start_peers(confs)
    asks(hub, "ann from hub is welcome")
    local reply = client.connect("unix:" .. inside:path "x.sock"):call("greet.GreetService/Greet", { name = "bob" })
    assert.equal("bob from inside is welcome", reply.message.greeting)
  end)

  recipe("peers_tls", "they prove who they are", function()
    certificates.authority "ca"
    local files = {}
    for _, name in ipairs { "a", "b" } do certificates.certificate(name, "ca", "DNS:" .. name) end
    for _, name in ipairs { "ca.pem", "a.pem", "a.key", "b.pem", "b.key" } do
      files[name] = assert(io.open(certificates.folder .. "/" .. name)):read "*a"
    end
    local conf = recipes.peers_tls.conf
    local a, b = start_peers({ conf, exchanged(conf) }, files)
    asks(a, "ann from a is welcome")
    asks(b, "ann from b is welcome")
  end)

  recipe("bus", "what one says on one gateway, others hear on another", function()
    local server = nats.start { config = "authorization { user: gateway, password: s3cret }" }
    local conf = recipes.bus.conf:gsub('"127%.0%.0%.1:50051"', '"127.0.0.1:0"')
      :gsub("nats://10%.0%.0%.5:4222", server.url):gsub("nats://10%.0%.0%.6:4222", server.url)
    local streams = {}
    for i = 1, 2 do
      local gw = gateway.start {
        config = conf, scripts = recipes.broadcast.scripts, environment = { NATS_PASSWORD = "s3cret" },
      }
      gw:wait_for_log "bus: connected"
      streams[i] = hosts.join(gw)
    end
    hosts.meet(streams[1], streams[2])
  end)

  it("has no recipe that is not tried", function()
    for name in pairs(recipes) do assert(tried[name], "nothing tries " .. name) end
  end)
end)
