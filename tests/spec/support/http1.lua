-- A raw client of HTTP/1.1: it sends bytes as they are, and takes answers apart.
--
--   local wire = http1.connect(gw.address)
--   wire:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
--   wire:answer()  -->  { status = 200, reason = "OK", headers = { ["content-type"] = "text/plain" }, body = "…" }
local socket = require "posix.sys.socket"
local unistd = require "posix.unistd"
local fcntl = require "posix.fcntl"
local poll = require "posix.poll"
local errno = require "posix.errno"
local gateway = require "support.gateway"
local process = require "support.process"

local http1 = {}
http1.__index = http1

local open = {}

-- options: receive_buffer = bytes of the kernel's, for a client that is to be behind soon.
function http1.connect(address, options)
  local host, port = address:match "^(.*):(%d+)$"
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  if options and options.receive_buffer then
    assert(socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer))
  end
  assert(socket.connect(fd, { family = socket.AF_INET, addr = host, port = tonumber(port) }))
  fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.O_NONBLOCK)
  local self = setmetatable({ fd = fd, buffer = "" }, http1)
  open[self] = true
  return self
end

function http1:close()
  if self.fd then unistd.close(self.fd) end
  self.fd, open[self] = nil, nil
end
-- As a process that is killed may: what is on its way is thrown away.
function http1:reset()
  assert(socket.setsockopt(self.fd, socket.SOL_SOCKET, socket.SO_LINGER, 1, 0))
  self:close()
end
function http1.close_all()
  for wire in pairs(open) do wire:close() end
end
gateway.before_stop(http1.close_all)

-- What the kernel takes now: how many bytes; nil when the other side is gone.
function http1:send_some(bytes)
  local sent, _, code = socket.send(self.fd, bytes)
  if sent then return sent end
  if code == errno.EAGAIN then return 0 end
end

-- All of it, or as much as a peer takes that closes meanwhile.
function http1:send(bytes)
  local deadline = process.now() + gateway.patience
  while #bytes > 0 do
    local sent = self:send_some(bytes)
    if not sent then return false end
    if sent == 0 then
      local left = deadline - process.now()
      if left <= 0 then error("the peer takes nothing", 2) end
      poll.poll({ [self.fd] = { events = { OUT = true } } }, math.ceil(left * 1000))
    end
    bytes = bytes:sub(sent + 1)
  end
  return true
end

-- No more bytes from here.
function http1:half_close() socket.shutdown(self.fd, socket.SHUT_WR) end

-- Reads once: false at the end, nil when nothing comes within the seconds.
local function read_some(self, seconds)
  if self.has_ended then return false end
  if poll.rpoll(self.fd, math.ceil(seconds * 1000)) == 0 then return nil end
  local bytes = socket.recv(self.fd, 65536)
  if not bytes or bytes == "" then
    self.has_ended = true
    return false
  end
  self.buffer = self.buffer .. bytes
  return true
end

-- Reads until condition(buffer) gives something, which is returned; nil when the connection ends before.
local function await(self, what, condition)
  local deadline = process.now() + gateway.patience
  while true do
    local found = condition(self.buffer)
    if found then return found end
    local left = deadline - process.now()
    if left <= 0 then error(what .. " does not come; there is: " .. self.buffer:sub(1, 500), 0) end
    if read_some(self, left) == false then return nil end
  end
end

-- That many bytes; nil when fewer come.
function http1:bytes(count)
  if not await(self, count .. " bytes", function(buffer) return #buffer >= count end) then return nil end
  local bytes = self.buffer:sub(1, count)
  self.buffer = self.buffer:sub(count + 1)
  return bytes
end

-- Without its CRLF.
function http1:line()
  local at = await(self, "a line", function(buffer) return buffer:find("\r\n", 1, true) end)
  return at and self:bytes(at + 1):sub(1, -3)
end

-- { name = value }; a name that comes twice is a fault.
local function read_fields(self)
  local fields = {}
  for line in function() return self:line() end do
    if line == "" then return fields end
    local name, value = line:match "^([^:%s]+): (.*)$"
    assert(name and not fields[name], line)
    fields[name] = value
  end
end

-- The head of an answer: status, reason, headers; nil when the connection ends before.
function http1:head()
  local line = self:line()
  if not line then return nil end
  local status, reason = line:match "^HTTP/1%.1 (%d%d%d) (.*)$"
  assert(status, line)
  return { status = tonumber(status), reason = reason, headers = assert(read_fields(self), "half a head") }
end

-- One chunk's bytes; after the last one "" and the trailers; nil when the connection ends before.
function http1:chunk()
  local size = self:line()
  if not size then return nil end
  size = assert(tonumber(size:match "^%x+$", 16), size)
  if size == 0 then return "", read_fields(self) end
  local bytes = self:bytes(size)
  return bytes and self:bytes(2) == "\r\n" and bytes or nil
end

-- A whole answer; nil when the connection ends before. `is_bare`: the answer to HEAD.
function http1:answer(is_bare)
  local answer = self:head()
  if not answer then return nil end
  local length = answer.headers["content-length"]
  if is_bare or answer.status < 200 or answer.status == 204 or answer.status == 304 then
    return answer
  elseif answer.headers["transfer-encoding"] == "chunked" then
    local parts = {}
    repeat
      local chunk, trailers = self:chunk()
      if not chunk then return nil end
      parts[#parts + 1], answer.trailers = chunk, trailers
    until chunk == ""
    answer.body = table.concat(parts)
  elseif length then
    answer.body = self:bytes(tonumber(length))
  else
    answer.body = self:rest()
  end
  return answer.body and answer
end

-- All that comes up to the end of the connection.
function http1:rest()
  await(self, "the end", function() return self.has_ended end)
  local rest = self.buffer
  self.buffer = ""
  return rest
end

-- The connection ends, and nothing comes before that.
function http1:is_gone() return self:rest() == "" end

-- Nothing has come so far, and the connection stands.
function http1:is_silent() return self.buffer == "" and read_some(self, 0) == nil end

-- One request on a connection of its own: the answer.
function http1.ask(address, request)
  local wire = http1.connect(address)
  wire:send(request)
  local answer = wire:answer(request:find "^HEAD " ~= nil)
  wire:close()
  return answer
end

-- What curl prints, which gets the arguments; nil and what it prints when it fails.
function http1.curl(gw, arguments)
  local output = gw:path "curl"
  os.remove(output)
  local command = { "curl", "-sS", "--noproxy", "*", "--max-time", tostring(gateway.patience) }
  for _, argument in ipairs(arguments) do command[#command + 1] = argument end
  local code = process.start(command, { output = output }):wait(gateway.patience + 10)
  local file = assert(io.open(output, "rb"))
  local text = file:read "*a"
  file:close()
  if code ~= 0 then return nil, text end
  return text
end

return http1
