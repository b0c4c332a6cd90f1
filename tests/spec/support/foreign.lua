-- gRPC servers of another make: grpcio (support/grpc_server.py) and grpc++ (tests/interop/cpp/server.cc).
local process = require "support.process"
local schema = require "support.schema"
local gateway = require "support.gateway"
local ports = require "support.ports"

local foreign = {}
local running, last = {}, nil

local function start(command, ...)
  local has_port = false
  for _, argument in ipairs { ... } do
    command[#command + 1] = argument
    has_port = has_port or argument == "--port"
  end
  if not has_port then
    command[#command + 1] = "--port"
    command[#command + 1] = tostring(ports.free())
  end
  last = process.start(command, { talks = true,
    environment = { GRPC_VERBOSITY = "NONE", PYTHONDONTWRITEBYTECODE = "1" } })
  running[#running + 1] = last
  local port, why = last:read_line(gateway.patience)
  last.address = "127.0.0.1:" .. assert(port, why)
  return last.address
end

-- Arguments as the programs take them. They return the server's address, which another may have after it.
function foreign.start(...)
  return start({ "/usr/bin/python3", "tests/spec/support/grpc_server.py", schema.descriptor_set() }, ...)
end
function foreign.start_cpp(...) return start({ gateway.root .. "/build/interop-cpp/interop_cpp_server" }, ...) end

-- The process of one.
function foreign.server(address)
  for _, server in ipairs(running) do
    if server.address == address then return server end
  end
end

function foreign.signal(name) last:kill(name) end

-- Ends the last one without a word, as a machine does.
function foreign.kill()
  last:kill "KILL"
  last:wait(gateway.patience)
end

-- What the last one prints next.
function foreign.read_line() return last:read_line(gateway.patience) end

-- All of them.
function foreign.stop()
  for _, server in ipairs(running) do
    if server.ended == nil then server:kill "CONT" end -- it may have been paused
    server:hang_up(10)
  end
  running, last = {}, nil
end

return foreign
