// Remembers answers for repeated requests in one block of memory, without objects that would need garbage collection
// (decision 0009).
import { Problem, type ProblemCode } from '@inferwire/protocol'
import type { EndpointResponse, Outcome } from '../step.ts'

/** Whether the outcome is a problem. */
export function isProblem(outcome: Outcome): outcome is Problem {
  return outcome instanceof Error
}

// The header of an entry, in words of 4 bytes. The entry's meta and body follow the header; the next entry starts at a
// multiple of 8 bytes.
const SIZE = 0
const NEXT = 1
const DIGEST = 2
const DIGEST_WORDS = 4
// Offset of a double, in bytes from the start of the entry.
const UNTIL = 24
const STATUS = 8
const BODY_BYTES = 9
const META_BYTES = 10
const HEADER_BYTES = 48
// Stored instead of a status if the outcome is a problem.
const PROBLEM = 0x10000
// Largest share of the memory for one answer; a larger answer would displace too many others.
const SHARE_OF_ONE = 1 / 8
const JSON_TYPE = 'application/json'
// The meta of a plain JSON response.
const PLAIN = ''

/**
 * A ring of entries, found by the first 16 bytes of their 32-byte key; the newest entries overwrite the oldest. Expired
 * entries are not found, and are removed when their space is needed.
 */
export class AnswerMemory {
  readonly #bytes: Buffer
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  // Offset + 1 of the newest entry of each bucket; the entries of a bucket are linked from new to old.
  readonly #buckets: Int32Array
  readonly #key = new Int32Array(DIGEST_WORDS)
  #oldest = 0
  #end = 0
  // The offset at which the older entries end, if the newest entries have wrapped around to offsets below the oldest
  // entry; otherwise 0.
  #wrapAt = 0
  #count = 0
  #used = 0

