-- What the gateway tells Prometheus: exact numbers of calls, topics, limits, dictionaries, upstreams, the bus; also
-- over reloads.
local client = require "support.client"
local foreign = require "support.foreign"
local gateway = require "support.gateway"
local hosts = require "support.hosts"
local metrics = require "support.metrics"
local nats = require "support.nats"
local process = require "support.process"
local raw = require "support.raw"

local greet = [[
local tidewire = require "tidewire"
local greet = {}

function greet.Greet(_, request)
  if request.name == "fail" then tidewire.fail("NOT_FOUND", "no") end
  if request.name == "crash" then error "oh" end
  if request.name == "spin" then while true do end end
  if request.name == "wait" then tidewire.sleep(3600) end
  return { greeting = request.name }
end

function greet.GreetStream(stream)
  for message in stream:messages() do stream:send { greeting = message.name } end
end

function greet.GreetClientStream(stream)
  local count = 0
  for _ in stream:messages() do count = count + 1 end
  return { greeting = tostring(count) }
end

-- Falls silent after so many.
function greet.GreetServerStream(stream, request)
  for i = 1, tonumber(request.name:match "%d+") do stream:send { greeting = tostring(i) } end
  if request.name:find "wait" then tidewire.sleep(3600) end
end

return greet
]]

local admin = 'admin "127.0.0.1:0" { }\n'
local service = 'service "greet.GreetService" { script = "greet.lua" }\n'
local numbers = 'service "tutorial.NumberService" { script = "numbers.lua" }\n'
local sums = [[
  return { AccumulateNumbers = { on_message = function(_, message) return { sum = message.num } end } }
]]

local function start(config, scripts)
  local all = { ["greet.lua"] = greet, ["numbers.lua"] = sums }
  for name, text in pairs(scripts or {}) do all[name] = text end
  return gateway.start { scripts = all, config = admin .. (config or service) }
end

local function await(gw, name, labels, wanted) metrics.await(gw, name, labels, wanted) end

-- Every one of these sums, at the same moment.
local function await_calls(gw, wanted)
  local found
  process.await(gateway.patience, function()
    local page = metrics.read(gw)
    found = {}
    for method, numbers_of in pairs(wanted) do
      local labels = { grpc_method = method }
      found[method] = {}
      for key in pairs(numbers_of) do
        local code = key:match "^%u.*"
        found[method][key] = code
          and page:sum("grpc_server_handled_total", { grpc_method = method, grpc_code = code }) or nil
        if not code then found[method][key] = page:sum("grpc_server_" .. key .. "_total", labels) end
      end
    end
    return pcall(assert.same, wanted, found)
  end)
  assert.same(wanted, found)
end

