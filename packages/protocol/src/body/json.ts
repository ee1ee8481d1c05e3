// Reads a JSON body. JSON.parse is unsuitable: it rounds integers above 2^53, which INT64 tensors need exactly, its
// recursion is unbounded, and its errors have no reliable position.
import { utf8Decoder } from './utf8.ts'

/** A JSON value. Objects have no prototype; integers that a double cannot represent are bigints. */
export type Json = null | boolean | number | bigint | string | Json[] | JsonObject

/** A JSON object without a prototype, so that `__proto__` is a key like any other. */
export interface JsonObject {
  [key: string]: Json | undefined
}

/** Options for the differences between the JSON parsers of KServe's server: orjson (V1) and Python's json (V2). */
export interface JsonOptions {
  /** Accepts the tokens NaN, Infinity and -Infinity, as Python's parser does. @default false */
  readonly nonFinite?: boolean
  /**
   * Omits a member whose value exceeds a limit: a number that is out of range, a value that is nested too deeply, or a
   * list that contains such a value. @default false: throws an error for such a value
   */
  readonly leaveOut?: boolean
}

/** Maximum nesting depth, the same as Triton's. */
export const JSON_DEPTH_MAX = 100

/** Thrown for a body that cannot be read as JSON; `offset` counts characters from the start of the body. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
  readonly offset: number

  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

/** Returns whether a value is a JSON object, not a list or null. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Parses UTF-8 JSON.
 * @throws JsonSyntaxError if the bytes are not UTF-8, not JSON, nested too deeply or contain an infinite number.
 */
