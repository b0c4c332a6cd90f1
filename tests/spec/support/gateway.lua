-- The real binary, started for one spec with a config and scripts of its own in a temporary folder, on port 0.
--
--   local gw = gateway.start {
--     scripts = { ["echo.lua"] = [[ … ]] },
--     config = [[ service "greet.GreetService" { script = "echo.lua" } ]],
--   }
--   client.connect(gw.address)
--   after_each(gateway.stop_all)
--
-- gateway.stop_all() is itself a check: every gateway must end with 0 after TERM, without a word of a sanitizer, with
-- no stream open and no generation alive.
local process = require "support.process"
local schema = require "support.schema"
local lfs = require "lfs"
local mkdtemp = require("posix.stdlib").mkdtemp

local gateway = {}
gateway.__index = gateway

local root = lfs.currentdir()
local binary = os.getenv "TIDEWIRE_BIN" or root .. "/build/dev/src/tidewire"
if not binary:find "^/" then binary = root .. "/" .. binary end
-- A sanitizer build is several times slower. Waiting for what must come costs nothing while it comes, so the patience
-- is one for a slow machine with much else to do.
local slowness = tonumber(os.getenv "TIDEWIRE_SLOWNESS" or 1)
local patience = 60 * slowness

local running, before_stop = {}, {}

gateway.root, gateway.binary, gateway.slowness, gateway.patience = root, binary, slowness, patience

-- The config of the example scripts.
gateway.examples = 'script_path = "' .. root .. '/scripts"\n' .. [[
service "greet.GreetService"     { script = "greet.lua" }
service "tutorial.NumberService" { script = "tutorial.lua" }
service "chat.ChatService"       { script = "chat.lua" }
service "logger.Logger"          { script = "monitor.lua" }
]]

