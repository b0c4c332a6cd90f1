-- `tidewire call` as a user runs it: in a process of its own, with its three standard streams.
local process = require "support.process"
local gateway = require "support.gateway"
local unistd = require "posix.unistd"
local socket = require "posix.sys.socket"
local lfs = require "lfs"

local caller = {}
caller.__index = caller

local folder = assert(require("posix.stdlib").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-call-XXXXXX"))
gateway.at_exit(function() process.start({ "rm", "-r", folder }):wait(gateway.patience) end)

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
  local code = child:wait(gateway.patience)
  if code == nil then
    child:kill "KILL"
    child:wait(gateway.patience)
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

-- ---- to somebody who takes everything and answers nothing

local function listen()
  local listening = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  assert(socket.bind(listening, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
  assert(socket.listen(listening, 1))
  return listening, "127.0.0.1:" .. socket.getsockname(listening).port
end

-- A function that gives the next bytes of the connection; an error when there are none in time.
local function accept(listening)
  assert(socket.setsockopt(listening, socket.SOL_SOCKET, socket.SO_RCVTIMEO, gateway.patience, 0))
  local connected = assert(socket.accept(listening))
  assert(socket.setsockopt(connected, socket.SOL_SOCKET, socket.SO_RCVTIMEO, gateway.patience, 0))
  local rest = ""
  return function(length)
    while #rest < length do
      local bytes = assert(socket.recv(connected, 65536))
      assert(bytes ~= "", "the request has no end")
      rest = rest .. bytes
    end
    local taken = rest:sub(1, length)
    rest = rest:sub(length + 1)
    return taken
  end, connected
end

-- How many bytes of messages it sends, all in all. They must fit in the first window (RFC 9113, 6.9.2).
function caller.request_bytes(...)
  local listening, address = listen()
  local self = caller.start(address, ...)
  local take, connected = accept(listening)
  local count = 0
  local kind, flags
  assert(socket.send(connected, ("\0"):rep(3) .. "\4" .. ("\0"):rep(5))) -- SETTINGS, before which no request is sent
  take(#"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
  repeat
    local high, middle, low
    high, middle, low, kind, flags = take(9):byte(1, 5)
    local length = high * 65536 + middle * 256 + low
    take(length)
    if kind == 0 then count = count + length end
  until kind == 0 and flags % 2 == 1 -- DATA with END_STREAM
  unistd.close(connected)
  unistd.close(listening)
  self:wait()
  return count
end

-- ---- talking

function caller:write_line(text) self.child:write(text .. "\n") end
function caller:read_line() return self.child:read_line(gateway.patience) end
function caller:end_input()
  unistd.close(self.child.input)
  self.child.input = nil
end
function caller:end_output()
  unistd.close(self.child.output)
  self.child.output = nil
end
function caller:interrupt() self.child:kill "INT" end

-- How far it has read in this file; nil when the file is not open.
function caller:bytes_read(path)
  local process_folder, wanted = "/proc/" .. self.child.pid, lfs.attributes(path, "ino")
  for fd = 3, 30 do
    if lfs.attributes(process_folder .. "/fd/" .. fd, "ino") == wanted then
      local file = io.open(process_folder .. "/fdinfo/" .. fd)
      local text = file and file:read "*a" or ""
      if file then file:close() end
      return tonumber(text:match "pos:%s*(%d+)")
    end
  end
end

-- The exit code; both pipes are closed afterwards.
function caller:wait()
  local code = self.child:wait(gateway.patience)
  self.child:hang_up()
  return code
end
function caller.errors() return check_errors(read "errors") end

return caller
