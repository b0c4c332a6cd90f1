-- A gRPC server of another make (support/grpc_server.py), one at a time.
local process = require "support.process"
local schema = require "support.schema"
local gateway = require "support.gateway"

local foreign = {}
local running

-- Arguments as that program takes them. Returns its address.
function foreign.start(...)
  local command = { "/usr/bin/python3", "tests/spec/support/grpc_server.py", schema.descriptor_set(), ... }
  running = process.start(command, { talks = true,
    environment = { GRPC_VERBOSITY = "NONE", PYTHONDONTWRITEBYTECODE = "1" } })
  local port, why = running:read_line(20 * gateway.slowness)
  return "127.0.0.1:" .. assert(port, why)
end

-- What it prints next.
function foreign.read_line() return running:read_line(20 * gateway.slowness) end

function foreign.signal(name) running:kill(name) end

-- Ends it without a word, as a machine does.
function foreign.kill()
  running:kill "KILL"
  running:wait(10 * gateway.slowness)
  running = nil
end

function foreign.stop()
  if running then running:hang_up(10) end
  running = nil
end

return foreign
