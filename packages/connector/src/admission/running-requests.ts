// Finds the requests that a cancel message means: by client, model, operation, and id or Correlation Data.
import { Problem } from '@inferwire/protocol'

/** The names by which a request can be cancelled. */
export interface RequestName {
  readonly client: string
  readonly model: string
  readonly operation: string
  readonly id: string | undefined
  readonly correlationData: Uint8Array | undefined
}

/** What can be stopped: a request's deadline. */
export interface Stoppable {
  stop(problem: Problem): void
}

/** The requests that wait or run, by each of their names. Bounded by the requests in flight. */
export class RunningRequests {
  readonly #byName = new Map<string, Set<Stoppable> | Stoppable>()

  /** Names under which requests can be found now. */
  get size(): number {
    return this.#byName.size
  }

  add(name: RequestName, request: Stoppable): void {
    const { idName, correlationName } = namesOf(name)
    if (idName !== undefined) this.#put(idName, request)
    if (correlationName !== undefined) this.#put(correlationName, request)
  }

  remove(name: RequestName, request: Stoppable): void {
    const { idName, correlationName } = namesOf(name)
    if (idName !== undefined) this.#take(idName, request)
    if (correlationName !== undefined) this.#take(correlationName, request)
  }

  /**
   * Stops every request that has the id and the Correlation Data of the cancel message, as far as it names them.
   * Returns how many; none is no mistake: the request may have ended, or run elsewhere.
   */
  cancel(name: RequestName): number {
    const { idName, correlationName } = namesOf(name)
    const byId = idName === undefined ? undefined : this.#find(idName)
    const byCorrelation = correlationName === undefined ? undefined : this.#find(correlationName)
    const requests = byId === undefined || byCorrelation === undefined ? (byId ?? byCorrelation ?? []) : byId
    let stopped = 0
    for (const request of requests) {
      if (byCorrelation !== undefined && !byCorrelation.has(request)) continue
      request.stop(new Problem('cancelled', 'The client cancelled the request.'))
      stopped += 1
    }
    return stopped
  }

  #find(key: string): Set<Stoppable> {
    const found = this.#byName.get(key)
    return found instanceof Set ? found : new Set(found === undefined ? [] : [found])
  }

  // Nearly every name has one request: a Set for each would cost more than the request's own entry.
  #put(key: string, request: Stoppable): void {
    const found = this.#byName.get(key)
    if (found === undefined) this.#byName.set(key, request)
    else if (found instanceof Set) found.add(request)
    else this.#byName.set(key, new Set([found, request]))
  }

  #take(key: string, request: Stoppable): void {
    const found = this.#byName.get(key)
    if (found === request) this.#byName.delete(key)
    else if (found instanceof Set && found.delete(request) && found.size === 0) this.#byName.delete(key)
  }
}

function namesOf({ client, model, operation, id, correlationData }: RequestName): {
  idName: string | undefined
  correlationName: string | undefined
} {
  const place = `${client}/${model}/${operation}/`
  return {
    idName: id === undefined ? undefined : place + id,
    correlationName:
      correlationData === undefined
        ? undefined
        : `${place}\0${Buffer.from(correlationData.buffer, correlationData.byteOffset, correlationData.length).toString('latin1')}`,
  }
}
