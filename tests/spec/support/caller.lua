-- `tidewire call` as a user runs it: in a process of its own, with its three standard streams.
local process = require "support.process"
local gateway = require "support.gateway"
local unistd = require "posix.unistd"

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

-- The exit code; both pipes are closed afterwards.
function caller:wait()
  local code = self.child:wait(20 * gateway.slowness)
  self.child:hang_up(1)
  return code
end
function caller.errors() return check_errors(read "errors") end

return caller
