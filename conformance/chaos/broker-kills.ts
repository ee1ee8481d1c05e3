// Counts the messages that each kill of the broker lost: Mosquitto acknowledges before it saves.
import type { FaultRecord } from './ledger.ts'

/** One kill of the broker. */
export interface BrokerKill {
  readonly startedAtMs: number
  /** When the broker listened again, in milliseconds since the epoch. */
  readonly endedAtMs: number
  /**
   * Number of raw clients' requests in flight at the kill. The kill cannot have lost more requests than this.
   */
  underWay: number
  /** Number of in-flight requests that were never answered because the request itself was lost. */
  lostRequests: number
  /** Number of in-flight requests that were never answered because the reply was lost after the broker's PUBACK. */
  lostReplies: number
}

/** Times of one request, in milliseconds since the epoch; 0 = never. */
export interface RequestTimes {
  readonly publishedAtMs: number
  readonly pubackAtMs: number
  readonly replyTakenAtMs: number
}

// A kill loses no message that was acknowledged more than this long before the kill. A PUBACK that the broker sent
// before the kill may be read up to this long after the kill.
const WINDOW_MS = 1000

/** The kills of a run in chronological order. */
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

  /**
   * Counts a raw client's request for each kill during which it was in flight. `repliedAtMs` is 0 if it was never
   * answered.
   */
  pass({ publishedAtMs, pubackAtMs, replyTakenAtMs }: RequestTimes, repliedAtMs: number): void {
    // An unanswered request counts as in flight until the last moment at which a kill can explain the loss.
    const untilMs =
      repliedAtMs === 0 ? Math.max(publishedAtMs, pubackAtMs, replyTakenAtMs) + WINDOW_MS : repliedAtMs
    for (let index = this.#firstEndedAfter(publishedAtMs); index < this.all.length; index++) {
      const kill = this.all[index]!
      if (kill.startedAtMs > untilMs) return
      kill.underWay += 1
    }
  }

  /** Returns whether a kill explains why the request was never answered; if so, counts the loss for that kill. */
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

  /** Returns whether the broker was killed in this interval. */
  isBetween(fromMs: number, untilMs: number): boolean {
    return this.all.some(({ startedAtMs, endedAtMs }) => endedAtMs >= fromMs && startedAtMs <= untilMs)
  }

  // A kill cannot affect messages published after the broker's restart.
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
