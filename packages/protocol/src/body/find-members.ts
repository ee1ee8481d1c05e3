// Finds members of a JSON object without parsing their values, so that the rest of the body can be copied byte for
// byte.
import { JSON_DEPTH_MAX, JsonSyntaxError } from './json.ts'

/** A member of the outermost object, with the position of its value in bytes. */
export interface MemberPlace {
  /** The name as spelled in the body, with escapes decoded. Its case may differ from that of the name searched for. */
  readonly name: string
  readonly start: number
  readonly end: number
}

/** The members that were searched for. */
export interface FoundMembers {
  /** The members in order, including repetitions. */
  readonly members: readonly MemberPlace[]
  /** Offset after the opening brace, where a member can be inserted. */
  readonly insertAt: number
  /** Whether the object has no members at all. */
  readonly isEmpty: boolean
}

const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c

/**
 * Finds the members with these names (in lower case) in an object. Names are compared without regard to case, because
 * some servers ignore case. The whole body must be valid JSON (RFC 8259), because a server that reads invalid JSON may
 * find other members. Whether the text in strings is UTF-8 is not checked.
 * @throws JsonSyntaxError if the body is not one JSON object, or is nested too deeply; `offset` counts bytes
 */
export function findMembers(body: Uint8Array, names: readonly string[]): FoundMembers {
  return new Scanner(body, names).document()
}

class Scanner {
  readonly #body: Uint8Array
  readonly #names: readonly string[]
  #at = 0
  // For each open bracket, whether it belongs to an object.
  readonly #isObject = new Uint8Array(JSON_DEPTH_MAX)

  constructor(body: Uint8Array, names: readonly string[]) {
    this.#body = body
    this.#names = names
  }

  document(): FoundMembers {
    this.#expect(OPEN_OBJECT)
    const insertAt = this.#at
    const members: MemberPlace[] = []
    let isEmpty = true
    while (this.#afterSpace() !== CLOSE_OBJECT || !isEmpty) {
      isEmpty = false
      const name = this.#name()
      this.#afterSpace()
      const start = this.#at
      this.#value()
      if (name !== undefined) members.push({ name, start, end: this.#at })
      if (this.#afterSpace() === CLOSE_OBJECT) break
      this.#expect(COMMA)
    }
    this.#expect(CLOSE_OBJECT)
    if (this.#afterSpace() !== undefined) this.#fail()
    return { members, insertAt, isEmpty }
  }

  // Reads a member's name and its colon. Returns the name if it is one of those searched for.
  #name(): string | undefined {
    this.#afterSpace()
    const start = this.#at
    this.#string()
    const name = this.#wantedName(start + 1, this.#at - 1)
    this.#expect(COLON)
    return name
  }

  #wantedName(start: number, end: number): string | undefined {
    // A character takes at most six bytes, as an escape sequence.
    const bytesMax = 6 * Math.max(...this.#names.map(({ length }) => length))
    if (end - start > bytesMax) return undefined
    const literal = String.fromCharCode(...this.#body.subarray(start, end))
    const name = literal.includes('\\') ? (JSON.parse(`"${literal}"`) as string) : literal
    return this.#names.includes(name.toLowerCase()) ? name : undefined
  }

  #value(): void {
    let depth = 0
    do {
      const byte = this.#afterSpace()
      if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        // The outermost object, which is not counted in `depth`, is also a level.
        if (depth + 1 >= JSON_DEPTH_MAX) this.#fail()
        this.#at += 1
        this.#isObject[depth] = byte === OPEN_OBJECT ? 1 : 0
        depth += 1
        if (this.#afterSpace() !== this.#closing(depth)) {
          if (byte === OPEN_OBJECT) this.#skipName()
          continue
        }
      } else this.#scalar(byte)
      depth = this.#afterValue(depth)
    } while (depth > 0)
  }

  // Reads the closing brackets after a value, up to the next value. Returns the number of open brackets.
  #afterValue(open: number): number {
    let depth = open
    while (depth > 0) {
      const byte = this.#afterSpace()
      if (byte === COMMA) {
        this.#at += 1
        if (this.#isObject[depth - 1] === 1) this.#skipName()
        return depth
      }
      if (byte === this.#closing(depth)) {
        this.#at += 1
        depth -= 1
      } else this.#fail()
    }
    return 0
  }

  #closing(depth: number): number {
    return this.#isObject[depth - 1] === 1 ? CLOSE_OBJECT : CLOSE_LIST
  }

  #skipName(): void {
    this.#afterSpace()
    this.#string()
    this.#expect(COLON)
  }

  #scalar(byte: number | undefined): void {
    const literal = byte === undefined ? undefined : LITERALS.get(byte)
    if (byte === QUOTE) this.#string()
    else if (literal === undefined) this.#number()
    else this.#literal(literal)
  }

  #string(): void {
    const body = this.#body
    if (body[this.#at] !== QUOTE) this.#fail()
    let at = this.#at + 1
    for (;;) {
      const byte = body[at]
      if (byte === QUOTE) break
      // RFC 8259 §7: control characters must be escaped.
      if (byte === undefined || byte < 0x20) this.#fail(at)
      at += byte === BACKSLASH ? this.#escape(at) : 1
    }
    this.#at = at + 1
  }

  // Returns the length of an escape sequence.
  #escape(at: number): number {
    const kind = this.#body[at + 1]
    if (kind === 0x75) {
      for (let digit = at + 2; digit < at + 6; digit += 1) if (!isHex(this.#body[digit])) this.#fail(digit)
      return 6
    }
    if (kind === undefined || !ESCAPED.has(kind)) this.#fail(at)
    return 2
  }

  #literal(text: string): void {
    for (let index = 0; index < text.length; index += 1) {
      if (this.#body[this.#at + index] !== text.charCodeAt(index)) this.#fail()
    }
    this.#at += text.length
  }

  #number(): void {
    if (this.#body[this.#at] === 0x2d) this.#at += 1
    if (this.#body[this.#at] === 0x30) this.#at += 1
    else this.#digits()
    if (this.#body[this.#at] === 0x2e) {
      this.#at += 1
      this.#digits()
    }
    const exponent = this.#body[this.#at]
    if (exponent === 0x65 || exponent === 0x45) {
      this.#at += 1
      const sign = this.#body[this.#at]
      if (sign === 0x2b || sign === 0x2d) this.#at += 1
      this.#digits()
    }
  }

  #digits(): void {
    const start = this.#at
    while (isDigit(this.#body[this.#at])) this.#at += 1
    if (this.#at === start) this.#fail()
  }

  // Skips white space, and returns the next byte.
  #afterSpace(): number | undefined {
    for (;;) {
      const byte = this.#body[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte
      this.#at += 1
    }
  }

  #expect(byte: number): void {
    if (this.#afterSpace() !== byte) this.#fail()
    this.#at += 1
  }

  #fail(at = this.#at): never {
    throw new JsonSyntaxError(`The body is not a valid JSON object at byte ${at}`, at)
  }
}

// `"`, `\`, `/`, and the letters of \b, \f, \n, \r and \t.
const ESCAPED: ReadonlySet<number> = new Set([0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74])

// The literals of JSON by their first byte.
const LITERALS: ReadonlyMap<number, string> = new Map([
  [0x74, 'true'],
  [0x66, 'false'],
  [0x6e, 'null'],
])

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function isHex(byte: number | undefined): boolean {
  return isDigit(byte) || (byte !== undefined && (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
}
