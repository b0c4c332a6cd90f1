-- lua/tidewire/reads.lua, the chunk that is given: which functions only look at fields of their message, and which.
-- luacheck: ignore 232 312
local reads = (...)()
local upvalue = {}

local function expect(wanted, f)
  local names = reads(f)
  local got = names and table.concat(names, ",") or "more"
  if got ~= wanted then
    error(("line %d: %s, not %s"):format(debug.getinfo(f, "S").linedefined, got, wanted), 0)
  end
end

-- Nothing but reading by name, wherever it stands.
expect("", function() end)
expect("", function(s) local other = s; return other end)
expect("", function(_, m) return m end)
expect("", function(s) return s, s.x end)
expect("a", function(_, m) local _ = m.a end)
expect("a,b", function(_, m) if m.a == m.b then return m end return m.a, false end)
expect("a", function(_, m) return m.a.b end) -- what `a` is, its type tells
expect("n,a,b", function(s, m)
  for i = 1, m.n do s:send { i, a = m.a, b = m.b, upvalue } end
end)
expect("a,b", function(s, m, more)
  while m.a do
    for _, v in ipairs(s.list) do s.x, more = v .. m.b, m.a end
    repeat local x = not m.b until x
  end
end)
expect("stop", function(s, m) return s:close("ABORTED", m.stop) end) -- a tail call
expect("a", function(_, m) upvalue.x, upvalue[m.a] = m.a, -m.a end)

-- Whatever else could keep it, change it, or tell it from a table.
expect("more", function(_, m) print(m) end)
expect("more", function(_, m) return print(m) end)
expect("more", function(_, m) m.a = 1 end)
expect("more", function(_, m) m[1] = 1 end)
expect("more", function(s, m) s.x = m end)
expect("more", function(s, m) s[1] = m end)
expect("more", function(s, m) s[s] = m end)
expect("more", function(s, m) return s[m] end)
expect("more", function(_, m) upvalue = m end)
expect("more", function(_, m) local x = m; return x.a end)
expect("more", function(_, m) return { m } end)
expect("more", function(_, m) return { m, 1, m.a } end)
expect("more", function(_, m) return { a = m } end)
expect("more", function(s, m) return s, m end)
expect("more", function(_, m) return function() return m.a end end)
expect("more", function() return function() end end) -- might be shared
expect("more", function(_, m) return m:a() end)
expect("more", function(_, m) return m[1] end)
expect("more", function(s, m) return m[s] end)
expect("more", function(_, m) return #m end)
expect("more", function(_, m) return -m end)
expect("more", function(_, m) return m .. "" end)
expect("more", function(s, m) return s.a .. m .. "" end)
expect("more", function(_, m) return m + 1 end)
expect("more", function(s, m) return m == s end)
expect("more", function(_, m) return not m end)
expect("more", function(_, m) if m then return 1 end end)
expect("more", function(_, m) return m and 1 end)
expect("more", function(_, m) return upvalue.x or m end)
expect("more", function(_, m) m = m.a; return m end)
expect("more", function(s, m) m = s.a; return m end)
expect("more", function(s, m, x) s, m, x = nil, nil, nil; return x end)
expect("more", function(s, m) s, m = nil, nil; return s, m end)
expect("more", function(_, m) for _, v in pairs(m) do print(v) end end)
expect("more", function(_, m) for i = m, 10 do print(i) end end)
expect("more", function(_, ...) return ... end)
expect("more", function(_, m, ...) return m.a, ... end)
expect("more", function(_, m) return m() end)
expect("more", print)
