-- Replays what a page shows of a terminal, in a folder that looks like a checkout:
--
--   <!-- test: terminal NAME [stays] -->
--   ```sh
--   $ a command
--   > a line that is typed into it          ^D: the end of the input   ^C: an interrupt
--   what it prints; … is any text, and on a line of its own any lines
--   ```
--
-- A block begins a command or goes on with the one that `stays` left running in the terminal of that name. The address
-- 127.0.0.1:50051 stands for one that is free, 4711 for the process that runs in the terminal "gateway".
local gateway = require "support.gateway"
local ports = require "support.ports"
local process = require "support.process"
local unistd = require "posix.unistd"

local terminal = {}
terminal.__index = terminal

local shown_address, shown_pid = "127.0.0.1:50051", "4711"

local function plain(text) return (text:gsub("%p", "%%%0")) end

local function shell(command)
  local code = process.start({ "bash", "-c", command }):wait(gateway.patience)
  assert(code == 0, "failed: " .. command)
end

-- A folder with what the pages use of a checkout; tools/run in it neither installs nor builds.
function terminal.open()
  local self = setmetatable({ processes = {}, address = "127.0.0.1:" .. ports.free() }, terminal)
  self.folder = assert(require("posix.stdlib").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-docs-XXXXXX"))
  shell(("cd %s && cp -r %s/{etc,scripts,proto,tools} . && mkdir -p build/release/src bin && "
    .. "ln -s %s build/release/src/tidewire && ln -s /usr/bin/python3 bin/python3 && "
    .. "sed -i -e '/tools.setup/d' -e '/build/{/^program=/!d}' tools/run && sed -i 's/%s/%s/' etc/tidewire.conf")
    :format(self.folder, gateway.root, gateway.binary, plain(shown_address):gsub("%%", "\\"), self.address))
  return self
end

function terminal:real(text)
  local pid = self.processes.gateway and self.processes.gateway.pid
  text = text:gsub(plain(shown_address), self.address)
  return pid and text:gsub("%f[%d]" .. shown_pid .. "%f[%D]", tostring(pid)) or text
end

function terminal:shown(text)
  local pid = self.processes.gateway and self.processes.gateway.pid
  text = text:gsub(plain(self.address), shown_address)
  return pid and text:gsub("%f[%d]" .. pid .. "%f[%D]", shown_pid) or text
end

function terminal:write_file(name, text)
  shell(("mkdir -p '%s/%s'"):format(self.folder, name:match "^(.*)/" or "."))
  local file = assert(io.open(self.folder .. "/" .. name, "wb"))
  file:write((self:real(text)))
  file:close()
end

function terminal:start(name, command)
  local running = self.processes[name]
  assert(not running or running.ended ~= nil, "a command still runs in the terminal \"" .. name .. "\"")
  local is_simple = not command:find "[|;&]" and not command:find "^export "
  local line = ("cd '%s' && exec 2>&1 && PATH=$PWD/bin:$PWD/build/release/src:$PATH && %s%s")
    :format(self.folder, is_simple and "exec " or "", (self:real(command)))
  local child = process.start({ "bash", "-c", line }, { talks = true,
    environment = { PYTHONUNBUFFERED = "1", GRPC_VERBOSITY = "NONE", PYTHONDONTWRITEBYTECODE = "1" } })
  self.processes[name] = child
  return child
end

local function is_like(text, shown)
  return text:find("^" .. plain((shown:gsub("…", "\1"))):gsub("\1", ".*") .. "$") ~= nil
end

local function close_input(child)
  if child.input then unistd.close(child.input) end
  child.input = nil
end

-- Reads until the shown line has come; `may_skip`: others may come before it.
function terminal:expect(child, shown, may_skip)
  local seen = {}
  local deadline = process.now() + gateway.patience
  while true do
    local line, why = child:read_line(math.max(deadline - process.now(), 0.01))
    local text = line and self:shown(line)
    if text and is_like(text, shown) then return end
    seen[#seen + 1] = text or "(" .. why .. ")"
    if not text or not may_skip then
      error("the page shows: " .. shown .. "\nthe terminal has:\n  " .. table.concat(seen, "\n  "), 0)
    end
  end
end

-- The command must end, without another word unless `may_skip`.
function terminal:finish(name, may_skip)
  local child = self.processes[name]
  close_input(child)
  while true do
    local line, why = child:read_line(gateway.patience)
    if not line then
      assert(why == "gone", "a command in the terminal \"" .. name .. "\" does not end")
      break
    end
    assert(may_skip, "the page does not show: " .. self:shown(line))
  end
  assert(child:wait(gateway.patience) ~= nil, "a command in the terminal \"" .. name .. "\" does not end")
end

-- Replays one block.
function terminal:play(block)
  local name, may_skip, child = block.mark.words[1], false, self.processes[block.mark.words[1]]
  local stays = block.mark.words[2] == "stays"
  local begun = false
  for line in block.text:gmatch "([^\n]*)\n" do
    local command, typed = line:match "^%$ (.*)$", line:match "^> (.*)$"
    if command then
      if begun then self:finish(name, may_skip) end
      child, begun, may_skip = self:start(name, command), true, false
      -- Only what is typed into, or stays, has an input.
      if not stays and not block.text:find "\n> " then close_input(child) end
    elseif typed then
      child:write(self:real(typed) .. "\n")
    elseif line == "^D" then
      close_input(child)
    elseif line == "^C" then
      child:kill "INT"
    elseif line == "…" then
      may_skip = true
    else
      self:expect(child, line, may_skip)
      may_skip = false
    end
  end
  if not stays then self:finish(name, may_skip) end
end

function terminal:close()
  for _, child in pairs(self.processes) do
    if child:wait(0) == nil then child:kill "TERM" end
    if child:wait(gateway.patience) == nil then child:kill "KILL" end
    child:hang_up(5)
  end
  if not os.getenv "TIDEWIRE_KEEP" then shell("rm -rf '" .. self.folder .. "'") end
end

return terminal
