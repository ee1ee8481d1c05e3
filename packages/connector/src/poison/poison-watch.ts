// The step around a call after an unclean end: requests that may have ended the process run watched, or not at all.
import { Problem } from '@inferwire/protocol'
import type { Deadline, Delivery } from '../step.ts'
import type { Journal } from './journal.ts'
import { ATTEMPTS_MAX, EXECUTIONS_MAX, Suspicion } from './suspicion.ts'

/** Holds the suspicion while there is one; without, it costs a comparison. */
export class PoisonWatch {
  #suspicion: Suspicion | undefined

  /** The last process did not shut down cleanly. `over` is called once, when nothing is suspected any more. */
  begin(journal: Journal, over: () => void): void {
    this.#suspicion = new Suspicion(journal, () => {
      this.#suspicion = undefined
      over()
    })
  }

  /** The session is subscribed: redeliveries follow immediately. */
  subscribed(): void {
    this.#suspicion?.begin()
  }

  /** Ends its timer. */
  stop(): void {
    this.#suspicion?.stop()
  }

  /**
   * Undefined: the request runs as always. Otherwise resolves when it may run, with what must be called once when it
   * has ended.
   * @throws Problem `internal` with `poison` for a request that was running each time that a process ended; the problem
   * of its deadline when that passes first.
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
      'The request ended the connector each time that it ran, and was set aside.',
      { detail: `${EXECUTIONS_MAX} attempts`, poison: true },
    )
  }
  await suspicion.enter(suspect, deadline)
  return () => suspicion.leave(suspect)
}
