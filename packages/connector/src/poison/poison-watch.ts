// Guards calls after an unclean shutdown: monitors suspected requests while they run, or sets them aside.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Delivery } from '../step.ts'
import type { Journal } from './journal.ts'
import { ATTEMPTS_MAX, EXECUTIONS_MAX, Suspicion } from './suspicion.ts'

/** Monitors requests while any request is suspected; otherwise its only cost is a comparison. */
export class PoisonWatch {
  #suspicion: Suspicion | undefined

  /**
   * Starts to monitor requests. Called if the previous process did not shut down cleanly. `over` is called exactly
   * once, when no request is suspected any more.
   */
  begin(journal: Journal, over: () => void): void {
    this.#suspicion = new Suspicion(journal, () => {
      this.#suspicion = undefined
      over()
    })
  }

  /** Must be called as soon as the session is subscribed, because redeliveries follow immediately. */
  subscribed(): void {
    this.#suspicion?.begin()
  }

  /** Stops the timer. */
  stop(): void {
    this.#suspicion?.stop()
  }

  /**
   * Returns undefined if the request needs no special handling. Otherwise returns a promise that resolves with a
   * function when the request may run; that function must be called exactly once, after the request has ended.
   * @throws Problem `internal` with `poison` if the request was in flight during too many crashes, or the deadline's
   * problem if the deadline passes first.
   */
  enter(delivery: Delivery, deadline: Deadline): Promise<() => void> | undefined {
    const suspicion = this.#suspicion
    const suspect = suspicion?.suspectOf(delivery)
    if (suspicion === undefined || suspect === undefined) return undefined
    return enterWatched(suspicion, suspect, deadline)
  }
}

async function enterWatched(suspicion: Suspicion, suspect: string, deadline: Deadline): Promise<() => void> {
  if (suspicion.attemptsOf(suspect) >= ATTEMPTS_MAX) {
    throw new Problem(
      'internal',
      'The connector crashed each time it executed the request, so the request was set aside.',
      { detail: `${EXECUTIONS_MAX} attempts`, poison: true },
    )
  }
  await suspicion.enter(suspect, deadline)
  return () => suspicion.leave(suspect)
}
