-- Appending a message as it was published. `expires`: when it is not handed out any more (ms; with a "+" in front from
-- now on; empty: never). Needs bucket and append; answers as append does.
local function append_message(partition, id, key, envelope, payload, expires)
  local size = #key + #envelope + #payload
  if expires == '' then return append(partition, size, 'i', id, 'k', key, 'e', envelope, 'd', payload) end
  if string.sub(expires, 1, 1) == '+' then expires = string.format('%.0f', now + tonumber(expires)) end
  return append(partition, size, 'i', id, 'k', key, 'e', envelope, 'd', payload, 't', expires)
end