  /** @param bytesMax size in bytes; the operating system assigns the pages as they are used */
  constructor(bytesMax: number) {
    const size = Math.floor(bytesMax / 8) * 8
    this.#bytes = Buffer.allocUnsafeSlow(size)
    this.#words = new Int32Array(this.#bytes.buffer)
    this.#doubles = new Float64Array(this.#bytes.buffer)
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(64, size / 256)))
    this.#buckets = new Int32Array(Math.min(buckets, 2 ** 20))
  }

  /** Number of bytes that the entries occupy. */
  get used(): number {
    return this.#used
  }

  /** Number of entries, including expired ones. */
  get count(): number {
    return this.#count
  }

  /** Remembers an outcome until `untilMs` of the monotonic clock, unless it is too large. */
  put(key: string, untilMs: number, outcome: Outcome): void {
    const meta = isProblem(outcome) ? problemMeta(outcome) : responseMeta(outcome)
    const { body } = outcome
    const bodyBytes = body?.length ?? 0
    const sizeMax = HEADER_BYTES + 3 * meta.length + bodyBytes
    if (sizeMax > this.#bytes.length * SHARE_OF_ONE) return
    const offset = this.#makeRoom(sizeMax + 8)
    const metaBytes = meta === PLAIN ? 0 : this.#bytes.write(meta, offset + HEADER_BYTES)
    if (body !== undefined) this.#bytes.set(body, offset + HEADER_BYTES + metaBytes)
    const size = (HEADER_BYTES + metaBytes + bodyBytes + 7) & ~7
    const word = offset >> 2
    const bucket = this.#readKey(key)
    this.#words[word + SIZE] = size
    this.#words[word + NEXT] = this.#buckets[bucket]!
    this.#words.set(this.#key, word + DIGEST)
    this.#doubles[(offset + UNTIL) >> 3] = untilMs
    this.#words[word + STATUS] = isProblem(outcome) ? PROBLEM : outcome.status
    this.#words[word + BODY_BYTES] = body === undefined ? -1 : bodyBytes
    this.#words[word + META_BYTES] = metaBytes
    this.#buckets[bucket] = offset + 1
    this.#end = offset + size
    this.#count += 1
    this.#used += size
  }

  /** Returns a copy of the outcome with this key. */
  find(key: string, nowMs: number): Outcome | undefined {
    const bucket = this.#readKey(key)
    for (let link = this.#buckets[bucket]!; link !== 0;) {
      const word = (link - 1) >> 2
      if (this.#isKey(word)) {
        return this.#doubles[(link - 1 + UNTIL) >> 3]! > nowMs ? this.#read(link - 1) : undefined
      }
      link = this.#words[word + NEXT]!
    }
    return undefined
  }

  #read(offset: number): Outcome {
    const word = offset >> 2
    const metaAt = offset + HEADER_BYTES
    const bodyAt = metaAt + this.#words[word + META_BYTES]!
    const meta = this.#bytes.toString('utf8', metaAt, bodyAt)
    const bodyBytes = this.#words[word + BODY_BYTES]!
    // The body is copied, because the ring may be overwritten while the answer is published.
    const body = bodyBytes === -1 ? undefined : Buffer.from(this.#bytes.subarray(bodyAt, bodyAt + bodyBytes))
    const status = this.#words[word + STATUS]!
    return status === PROBLEM ? readProblem(meta, body) : readResponse(status, meta, body!)
  }

  // Returns the offset of `size` contiguous free bytes.
  #makeRoom(size: number): number {
    for (;;) {
      if (this.#count === 0) {
        this.#oldest = this.#end = this.#wrapAt = 0
        return 0
      }
      if (this.#end > this.#oldest) {
        if (this.#end + size <= this.#bytes.length) return this.#end
        this.#wrapAt = this.#end
        this.#end = 0
      }
      if (this.#end + size <= this.#oldest) return this.#end
      this.#dropOldest()
    }
  }

  #dropOldest(): void {
    const word = this.#oldest >> 2
    const size = this.#words[word + SIZE]!
    // The oldest entry is the last one in the chain of its bucket.
    const bucket = this.#words[word + DIGEST]! & (this.#buckets.length - 1)
    const link = this.#oldest + 1
    if (this.#buckets[bucket] === link) {
      this.#buckets[bucket] = 0
    } else {
      let newer = (this.#buckets[bucket]! - 1) >> 2
      while (this.#words[newer + NEXT] !== link) newer = (this.#words[newer + NEXT]! - 1) >> 2
      this.#words[newer + NEXT] = 0
    }
    this.#oldest += size
    if (this.#oldest === this.#wrapAt) this.#oldest = this.#wrapAt = 0
    this.#count -= 1
    this.#used -= size
  }

  // Stores the key in `#key`, and returns its bucket.
  #readKey(key: string): number {
    for (let index = 0; index < DIGEST_WORDS; index++) {
      const at = index * 4
      this.#key[index] =
        key.charCodeAt(at) |
        (key.charCodeAt(at + 1) << 8) |
        (key.charCodeAt(at + 2) << 16) |
        (key.charCodeAt(at + 3) << 24)
    }
    return this.#key[0]! & (this.#buckets.length - 1)
  }

  #isKey(word: number): boolean {
    for (let index = 0; index < DIGEST_WORDS; index++) {
      if (this.#words[word + DIGEST + index] !== this.#key[index]) return false
    }
    return true
  }
}

function responseMeta(response: EndpointResponse): string {
  const { contentType, inferenceHeaderContentLength, usage } = response
  if (usage !== undefined) return [contentType, '', usage.promptTokens, usage.completionTokens].join('\0')
  if (inferenceHeaderContentLength !== undefined) return `${contentType}\0${inferenceHeaderContentLength}`
  return contentType === JSON_TYPE ? PLAIN : contentType
}

function readResponse(status: number, meta: string, body: Buffer): EndpointResponse {
  const [contentType = '', length, prompt, completion] = meta === PLAIN ? [JSON_TYPE] : meta.split('\0')
  const answer = { status, body, contentType, inferenceHeaderContentLength: length || undefined }
  if (prompt === undefined) return answer
  return { ...answer, usage: { promptTokens: Number(prompt), completionTokens: Number(completion) } }
}

function problemMeta({ code, message, status, contentType, detail }: Problem): string {
  return JSON.stringify({ code, message, status, contentType, detail })
}

function readProblem(meta: string, body: Buffer | undefined): Problem {
  const { code, message, ...options } = JSON.parse(meta) as {
    code: ProblemCode
    message: string
    status: number
    contentType?: string
    detail?: string
  }
  return new Problem(code, message, body === undefined ? options : { ...options, body })
}
