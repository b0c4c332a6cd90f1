-- `tidewire call` as a user runs it: in a process of its own, with its three standard streams.
local process = require "support.process"
local gateway = require "support.gateway"
local unistd = require "posix.unistd"
local socket = require "posix.sys.socket"
local lfs = require "lfs"

local caller = {}
caller.__index = caller

local folder = assert(require("posix.stdlib").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-call-XXXXXX"))
gateway.at_exit(function() process.start({ "rm", "-r", folder }):wait(5) end)

local function read(name)
  local file = assert(io.open(folder .. "/" .. name, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function quote(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
  return table.concat(quoted, " ")
end

-- Nothing of a sanitizer may be hidden behind an exit code that a spec expects.
local function check_errors(text)
  for _, complaint in ipairs { "Sanitizer", "runtime error:", "Assertion `" } do
    if text:find(complaint, 1, true) then error(text, 3) end
  end
  return text
end

function caller.write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
  return folder .. "/" .. name
end

-- Runs it to its end with this standard input: exit code, standard output, standard error.
function caller.run(input, ...)
  caller.write("in", input)
  local line = ("exec %s < %s/in > %s/out 2> %s/err"):format(
    quote { gateway.binary, "call", ... }, folder, folder, folder)
  local child = process.start { "sh", "-c", line }
  local code = child:wait(30 * gateway.slowness)
  if code == nil then
    child:kill "KILL"
    child:wait(5)
  end
  return code, read "out", check_errors(read "err")
end

-- Starts it with pipes; what it says on standard error is in :errors(). See process.lua for the rest.
function caller.start(...)
  local name = folder .. "/errors"
  os.remove(name)
  local self = setmetatable({}, caller)
  self.child = process.start({ gateway.binary, "call", ... }, { talks = true, output = name })
  return self
end

-- How many bytes it sends, within its deadline, to somebody who takes all of them and says nothing.
function caller.bytes_sent(...)
  local listening = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  assert(socket.bind(listening, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
  assert(socket.listen(listening, 1))
  local self = caller.start("127.0.0.1:" .. socket.getsockname(listening).port, "--max-time=500ms", ...)
  local connected, count = assert(socket.accept(listening)), 0
  repeat
    local bytes = socket.recv(connected, 65536)
    count = count + #(bytes or "")
  until not bytes or bytes == ""
  unistd.close(connected)
  unistd.close(listening)
  self:wait()
  return count
end

function caller:write_line(text) self.child:write(text .. "\n") end
function caller:read_line() return self.child:read_line(20 * gateway.slowness) end
function caller:end_input()
  unistd.close(self.child.input)
  self.child.input = nil
end
function caller:end_output()
  unistd.close(self.child.output)
  self.child.output = nil
end
function caller:interrupt() self.child:kill "INT" end

function caller:proc(name)
  local file = io.open("/proc/" .. self.child.pid .. "/" .. name)
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end
function caller:resident_bytes() return tonumber(self:proc("status"):match "VmRSS:%s*(%d+)") * 1024 end

-- How far it has read in this file; nil when the file is not open.
function caller:bytes_read(path)
  local descriptors, wanted = "/proc/" .. self.child.pid .. "/fd/", lfs.attributes(path, "ino")
  for fd = 3, 30 do
    if lfs.attributes(descriptors .. fd, "ino") == wanted then
      return tonumber(self:proc("fdinfo/" .. fd):match "pos:%s*(%d+)")
    end
  end
end

-- The exit code; both pipes are closed afterwards.
function caller:wait()
  local code = self.child:wait(20 * gateway.slowness)
  self.child:hang_up(1)
  return code
end
function caller.errors() return check_errors(read "errors") end

return caller
