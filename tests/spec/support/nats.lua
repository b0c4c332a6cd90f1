-- nats-server for specs, each in a folder and on a port of its own; and a client that speaks its protocol word by word.
--
--   local server = nats.start { jetstream = true }
--   gateway.start { config = 'bus { url = "' .. server.url .. '" }' }
--   after_each(nats.stop_all)             -- with the gateways
local process = require "support.process"
local gateway = require "support.gateway"
local ports = require "support.ports"
local lfs = require "lfs"
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"
local poll = require "posix.poll"

local nats = {}
local server, wire = {}, {}
server.__index, wire.__index = server, wire

local running, wires = {}, {}

-- Debian has it where only root looks.
local program = lfs.attributes "/usr/sbin/nats-server" and "/usr/sbin/nats-server" or "nats-server"

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

-- Before the server, for those who ask it by its url: there its clock is so many seconds ahead.
local function with_wrong_clock(self, seconds)
  local port = ports.free()
  local log = self.folder .. "/clock"
  self.clock = process.start({ "setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", "tests/spec/support/nats_clock.py",
    tostring(port), tostring(self.port), tostring(seconds) }, { output = log })
  assert(process.await(gateway.patience, function() return read(log):find "ready" or self.clock:wait(0) end))
  if self.clock.ended ~= nil then error("no wrong clock:\n" .. read(log), 3) end
  return port
end

-- options: jetstream = true, config = lines of its own configuration, clock = seconds that it is ahead
function nats.start(options)
  options = options or {}
  local folder = assert(require("posix.stdlib").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-nats-XXXXXX"))
  local self = setmetatable({ folder = folder, options = options }, server)
  running[self] = true
  repeat self.port = ports.free() until self:try() -- another process may have been faster
  local port = options.clock and with_wrong_clock(self, options.clock) or self.port
  self.url = (options.scheme or "nats") .. "://127.0.0.1:" .. port
  return self
end

-- Again after kill(), on the same port.
function server:begin()
  assert(process.await(gateway.patience, function() return self:try() end), "nats-server never gets its port again")
  return self
end

-- False when its port is not free.
function server:try()
  local file = assert(io.open(self.folder .. "/nats.conf", "w"))
  file:write("host: 127.0.0.1\nport: ", self.port, "\n", self.options.config or "", "\n")
  if self.options.jetstream then file:write('jetstream { store_dir: "', self.folder, '/store" }\n') end
  file:close()
  local log = self.folder .. "/log"
  os.remove(log)
  -- It ends with the specs, however they end.
  local command = { "setpriv", "--pdeathsig", "KILL", program, "-c", self.folder .. "/nats.conf" }
  self.process = process.start(command, { output = log })
  local is_up = process.await(gateway.patience, function()
    return read(log):find "Server is ready" or self.process:wait(0)
  end)
  if is_up and self.process.ended == nil then return true end
  if not read(log):find "address already in use" then error("nats-server does not start:\n" .. read(log), 3) end
  return false
end

function server:kill()
  self.process:kill "KILL"
  self.process:wait(gateway.patience)
end

function server:pause() self.process:kill "STOP" end
function server:go_on() self.process:kill "CONT" end
function server:log() return read(self.folder .. "/log") end

function nats.stop_all()
  for one in pairs(wires) do one:close() end
  for one in pairs(running) do
    if one.process.ended == nil then one:kill() end
    if one.clock then
      one.clock:kill "KILL"
      one.clock:wait(gateway.patience)
    end
    process.start({ "rm", "-r", one.folder }):wait(gateway.patience)
  end
  running = {}
end

-- ---- the protocol

-- A client of no library. What it sends is what it is told to.
function server:connect()
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  assert(socket.connect(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = self.port }))
  local self_wire = setmetatable({ fd = fd, rest = "", tail = "", owed = 0 }, wire)
  wires[self_wire] = true
  self_wire:send 'CONNECT {"verbose":false,"pedantic":false,"headers":true,"lang":"spec","version":"1"}\r\n'
  return self_wire
end

local function write_all(fd, text, meanwhile)
  local from = 1
  while from <= #text do
    from = from + assert(unistd.write(fd, text:sub(from, from + 65535)))
    if meanwhile then meanwhile() end
  end
end

-- What the server says goes into ->rest; what it has asked by a PING is owed.
local function take(self, seconds)
  if poll.rpoll(self.fd, math.ceil(seconds * 1000)) == 0 then return end
  local text = unistd.read(self.fd, 65536)
  if not text then return end
  self.rest = self.rest .. text
  local _, asked = (self.tail .. text):gsub("PING\r\n", "")
  self.tail = (self.tail .. text):sub(-5)
  self.owed = self.owed + asked
end

-- Not in the middle of a message.
local function answer_pings(self)
  write_all(self.fd, ("PONG\r\n"):rep(self.owed))
  self.owed = 0
end

function wire:send(text)
  write_all(self.fd, text, function() take(self, 0) end)
  answer_pings(self)
end

function wire:read(seconds)
  take(self, seconds)
  answer_pings(self)
end

-- headers: a list of lines, or nil
function wire:publish(subject, text, headers)
  if not headers then
    self:send(("PUB %s %d\r\n%s\r\n"):format(subject, #text, text))
    return
  end
  local head = "NATS/1.0\r\n" .. table.concat(headers, "\r\n") .. "\r\n\r\n"
  self:send(("HPUB %s %d %d\r\n%s%s\r\n"):format(subject, #head, #head + #text, head, text))
end

-- Everything before it has been taken by the server.
function wire:flush()
  self.rest = ""
  self:send "PING\r\n"
  assert(process.await(gateway.patience, function() self:read(0.01) return self.rest:find "PONG" end), "no PONG")
end

function wire:wait_for(text)
  return process.await(gateway.patience, function()
    self:read(0.01)
    return self.rest:find(text, 1, true)
  end)
end

function wire:close()
  wires[self] = nil
  unistd.close(self.fd)
end

return nats
