// Reads a secret from a file that may be replaced at any time: the kubelet, for example, replaces projected tokens.
import { readFileSync, statSync } from 'node:fs'
import { Problem } from '@inferwire/protocol'
import { Secret } from '../config/index.ts'
import type { SourceParts } from './credential.ts'

// The kubelet renews a token at 80 % of its lifetime, so reading the new token one second late does no harm.
const LOOK_AGAIN_AFTER_MS = 1_000
// By default Node.js rejects header lists above 16 KiB, and so do most gateways.
const FILE_BYTES_MAX = 16 * 1024

/** Returns a description of the mistake in a file's content; undefined if the content is valid. */
export type Judge = (value: string) => string | undefined

/** Reads a file by its path, at most once a second, and only if it has changed. */
export class SecretFile {
  readonly #path: string
  readonly #judge: Judge
  readonly #parts: SourceParts
  readonly #now: () => number
  #secret: Secret | undefined
  #identity: string | undefined
  #problem: Problem | undefined
  #reported: string | undefined
  #lookedAtMs = Number.NEGATIVE_INFINITY

  constructor(path: string, judge: Judge, parts: SourceParts) {
    this.#path = path
    this.#judge = judge
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
  }

  /**
   * Returns the trimmed content: the same object until the content changes. @throws Problem `unauthorized_upstream`,
   * which names the file, but never quotes its content.
   */
  read(): Secret {
    // A failure is remembered for as long as a secret, so that a missing file does not cause a file access for every
    // request.
    if (this.#now() - this.#lookedAtMs >= LOOK_AGAIN_AFTER_MS) this.look()
    if (this.#secret === undefined) throw this.#problem!
    return this.#secret
  }

  /** Checks the file at once. */
  look(): void {
    this.#lookedAtMs = this.#now()
    try {
      const { ino, mtimeMs, size } = statSync(this.#path)
      const identity = `${ino} ${mtimeMs} ${size}`
      if (identity !== this.#identity) {
        this.#take(size)
        this.#identity = identity
      }
      this.#report(undefined)
    } catch (error) {
      // The file may be in the middle of being replaced: the last valid secret stays in use.
      const detail = `Credential file "${this.#path}" ${reason(error)}. Check ${this.#parts.place} and the mounted volume.`
      const sentence = 'The connector has no credential for this model.'
      this.#problem = new Problem('unauthorized_upstream', sentence, { detail })
      this.#report(detail)
    }
  }

  #take(size: number): void {
    if (size > FILE_BYTES_MAX) throw new Error(`is larger than ${FILE_BYTES_MAX} bytes`)
    const value = readFileSync(this.#path, 'utf8').trim()
    const mistake = headerMistake(value) ?? this.#judge(value)
    if (mistake !== undefined) throw new Error(mistake)
    // A file that was replaced by a file with the same secret changes nothing.
    if (value !== this.#secret?.reveal()) this.#secret = new Secret(value)
  }

  #report(detail: string | undefined): void {
    if (detail === this.#reported) return
    this.#reported = detail
    if (detail === undefined) this.#parts.news.recovered()
    else this.#parts.news.failed(detail, this.#secret !== undefined)
  }
}

// A header value is visible ASCII (RFC 9110 §5.5); other characters would let a file inject headers.
function headerMistake(value: string): string | undefined {
  if (value === '') return 'is empty'
  return /^[\x20-\x7e]+$/.test(value)
    ? undefined
    : 'has line breaks or characters that are not allowed in a header'
}

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === undefined ? message : `cannot be read (${code})`
}
