// Formats keys and values of a configuration for messages: quoted, shortened if they are long, and with secrets masked.
import { MASK, Secret } from './secret.ts'

const LENGTH_MAX = 80

/** Formats a path: `models.iris.url`, `policy.allow[0].clients`, `models."1.0".url`. */
export function shownPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) =>
      typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${shownLevel(String(key))}`,
    )
    .join('')
}

// Quotes a key that contains a dot, because dots separate the keys of a path.
function shownLevel(key: string): string {
  return key.includes('.') ? shownText(key) : shownKey(key)
}

/** Formats a key, in quotes if it could be misread. */
export function shownKey(key: string): string {
  return /^[A-Za-z0-9_.@-]{1,80}$/.test(key) ? key : shownText(key)
}

/**
 * Formats a value; a string is put in quotes. A user name and password in a URL are masked, even if the URL is invalid.
 */
export function shownValue(path: readonly PropertyKey[], value: unknown): string {
  if (value instanceof Secret || path.at(-1) === 'password') return MASK
  if (Array.isArray(value)) return `a list of ${value.length} ${value.length === 1 ? 'item' : 'items'}`
  if (typeof value === 'object' && value !== null) return 'a map'
  if (typeof value !== 'string') return String(value)
  return shownText(/url$/i.test(String(path.at(-1))) ? withoutUserinfo(value) : value)
}

/** Masks everything between the scheme and the last `@`. */
export function withoutUserinfo(url: string): string {
  return url.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/*)?[\s\S]*@/, `$1${MASK}@`)
}

// JSON escapes control characters, which a terminal would interpret.
function shownText(text: string): string {
  return JSON.stringify(text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX)}…` : text).replaceAll(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g,
    '\ufffd',
  )
}
