-- Ports for those who come back to the same one, or say it before they listen. The system gives them to nobody else:
-- they lie outside of the range from which it takes those for connections and for port 0.
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"

local ports = {}

local function range()
  local file = io.open "/proc/sys/net/ipv4/ip_local_port_range"
  local first, last = 32768, 60999
  if file then
    first, last = file:read("*n", "*n")
    file:close()
  end
  if first > 20000 then return 10000, first - 1 end
  return last + 1, 65535
end

local function is_free(port)
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  local bound = socket.bind(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = port })
  unistd.close(fd)
  return bound ~= nil
end

-- Processes that run beside each other have numbers far from each other's, however often they ask.
local count = 0
function ports.free()
  local first, last = range()
  while true do
    local port = first + (unistd.getpid() * 64 + count) % (last - first + 1)
    count = count + 1
    if is_free(port) then return port end
  end
end

return ports
