-- The protocols that the specs speak, as one descriptor set made by protoc once a run.
local process = require "support.process"

local schema = {}
local folder, made

local function list(path)
  local names = {}
  for name in require("lfs").dir(path) do
    if name:find "%.proto$" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

function schema.descriptor_set()
  if made then return made end
  folder = assert(require("posix.stdlib").mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/tidewire-schema-XXXXXX"))
  local command = { "protoc", "--include_imports", "--descriptor_set_out=" .. folder .. "/all.pb",
    "-Iproto", "-Itests/proto" }
  for _, name in ipairs(list "proto") do command[#command + 1] = name end
  for _, name in ipairs { "all_types.proto", "doors.proto", "google_status.proto", "interop.proto", "health.proto",
    "reflection_v1.proto", "reflection_v1alpha.proto" } do command[#command + 1] = name end
  assert(process.start(command):wait(30) == 0, "protoc failed")
  made = folder .. "/all.pb"
  return made
end

function schema.clean()
  if not folder then return end
  os.remove(folder .. "/all.pb")
  os.remove(folder)
  folder, made = nil, nil
end

return schema
