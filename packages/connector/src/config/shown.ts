// Formats keys and values of a configuration for messages: quoted, of bounded length, with secrets masked.
import { MASK, Secret } from './secret.ts'

const LENGTH_MAX = 80

/** `models.iris.url`, `policy.allow[0].clients`, `models."1.0".url`. */
export function shownPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) =>
      typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${shownLevel(String(key))}`,
    )
    .join('')
}

// In a path, a dot separates the keys.
function shownLevel(key: string): string {
  return key.includes('.') ? shownText(key) : shownKey(key)
}

/** A key, in quotes where it could be misread. */
export function shownKey(key: string): string {
  return /^[A-Za-z0-9_.@-]{1,80}$/.test(key) ? key : shownText(key)
}

/** A value in quotes. User name and password in a URL are masked, even if the URL is not valid. */
export function shownValue(path: readonly PropertyKey[], value: unknown): string {
  if (value instanceof Secret || path.at(-1) === 'password') return MASK
  if (Array.isArray(value)) return `a list of ${value.length} ${value.length === 1 ? 'item' : 'items'}`
  if (typeof value === 'object' && value !== null) return 'a map'
  if (typeof value !== 'string') return String(value)
  return shownText(path.at(-1) === 'url' ? withoutUserinfo(value) : value)
}

/** The text with everything between the scheme and the last `@` masked. */
export function withoutUserinfo(url: string): string {
  return url.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/*)?[\s\S]*@/, `$1${MASK}@`)
}

// JSON escapes control characters, which a terminal would execute.
function shownText(text: string): string {
  return JSON.stringify(text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX)}…` : text).replaceAll(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g,
    '\ufffd',
  )
}
