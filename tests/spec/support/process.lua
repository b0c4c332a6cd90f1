-- Child processes: started with their output in a file or on a pipe, awaited with a deadline.
local unistd = require "posix.unistd"
local wait = require "posix.sys.wait"
local signal = require "posix.signal"
local poll = require "posix.poll"
local fcntl = require "posix.fcntl"
local time = require "posix.time"
local stdlib = require "posix.stdlib"

local process = {}
process.__index = process

-- A child that has gone shall be an error of the write, not the end of the specs.
signal.signal(signal.SIGPIPE, signal.SIG_IGN)

function process.now()
  local t = time.clock_gettime(time.CLOCK_MONOTONIC)
  return t.tv_sec + t.tv_nsec / 1e9
end

-- Calls `condition` until it gives something true, which is returned; nil when that takes longer than `seconds`.
function process.await(seconds, condition)
  local deadline = process.now() + seconds
  while true do
    local found = condition()
    if found then return found end
    if process.now() > deadline then return nil end
    time.nanosleep { tv_sec = 0, tv_nsec = 5e6 }
  end
end

-- options: `output` a file for standard output and error; `environment` a table; `talks` for pipes to its standard
-- input and output. Without `talks` there is no standard input.
function process.start(arguments, options)
  options = options or {}
  local to_read, to_write, from_read, from_write
  if options.talks then
    to_read, to_write = unistd.pipe()
    from_read, from_write = unistd.pipe()
  end
  io.stdout:flush()
  io.stderr:flush()
  local pid = assert(unistd.fork())
  if pid == 0 then
    unistd.dup2(to_read or assert(fcntl.open("/dev/null", fcntl.O_RDONLY)), 0)
    if options.output then
      local file = assert(fcntl.open(options.output, fcntl.O_WRONLY + fcntl.O_CREAT + fcntl.O_APPEND, 420))
      unistd.dup2(file, 1)
      unistd.dup2(file, 2)
    end
    if from_write then unistd.dup2(from_write, 1) end
    for fd = 3, 255 do unistd.close(fd) end
    for name, value in pairs(options.environment or {}) do stdlib.setenv(name, value) end
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    local command = table.remove(arguments, 1)
    local _, fault = unistd.execp(command, arguments)
    io.stderr:write(command, ": ", fault, "\n")
    unistd._exit(127)
  end
  if options.talks then
    unistd.close(to_read)
    unistd.close(from_write)
  end
  return setmetatable({ pid = pid, input = to_write, output = from_read, rest = "" }, process)
end

function process:kill(name) signal.kill(self.pid, signal["SIG" .. name]) end

-- Reaps the child: its exit code, or "signal 11"; nil when it still runs after `seconds`.
function process:wait(seconds)
  if self.ended == nil then
    self.ended = process.await(seconds or 0, function()
      local pid, how, code = wait.wait(self.pid, wait.WNOHANG)
      if pid == self.pid and how ~= "running" then return how == "exited" and code or "signal " .. code end
    end)
  end
  return self.ended
end

function process:write(text)
  local from = 1
  while from <= #text do
    local written, fault = unistd.write(self.input, text:sub(from, from + 65535))
    if not written then error("the child's standard input: " .. fault, 0) end
    from = from + written
  end
end

-- The next line of its standard output; nil and "timeout" or "gone".
function process:read_line(seconds)
  local deadline = process.now() + seconds
  local pieces = { self.rest }
  while not pieces[#pieces]:find("\n", 1, true) do
    local left = deadline - process.now()
    if left <= 0 or poll.rpoll(self.output, math.ceil(left * 1000)) == 0 then
      self.rest = table.concat(pieces)
      return nil, "timeout"
    end
    local bytes = unistd.read(self.output, 65536)
    if not bytes or bytes == "" then return nil, "gone" end
    pieces[#pieces + 1] = bytes
  end
  local line, rest = table.concat(pieces):match("^(.-)\n(.*)$")
  self.rest = rest
  return line
end

-- Tells our own programs to end.
function process:close_input()
  if self.input then unistd.close(self.input); self.input = nil end
end

-- The same, and waits for that.
function process:hang_up(seconds)
  self:close_input()
  local ended = self:wait(seconds or 5)
  if ended == nil then self:kill "KILL"; self:wait(5) end
  if self.output then unistd.close(self.output); self.output = nil end
  return ended
end

return process
