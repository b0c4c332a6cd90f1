local gateway = require "support.gateway"
local client = require "support.client"
local raw = require "support.raw"

local SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3

local script = [[
local tidewire = require "tidewire"
local greet = {}

-- "NAME true", or "FIRST LAST" for services s1, s2 … that are serving.
function greet.Greet(_, request)
  local first, last = request.name:match "^(%d+) (%d+)$"
  if first then
    for i = first, last do tidewire.set_health("s" .. i, true) end
    return {}
  end
  local service, is_serving = request.name:match "^(%Z*) (%S+)$"
  if not service then return { greeting = select(2, pcall(tidewire.set_health, request.name, true)) } end
  tidewire.set_health(service, is_serving == "true")
  return {}
end

function greet.GreetStream(stream)
  for request in stream:messages() do stream:send { greeting = request.name } end
end

return greet
]]

local function start(config)
  return gateway.start { scripts = { ["greet.lua"] = script }, config = (config or "") .. [[

    service "greet.GreetService" { script = "greet.lua" }
  ]] }
end

describe("the health service", function()
  local gw, channel
  before_each(function()
    gw = start()
    channel = client.connect(gw.address)
  end)
  after_each(gateway.stop_all)

  local function check(service)
    local reply = channel:call("grpc.health.v1.Health/Check", { service = service })
    return reply.message and reply.message.status or reply.code
  end

  local function watch(service)
    local stream = channel:open "grpc.health.v1.Health/Watch"
    stream:send { service = service }
    stream:half_close()
    return stream
  end

  it("says that the server and each service is serving, and that others are not known", function()
    assert.equal(SERVING, check "")
    assert.equal(SERVING, check "greet.GreetService")
    assert.equal("NOT_FOUND", check "no.Such")
    assert.equal("NOT_FOUND", check "tutorial.NumberService") -- in the schema, but nobody answers it
  end)

  it("lists them all", function()
    local statuses = channel:call("grpc.health.v1.Health/List", {}).message.statuses
    assert.same({ status = SERVING }, statuses[""])
    assert.same({ status = SERVING }, statuses["greet.GreetService"])
    assert.is_nil(statuses["no.Such"])
  end)

  it("tells a watcher what a script sets, whichever worker it runs in", function()
    local watchers = {}
    for i = 1, 4 do
      channel = client.connect(gw.address)
      watchers[i] = watch "greet.GreetService"
      assert.equal(SERVING, watchers[i]:receive().status)
    end
    channel:call("greet.GreetService/Greet", { name = "greet.GreetService false" })
    for _, watcher in ipairs(watchers) do assert.equal(NOT_SERVING, watcher:receive().status) end
    assert.equal(NOT_SERVING, check "greet.GreetService")
    assert.equal(SERVING, check "")
    channel:call("greet.GreetService/Greet", { name = "greet.GreetService true" })
    for _, watcher in ipairs(watchers) do
      assert.equal(SERVING, watcher:receive().status)
      watcher:cancel()
    end
  end)

  it("tells a watcher of an unknown service so, and goes on", function()
    local watcher = watch "late.Service"
    assert.equal(SERVICE_UNKNOWN, watcher:receive().status)
    channel:call("greet.GreetService/Greet", { name = "late.Service true" })
    assert.equal(SERVING, watcher:receive().status)
    watcher:cancel()
  end)

  it("lists up to 100 services and refuses more", function()
    channel:call("greet.GreetService/Greet", { name = "1 98" }) -- with "" and greet.GreetService
    local statuses = channel:call("grpc.health.v1.Health/List", {}).message.statuses
    assert.same({ status = SERVING }, statuses.s98)
    channel:call("greet.GreetService/Greet", { name = "99 99" })
    assert.equal("RESOURCE_EXHAUSTED", channel:call("grpc.health.v1.Health/List", {}).code)
    assert.equal(SERVING, check "s99")
  end)

  it("lets a script name only what is text", function()
    local answer = channel:call("greet.GreetService/Greet", { name = "a\0b" })
    assert.is_truthy(answer.message.greeting:find("tidewire.set_health: the name of a service is text", 1, true))
    assert.equal("NOT_FOUND", check "a")
  end)

  it("keeps one status for a watcher that does not read, which then has the newest last", function()
    local one = #raw.message "\8\1" -- a status and its prefix
    local slow = assert(raw.connect(gw.address, { settings = { [4] = one } }))
    slow:headers(1, "grpc.health.v1.Health/Watch")
    slow:data(1, raw.message(raw.text(1, "greet.GreetService")), true)
    assert.equal(raw.message "\8\1", slow:expect({ type = "DATA", stream = 1 }).bytes)
    local watcher = watch "greet.GreetService"
    assert.equal(SERVING, watcher:receive().status)
    for i = 1, 21 do
      channel:call("greet.GreetService/Greet", { name = "greet.GreetService " .. tostring(i % 2 == 0) })
      assert.equal(i % 2 == 0 and SERVING or NOT_SERVING, watcher:receive().status)
    end
    slow:send { { send = "window", stream = 1, by = 100 * one } }
    local bytes = ""
    gw:signal "TERM" -- ends both
    repeat
      local frame = slow:expect { stream = 1 }
      assert(frame, "the call of the slow watcher has no end")
      if frame.type == "DATA" then bytes = bytes .. frame.bytes end
    until frame.is_end
    assert.equal(raw.message "\8\2", bytes)
    watcher:cancel()
  end)

  it("is not serving while the gateway drains, which does not wait for watchers", function()
    -- Something else that is open keeps the gateway.
    local held = channel:open "greet.GreetService/GreetStream"
    held:send { name = "" }
    assert.is_truthy(held:receive())
    local watcher = watch ""
    assert.equal(SERVING, watcher:receive().status)
    gw:signal "TERM"
    assert.equal(NOT_SERVING, watcher:receive().status)
    assert.equal("UNAVAILABLE", watcher:status().code)
    held:half_close()
    assert.equal("OK", held:status().code)
    assert.equal(0, gw:wait_exit())
  end)

  it("can be switched off, and reflection too", function()
    gw = start "health = off\nreflection = off"
    channel = client.connect(gw.address)
    assert.equal("UNIMPLEMENTED", check "")
    local stream = channel:open "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    assert.equal("UNIMPLEMENTED", stream:status().code)
  end)
end)

