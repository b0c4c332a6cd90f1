-- tidewire/reads.lua: reads(hook) tells which fields of its message a hook reads, if that is all that it does with it.
--
-- Most filters look at a field or two. Where a function only indexes its second argument by constant names, or returns
-- it, nothing else can get hold of the message. The function's bytecode tells. Each instruction comes with the kinds of
-- its operands (jit.util.funcbc), so that of all opcodes only those few are known here that may touch the argument;
-- they are learnt from examples. If anything else touches it, or may, there is no answer: nil.

local util = require "jit.util"
local band, rshift = bit.band, bit.rshift
local funcbc, funcinfo, funck = util.funcbc, util.funcinfo, util.funck

local SLOT = 1 -- of the message; the stream is in 0
local DST, BASE, VAR, RBASE = 1, 2, 3, 4 -- kinds of operands: a slot, or slots from there on

local function opcode(f) return band(funcbc(f, 1), 0xff) end
local GET = opcode(function(m) return m.x end)
local RETURN_NOTHING = opcode(function() end)
local RETURN_ONE = opcode(function(m) return m end)

local function touches(kind, operand)
  return ((kind == DST or kind == VAR) and operand == SLOT) or ((kind == BASE or kind == RBASE) and operand <= SLOT)
end

-- A field's name, true for an instruction that does no harm, or nil.
local function judge(f, pc)
  local instruction, kinds = funcbc(f, pc)
  local op, a, b = band(instruction, 0xff), band(rshift(instruction, 8), 0xff), rshift(instruction, 24)
  local of_a, of_b, of_c = band(kinds, 7), band(rshift(kinds, 3), 15), band(rshift(kinds, 7), 15)
  local c = band(rshift(instruction, 16), of_b == 0 and 0xffff or 0xff)
  if op == GET and b == SLOT and a ~= SLOT then return funck(f, -c - 1) end
  if op == RETURN_NOTHING or op == RETURN_ONE then return true end
  return not (touches(of_a, a) or touches(of_b, b) or touches(of_c, c)) or nil
end

return function(f)
  local info, names, seen = funcinfo(f), {}, {}
  if not info.params or info.isvararg or info.children then return nil end -- inner functions may share the slot
  if info.params <= SLOT then return names end
  for pc = 1, info.bytecodes - 1 do
    local name = judge(f, pc)
    if not name then return nil end
    if name ~= true and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  return names
end
