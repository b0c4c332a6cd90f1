-- The behaviour of messages as a handler sees them. Run twice by message_test.c, JIT on and off: what `say` collects
-- must be the same both times.
local said = {}
local function say(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  said[#said + 1] = table.concat(parts, " ")
end

local ALL, TREE, NUMBERS = "tidewire.test.AllTypes", "tidewire.test.Tree", "tidewire.test.Numbers"
local new = message.new

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
local function unhex(text) return (text:gsub("%s", ""):gsub("..", function(c) return string.char(tonumber(c, 16)) end)) end

local function same(a, b, what)
  if a ~= b then error((what or "values") .. ": " .. tostring(a) .. " is not " .. tostring(b), 2) end
end
local function raises(part, f, ...)
  local fine, text = pcall(f, ...)
  if fine then error("did not raise: " .. part, 2) end
  if not tostring(text):find(part, 1, true) then error("raised '" .. tostring(text) .. "', not '" .. part .. "'", 2) end
  say("raised", (tostring(text):gsub("^[^:]*:%d+: ", "")))
end

local tests = {}
-- A table's own order differs from run to run.
local function sorted(t)
  local keys, i = {}, 0
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return function() i = i + 1 return keys[i], t[keys[i]] end
end
local function test(name, f) tests[#tests + 1] = { name, f } end

-- Reading ----------------------------------------------------------------------------------------------------------

test("absent scalars read as their default, absent messages and optionals as nil, lists and maps as tables", function()
  local m = read(ALL, "")
  same(m.int32_field, 0) same(m.string_field, "") same(m.bool_field, false) same(m.double_field, 0)
  same(m.bytes_field, "") same(m.enum_field, 0) same(m.uint64_field, 0)
  same(m.message_field, nil) same(m.optional_int32, nil) same(m.choice_string, nil) same(m.optional_bytes, nil)
  same(type(m.repeated_int32), "table") same(#m.repeated_int32, 0)
  same(next(m.map_string), nil)
  same(unchanged(m), "")
end)

test("proto2 defaults come by get", function()
  local m = read("tidewire.test2.Defaults", "")
  same(m.int32_field, nil) same(m:get "int32_field", -7) same(m:get "string_field", 'say "hi"\n\\ ä')
  same(m:get "bytes_field", "\0\1\255\\x\"'\t") same(m:get "enum_field", 2) same(m:get "enum_without_default", 1)
  same(m:get "infinite", math.huge) same(m:get "bool_field", true) same(m:get "float_field", -2.25)
  same(tostring(m:get "uint64_field"), "18446744073709551615ULL") same(m:get "int64_field", -9000000000)
  same(m:get "without_default", 0)
  say(m:get "tiny", m:get "negative_infinite", m:get "uint32_field")
end)

test("every type survives writing and reading", function()
  local values = {
    double_field = -0.1, float_field = 1.5, int32_field = -2147483648, int64_field = -9007199254740992,
    uint32_field = 4294967295, uint64_field = 9007199254740992, sint32_field = -2147483648, sint64_field = -5,
    fixed32_field = 4294967295, fixed64_field = 77, sfixed32_field = -1, sfixed64_field = -77, bool_field = true,
    string_field = "grüße\0x", bytes_field = "\255\0\254", enum_field = -1, optional_bool = false,
    optional_int32 = 0, optional_string = "", choice_double = 0, other_text = "o", last_field = 9,
  }
  local m = read(ALL, wire(values, ALL))
  for name, value in pairs(values) do same(m[name], value, name) end
  same(m:which "choice", "choice_double") same(m:which "other_choice", "other_text")
  local t = m:totable()
  for name, value in pairs(values) do same(t[name], value, name) end
  for name in pairs(t) do assert(values[name] ~= nil, name) end
  say(m)
end)

local LISTS = {
  double = { 1.5, -0.0, 1e300 }, float = { 0.5, -1 }, int32 = { -1, 0, 2147483647 }, int64 = { -1, 0, 2 ^ 53 },
  uint32 = { 0, 4294967295 }, uint64 = { 1, 2 ^ 53 }, sint32 = { -2147483648, 2147483647 }, sint64 = { -1, 1 },
  fixed32 = { 4294967295 }, fixed64 = { 5, 6 }, sfixed32 = { -2147483648 }, sfixed64 = { -3 }, bool = { true, false },
  string = { "", "a", "ü" }, bytes = { "\255", "" }, enum = { 0, 7, -1, 99 },
}
test("lists of every type, packed and not, survive writing and reading", function()
  for kind, list in sorted(LISTS) do
    for _, form in ipairs { "repeated_", "unpacked_" } do
      if form == "repeated_" or (kind ~= "string" and kind ~= "bytes") then
        local bytes = wire({ [form .. kind] = list }, ALL)
        local m = read(ALL, bytes)
        local back = m[form .. kind]
        same(#back, #list)
        for i = 1, #list do same(back[i], list[i], kind) end
        same(unchanged(m), bytes, kind)
      end
    end
  end
end)

test("maps of every key and value type survive writing and reading", function()
  local keys = { int32 = { -1, 5 }, int64 = { -1, 2 ^ 53 }, uint32 = { 4294967295 }, uint64 = { 3 }, sint32 = { -7 }, sint64 = { -8 },
    fixed32 = { 4 }, fixed64 = { 5 }, sfixed32 = { -4 }, sfixed64 = { -5 }, bool = { true, false }, string = { "", "k\0" } }
  for kind, list in sorted(keys) do
    local map = {}
    for i, key in ipairs(list) do map[key] = "v" .. i end
    local bytes = wire({ ["map_" .. kind] = map }, ALL)
    local m = read(ALL, bytes)
    for key, value in pairs(map) do same(m["map_" .. kind][key], value, kind) end
    same(unchanged(m), bytes, kind)
  end
  local values = { double = 1.5, float = 2.5, int32 = -1, int64 = -2, uint32 = 3, uint64 = 4, sint32 = -5, sint64 = -6, fixed32 = 7,
    fixed64 = 8, sfixed32 = -9, sfixed64 = -10, bool = true, bytes = "\254", enum = 7 }
  for kind, value in sorted(values) do
    local bytes = wire({ ["map_to_" .. kind] = { k = value } }, ALL)
    local m = read(ALL, bytes)
    same(m["map_to_" .. kind].k, value, kind)
    same(unchanged(m), bytes, kind)
    m["map_to_" .. kind].k = nil
    same(unchanged(m), nil) same(wire(m), "", kind)
  end
end)

test("an entry without key or value has the defaults", function()
  local bytes = unhex "e20500" .. unhex "e20603 0a0161"
  local m = read(ALL, bytes)
  same(m.map_string[""], "")
  same(m.map_to_message.a.number, 0)
  same(unchanged(m), bytes)
  m.map_to_message.a.number = 1
  same(read(ALL, wire(m)).map_to_message.a.number, 1)
end)

test("the last scalar wins, split sub-messages merge, also in a oneof", function()
  local m = read(ALL, unhex "1801 1802")
  same(m.int32_field, 2)
  local nested = unhex "8a01 02 0805" .. unhex "1803" .. unhex "8a01 03 120178"
  m = read(ALL, nested)
  same(m.message_field.number, 5) same(m.message_field.text, "x")
  same(unchanged(m), nested)
  m.message_field.number = 6
  local again = read(ALL, wire(m))
  same(again.message_field.number, 6) same(again.message_field.text, "x") same(again.int32_field, 3)
  -- choice_message (137) twice, then with choice_int32 (123) in between
  m = read(ALL, unhex "ca08 02 0805" .. unhex "ca08 03 120178")
  same(m.choice_message.number, 5) same(m.choice_message.text, "x")
  m = read(ALL, unhex "ca08 02 0805" .. unhex "d80707" .. unhex "ca08 03 120178")
  same(m.choice_message.number, 0) same(m.choice_message.text, "x") same(m:which "choice", "choice_message")
  same(m.choice_int32, nil)
  m.choice_message = nil
  same(read(ALL, wire(m)):which "choice", nil)
end)

test("packed and unpacked are both accepted, mixed too", function()
  local m = read(ALL, unhex "da02 02 0102" .. unhex "d80203" .. unhex "da02 00" .. unhex "da02 01 04")
  same(table.concat(m.repeated_int32, ","), "1,2,3,4")
end)

test("a known field with another wire type is unknown and survives", function()
  local bytes = unhex "1a0161" .. unhex "7005" .. unhex "1807"
  local m = read(ALL, bytes)
  same(m.int32_field, 7) same(m.string_field, "")
  m.string_field = "s" m.int32_field = 8
  same(hex(wire(m)), "1a0161" .. "7005" .. "1808" .. "720173")
end)

test("NUL stays in strings, and bytes may be anything", function()
  local m = read(ALL, unhex "72 05 6162006364")
  same(m.string_field, "ab\0cd")
  local text, fault = read(ALL, unhex "7202c328")
  same(text, nil) same(fault, "a string field is not valid UTF-8")
  same(read(ALL, unhex "7a02c328").bytes_field, "\195\40")
end)

test("groups are read, written and forwarded", function()
  local G = "tidewire.test2.Groups"
  local bytes = unhex "0b 0805 1203616263 1b 0801 1c 0c" .. unhex "23 0801 24 23 0802 24" .. unhex "33 0809 34"
  local m = read(G, bytes)
  same(m.onegroup.number, 5) same(m.onegroup.text, "abc") same(m.onegroup.deeper[1].flag, true)
  same(#m.manygroups, 2) same(m.manygroups[2].id, 2) same(m:which "choice", "chosengroup") same(m.chosengroup.value, 9)
  same(unchanged(m), bytes)
  m.manygroups[2].id = 3
  same(hex(wire(m)), hex(unhex "0b 0805 1203616263 1b 0801 1c 0c 33 0809 34 23 0801 24 23 0803 24"))
  same(hex(wire({ onegroup = { number = 1 } }, G)), "0b08010c")
  local unknown = unhex "9b0f 0801 0b 0c 9c0f"
  same(hex(wire((function() local x = read(G, unknown) x.closed = 1 return x end)())), hex(unknown) .. "4001")
end)

test("numbers that a closed enum lacks are unknown fields", function()
  local G, P = "tidewire.test2.Groups", "tidewire.test2.Packing"
  local m = read(G, unhex "4063")
  same(m.closed, nil)
  m.closed = "CLOSED_TWO"
  same(hex(wire(m)), "4063" .. "4002")
  m = read(P, unhex "1a 03 016302" .. unhex "2001 2063 2002")
  same(table.concat(m.packed_closed, ","), "1,2") same(table.concat(m.unpacked_closed, ","), "1,2")
  same(hex(unchanged(m)), "1a03016302200120632002")
  m.packed_closed[1] = 2
  local back = read(P, wire(m))
  same(table.concat(back.packed_closed, ","), "2,2")
  assert(hex(wire(m)):find("1863", 1, true))
  raises("CLOSED_THREE", function() m.unpacked_closed = { "CLOSED_THREE" } wire(m) end)
  m = read(G, unhex "4a 05 0a0161 100a" .. unhex "4a 05 0a0162 1063")
  same(m.closed_map.a, 10) same(m.closed_map.b, nil)
  same(hex(unchanged(m)), "4a050a0161100a" .. "4a050a01621063")
  m.closed_map.c = 0
  assert(hex(wire(m)):find("4a050a01621063", 1, true))
  raises("has no value 99", function() return wire({ closed = 99 }, G) end)
end)

-- Faults of received bytes ------------------------------------------------------------------------------------------

test("bytes that are no message are refused", function()
  for _, bytes in ipairs { "08", "ff", "00", "0001", "0f", "1c", "7205", "7a0161" .. "7a", "0b", "c20c05", "8080808010", "8280808080808080808001",
    "da0201ff", "7c", "0e" } do
    local m, fault = read(ALL, unhex(bytes))
    same(m, nil, bytes)
    say(bytes, fault)
  end
  same(read("tidewire.test2.Groups", unhex "0b0805"), nil)
  same(read("tidewire.test2.Groups", unhex "0b0814"), nil)
end)

local function nested_tree(levels)
  local bytes = ""
  for _ = 1, levels do
    local length, prefix = #bytes, ""
    repeat
      local byte = length % 128
      length = (length - byte) / 128
      prefix = prefix .. string.char(length > 0 and byte + 128 or byte)
    until length == 0
    bytes = "\18" .. prefix .. bytes
  end
  return bytes
end
test("a hundred levels below the outermost are read, one more is refused", function()
  local deep = read(TREE, nested_tree(100))
  assert(deep)
  local walk, levels = deep, 0
  while walk.children[1] do walk, levels = walk.children[1], levels + 1 end
  same(levels, 100)
  same(unchanged(deep), nested_tree(100))
  for _, levels in ipairs { 101, 102, 2000 } do
    local m, fault = read(TREE, nested_tree(levels))
    same(m, nil) same(fault, "messages are nested deeper than 100 levels")
  end
  walk.label = "innermost"
  local changed = read(TREE, wire(deep))
  for _ = 1, 100 do changed = changed.children[1] end
  same(changed.label, "innermost")
  walk.children[1] = { label = "one too many" }
  raises("nested deeper than 100 levels", wire, deep)
end)

test("required fields must be there", function()
  local R, B = "tidewire.test2.Required", "tidewire.test2.HasRequiredBelow"
  local function fault(type, bytes) local m, text = read(type, unhex(bytes)) same(m, nil) return text end
  same(fault(R, "0801"), "a required field is missing")
  same(fault(R, "0801 1200 1a020801"), "a required field is missing")
  assert(read(R, unhex "0801 1200 1a02 0801 1a02 1200")) -- whole once its pieces are merged
  assert(read(B, unhex "0a00"))
  same(fault(B, "0a05 0a03 0a0161"), "a required field is missing")
  assert(read(B, unhex "0a0b 0a09 0a0161 1204 0801 1200"))
  raises('tidewire.test2.Required: required field "name" is not set', wire, { id = 1 }, R)
  raises('tidewire.test2.Required.next: required field "id" is not set', wire, { id = 1, name = "", next = { name = "" } }, R)
  local m = read(R, unhex "0801 120161")
  m.name = nil
  raises('required field "name" is not set', wire, m)
  say(m)
end)

-- Writing -----------------------------------------------------------------------------------------------------------

test("a change keeps all other bytes, unknown fields too", function()
  local bytes = unhex "c2bb0103616263" .. unhex "1801" .. unhex "720161" .. unhex "1802"
  local m = read(ALL, bytes)
  m.string_field = "bc"
  same(hex(wire(m)), "c2bb0103616263" .. "1801" .. "1802" .. "72026263")
  m.int32_field = 0 -- a default is not written
  same(hex(wire(m)), "c2bb0103616263" .. "72026263")
  m.double_field = -0.0
  same(hex(wire(m)), "c2bb0103616263" .. "090000000000000080" .. "72026263")
  m.string_field = nil
  same(hex(wire(m)), "c2bb0103616263" .. "090000000000000080")
  same(m.string_field, "")
end)

test("reading is not a change", function()
  local bytes = unhex "8a01 04 0880 8000" .. wire({ repeated_message = { { number = 1 }, {} }, map_to_message = { a = { text = "x" } },
    repeated_string = { "a" }, map_string = { k = "v" } }, ALL) .. unhex "da02 01 05" .. unhex "e205 02 0a00 "
  local m = read(ALL, bytes)
  local function walk(object)
    for _, value in object:pairs() do
      if message.type(value) then walk(value)
      elseif type(value) == "table" then for _, item in pairs(value) do if message.type(item) then walk(item) end end end
    end
  end
  walk(m)
  tostring(m) m:totable() m:copy() m:bytes()
  local empty = m.repeated_double
  same(#empty, 0)
  same(unchanged(m), bytes) same(wire(m), bytes)
end)

test("a write at any depth is a change", function()
  local function build()
    return read(ALL, wire({ message_field = { child = { child = { number = 1 } } }, repeated_message = { { number = 1 }, { number = 2 } },
      map_to_message = { a = { number = 1 } }, repeated_int32 = { 1, 2 }, map_string = { k = "v" }, repeated_string = { "x" },
      map_to_self = { s = { repeated_int32 = { 5 } } } }, ALL))
  end
  local edits = {
    function(m) m.message_field.child.child.number = 2 end,
    function(m) m.message_field.child.child = nil end,
    function(m) m.message_field.child.child.child = {} end,
    function(m) m.repeated_message[2].text = "t" end,
    function(m) m.repeated_message[3] = { number = 3 } end,
    function(m) m.repeated_message[2] = nil end,
    function(m) local l = m.repeated_message l[1], l[2] = l[2], l[1] end,
    function(m) m.map_to_message.a.number = 5 end,
    function(m) m.map_to_message.a = { number = 5 } end,
    function(m) m.map_to_message.a = nil end,
    function(m) m.repeated_int32[2] = 3 end,
    function(m) m.repeated_int32[3] = 3 end,
    function(m) table.remove(m.repeated_int32) end,
    function(m) m.map_string.k = "w" end,
    function(m) m.map_string.k = nil m.map_string.other = "w" end,
    function(m) m.map_string.k = nil m.map_string.l = "v" end,
    function(m) m.repeated_string[1] = "y" end,
    function(m) m.repeated_double[1] = 1 end,
    function(m) m.map_to_double.x = 1 end,
    function(m) m.map_to_self.s.repeated_int32[1] = 6 end,
    function(m) m.int32_field = 5 end,
    function(m) m.repeated_int32 = nil end,
    function(m) m.repeated_int32 = nil table.insert(m.repeated_int32, 4) end,
  }
  local original = wire(build())
  for i, edit in ipairs(edits) do
    local m = build()
    edit(m)
    same(unchanged(m), nil, "edit " .. i)
    local text = tostring(read(ALL, wire(m)))
    assert(text ~= tostring(build()), "edit " .. i)
    same(wire(read(ALL, wire(m))), wire(m))
    say(i, text)
    -- and what was changed reads as changed
    same(tostring(m:copy()), text)
  end
  same(unchanged(build()), original)
end)

test("adding to a map and adding a default-like value are changes", function()
  local m = read(ALL, wire({ map_string = { k = "v" }, map_to_message = { a = {} } }, ALL))
  m.map_string.other = "" m.map_to_message.b = {}
  same(unchanged(m), nil)
  local back = read(ALL, wire(m))
  same(back.map_string.k, "v") same(back.map_string.other, "") same(back.map_to_message.b.number, 0) same(back.map_to_message.a.number, 0)
end)

test("an unchanged element of a changed list keeps its unknown fields", function()
  local m = read(TREE, unhex "12 05 c2bb010161" .. unhex "12 05 c2bb010162")
  m.children[2].label = "l"
  same(hex(wire(m)), "1205c2bb010161" .. "1208c2bb0101620a016c")
end)

test("clearing and setting oneof members", function()
  local m = new(ALL, { choice_string = "s" })
  same(m:which "choice", "choice_string")
  m.choice_int32 = 5
  same(m:which "choice", "choice_int32") same(m.choice_string, nil)
  same(hex(wire(m)), "d80705")
  m.choice_message = { number = 1 }
  same(m.choice_int32, nil) same(m.choice_message.number, 1)
  m.choice_bool = false
  same(hex(wire(m)), "a80800")
  m.choice_string = nil -- not set: nothing happens
  same(m:which "choice", "choice_bool")
  m:clear "choice_bool"
  same(m:which "choice", nil) same(wire(m), "")
  raises('"choice_int32" and "choice_string" are both given', wire, { choice_string = "", choice_int32 = 1 }, ALL)
  raises('no oneof "kind"', function() return m:which "kind" end)
  -- the bytes hold a sibling that was unset by a later one
  m = read(ALL, unhex "d80705" .. unhex "b20800")
  same(m:which "choice", "choice_string")
  m.choice_string = nil
  same(wire(m), "")
end)

test("explicit presence is kept, implicit defaults are not written", function()
  same(hex(wire({ optional_int32 = 0, int32_field = 0, optional_string = "", string_field = "", choice_int32 = 0 }, ALL)),
    "b80100" .. "920200" .. "d80700")
  local m = read(ALL, unhex "b80100")
  same(m:has "optional_int32", true) same(m.optional_int32, 0)
  m.optional_int32 = nil
  same(m:has "optional_int32", false) same(wire(m), "")
  same(m:has "int32_field", false) m.int32_field = 1 same(m:has "int32_field", true)
  same(m:has "repeated_int32", false) table.insert(m.repeated_int32, 1) same(m:has "repeated_int32", true)
  same(m:has "message_field", false) m.message_field = {} same(m:has "message_field", true)
  m.string_field = "" same(m:has "string_field", false)
  same(hex(wire(m)), "1801" .. "8a0100" .. "da020101")
end)

test("messages are assigned as tables and as objects", function()
  local m = new(ALL)
  m.message_field = { text = "a", child = { number = 2 } }
  m.message_field.text = "b"
  local nested = m.message_field
  local other = new(ALL, { message_field = nested })
  same(hex(wire(other)), hex(wire(m)))
  local third = new(ALL)
  third.message_field = nested
  same(third.message_field, nested)
  nested.number = 9 -- shared, as tables are
  same(third.message_field.number, 9)
  raises("tidewire.test.AllTypes.message_field: expected tidewire.test.AllTypes.Nested, got tidewire.test.AllTypes", function() m.message_field = other end)
  raises("expected tidewire.test.AllTypes.Nested, got number", function() m.message_field = 5 end)
  raises("expected a table, got number", function() m.repeated_int32 = 5 end)
  m.repeated_message = { nested, { number = 1 } }
  same(#read(ALL, wire(m)).repeated_message, 2)
end)

test("what is wrong is named with its path", function()
  raises('tidewire.test.AllTypes: no field "int32_feild" (did you mean "int32_field"?)', wire, { int32_feild = 1 }, ALL)
  raises("tidewire.test.AllTypes.message_field.child.text: expected a string, got number", wire, { message_field = { child = { text = 1 } } }, ALL)
  raises("tidewire.test.AllTypes.repeated_message[2].number: expected a number, got string", wire, { repeated_message = { {}, { number = "1" } } }, ALL)
  raises('tidewire.test.AllTypes.map_to_message["k"]: no field "x"', wire, { map_to_message = { k = { x = 1 } } }, ALL)
  raises('tidewire.test.AllTypes.map_int32["k"]: expected a number, got string', wire, { map_int32 = { k = "" } }, ALL)
  raises("tidewire.test.AllTypes.repeated_int32[3]: 1.5 is not a whole number", wire, { repeated_int32 = { 1, 2, 1.5 } }, ALL)
  raises("holes", wire, { repeated_int32 = { 1, 2, nil, 4 } }, ALL)
  raises("not an element", wire, { repeated_int32 = { 1, x = 2 } }, ALL)
  raises("not an element", wire, { repeated_int32 = { [0] = 1 } }, ALL)
  raises("expected a list, got string", wire, { repeated_int32 = "x" }, ALL)
  raises("a message has named fields, but a key is a number", wire, { { int32_field = 1 } }, ALL)
  raises("not valid UTF-8", wire, { string_field = "\255" }, ALL)
  raises("not valid UTF-8", wire, { map_string = { ["\255"] = "" } }, ALL)
  raises("expected a boolean, got number", wire, { bool_field = 1 }, ALL)
  raises("expected a number, got boolean", wire, { double_field = true }, ALL)
  raises("out of range for a float", wire, { float_field = 1e300 }, ALL)
  raises("Color has no value \"COLOR_REDD\"", wire, { enum_field = "COLOR_REDD" }, ALL)
  raises("otherCamel", wire, { otherCamel = 1 }, ALL)
  raises("int32Field", wire, { int32Field = 1 }, ALL)
  raises("another.name", wire, { ["another.name"] = 1 }, ALL)
  local m = new(ALL)
  raises('has no field "strnig_field" (did you mean "string_field"?)', function() return m.strnig_field end)
  raises('has no field "strnig_field"', function() m.strnig_field = 1 end)
  raises("a field is named by a string", function() return m[1] end)
  raises("tidewire.test.AllTypes.int32_field: 2147483648 is out of range", function() m.int32_field = 2147483648 end)
  raises("no message type", new, "no.Such")
  raises("did you mean \"tidewire.test.AllTypes\"?", new, "tidewire.test.AllTipes")
  raises("did you mean \"tidewire.test.AllTypes\"?", new, "AllTypes")
  raises("expected message:has(field), not a table", message.has, {}, "x")
  raises("expected tidewire.message.new(type[, table, bytes or message])", new, 5)
  raises("has no field", message.has, m, "nothing")
end)

test("a circle is caught", function()
  local t = {}
  t.self = t
  raises("in a circle", wire, t, ALL)
  local m = new(ALL)
  m.self = m
  raises("in a circle", wire, m)
  m = read(TREE, nested_tree(1))
  m.children[1] = m
  raises("in a circle", wire, m)
  raises("in a circle", unchanged, m)
end)

test("integers are checked at their bounds", function()
  local bounds = { int32 = { -2 ^ 31, 2 ^ 31 - 1 }, sint32 = { -2 ^ 31, 2 ^ 31 - 1 }, sfixed32 = { -2 ^ 31, 2 ^ 31 - 1 },
    uint32 = { 0, 2 ^ 32 - 1 }, fixed32 = { 0, 2 ^ 32 - 1 } }
  for kind, bound in sorted(bounds) do
    local field = kind .. "_field"
    for _, value in ipairs(bound) do same(read(ALL, wire({ [field] = value }, ALL))[field], value) end
    for _, value in ipairs { bound[1] - 1, bound[2] + 1, 0.5, 0 / 0, 1 / 0, -1 / 0 } do
      assert(not pcall(wire, { [field] = value }, ALL), kind)
    end
    same(read(ALL, wire({ [field] = 1LL }, ALL))[field], 1)
    assert(not pcall(wire, { [field] = 2LL ^ 40 }, ALL))
  end
  for _, kind in ipairs { "int64", "sint64", "sfixed64", "uint64", "fixed64" } do
    local field, is_signed = kind .. "_field", kind:find "^s" or kind == "int64"
    local good = is_signed and { "-9223372036854775808", "9223372036854775807", -9223372036854775807LL, -2 ^ 63 } or { "18446744073709551615", 18446744073709551615ULL, 2 ^ 63 }
    local bad = is_signed and { 2 ^ 63, 9223372036854775808ULL, "9223372036854775808", "-9223372036854775809" }
      or { -1, -1LL, "-1", 2 ^ 64, "18446744073709551616" }
    for _, value in ipairs(good) do
      local m = read(ALL, wire({ [field] = value }, ALL))
      say(field, value, m[field])
      if type(value) == "string" then same(read(ALL, wire({ [field] = value }, ALL), "string")[field], value) end
    end
    for _, value in ipairs(bad) do raises("64-bit integer", wire, { [field] = value }, ALL) end
    for _, value in ipairs { "", "-", " 1", "1 ", "0x1", "1.0", "1e3", "+1" } do raises("in decimal", wire, { [field] = value }, ALL) end
    raises("whole number", wire, { [field] = 0.5 }, ALL)
  end
end)

test("64-bit integers come in three forms", function()
  local bytes = wire({ int64_field = 9007199254740992, uint64_field = "9007199254740993", repeated_int64 = { 1, "-9007199254740993" },
    map_int64 = { ["9007199254740993"] = "big", [5] = "small" }, map_to_uint64 = { a = 7, b = "18446744073709551615" } }, ALL)
  local m = read(ALL, bytes)
  same(m.int64_field, 2 ^ 53) same(type(m.uint64_field), "cdata") assert(m.uint64_field == 9007199254740993ULL)
  same(tostring(m.repeated_int64[2]), "-9007199254740993LL")
  same(m.map_int64["9007199254740993"], "big") same(m.map_int64[5], "small")
  same(unchanged(m), bytes) same(m.map_to_uint64.a, 7)
  m.repeated_int64[3] = 0
  assert(read(ALL, wire(m)).repeated_int64[2] == -9007199254740993LL)
  local s = read(ALL, bytes, "string")
  same(s.int64_field, "9007199254740992") same(s.repeated_int64[1], "1") same(s.map_int64["5"], "small") same(s.map_to_uint64.a, "7")
  same(s.fixed64_field, "0")
  same(unchanged(s), bytes)
  s.repeated_int64[1] = 2
  same(read(ALL, wire(s)).repeated_int64[1], 2)
  local e = read(ALL, bytes, "exact")
  same(type(e.int64_field), "cdata") assert(e.int64_field == 9007199254740992LL) same(type(e.map_to_uint64.a), "cdata")
  same(e.map_int64[5], "small") same(type(e.fixed64_field), "cdata")
  same(unchanged(e), bytes)
  e.map_to_uint64.a = e.map_to_uint64.a + 1
  same(read(ALL, wire(e)).map_to_uint64.a, 8)
end)

test("floats keep what makes them special", function()
  local m = read(ALL, wire({ double_field = 0 / 0, float_field = -1 / 0, repeated_double = { -0.0, 1 / 0 }, repeated_float = { 0 / 0 } }, ALL))
  assert(m.double_field ~= m.double_field) same(m.float_field, -1 / 0) same(1 / m.repeated_double[1], -1 / 0)
  assert(m.repeated_float[1] ~= m.repeated_float[1])
  assert(unchanged(m))
  local odd = unhex "09 010000000000f87f" .. unhex "ca02 08 010000000000f87f"
  local n = read(ALL, odd) -- a NaN with spare bits, forwarded as it came
  assert(n.repeated_double[1] ~= n.repeated_double[1]) assert(n.double_field ~= n.double_field)
  same(unchanged(n), odd)
  same(wire({ float_field = 0.1 }, ALL), wire({ float_field = read(ALL, wire({ float_field = 0.1 }, ALL)).float_field }, ALL))
end)

-- Maps --------------------------------------------------------------------------------------------------------------

test("duplicate keys: the last wins, and reading them is no change", function()
  local bytes = unhex "e205 06 0a016b 120161" .. unhex "e205 06 0a016b 120162" .. unhex "e205 06 0a016c 120163"
  local m = read(ALL, bytes)
  same(m.map_string.k, "b") same(m.map_string.l, "c")
  same(unchanged(m), bytes)
  m.map_string.x = "y"
  same(unchanged(m), nil)
  local back = read(ALL, wire(m))
  same(back.map_string.k, "b") same(back.map_string.x, "y")
  m = read(ALL, bytes) m.map_string.l = nil m.map_string.z = "c"
  same(unchanged(m), nil)
end)

test("entries with unknown fields are read and forwarded", function()
  local bytes = unhex "e205 08 0a016b 120161 1805"
  local m = read(ALL, bytes)
  same(m.map_string.k, "a") same(unchanged(m), bytes)
end)

test("the elements of a list or map are bounded", function()
  local m = read(ALL, unhex "da02 e907" .. ("\1"):rep(1001))
  raises("repeated_int32 has 1001 elements, more than the limit of 1000", function() return m.repeated_int32 end)
  same(#read(ALL, unhex "da02 e807" .. ("\1"):rep(1000)).repeated_int32, 1000)
  m = read(ALL, (unhex "e20500"):rep(1001))
  raises("map_string has 1001", function() return m.map_string end)
  raises("1001", function() return m:totable() end)
end)

-- Methods -----------------------------------------------------------------------------------------------------------

test("methods are also functions, and a field wins over a method", function()
  local m = new(ALL, { int32_field = 3, repeated_string = { "a", "b" } })
  same(message.has(m, "int32_field"), true) same(message.type(m), ALL) same(message.type {}, nil) same(message.type(nil), nil)
  same(message.get(m, "string_field"), "") same(message.which(m, "choice"), nil)
  same(message.bytes(m), m:bytes()) same(message.copy(m).int32_field, 3)
  same(message.totable(m).repeated_string[2], "b") same(m:type(), ALL)
  message.clear(m, "int32_field") same(m.int32_field, 0)
  local names = {}
  for name, value in message.pairs(new(ALL, { int32_field = 3, repeated_string = { "a" }, message_field = {} })) do names[#names + 1] = name .. type(value) end
  same(table.concat(names, " "), "int32_fieldnumber message_fielduserdata repeated_stringtable")
end)

test("new takes nothing, a table, bytes or a message", function()
  same(wire(new(ALL)), "") same(new(NUMBERS, { a = 5 }).a, 5) same(new(NUMBERS, unhex "0806").a, 6)
  local m = new(NUMBERS, { a = 1, c = { 1 } })
  local n = new(NUMBERS, m)
  n.a = 2 n.c[1] = 9
  same(m.a, 1) same(m.c[1], 1)
  raises("these bytes are no tidewire.test.Numbers", new, NUMBERS, "\255")
  raises("[, table, bytes or message]", new, NUMBERS, 5)
  raises("expected tidewire.test.Numbers, got tidewire.test.AllTypes", new, NUMBERS, new(ALL))
end)

test("a copy is apart from its original", function()
  local m = new(ALL, { message_field = { number = 1 }, string_field = ("x"):rep(3000) })
  local c = m:copy()
  c.message_field.number = 2 c.string_field = "y"
  same(m.message_field.number, 1) same(#m.string_field, 3000)
end)

test("the text form", function()
  local m = new(ALL, { int32_field = -3, string_field = 'a"b\n', bytes_field = "\0\255", enum_field = 7, message_field = { child = { text = "ü" } },
    repeated_int32 = { 1, 2 }, map_string = { k = "v" }, double_field = 0.1, float_field = 0.1, bool_field = true, uint64_field = "18446744073709551615" })
  same(tostring(m), ALL .. [[ { double_field: 0.1 float_field: 0.1 int32_field: -3 uint64_field: 18446744073709551615 bool_field: true string_field: "a\"b\n" bytes_field: "\000\377" enum_field: COLOR_BLUE message_field { child { text: "ü" } } repeated_int32: 1 repeated_int32: 2 map_string { key: "k" value: "v" } }]])
  same(tostring(new(ALL)), ALL .. " {}")
  m = read(NUMBERS, unhex "2a03616263" .. unhex "3005" .. unhex "3d01000000" .. unhex "43 44")
  same(tostring(m), NUMBERS .. ' { 5: "abc" 6: 5 7: 0x00000001 8 { … } }')
  m.a = 1
  say(m)
end)

test("the JSON form", function()
  local m = new(ALL, { int32_field = -3, string_field = "ü", message_field = { child = { number = 1 } }, repeated_int64 = { "9007199254740993" }, enum_field = 1 })
  m.message_field.child.text = '"'
  same(m:json(), [[{"int32Field":-3,"stringField":"ü","enumField":"COLOR_RED","messageField":{"child":{"number":1,"text":"\""}},"repeatedInt64":["9007199254740993"]}]])
  same(message.json(new(ALL)), "{}")
end)

test("the metatable is locked", function()
  same(getmetatable(new(ALL)), false)
  assert(not pcall(setmetatable, new(ALL), {}))
end)

test("enums name values both ways", function()
  local Color = enum "tidewire.test.Color"
  same(Color.COLOR_RED, 1) same(Color[1], "COLOR_RED") same(Color.COLOR_NEGATIVE, -1) same(Color[-1], "COLOR_NEGATIVE")
  same(enum("tidewire.test.Alias")[1], "ALIAS_FIRST") same(enum("tidewire.test.Alias").ALIAS_SAME, 1)
  assert(enum "tidewire.test.Color" ~= Color) -- one that is written to is nobody else's
  raises('tidewire.test.Color has no value "COLOR_REED" (did you mean "COLOR_RED"?)', function() return Color.COLOR_REED end)
  raises("has no value", function() return Color[55] end)
  raises("cannot be set", function() Color.COLOR_PINK = 4 end)
  raises('no enum "no.Such"', enum, "no.Such")
  same(hex(wire({ enum_field = "COLOR_BLUE", repeated_enum = { "COLOR_RED", 7, 99 } }, ALL)), "800107" .. "c203030107" .. "63")
end)

test("a big message is kept by reference and edited all the same", function()
  local big = ("x"):rep(5000)
  local m = read(ALL, wire({ string_field = big, message_field = { text = big, child = { text = big } } }, ALL))
  local child = m.message_field.child
  m.message_field.child.number = 4
  m = read(ALL, wire(m))
  collectgarbage()
  same(m.message_field.child.number, 4) same(m.message_field.text, big) same(child.text, big)
end)

test("types with more than 64 fields hold every field at once", function()
  local t = {}
  for kind, list in sorted(LISTS) do
    t["repeated_" .. kind] = list
    if kind ~= "string" and kind ~= "bytes" then t["unpacked_" .. kind] = list end
    t["optional_" .. kind] = list[1]
    t[kind .. "_field"] = list[1]
  end
  local m = read(ALL, wire(t, ALL))
  for name, value in pairs(t) do if type(value) ~= "table" then same(m[name], value, name) else same(#m[name], #value, name) end end
  for name in pairs(t) do if type(t[name]) ~= "table" then m[name] = nil end end
  m.last_field = 1
  for name, value in pairs(t) do if type(value) == "table" then same(#m[name], #value) end end
  say(m)
end)

-- Projections -------------------------------------------------------------------------------------------------------

test("a projection reads fields, defaults, lists, maps and fields inside", function()
  local got
  local function read_with(fields, value, form)
    local p = project({ fields = fields }, function(...) got = { n = select("#", ...), ... } end)
    local answer, fault = apply(p, ALL, nil, wire(value, ALL), form)
    same(answer, nil) same(fault, nil)
    same(got[1], "stream") same(got.n, #fields + 1)
    return unpack(got, 2, got.n)
  end
  local a, b, c, d, e, f = read_with({ "int32_field", "string_field", "optional_int32", "message_field", "repeated_int32", "choice_string" },
    { int32_field = 5 })
  same(a, 5) same(b, "") same(c, nil) same(d, nil) same(#e, 0) same(f, nil)
  a, b, c, d, e = read_with({ "message_field.child.text", "message_field.number", "message_field", "map_string", "repeated_message" },
    { message_field = { number = 3, child = { text = "deep" } }, map_string = { k = "v" }, repeated_message = { {}, { text = "t" } } })
  same(a, "deep") same(b, 3) same(c.child.text, "deep") same(d.k, "v") same(e[2].text, "t")
  a, b = read_with({ "self.self.int32_field", "self.string_field" }, { self = { string_field = "s" } })
  same(a, nil) same(b, "s")
  a = read_with({ "int64_field" }, { int64_field = 5 }, "string")
  same(a, "5")
  same(select("#", read_with({}, {})), 0)
  local p = project({ fields = { "message_field.number", "message_field.text", "self.message_field.child.number", "self.repeated_int32" } }, function(...) got = { ... } end)
  apply(p, ALL, nil, unhex "8a01 02 0805" .. unhex "8a01 03 120178" .. unhex "9201 05 8a01 02 0801" .. unhex "9201 07 8a01 04 1a020809" .. unhex "9201 03 d80207 9201 03 d80208")
  same(got[2], 5) same(got[3], "x") same(got[4], 9) same(table.concat(got[5], ","), "7,8")
end)

test("a projection's reply", function()
  local p = project({ fields = { "a" }, reply = { "int32_field", "double_field", "repeated_int32", "message_field" } },
    function(_, a) if a > 0 then return a + 1, nil, { 1, 2 }, { text = "t" } end end)
  same(hex(apply(p, NUMBERS, ALL, unhex "0801")), hex(wire({ int32_field = 2, repeated_int32 = { 1, 2 }, message_field = { text = "t" } }, ALL)))
  same(apply(p, NUMBERS, ALL, ""), nil)
  -- a default alone is an answer, of no bytes; more results than declared do not matter
  same(apply(project({ fields = {}, reply = { "a" } }, function() return 0, 1, 2 end), NUMBERS, NUMBERS, ""), "")
  -- in the order of the fields, whatever the order of the list
  same(hex(apply(project({ fields = {}, reply = { "c", "b", "a" } }, function() return { 1 }, 2, 3 end), NUMBERS, NUMBERS, "")), "0803" .. "110200000000000000" .. "1a0101")
  raises("tidewire.test.Numbers.a: expected a number, got string", apply, project({ fields = {}, reply = { "a" } }, function() return "x" end), NUMBERS, NUMBERS, "")
  raises("are both given", apply, project({ fields = {}, reply = { "choice_int32", "choice_string" } }, function() return 1, "" end), NUMBERS, ALL, "")
  raises('required field "name" is not set', apply, project({ fields = {}, reply = { "id", "name" } }, function() return 1 end), NUMBERS, "tidewire.test2.Required", "")
end)

test("a projection's reply of one value is what a table with that value makes", function()
  local values = { 0, 1, -1, 0.5, 0 / 0, 1 / 0, 2 ^ 31, 2 ^ 31 - 1, -2 ^ 31, -2 ^ 31 - 1, 2 ^ 32, 2 ^ 32 - 1, 2 ^ 53, 2 ^ 63, -2 ^ 63, 2 ^ 64, true, false,
    "", "text", "\255", "5" }
  for _, name in ipairs { "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "bool",
    "string", "bytes", "enum" } do
    name = name .. "_field"
    for _, value in ipairs(values) do
      local is_fine, bytes = pcall(apply, project({ fields = {}, reply = { name } }, function() return value end), ALL, ALL, "")
      local is_fine_too, expected = pcall(wire, { [name] = value }, ALL)
      same(is_fine, is_fine_too, name .. " " .. tostring(value))
      if is_fine then same(hex(bytes), hex(expected), name .. " " .. tostring(value)) end
    end
  end
end)

test("a projection's patch", function()
  local bytes = unhex "c2bb010161" .. unhex "1801" .. unhex "720161" .. unhex "d80701"
  local function patch(fields, ...)
    local results = { n = select("#", ...), ... }
    return apply(project({ fields = {}, patch = fields }, function() return unpack(results, 1, results.n) end), ALL, ALL, bytes)
  end
  same(hex(patch({ "string_field" }, "b")), "c2bb010161" .. "1801" .. "d80701" .. "720162")
  same(patch({ "string_field" }, nil), nil)
  same(patch({ "string_field" }), nil)
  same(hex(patch({ "string_field", "int32_field" }, nil, 0)), "c2bb010161" .. "720161" .. "d80701")
  same(hex(patch({ "bool_field" }, false)), hex(bytes)) -- a value, and the default
  same(hex(patch({ "choice_string" }, "s")), "c2bb010161" .. "1801" .. "720161" .. "b2080173")
  same(hex(patch({ "repeated_int32" }, { 1 })), hex(bytes) .. "da020101")
end)

test("what is wrong with a projection is said when it is declared or resolved", function()
  local f = function() end
  raises("usage: tidewire.project", project)
  raises("usage: tidewire.project", project, { fields = {} })
  raises("no fields", project, {}, f)
  raises('unknown key "filds"', project, { filds = {} }, f)
  raises("list of field names", project, { fields = { 1 } }, f)
  raises("list of field names", project, { fields = "a" }, f)
  raises("exclude each other", project, { fields = {}, reply = {}, patch = {} }, f)
  local function fault(spec, type, reply)
    local answer, text = apply(project(spec, f), type, reply, "")
    same(answer, nil)
    assert(text:find "^tests/unit/script/message_suite.lua:%d+: error: ", text)
    return (text:gsub("^[^:]*:%d+: error: ", ""))
  end
  same(fault({ fields = { "int32_feild" } }, ALL), 'tidewire.test.AllTypes has no field "int32_feild" (did you mean "int32_field"?)')
  same(fault({ fields = { "message_field.txt" } }, ALL), 'tidewire.test.AllTypes.Nested has no field "txt" (did you mean "text"?)')
  same(fault({ fields = { "repeated_message.text" } }, ALL), '"repeated_message.text": tidewire.test.AllTypes.repeated_message is no single message to look into')
  same(fault({ fields = { "int32_field.x" } }, ALL), '"int32_field.x": tidewire.test.AllTypes.int32_field is no single message to look into')
  same(fault({ fields = {}, reply = { "zzz" } }, ALL, NUMBERS), 'tidewire.test.Numbers has no field "zzz"')
  same(fault({ fields = {}, reply = { "message_field.text" } }, NUMBERS, ALL), '"message_field.text": a reply names fields of the message itself')
  same(fault({ fields = {}, reply = { "a" } }, NUMBERS), "here a projection only reads: no reply or patch")
  same(fault({ fields = {}, reply = { "id" } }, NUMBERS, "tidewire.test2.Required"), 'tidewire.test2.Required requires field "name", which the reply does not name')
  local answer, text = apply(project({ fields = { "a" } }, f), NUMBERS, nil, "\255")
  same(answer, nil) same(text, "a field of the message is malformed or cut off")
end)

for _, each in ipairs(tests) do
  local fine, text = xpcall(each[2], debug.traceback)
  if not fine then error(each[1] .. "\n" .. text, 0) end
  say("ok", each[1])
end
collectgarbage()
return table.concat(said, "\n")