function gateway.before_stop(f) before_stop[#before_stop + 1] = f end

-- What lives as long as a spec file: the client programs, the descriptor set.
local at_exit = { schema.clean }
require("busted").subscribe({ "file", "end" }, function()
  for _, act in ipairs(at_exit) do act() end
  at_exit = {}
  return nil, true
end)
function gateway.at_exit(f) at_exit[#at_exit + 1] = f end

-- ---- files

local function new_folder() return assert(mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-XXXXXX")) end

local function write_file(path, text)
  local folder = path:match "^(.*)/[^/]*$"
  if not lfs.attributes(folder) then assert(lfs.mkdir(folder)) end
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function read_file(path, from)
  local file = io.open(path, "rb")
  if not file then return "" end
  if from then file:seek("set", from) end
  local text = file:read "*a"
  file:close()
  return text
end

local function remove_folder(path)
  for name in lfs.dir(path) do
    local inner = path .. "/" .. name
    local is_folder = lfs.symlinkattributes(inner, "mode") == "directory"
    if not is_folder then os.remove(inner)
    elseif name ~= "." and name ~= ".." then remove_folder(inner) end
  end
  lfs.rmdir(path)
end

-- ---- the config

-- What a spec doesn't say itself.
local standing = {
  { "^%s*workers%s*=", "workers = 2\n" },
  { "^%s*proto_path%s*=", 'proto_path = { "' .. root .. '/proto", "' .. root .. '/tests/proto", "protos" }\n' },
  { "^%s*proto%s*=", 'proto = { "greet.proto", "tutorial.proto", "chat.proto", "logger.proto" }\n' },
  { "^%s*script_path%s*=", 'script_path = "scripts"\n' },
  { "^%s*listen%s*\"", 'listen "127.0.0.1:0" { }\n' },
  { "^%s*drain_timeout%s*=", "drain_timeout = 10s\n" },
  { "^%s*log%s*{", "log { level = debug  format = text }\n" },
}

local function complete(config)
  local parts = {}
  for _, one in ipairs(standing) do
    local is_said = false
    for line in (config .. "\n"):gmatch "(.-)\n" do is_said = is_said or line:find(one[1]) ~= nil end
    if not is_said then parts[#parts + 1] = one[2] end
  end
  return config .. "\n" .. table.concat(parts)
end

-- Writes the config; what it does not say comes after it, so that line numbers are those of the spec.
function gateway:configure(config) write_file(self.folder .. "/tidewire.conf", complete(config)) end
function gateway:write(name, text) write_file(self.folder .. "/" .. name, text) end
function gateway:path(name) return self.folder .. "/" .. name end

-- ---- starting

-- A folder as start() makes it, without a gateway.
-- options: config =, scripts = { name = text }, protos = { name = text }, files = { name = text }
function gateway.prepare(options)
  local self = setmetatable({ folder = new_folder() }, gateway)
  self.output = self.folder .. "/output"
  lfs.mkdir(self.folder .. "/scripts")
  lfs.mkdir(self.folder .. "/protos")
  for name, text in pairs(options.scripts or {}) do self:write("scripts/" .. name, text) end
  for name, text in pairs(options.protos or {}) do self:write("protos/" .. name, text) end
  for name, text in pairs(options.files or {}) do self:write(name, text) end
  self:configure(options.config or "")
  running[self] = true
  return self
end

local function environment(more)
  local all = {
    -- A small quarantine: what was freed is not to count as resident where memory is asserted.
    ASAN_OPTIONS = "exitcode=99:detect_leaks=1:abort_on_error=0:quarantine_size_mb=16",
    UBSAN_OPTIONS = "print_stacktrace=1:halt_on_error=1:exitcode=99",
    TSAN_OPTIONS = "exitcode=99:halt_on_error=0:second_deadlock_stack=1",
  }
  for k, v in pairs(more or {}) do all[k] = v end
  return all
end

-- Runs the program to its end: exit code and what it printed.
function gateway.run(arguments, options)
  options = options or {}
  local folder = new_folder()
  local command = { binary }
  for _, argument in ipairs(arguments) do command[#command + 1] = argument end
  local child = process.start(command,
    { output = folder .. "/output", environment = environment(options.environment) })
  local code = child:wait(patience)
  if code == nil then child:kill "KILL"; child:wait(patience) end
  local output = read_file(folder .. "/output")
  remove_folder(folder)
  return code, output
end

function gateway:launch(options)
  local file = options and options.file or self.folder .. "/tidewire.conf"
  local command = {}
  for _, word in ipairs(options and options.before or {}) do command[#command + 1] = word end
  for _, word in ipairs { binary, "run", "-c", file } do command[#command + 1] = word end
  self.process = process.start(command,
    { output = self.output, environment = environment(options and options.environment) })
  return self
end

-- options: as prepare(), environment =, `file` for a config that lies elsewhere, `before` = words of a command that
-- runs it. Returns when all listen.
function gateway.start(options) return gateway.prepare(options):begin(options) end

function gateway:begin(options)
  self:launch(options)
  local is_up = process.await(patience, function()
    return self:said "generation 1 is in force" or self.process:wait(0)
  end)
  if not is_up or not self:said "generation 1 is in force" then
    error("the gateway does not start:\n" .. self:log(), 2)
  end
  self.addresses = {}
  for address in self:log():gmatch 'listening on ([^\n"]+)' do self.addresses[#self.addresses + 1] = address end
  self.address = self.addresses[1]
  return self
end

-- ---- what it says

function gateway:log(from) return read_file(self.output, from) end
-- A mark for the *_since functions below.
function gateway:mark() return lfs.attributes(self.output, "size") or 0 end
function gateway:said(text, mark) return self:log(mark):find(text, 1, true) ~= nil end

-- The first line that holds the text, once it is there.
function gateway:wait_for_log(text, mark)
  local found = process.await(patience, function()
    for line in self:log(mark):gmatch "[^\n]+" do
      if line:find(text, 1, true) then return line end
    end
  end)
  return found or error("no log line says \"" .. text .. "\":\n" .. self:log(mark), 2)
end

function gateway:count_in_log(text, mark)
  local count = 0
  for line in self:log(mark):gmatch "[^\n]+" do
    if line:find(text, 1, true) then count = count + 1 end
  end
  return count
end

-- ---- signals

-- HUP, and the outcome: the generation's number, or nil and the line that says why it was refused.
function gateway:reload()
  local mark = self:mark()
  self.process:kill "HUP"
  local line
  process.await(patience, function()
    for one in self:log(mark):gmatch "[^\n]+" do
      if one:find "generation %d+ is in force" or one:find "reload refused" then line = one; return true end
    end
  end)
  if not line then error("the reload has no outcome:\n" .. self:log(mark), 2) end
  local number = line:match "generation (%d+) is in force"
  if number then return tonumber(number) end
  return nil, line
end

function gateway:signal(name) self.process:kill(name) end
function gateway:wait_exit() return self.process:wait(patience) end

-- ---- figures of the process

local function proc(self, file) return read_file("/proc/" .. self.process.pid .. "/" .. file) end

function gateway:resident_bytes() return tonumber(proc(self, "status"):match "VmRSS:%s*(%d+)") * 1024 end

function gateway:descriptors()
  local count = 0
  for name in lfs.dir("/proc/" .. self.process.pid .. "/fd") do
    if name ~= "." and name ~= ".." then count = count + 1 end
  end
  return count
end

-- User and system time so far, in seconds.
function gateway:cpu_seconds()
  local after_name = proc(self, "stat"):match "%) (.*)$"
  local fields = {}
  for field in after_name:gmatch "%S+" do fields[#fields + 1] = field end
  return (tonumber(fields[12]) + tonumber(fields[13])) / 100
end

-- ---- the end

local complaints = { "ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "WARNING: ThreadSanitizer",
  "AddressSanitizer:DEADLYSIGNAL", "Assertion `", "PANIC: unprotected error" }

local function faults_in(output)
  for _, complaint in ipairs(complaints) do
    local at = output:find(complaint, 1, true)
    if at then return output:sub(at, at + 6000) end
  end
end

-- Ends this gateway with TERM and says what was wrong with its end, or nil.
function gateway:stop()
  running[self] = nil
  local fault
  if self.process then
    if self.process.ended == nil then self.process:kill "TERM" end
    local code = self:wait_exit()
    local output = self:log()
    fault = faults_in(output)
    if code == nil then
      self.process:kill "KILL"
      self.process:wait(patience)
      fault = fault or "it does not end after TERM"
    elseif self.may_end ~= code then
      if code ~= 0 then fault = fault or "its exit code is " .. code end
      if not output:find("stopped: 0 streams, 0 generations alive", 1, true) then
        fault = fault or "it does not say that it stopped clean"
      end
    end
    if fault then fault = fault .. "\n… the end of its log:\n" .. output:sub(-4000) end
  end
  if os.getenv "TIDEWIRE_KEEP" then print("kept: " .. self.folder) else remove_folder(self.folder) end
  return fault
end

local case = "" -- the one that runs
require("busted").subscribe({ "test", "start" }, function(element)
  case = element.name
  return nil, true -- others shall hear of it, too
end)

-- What a case that failed leaves behind is gone after it: the end of every gateway's log is printed at once.
local function tell_logs()
  for one in pairs(running) do
    local lines = {}
    for line in one:log():gmatch "[^\n]+" do lines[#lines + 1] = line end
    print(("\n--- the gateway of \"%s\", which failed"):format(case))
    print(table.concat(lines, "\n", math.max(1, #lines - 39)))
    print "--- so far"
  end
  return nil, true
end
require("busted").subscribe({ "failure", "it" }, tell_logs)
require("busted").subscribe({ "error", "it" }, tell_logs)

-- For after_each.
function gateway.stop_all()
  for _, act in ipairs(before_stop) do act() end
  local faults = {}
  for one in pairs(running) do faults[#faults + 1] = one:stop() end
  if #faults > 0 then error(("the gateway of \"%s\": %s"):format(case, table.concat(faults, "\n")), 0) end
end

return gateway
