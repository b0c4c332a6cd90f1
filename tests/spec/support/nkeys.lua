-- Keys and credentials of NATS: Ed25519 keys in base32 with a checksum, and JWTs that they sign.
--
--   local user = nkeys.new "U"      -- user.seed ("SU…"), user.public ("U…")
--   nkeys.decentral()               -- lines of a server's configuration, and the text of a user's credentials
local certificates = require "support.certificates"
local gateway = require "support.gateway"
local process = require "support.process"
local bit = require "bit"

local nkeys = {}
local key = {}
key.__index = key

local function write(name, bytes)
  local path = certificates.folder .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  return path
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

local function openssl(...)
  local log = certificates.folder .. "/nkeys.log"
  assert(process.start({ "openssl", ... }, { output = log }):wait(gateway.patience) == 0, "openssl: see " .. log)
end

-- So many bits for each letter, the highest first.
local function letters(bytes, size, alphabet)
  local out, pending, bits = {}, 0, 0
  local function put(index) out[#out + 1] = alphabet:sub(index + 1, index + 1) end
  for i = 1, #bytes do
    pending = bit.bor(bit.lshift(bit.band(pending, 0xff), 8), bytes:byte(i))
    bits = bits + 8
    while bits >= size do
      bits = bits - size
      put(bit.band(bit.rshift(pending, bits), 2 ^ size - 1))
    end
  end
  if bits > 0 then put(bit.band(bit.lshift(pending, size - bits), 2 ^ size - 1)) end
  return table.concat(out)
end

local base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
local base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

-- CRC-16 with the polynomial 0x1021, the low byte first.
local function checksum(bytes)
  local crc = 0
  for i = 1, #bytes do
    crc = bit.bxor(crc, bit.lshift(bytes:byte(i), 8))
    for _ = 1, 8 do
      crc = bit.band(bit.bxor(bit.lshift(crc, 1), bit.band(crc, 0x8000) ~= 0 and 0x1021 or 0), 0xffff)
    end
  end
  return string.char(bit.band(crc, 255), bit.rshift(crc, 8))
end

local function armour(bytes) return letters(bytes .. checksum(bytes), 5, base32) end

-- The letter with which the public key begins: "U" of a user, "A" of an account, "O" of an operator.
local count = 0
function nkeys.new(letter)
  count = count + 1
  local kind = (base32:find(letter, 1, true) - 1) * 8
  local path = certificates.folder .. "/nkey-" .. count
  openssl("genpkey", "-algorithm", "ed25519", "-outform", "DER", "-out", path)
  openssl("pkey", "-in", path, "-inform", "DER", "-pubout", "-outform", "DER", "-out", path .. ".public")
  local seed, public = read(path):sub(-32), read(path .. ".public"):sub(-32)
  local secret = 18 * 8
  return setmetatable({
    path = path,
    public = armour(string.char(kind) .. public),
    seed = armour(string.char(bit.bor(secret, bit.rshift(kind, 5)), bit.band(bit.lshift(kind, 3), 255)) .. seed),
  }, key)
end

-- A JWT about `subject`, signed by this key. `nats` is JSON.
function key:sign(subject, nats)
  local claims = ('{"jti":"%s","iat":1,"iss":"%s","name":"spec","sub":"%s","nats":%s}')
    :format(subject, self.public, subject, nats)
  local text = letters('{"typ":"JWT","alg":"ed25519-nkey"}', 6, base64) .. "." .. letters(claims, 6, base64)
  local path = write("jwt", text)
  openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-keyform", "DER", "-in", path,
    "-out", path .. ".signature")
  return text .. "." .. letters(read(path .. ".signature"), 6, base64)
end

function nkeys.decentral()
  local operator, account, user = nkeys.new "O", nkeys.new "A", nkeys.new "U"
  local limits = '{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1}'
  local config = ("operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }"):format(
    operator:sign(operator.public, '{"type":"operator","version":2}'), account.public,
    operator:sign(account.public, ('{"type":"account","version":2,"limits":%s}'):format(limits)))
  local jwt = account:sign(user.public, '{"type":"user","version":2,"subs":-1,"data":-1,"payload":-1}')
  return config, ("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
    .. "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n"):format(jwt, user.seed)
end

nkeys.write = write

return nkeys
