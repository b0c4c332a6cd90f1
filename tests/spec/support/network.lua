-- Two machines, as far as the network goes: namespaces with a cable between them. They need root, and a kernel that
-- lets root make them.
--
--   local net = network.open()          -- nil, and why
--   gateway.start { before = net.a.before, … }; net.a.address is where b finds it
local gateway = require "support.gateway"
local process = require "support.process"
local unistd = require "posix.unistd"

local network = {}
network.__index = network

local open, count = {}, 0
local log = os.tmpname()
gateway.at_exit(function() os.remove(log) end)

local function run(line)
  local words = {}
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  local code = process.start(words, { output = log }):wait(gateway.patience)
  if code == 0 then return true end
  local file = assert(io.open(log))
  local why = file:read "*a"
  file:close()
  return nil, line .. ": " .. why
end

local function machine(name, address)
  return { name = name, address = address, before = { "ip", "netns", "exec", name } }
end

function network.open()
  count = count + 1
  local prefix = ("tw%d-%d"):format(unistd.getpid(), count)
  local a, b = machine(prefix .. "a", "10.77.0.1"), machine(prefix .. "b", "10.77.0.2")
  local self = setmetatable({ a = a, b = b }, network)
  open[self] = true
  for _, line in ipairs {
    "ip netns add A", "ip netns add B", "ip -n A link add eth0 type veth peer name eth0 netns B",
    "ip -n A addr add 10.77.0.1/24 dev eth0", "ip -n B addr add 10.77.0.2/24 dev eth0",
    "ip -n A link set eth0 up", "ip -n B link set eth0 up", "ip -n A link set lo up", "ip -n B link set lo up",
  } do
    local fine, why = run((line:gsub("%f[%u][AB]%f[^%u]", { A = self.a.name, B = self.b.name })))
    if not fine then
      self:close()
      return nil, why
    end
  end
  return self
end

-- What is done to one machine: net:ip(net.b, "route add blackhole 10.78.0.1").
function network.ip(_, one, words) return assert(run("ip -n " .. one.name .. " " .. words)) end

-- TCP connections that a machine has with the other.
function network.connections(_, one)
  local pipe = assert(io.popen("ip netns exec " .. one.name .. " ss -tnH state established"))
  local lines = 0
  for _ in pipe:lines() do lines = lines + 1 end
  pipe:close()
  return lines
end

function network:close()
  open[self] = nil
  run("ip netns del " .. self.a.name)
  run("ip netns del " .. self.b.name)
end

-- When the gateways have gone.
function network.close_all()
  for one in pairs(open) do one:close() end
end

return network
