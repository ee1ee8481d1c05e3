// What each kill of the broker lost: Mosquitto acknowledges before it saves.
import type { FaultRecord } from './ledger.ts'

/** One kill. */
export interface BrokerKill {
  readonly startedAtMs: number
  /** When the broker listened again. */
  readonly endedAtMs: number
  /** Requests of raw clients in flight: the upper bound of its losses. */
  underWay: number
  /** Of these, never answered because the request was lost. */
  lostRequests: number
  /** Of these, never answered because the reply was lost after its PUBACK. */
  lostReplies: number
}

/** Times of one request, in milliseconds since the epoch; 0 = never. */
export interface RequestTimes {
  readonly publishedAtMs: number
  readonly pubackAtMs: number
  readonly replyTakenAtMs: number
}

// A message acknowledged this long before the kill is saved; a PUBACK may be read this long after the kill.
const WINDOW_MS = 1000

/** The kills of a run, in order of time. */
export class BrokerKills {
  readonly all: readonly BrokerKill[]

  constructor(faults: readonly FaultRecord[]) {
    this.all = faults
      .filter(({ kind }) => kind === 'broker-kill')
      .map(({ startedAtMs, endedAtMs }) => ({
        startedAtMs,
        endedAtMs,
        underWay: 0,
        lostRequests: 0,
        lostReplies: 0,
      }))
      .sort((one, other) => one.startedAtMs - other.startedAtMs)
  }

  /** Counts a request of a raw client at the kills during which it was in flight. `repliedAtMs` 0 = never. */
  pass({ publishedAtMs, pubackAtMs, replyTakenAtMs }: RequestTimes, repliedAtMs: number): void {
    // A request that is never answered counts as in flight for as long as a kill may explain it.
    const untilMs =
      repliedAtMs === 0 ? Math.max(publishedAtMs, pubackAtMs, replyTakenAtMs) + WINDOW_MS : repliedAtMs
    for (let index = this.#firstEndedAfter(publishedAtMs); index < this.all.length; index++) {
      const kill = this.all[index]!
      if (kill.startedAtMs > untilMs) return
      kill.underWay += 1
    }
  }

  /** Whether a kill explains that the request was never answered; it is then counted for that kill. */
  explain({ publishedAtMs, pubackAtMs, replyTakenAtMs }: RequestTimes): boolean {
    for (let index = this.#firstEndedAfter(publishedAtMs); index < this.all.length; index++) {
      const kill = this.all[index]!
      const isNear = (atMs: number): boolean => atMs !== 0 && Math.abs(atMs - kill.startedAtMs) <= WINDOW_MS
      if (isNear(replyTakenAtMs)) kill.lostReplies += 1
      else if (isNear(pubackAtMs)) kill.lostRequests += 1
      else continue
      return true
    }
    return false
  }

  /** Whether the broker was killed in this interval. */
  isBetween(fromMs: number, untilMs: number): boolean {
    return this.all.some(({ startedAtMs, endedAtMs }) => endedAtMs >= fromMs && startedAtMs <= untilMs)
  }

  // A kill cannot affect messages published after the broker was back.
  #firstEndedAfter(atMs: number): number {
    let low = 0
    let high = this.all.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.all[middle]!.endedAtMs < atMs) low = middle + 1
      else high = middle
    }
    return low
  }
}
