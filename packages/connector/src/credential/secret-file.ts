// A secret in a file that may be replaced at any time, as the kubelet does with projected tokens.
import { readFileSync, statSync } from 'node:fs'
import { Problem } from '@inferwire/protocol'

// The kubelet renews a token at 80 % of its life; a second's delay is nothing beside that.
const LOOK_AGAIN_AFTER_MS = 1_000

/** Reads the file by its path, at most once a second, and only when it changed. */
export class SecretFile {
  readonly #path: string
  readonly #now: () => number
  #value: string | undefined
  #identity: string | undefined
  #lookedAtMs = Number.NEGATIVE_INFINITY

  /** @param now monotonic clock in milliseconds */
  constructor(path: string, now: () => number = () => performance.now()) {
    this.#path = path
    this.#now = now
  }

  /** The trimmed content. @throws Problem `unauthorized_upstream` that names the file, never its content. */
  read(): string {
    const now = this.#now()
    if (this.#value !== undefined && now - this.#lookedAtMs < LOOK_AGAIN_AFTER_MS) return this.#value
    this.#lookedAtMs = now
    this.#look()
    return this.#value!
  }

  /** Looks now; true when the secret is another than before. */
  refresh(): boolean {
    const before = this.#value
    this.#lookedAtMs = this.#now()
    this.#look()
    return this.#value !== before
  }

  #look(): void {
    try {
      const { ino, mtimeMs, size } = statSync(this.#path)
      const identity = `${ino} ${mtimeMs} ${size}`
      if (identity === this.#identity) return
      const value = readFileSync(this.#path, 'utf8').trim()
      if (value === '') throw new Error('it is empty')
      // A header value is visible ASCII (RFC 9110 §5.5); more would let a file inject headers.
      if (!/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(value))
        throw new Error('it has line breaks or characters that no header can carry')
      this.#value = value
      this.#identity = identity
    } catch (error) {
      // A file in the middle of being swapped: the secret that we have is still the best one.
      if (this.#value !== undefined) return
      throw new Problem('unauthorized_upstream', 'The connector has no credential for this model.', {
        detail: `file "${this.#path}": ${(error as Error).message}. Check models.*.credential and the mounted volume.`,
      })
    }
  }
}
