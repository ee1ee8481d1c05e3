// Finds the publish that makes the broker hang up, so that it does not take all others with it.
import { hash } from 'node:crypto'
import type { OutgoingMessage } from './publish-encoder.ts'

/** A publish that may be the one. */
export interface Suspect {
  readonly message: OutgoingMessage
  /** Short connections that ended while this was the only one on its way. */
  strikes: number
  /** Short connections that ended while it was on its way. */
  ends: number
}

const SHORT_CONNECTION_MS = 2_000
const STRIKES_MAX = 5

// How long, and how many: what the broker hung up on is not sent again. Its request comes with every connection.
const GIVEN_UP_MS = 600_000
const GIVEN_UP_MAX = 64

/**
 * Looks only at connections that end soon, one after the other, with something on its way. Then one publish alone is
 * sent first, and each acknowledgement lets two follow: the others get through, and the one that is searched for comes
 * to be alone. After five connections that ended with it alone it is given up.
 */
export class HangUpSearch {
  #inFlightMax = Number.POSITIVE_INFINITY
  // By topic and payload, with the time until when.
  readonly #givenUp = new Map<string, number>()
  #shortInARow = 0
  #isSuspicious = false
  #connectedAtMs = 0

  /** How many publishes may be on their way at once now. */
  get inFlightMax(): number {
    return this.#inFlightMax
  }

  /** The same publish was on its way when each of the last two connections ended soon: it may be the reason. */
  get isSuspicious(): boolean {
    return this.#isSuspicious
  }

  connected(): void {
    this.#connectedAtMs = performance.now()
  }

  acknowledged(): void {
    this.#inFlightMax += 1
  }

  /** The connection ended with these on their way. Returns the one that must be given up, if it is found. */
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
    // It would be resent, and the broker would hang up, for ever.
    if (only.strikes < STRIKES_MAX) return undefined
    this.#remember(only.message)
    return only
  }

  /** The broker hung up on it before. */
  isGivenUp(message: OutgoingMessage): boolean {
    if (this.#givenUp.size === 0) return false
    this.#forgetOld(performance.now())
    return this.#givenUp.size > 0 && this.#givenUp.has(identity(message))
  }

  // The oldest come first. While one is known, every publish is hashed.
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

// The same answer to the same request has other times in its properties.
function identity({ topic, payload }: OutgoingMessage): string {
  return `${topic} ${hash('sha1', payload)}`
}
