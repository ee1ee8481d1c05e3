// Finds the publish that makes the broker end the connection, so that this publish does not block all others.
import { hash } from 'node:crypto'
import type { OutgoingMessage } from './publish-encoder.ts'

/** A publish that may be the reason why the broker ends the connection. */
export interface Suspect {
  readonly message: OutgoingMessage
  /** Number of short connections that ended while this was the only publish in flight. */
  strikes: number
  /** Number of short connections that ended while this publish was in flight, alone or with others. */
  ends: number
}

const SHORT_CONNECTION_MS = 2_000
const STRIKES_MAX = 5

// Limits on the age and number of the remembered publishes. A publish is remembered after it was given up, because
// a reply would otherwise be sent again each time its request is redelivered.
const GIVEN_UP_MS = 600_000
const GIVEN_UP_MAX = 64

/**
 * Isolates the publish that makes the broker hang up. Considers only consecutive short connections that end while
 * publishes are in flight. After two such connections, the next connection starts with a limit of one publish in
 * flight. Each acknowledgement raises the limit by one. Harmless publishes are therefore acknowledged, and the
 * offending publish ends up in flight alone. A publish is given up when five connections have ended while the
 * publish was in flight alone.
 */
export class HangUpSearch {
  #inFlightMax = Number.POSITIVE_INFINITY
  // Given-up publishes by topic and payload hash; the value is the time until which each is remembered.
  readonly #givenUp = new Map<string, number>()
  #shortInARow = 0
  #isSuspicious = false
  #connectedAtMs = 0

  /** How many publishes may be in flight now. */
  get inFlightMax(): number {
    return this.#inFlightMax
  }

  /**
   * Whether the last two connections were short and ended with the same publish in flight. This publish may be the
   * cause.
   */
  get isSuspicious(): boolean {
    return this.#isSuspicious
  }

  connected(): void {
    this.#connectedAtMs = performance.now()
  }

  acknowledged(): void {
    this.#inFlightMax += 1
  }

  /**
   * Handles the end of a connection on which the publishes `sent` were in flight. Returns the publish that must be
   * given up, if it has been found.
   */
  disconnected<Entry extends Suspect>(sent: readonly Entry[]): Entry | undefined {
    const isShort = performance.now() - this.#connectedAtMs < SHORT_CONNECTION_MS
    if (!isShort || sent.length === 0) {
      this.#shortInARow = 0
      this.#isSuspicious = false
      this.#inFlightMax = Number.POSITIVE_INFINITY
      for (const entry of sent) entry.strikes = entry.ends = 0
      return undefined
    }
    this.#shortInARow += 1
    for (const entry of sent) entry.ends += 1
    this.#isSuspicious = sent.some(({ ends }) => ends > 1)
    if (this.#shortInARow > 1) this.#inFlightMax = 1
    const only = sent[0]!
    if (sent.length > 1) return undefined
    only.strikes += 1
    // A publish that is never given up would be resent on each connection, and the broker would hang up each time.
    if (only.strikes < STRIKES_MAX) return undefined
    this.#remember(only.message)
    return only
  }

  /** Whether the broker has hung up on this publish before. */
  isGivenUp(message: OutgoingMessage): boolean {
    if (this.#givenUp.size === 0) return false
    this.#forgetOld(performance.now())
    return this.#givenUp.size > 0 && this.#givenUp.has(identity(message))
  }

  // Removes expired entries, because every publish is hashed while the map is not empty. The oldest entries come first.
  #forgetOld(nowMs: number): void {
    for (const [message, untilMs] of this.#givenUp) {
      if (untilMs > nowMs) return
      this.#givenUp.delete(message)
    }
  }

  #remember(message: OutgoingMessage): void {
    const [oldest] = this.#givenUp.keys()
    if (oldest !== undefined && this.#givenUp.size >= GIVEN_UP_MAX) this.#givenUp.delete(oldest)
    this.#givenUp.set(identity(message), performance.now() + GIVEN_UP_MS)
  }
}

// Properties are left out, because they contain times. The times differ even if two replies to the same request
// are otherwise identical.
function identity({ topic, payload }: OutgoingMessage): string {
  return `${topic} ${hash('sha1', payload)}`
}