for _, version in ipairs { "v1", "v1alpha" } do
  describe("server reflection " .. version, function()
    local gw, stream
    before_each(function()
      gw = start 'proto = { "greet.proto", "chat.proto", "logger.proto", "proto2_types.proto" }'
      local method = "grpc.reflection." .. version .. ".ServerReflection/ServerReflectionInfo"
      stream = client.connect(gw.address):open(method)
    end)
    after_each(gateway.stop_all)

    local function ask(request)
      stream:send(request)
      return stream:receive()
    end

    -- The names of the files in an answer: a FileDescriptorProto begins with its name as field 1.
    local function files(answer)
      local names = {}
      for i, bytes in ipairs(answer.file_descriptor_response.file_descriptor_proto) do
        names[i] = bytes:sub(3, 2 + bytes:byte(2))
      end
      return names
    end

    it("lists the services that are answered, in order, itself and health among them", function()
      local names = {}
      local services = ask({ list_services = "*" }).list_services_response.service
      for i, service in ipairs(services) do names[i] = service.name end
      local sorted = { unpack(names) }
      table.sort(sorted)
      assert.same(sorted, names)
      local all = " " .. table.concat(names, " ") .. " "
      for _, name in ipairs { "greet.GreetService", "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection" } do
        assert.is_truthy(all:find(" " .. name .. " ", 1, true), name)
      end
      assert.is_nil(all:find("chat.ChatService", 1, true)) -- in the schema, but nobody answers it
    end)

    it("finds the file of a service, method, message, field and enum", function()
      for _, symbol in ipairs { "greet.GreetService", "greet.GreetService.Greet", "greet.GreetRequest" } do
        assert.equal("greet.proto", files(ask { file_containing_symbol = symbol })[1], symbol)
      end
      assert.equal("logger.proto", files(ask { file_containing_symbol = "logger.Level" })[1])
    end)

    it("sends imports along once, and a file that is asked for each time", function()
      local first = files(ask { file_containing_symbol = "logger.Logger" })
      assert.equal("logger.proto", first[1])
      assert.equal("google/protobuf/timestamp.proto", first[2])
      assert.same({ "logger.proto" }, files(ask { file_by_filename = "logger.proto" }))
      local import = "google/protobuf/timestamp.proto"
      assert.same({ import }, files(ask { file_by_filename = import }))
    end)

    it("answers what it can't find in the stream, which goes on, and repeats the request", function()
      for _, request in ipairs { { file_by_filename = "no.proto" }, { file_containing_symbol = "no.Such" },
        { file_containing_extension = { containing_type = "greet.GreetRequest", extension_number = 100 } },
        { all_extension_numbers_of_type = "no.Such" } } do
        local answer = ask(request)
        assert.equal(5, answer.error_response.error_code)
        assert.same(request, answer.original_request)
      end
      assert.equal("greet.proto", files(ask { file_by_filename = "greet.proto" })[1])
      stream:half_close()
      assert.equal("OK", stream:status().code)
    end)

    it("finds extensions, one by its number and all of a type", function()
      local answer = ask { file_containing_extension =
        { containing_type = "tidewire.test2.Extendable", extension_number = 1500 } }
      assert.equal("proto2_types.proto", files(answer)[1])
      answer = ask { all_extension_numbers_of_type = "tidewire.test2.Extendable" }.all_extension_numbers_response
      assert.same({ base_type_name = "tidewire.test2.Extendable", extension_number = { 100, 101, 1500 } }, answer)
    end)

    it("ends when the gateway drains", function()
      assert.is_truthy(ask { list_services = "*" })
      gw:signal "TERM"
      assert.equal("UNAVAILABLE", stream:status().code)
      assert.equal(0, gw:wait_exit())
    end)

    it("refuses a request that asks nothing", function()
      stream:send {}
      assert.equal("INVALID_ARGUMENT", stream:status().code)
    end)
  end)
end
