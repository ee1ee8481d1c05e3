// The hashes of a password file: `$6$salt$hash`, `$7$iterations$salt$hash`, and Mosquitto 2.1's argon2id.
import { createHash, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** The selectable hash algorithms. */
export type HashAlgorithm = 'sha512' | 'sha512-pbkdf2'

/** A parsed hash. `digest` is 64 bytes long, `salt` 12 or 64 bytes. */
export type PasswordHash =
  | { readonly algorithm: 'sha512'; readonly salt: Uint8Array; readonly digest: Uint8Array }
  | {
      readonly algorithm: 'sha512-pbkdf2'
      readonly iterations: number
      readonly salt: Uint8Array
      readonly digest: Uint8Array
    }
  | { readonly algorithm: 'argon2id' }

/** The reason why Mosquitto does not accept a string as a hash. */
export type HashDefect = 'plain_text' | 'hash_form' | 'iterations' | 'base64' | 'salt_length' | 'hash_length'

/** Options of `hashPassword`. */
export interface HashOptions {
  /** @default sha512-pbkdf2 */
  readonly algorithm?: HashAlgorithm
  /** Number of PBKDF2 iterations, 1 to `ITERATIONS_MAX`. @default 20000 */
  readonly iterations?: number
}

/**
 * With this number, each CONNECT blocks the broker for the roughly 10 ms that hashing takes. If a thousand clients
 * reconnect at once, the broker is blocked for ten seconds. Mosquitto's default is 101.
 */
export const ITERATIONS_DEFAULT = 20_000
/** The number of iterations above which a warning is issued, because of the delay at every CONNECT. */
export const ITERATIONS_ADVISED_MAX = 50_000
/**
 * The maximum number of iterations for hashing and verification; with more, one CONNECT would take seconds of CPU time.
 */
export const ITERATIONS_MAX = 10_000_000
/** Maximum length of a password in UTF-8 bytes: the limit of MQTT (§1.5.6). */
export const PASSWORD_BYTES_MAX = 65_535

// The only salt length that Mosquitto 2.0 accepts; 2.1 also accepts 64 bytes, which mosquitto_passwd 2.1 generates.
const SALT_BYTES = 12
const SALT_BYTES_2_1 = 64
const DIGEST_BYTES = 64
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const ARGON2ID =
  /^\$argon2id\$v=\d{1,3}\$m=\d{1,10},t=\d{1,10},p=\d{1,10}\$[A-Za-z0-9+/]{1,200}\$[A-Za-z0-9+/]{1,200}$/

const derive = promisify(pbkdf2)

/**
 * Returns a new hash with a random salt, as text.
 * @throws RangeError if the number of iterations is out of range, Error for a password that Mosquitto does not accept
 */
export async function hashPassword(password: string, options: HashOptions = {}): Promise<string> {
  const { algorithm = 'sha512-pbkdf2', iterations = ITERATIONS_DEFAULT } = options
  const mistake = passwordMistake(password)
  if (mistake !== undefined) throw new Error(`The password ${mistake}.`)
  const salt = randomBytes(SALT_BYTES)
  if (algorithm === 'sha512') return `$6$${base64(salt)}$${base64(sha512(password, salt))}`
  if (!Number.isInteger(iterations) || iterations < 1 || iterations > ITERATIONS_MAX) {
    throw new RangeError(`Iterations must be a whole number from 1 to ${ITERATIONS_MAX}, not ${iterations}.`)
  }
  const digest = await derive(password, salt, iterations, DIGEST_BYTES, 'sha512')
  return `$7$${iterations}$${base64(salt)}$${base64(digest)}`
}

/** Returns the reason why the text cannot be a password; undefined if it can. */
export function passwordMistake(password: string): string | undefined {
  if (password === '') return 'is empty'
  // Mosquitto determines the length with strlen, which ignores everything after a NUL.
  if (password.includes('\0')) return 'contains a NUL character'
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return `is longer than ${PASSWORD_BYTES_MAX} bytes`
  return undefined
}

/** Returns whether the password matches the hash. @throws Error for argon2id, which Node.js 20 cannot compute */
export async function verifyPassword(hash: PasswordHash, password: string): Promise<boolean> {
  if (passwordMistake(password) !== undefined) return false
  if (hash.algorithm === 'argon2id') {
    throw new Error('An argon2id hash can only be verified by Mosquitto 2.1.')
  }
  const computed =
    hash.algorithm === 'sha512'
      ? sha512(password, hash.salt)
      : await derive(password, hash.salt, hash.iterations, DIGEST_BYTES, 'sha512')
  return timingSafeEqual(computed, hash.digest)
}

/** Parses the text after the user name. Returns the hash, or the defect. */
export function parsePasswordHash(text: string): PasswordHash | HashDefect {
  if (!looksHashed(text)) return 'plain_text'
  const fields = text.split('$').slice(1)
  if (fields[0] === 'argon2id') return ARGON2ID.test(text) ? { algorithm: 'argon2id' } : 'hash_form'
  if (fields[0] === '6') return fields.length === 3 ? saltedHash(fields[1]!, fields[2]!) : 'hash_form'
  if (fields.length !== 4) return 'hash_form'
  const iterations = Number(fields[1])
  if (!/^\d{1,10}$/.test(fields[1]!) || iterations < 1 || iterations > ITERATIONS_MAX) return 'iterations'
  const hash = saltedHash(fields[2]!, fields[3]!)
  return typeof hash === 'string' ? hash : { ...hash, algorithm: 'sha512-pbkdf2', iterations }
}

// Whether a text looks like a hash. Such a text is never treated as a plain-text password: hashing it would lock out
// the user.
function looksHashed(text: string): boolean {
  return /^\$(?:6|7|argon2id?|argon2d)\$/.test(text)
}

/** Returns whether Mosquitto 2.0 ignores the user because of the salt. */
export function hasLongSalt(hash: PasswordHash): boolean {
  return hash.algorithm !== 'argon2id' && hash.salt.length !== SALT_BYTES
}

function saltedHash(
  saltText: string,
  digestText: string,
): Extract<PasswordHash, { algorithm: 'sha512' }> | HashDefect {
  if (!BASE64.test(saltText) || !BASE64.test(digestText)) return 'base64'
  const salt = Buffer.from(saltText, 'base64')
  const digest = Buffer.from(digestText, 'base64')
  if (salt.length !== SALT_BYTES && salt.length !== SALT_BYTES_2_1) return 'salt_length'
  if (digest.length !== DIGEST_BYTES) return 'hash_length'
  return { algorithm: 'sha512', salt, digest }
}

// Hashes the bytes of the password followed by the salt, in one round.
function sha512(password: string, salt: Uint8Array): Buffer {
  return createHash('sha512').update(password, 'utf8').update(salt).digest()
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
