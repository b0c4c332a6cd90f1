-- Compares lua/tidewire/types.lua with `live`: for each class the table of its members.
local live = ...

-- What is in the file: class → name → "function" or "field".
local function read_annotations()
  local classes, class = {}, nil
  local function add(name, member, kind)
    name = name:gsub("^tidewire%.(%u)", "%1")
    classes[name] = classes[name] or {}
    classes[name][member] = kind
  end
  for line in io.lines "lua/tidewire/types.lua" do
    local owner, member = line:match "^function ([%w_.]+)[.:]([%w_]+)%("
    if owner then add(owner, member, "function") end
    class = line:match "^%-%-%-@class ([%w_.]+)" or line:find "^%-%-%-" and class or nil
    member = line:match "^%-%-%-@field ([%w_]+)"
    if class and member then add(class, member, "field") end
    owner, member = line:match "^(tidewire[%w_.]*)%.([%w_]+) = {}$"
    if member then add(owner, member, "field") end
  end
  return classes
end

local function is_served(value)
  local fine, fault
  if type(value) == "function" then fine, fault = pcall(value)
  elseif type(value) == "table" then fine, fault = pcall(function() return value.x end) end
  -- (a closed table raises too, for a name that it does not have)
  return fine ~= false or not tostring(fault):find "not served by this version yet"
end

local function is_group(value) return type(value) == "table" and next(value) ~= nil end

local annotations = read_annotations()
local faults = {}
local function fault(...) faults[#faults + 1] = table.concat { ... } end

local function compare(name, members)
  local annotated = annotations[name] or {}
  for member, value in pairs(members) do
    local kind = type(value) == "function" and "function" or "field"
    local is_later = not is_served(value)
    if is_later and annotated[member] then fault(name, ".", member, " is not served yet") end
    if not is_later and annotated[member] ~= kind then fault(name, ".", member, " is a ", kind, " without annotation") end
  end
  for member in pairs(annotated) do
    if rawget(members, member) == nil then fault(name, ".", member, " does not exist") end
  end
end

for name, members in pairs(live) do compare(name, members) end
for _, group in ipairs { "timer", "log", "json" } do
  assert(is_group(live.tidewire[group]))
  compare("tidewire." .. group, live.tidewire[group])
end
for _, kind in pairs(annotations.Message) do assert(kind == "function") end
annotations["tidewire.message"].type = nil -- a method too
for name, kind in pairs(annotations.Message) do annotations["tidewire.message"][name] = kind end
compare("tidewire.message", live.tidewire.message)

table.sort(faults)
if #faults > 0 then error("types.lua:\n" .. table.concat(faults, "\n"), 0) end