describe("metrics", function()
  after_each(function()
    gateway.stop_all()
    nats.stop_all()
    foreign.stop()
  end)

  -- Calls of all kinds and ends, `times` times, each on a connection of its own, so that all workers have some.
  local function call_all_kinds(gw, times)
    for _ = 1, times do
      local channel = client.connect(gw.address)
      local function greet_with(name, options)
        return channel:call("greet.GreetService/Greet", { name = name }, options or client.soon).code
      end
      assert.equal("OK", greet_with "ann")
      assert.equal("OK", greet_with "bob")
      assert.equal("NOT_FOUND", greet_with "fail")
      assert.equal("INTERNAL", greet_with "crash")
      local three = { { name = "a" }, { name = "b" }, { name = "c" } }
      local messages = channel:exchange("greet.GreetService/GreetStream", three)
      assert.equal(3, #messages)
      messages = channel:exchange("greet.GreetService/GreetClientStream", { { name = "a" }, { name = "b" } })
      assert.equal("2", messages[1].greeting)
      messages = channel:exchange("greet.GreetService/GreetServerStream", { { name = "5" } })
      assert.equal(5, #messages)
      local stream = channel:open "greet.GreetService/GreetServerStream"
      stream:send { name = "4 wait" }
      stream:half_close()
      assert.equal(4, #stream:receive_all(4).messages)
      stream:cancel()
      local _, status = channel:exchange("chat.ChatService/Chat", {}) -- which nobody answers
      assert.equal("UNIMPLEMENTED", status.code)
      channel:disconnect()
    end
  end

  local function calls_of(times)
    return {
      Greet = { started = 4 * times, OK = 2 * times, NotFound = times, Internal = times, msg_received = 4 * times,
        msg_sent = 2 * times },
      GreetStream = { started = times, OK = times, msg_received = 3 * times, msg_sent = 3 * times },
      GreetClientStream = { started = times, OK = times, msg_received = 2 * times, msg_sent = times },
      GreetServerStream = { started = 2 * times, OK = times, Canceled = times, msg_received = 2 * times,
        msg_sent = 9 * times },
      unknown = { started = times, Unimplemented = times, msg_received = 0, msg_sent = 0 },
    }
  end

  it("count calls and messages of every kind exactly, over two workers, and over reloads", function()
    local gw = start(service .. numbers)
    call_all_kinds(gw, 4)
    await_calls(gw, calls_of(4))
    await(gw, "tidewire_stream_close_total", nil, 36)
    local page = metrics.read(gw)
    assert.equal(0, page:sum "tidewire_streams_open")
    -- The client has cancelled some, and asked for what is unknown.
    assert.equal(8, page:sum("tidewire_stream_close_total", { reason = "client" }))
    assert.equal(4, page:sum "tidewire_lua_errors_total")
    assert.equal(4, page:sum("tidewire_connections_accepted_total", { role = "client" }))
    assert.equal(2, page:sum "tidewire_workers")
    for worker = 0, 1 do
      assert.is_true(page:sum("tidewire_lua_memory_bytes", { worker = tostring(worker) }) > 0)
    end

    -- A stream of the old generation goes on counting, and the new one finds the old numbers.
    local channel = client.connect(gw.address)
    local old = channel:open "greet.GreetService/GreetStream"
    old:send { name = "before" }
    assert.equal("before", old:receive().greeting)
    assert.equal(2, gw:reload())
    assert.equal(2, metrics.read(gw):sum "tidewire_generations_alive")
    old:send { name = "after" }
    assert.equal("after", old:receive().greeting)
    old:half_close()
    assert.equal("OK", old:status().code)
    call_all_kinds(gw, 1)
    local wanted = calls_of(5)
    local streams = wanted.GreetStream
    streams.started, streams.OK, streams.msg_received, streams.msg_sent = 6, 6, 17, 17
    await_calls(gw, wanted)

    -- Without the service its numbers stay, and calls to it are of a method that nobody knows.
    gw:configure(admin .. numbers)
    assert.equal(3, gw:reload())
    assert.equal("UNIMPLEMENTED", channel:call("greet.GreetService/Greet", { name = "ann" }, client.soon).code)
    wanted.unknown.started, wanted.unknown.Unimplemented = 6, 6
    await_calls(gw, wanted)
    await(gw, "tidewire_generations_alive", nil, 1)

    -- One that is refused counts as that, and changes nothing.
    gw:configure(admin .. "nonsense = 1\n")
    assert.is_nil((gw:reload()))
    page = metrics.read(gw)
    assert.equal(2, page:sum("tidewire_reload_total", { result = "success" }))
    assert.equal(1, page:sum("tidewire_reload_total", { result = "failure" }))
    assert.equal(3, page:sum "tidewire_script_generation")
    local since = os.time() - page:sum "tidewire_last_reload_success_timestamp_seconds"
    assert.is_true(since > -2 and since < gateway.patience)
    await_calls(gw, wanted)
  end)

  it("are read by Prometheus's own parser of the format, with the same numbers", function()
    local gw = start()
    call_all_kinds(gw, 1)
    local page = metrics.read(gw)
    gw:write("page", page.text)
    local program = [[
import sys
from prometheus_client.parser import text_string_to_metric_families as parse
for family in parse(open(sys.argv[1]).read()):
    for sample in family.samples:
        print(family.type, sample.name, ",".join(sorted(sample.labels.values())), repr(sample.value))
]]
    gw:write("parse.py", program)
    local pipe = io.popen(("/usr/bin/python3 %s %s 2>&1"):format(gw:path "parse.py", gw:path "page"))
    local read = {}
    for line in pipe:lines() do read[#read + 1] = line end
    pipe:close()
    local wanted = {}
    for _, sample in ipairs(page.samples) do
      local values = {}
      for _, value in pairs(sample.labels) do values[#values + 1] = value end
      table.sort(values)
      wanted[#wanted + 1] = { page.families[sample.name].type, sample.name, table.concat(values, ","), sample.value }
    end
    assert.equal(#wanted, #read, read[1])
    for i, one in ipairs(wanted) do
      local kind, name, values, number = read[i]:match "^(%S+) (%S+) (.*) (%S+)$"
      assert.same(one, { kind, name, values, tonumber(number) })
    end
  end)

  it("tell what is open now, and what a deadline or a lost connection has ended", function()
    local gw = start()
    local channels, streams = {}, {}
    for i = 1, 3 do
      channels[i] = client.connect(gw.address)
      streams[i] = channels[i]:open "greet.GreetService/GreetStream"
      streams[i]:send { name = "there" }
      streams[i]:receive()
    end
    local page = metrics.read(gw)
    assert.equal(3, page:sum "tidewire_streams_open")
    assert.equal(3, page:sum("tidewire_connections_open", { listener = "127.0.0.1:0", role = "client" }))
    assert.equal(1, page:sum("tidewire_connections_open", { listener = "127.0.0.1:0", role = "admin" })) -- the scrape's
    streams[1]:half_close()
    assert.equal("OK", streams[1]:status().code)
    channels[2]:disconnect()
    await(gw, "tidewire_streams_open", nil, 1)
    await(gw, "tidewire_connections_open", { role = "client" }, 2)
    assert.equal("INTERNAL", channels[1]:call("greet.GreetService/Greet", { name = "spin" }).code)
    local late = channels[1]:call("greet.GreetService/Greet", { name = "wait" }, { timeout = 0.2 })
    assert.equal("DEADLINE_EXCEEDED", late.code)
    await(gw, "tidewire_lua_budget_exceeded_total", { budget = "time" }, 1)
    streams[3]:cancel()
    await(gw, "tidewire_streams_open", nil, 0)
    local started = metrics.read(gw):sum "grpc_server_started_total"
    await(gw, "grpc_server_handled_total", nil, started)
    await(gw, "tidewire_stream_close_total", nil, started)
  end)

  it("count a message of a topic once where it is encoded, and once for each who gets it", function()
    local gw = start('service "chat.ChatService" { script = "chat.lua" }', { ["chat.lua"] = hosts.room })
    local members = {}
    for i = 1, 6 do members[i] = hosts.join(gw) end
    await(gw, "tidewire_topic_subscribers", nil, 6)
    local page = metrics.read(gw)
    for i = 1, 50 do members[1]:send { sender = "ann", timestamp = i } end
    for _, member in ipairs(members) do assert.equal(50, #member:receive_all(50).messages) end
    await(gw, "tidewire_topic_delivered_total", nil, page:sum "tidewire_topic_delivered_total" + 300)
    local after = metrics.read(gw)
    -- What a handler passes on as it came has its bytes.
    assert.equal(0, after:sum "tidewire_topic_encoded_total" - page:sum "tidewire_topic_encoded_total")
    assert.equal(50, after:sum "tidewire_topic_published_total" - page:sum "tidewire_topic_published_total")
    assert.equal(300, after:sum("grpc_server_msg_sent_total", { grpc_method = "Chat" }))
    assert.equal(50, after:sum("grpc_server_msg_received_total", { grpc_method = "Chat" }))
    for _, member in ipairs(members) do member:cancel() end
    await(gw, "tidewire_topic_subscribers", nil, 0)
    await(gw, "tidewire_topics", nil, 1) -- which the script holds
    assert.equal(after:sum "tidewire_topic_delivered_total", metrics.read(gw):sum "tidewire_topic_delivered_total")
  end)

  it("show that the encoder has run once for each publish, whoever subscribes in two workers", function()
    local gw = start('service "chat.ChatService" { script = "chat.lua" }', { ["chat.lua"] = [[
      local tidewire = require "tidewire"
      local room = tidewire.topic("nursery", { type = "chat.ChatMessage" })
      return { Chat = {
        on_open = function(stream) room:subscribe(stream) end,
        on_message = function(_, message) room:publish { sender = message.sender, timestamp = message.timestamp } end,
      } }
    ]] })
    local members = {}
    for i = 1, 8 do members[i] = hosts.join(gw) end
    await(gw, "tidewire_topic_subscribers", nil, 8)
    for i = 1, 40 do members[1]:send { sender = "ann", timestamp = i } end
    for _, member in ipairs(members) do assert.equal(40, #member:receive_all(40).messages) end
    await(gw, "tidewire_topic_delivered_total", nil, 320)
    local page = metrics.read(gw)
    assert.same({ 40, 40 }, { page:sum "tidewire_topic_published_total", page:sum "tidewire_topic_encoded_total" })
    assert.equal(0, page:sum "tidewire_topic_dropped_total")
    -- No name of a topic is ever a label.
    assert.is_nil(page.text:find("nursery", 1, true))
  end)

  it("tell what limits and dictionaries of the config have done, by name", function()
    local gw = start([[
      shared_dict small { size = 16KiB }
      limit strict { messages = 2 }
      limit unused { messages = 9 }
      service "greet.GreetService" { script = "dict.lua"  limit = "strict" }
    ]], { ["dict.lua"] = [[
      local tidewire = require "tidewire"
      local small = tidewire.shared.small
      return {
        Greet = function(_, request)
          for i = 1, tonumber(request.name) do small:set("key " .. i, ("x"):rep(1000)) end
          return {}
        end,
        GreetStream = function(stream) for m in stream:messages() do stream:send { greeting = m.name } end end,
      }
    ]] })
    local channel = client.connect(gw.address)
    local page = metrics.read(gw)
    assert.equal(16384, page:sum("tidewire_shared_dict_size_bytes", { dict = "small" }))
    assert.equal(0, page:sum("tidewire_shared_dict_evicted_total", { dict = "small" }))
    local free = page:sum("tidewire_shared_dict_free_bytes", { dict = "small" })
    assert.equal("OK", channel:call("greet.GreetService/Greet", { name = "3" }, client.soon).code)
    page = metrics.read(gw)
    assert.is_true(page:sum("tidewire_shared_dict_free_bytes", { dict = "small" }) <= free - 3000)
    assert.equal(0, page:sum("tidewire_shared_dict_evicted_total", { dict = "small" }))
    assert.equal("OK", channel:call("greet.GreetService/Greet", { name = "100" }, client.soon).code)
    assert.is_true(metrics.read(gw):sum("tidewire_shared_dict_evicted_total", { dict = "small" }) >= 85)

    local stream = channel:open "greet.GreetService/GreetStream"
    for i = 1, 3 do stream:send { name = tostring(i) } end
    assert.equal(2, #stream:receive_all().messages)
    assert.equal("RESOURCE_EXHAUSTED", stream:status().code)
    await(gw, "tidewire_limited_total", { limit = "strict", kind = "ended" }, 1)
    await(gw, "tidewire_stream_close_total", { reason = "limit" }, 1)
    page = metrics.read(gw)
    assert.equal(1, page:sum "tidewire_limited_total")
    assert.equal(0, page:sum("tidewire_limited_total", { limit = "unused" }))
  end)

  it("tell of an upstream what is open to it, what was called and what has failed", function()
    local behind = start()
    local gw = start(([[
      upstream back { target = "%s"  linger = 50ms  backoff = 60s }
      service "greet.GreetService" { upstream = "back" }
    ]]):format(behind.address))
    local channel = client.connect(gw.address)
    local of = { upstream = "back" }
    assert.equal(0, metrics.read(gw):sum("tidewire_upstream_connections", of))
    local stream = channel:open "greet.GreetService/GreetStream"
    stream:send { name = "a" }
    assert.equal("a", stream:receive().greeting)
    local page = metrics.read(gw)
    for name, wanted in pairs { connections = 1, streams = 1, waiting = 0, calls_total = 1, failures_total = 0 } do
      assert.equal(wanted, page:sum("tidewire_upstream_" .. name, of), name)
    end
    -- Passed on untouched: its method is one of the types', its messages are not known.
    local passed = { grpc_type = "bidi_stream", grpc_service = "greet.GreetService", grpc_method = "GreetStream" }
    assert.equal(1, page:sum("grpc_server_started_total", passed))
    assert.equal(0, page:sum("grpc_server_msg_received_total", passed))
    local other = { grpc_type = "unknown", grpc_service = "greet.GreetService", grpc_method = "unknown" }
    assert.equal(0, page:sum("grpc_server_started_total", other))
    local wire = raw.connect(gw.address)
    wire:headers(1, "greet.GreetService/Nothing", {}, true)
    wire:headers(3, "greet.GreetService/Else", {}, true)
    await(gw, "grpc_server_handled_total", { grpc_type = "unknown", grpc_code = "Unimplemented" }, 2)
    assert.is_nil(metrics.read(gw).text:find("Nothing", 1, true))
    stream:half_close()
    assert.equal("OK", stream:status().code)
    await(gw, "grpc_server_handled_total", { grpc_service = "greet.GreetService", grpc_code = "OK" }, 1)
    await(gw, "tidewire_upstream_streams", of, 0)
    await(gw, "tidewire_upstream_connections", of, 0)
    assert.is_nil(behind:stop())
    for _ = 1, 2 do
      assert.equal("UNAVAILABLE", channel:call("greet.GreetService/Greet", { name = "a" }, client.soon).code)
    end
    await(gw, "tidewire_upstream_failures_total", { upstream = "back", kind = "refused" }, 2)
    page = metrics.read(gw)
    assert.equal(1, page:sum("tidewire_upstream_failures_total", { upstream = "back", kind = "dial" }))
    assert.equal(5, page:sum("tidewire_upstream_calls_total", of))
    await(gw, "tidewire_stream_close_total", { reason = "upstream" }, 5)
  end)

  it("tell when the bus has gone and when it is back, and what it has carried", function()
    local server = nats.start()
    local a = hosts.serve(server, nil, nil, admin)
    await(a, "tidewire_bus_connected", nil, 1)
    local b = hosts.serve(server, nil, nil, admin)
    local ann, bob = hosts.join(a), hosts.join(b)
    hosts.meet(ann, bob)
    local before = metrics.read(a)
    for i = 1, 20 do
      ann:send { sender = "ann", timestamp = i }
      assert.equal(i, hosts.next_said(bob).timestamp)
    end
    local page = metrics.read(a)
    local out = { direction = "out" }
    assert.is_true(page:sum("tidewire_bus_messages_total", out) >= before:sum("tidewire_bus_messages_total", out) + 20)
    assert.is_true(page:sum("tidewire_bus_bytes_total", out) > before:sum("tidewire_bus_bytes_total", out))
    assert.is_true(metrics.read(b):sum("tidewire_bus_messages_total", { direction = "in" }) >= 20)
    assert.is_true(metrics.read(b):sum "tidewire_topic_received_total" >= 20)
    assert.equal(1, page:sum "tidewire_bus_connects_total")
    assert.equal(0, page:sum "tidewire_bus_losses_total")

    server:kill()
    await(a, "tidewire_bus_connected", nil, 0)
    await(a, "tidewire_bus_losses_total", nil, 1)
    server:begin()
    await(a, "tidewire_bus_connected", nil, 1)
    await(a, "tidewire_bus_connects_total", nil, 2)
    -- Without a bus in the config there is nothing to tell of one.
    a:configure(hosts.config_without .. admin)
    assert.equal(2, a:reload())
    process.await(gateway.patience, function() return metrics.read(a):sum "tidewire_bus_connected" == nil end)
    assert.is_nil(metrics.read(a):sum "tidewire_bus_connected")
  end)
end)