export function parseJson(bytes: Uint8Array, options: JsonOptions = {}): Json {
  let text: string
  try {
    text = utf8Decoder()(bytes)
  } catch {
    throw new JsonSyntaxError('The body is not UTF-8', 0)
  }
  // RFC 8259 §8.1: a parser may ignore a byte order mark.
  if (text.startsWith('\ufeff')) text = text.slice(1)
  return new Reader(text, options).document()
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const NO_INTEGER = /[.eE]/
// A tensor's longest integer has 20 digits; converting longer integers to bigint would only waste time.
const INTEGER_DIGITS_MAX = 40

class Reader {
  readonly #text: string
  readonly #nonFinite: boolean
  readonly #leaveOut: boolean
  #at = 0

  constructor(text: string, { nonFinite = false, leaveOut = false }: JsonOptions) {
    this.#text = text
    this.#nonFinite = nonFinite
    this.#leaveOut = leaveOut
  }

  document(): Json {
    const value = this.#value(0)
    this.#space()
    if (this.#at < this.#text.length) this.#fail('Extra data')
    return value === undefined ? this.#fail('Limit exceeded') : value
  }

  // Returns undefined for an omitted value.
  #value(depth: number): Json | undefined {
    this.#space()
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x5b /* [ */:
        return this.#array(depth + 1)
      case 0x7b /* { */:
        return this.#object(depth + 1)
      case 0x22 /* " */:
        return this.#string()
      case 0x74 /* t */:
        return this.#word('true', true)
      case 0x66 /* f */:
        return this.#word('false', false)
      case 0x6e /* n */:
        return this.#word('null', null)
      case 0x4e /* N */:
        return this.#word('NaN', NaN, this.#nonFinite)
      case 0x49 /* I */:
        return this.#word('Infinity', Infinity, this.#nonFinite)
      default:
        return this.#number()
    }
  }

  #array(depth: number): Json[] | undefined {
    if (this.#isTooDeep(depth)) return this.#skip()
    const values: Json[] = []
    let isWhole = true
    this.#at++
    if (this.#accept(0x5d)) return values
    for (;;) {
      const value = this.#value(depth)
      if (value === undefined) isWhole = false
      else values.push(value)
      if (this.#accept(0x5d)) return isWhole ? values : undefined
      this.#expect(0x2c, "Expecting ',' delimiter")
    }
  }

  #object(depth: number): JsonObject | undefined {
    if (this.#isTooDeep(depth)) return this.#skip()
    const object = Object.create(null) as JsonObject
    this.#at++
    if (this.#accept(0x7d)) return object
    for (;;) {
      this.#space()
      if (this.#text.charCodeAt(this.#at) !== 0x22) {
        this.#fail('Expecting property name enclosed in double quotes')
      }
      const key = this.#string()
      this.#expect(0x3a, "Expecting ':' delimiter")
      object[key] = this.#value(depth)
      if (this.#accept(0x7d)) return object
      this.#expect(0x2c, "Expecting ',' delimiter")
    }
  }

  #string(): string {
    const start = this.#at
    let isPlain = true
    for (let at = start + 1; at < this.#text.length; at++) {
      const character = this.#text.charCodeAt(at)
      if (character === 0x22) {
        this.#at = at + 1
        return isPlain ? this.#text.slice(start + 1, at) : this.#unescape(start)
      }
      // JSON.parse decodes escapes, and rejects control characters.
      if (character === 0x5c || character < 0x20) isPlain = false
      if (character === 0x5c) at++
    }
    return this.#fail('Unterminated string starting')
  }

  #unescape(start: number): string {
    try {
      return JSON.parse(this.#text.slice(start, this.#at)) as string
    } catch {
      this.#at = start
      return this.#fail('Invalid escape or control character in the string')
    }
  }

  #number(): number | bigint | undefined {
    const start = this.#at
    NUMBER.lastIndex = start
    // `exec` would create an array for each number of a tensor.
    if (!NUMBER.test(this.#text)) {
      if (this.#nonFinite && this.#text.startsWith('-Infinity', this.#at)) {
        this.#at += 9
        return -Infinity
      }
      return this.#fail('Expecting value')
    }
    const literal = this.#text.slice(start, NUMBER.lastIndex)
    const value = Number(literal)
    const isInteger = !NO_INTEGER.test(literal)
    // As in orjson, a number that a double cannot represent is rejected, not rounded to infinity.
    if (!Number.isFinite(value) || (isInteger && literal.length > INTEGER_DIGITS_MAX)) {
      if (!this.#leaveOut) this.#fail('Number out of range')
      this.#at = NUMBER.lastIndex
      return undefined
    }
    this.#at = NUMBER.lastIndex
    return isInteger && !Number.isSafeInteger(value) ? BigInt(literal) : value
  }

  #word<T>(word: string, value: T, allowed = true): T {
    if (!allowed || !this.#text.startsWith(word, this.#at)) this.#fail('Expecting value')
    this.#at += word.length
    return value
  }

  #isTooDeep(depth: number): boolean {
    if (depth <= JSON_DEPTH_MAX) return false
    return this.#leaveOut || this.#fail(`Nested deeper than ${JSON_DEPTH_MAX} levels`)
  }

  // Skips a list or an object, without recursion.
  #skip(): undefined {
    let depth = 0
    do {
      const character = this.#text.charCodeAt(this.#at)
      if (Number.isNaN(character)) this.#fail("Expecting ',' delimiter")
      if (character === 0x22) {
        this.#string()
        continue
      }
      if (character === 0x5b || character === 0x7b) depth++
      else if (character === 0x5d || character === 0x7d) depth--
      this.#at++
    } while (depth > 0)
    return undefined
  }

  #accept(character: number): boolean {
    this.#space()
    if (this.#text.charCodeAt(this.#at) !== character) return false
    this.#at++
    return true
  }

  #expect(character: number, complaint: string): void {
    if (!this.#accept(character)) this.#fail(complaint)
  }

  #space(): void {
    for (;;) {
      const character = this.#text.charCodeAt(this.#at)
      if (character !== 0x20 && character !== 0x0a && character !== 0x0d && character !== 0x09) return
      this.#at++
    }
  }

  #fail(message: string): never {
    throw new JsonSyntaxError(`${message}: char ${this.#at}`, this.#at)
  }
}
