-- What names tell of a path, byte by byte: core/relations.py.
local function folder_of(name)
  return string.match(name, '^(.*)/') or ''
end

local function parted(name)
  local last = string.match(name, '[^/]*$')
  local stem, extension = string.match(last, '^(.+)%.([A-Za-z0-9]+)$')
  if not stem or #extension > 8 then
    return last, ''
  end
  return stem, string.lower(extension)
end
