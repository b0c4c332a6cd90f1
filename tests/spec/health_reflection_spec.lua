local gateway = require "support.gateway"
local client = require "support.client"

local SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3

local script = [[
local tidewire = require "tidewire"
local greet = {}
function greet.Greet(_, request)
  local service, is_serving = request.name:match "^(%S*) (%S+)$"
  tidewire.set_health(service, is_serving == "true")
  return {}
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

  it("is not serving while the gateway drains", function()
    local watcher = watch ""
    assert.equal(SERVING, watcher:receive().status)
    gw:signal "TERM"
    assert.equal(NOT_SERVING, watcher:receive().status)
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
    local stream
    before_each(function()
      local method = "grpc.reflection." .. version .. ".ServerReflection/ServerReflectionInfo"
      stream = client.connect(start().address):open(method)
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

    it("refuses a request that asks nothing", function()
      stream:send {}
      assert.equal("INVALID_ARGUMENT", stream:status().code)
    end)
  end)
end
