// Stores the broker's sessions, ends expired ones, and publishes the Wills of disconnected clients.
import type { MessageRouter } from './message-router.ts'
import { messageOfWill, type Will } from './make-message.ts'
import { quoted } from './quoted.ts'
import { Session } from './session.ts'

/** Session Expiry Interval of a session that does not expire (MQTT 5 §3.1.2.11.2). */
export const NEVER_EXPIRES = 0xffff_ffff

interface Absence {
  readonly will: Will | undefined
  readonly cancel: () => void
}

// The longest delay that setTimeout accepts.
const TIMER_MAX_MS = 2 ** 31 - 1

/** The store of sessions. */
export class SessionStore {
  readonly #router: MessageRouter
  readonly #log: (line: string) => void
  readonly #sessions = new Map<string, Session>()
  readonly #absences = new Map<Session, Absence>()

  constructor(router: MessageRouter, log: (line: string) => void) {
    this.#router = router
    this.#log = log
  }

  get size(): number {
    return this.#sessions.size
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId)
  }

  create(clientId: string, userName: string | undefined): Session {
    const session = new Session(clientId, userName, this.#log)
    this.#sessions.set(clientId, session)
    return session
  }

  /** Handles a reconnect: cancels the session's expiry and its delayed Will. */
  resume(session: Session): void {
    this.#absences.get(session)?.cancel()
    this.#absences.delete(session)
  }

  /**
   * Handles the end of a connection. `will` is undefined if the client had no Will or its DISCONNECT removed the
   * Will.
   */
  leave(session: Session, will: Will | undefined): void {
    session.detach()
    const expirySeconds = session.expirySeconds
    const delaySeconds = will?.properties?.willDelayInterval ?? 0
    // MQTT 5 §3.1.3.2.2: the Will is published when its delay has passed or when the session ends, whichever happens
    // first.
    if (will !== undefined && delaySeconds === 0) this.#publish(session, will)
    const isWillWaiting = will !== undefined && delaySeconds > 0
    const cancels: (() => void)[] = []
    this.#absences.set(session, {
      will: isWillWaiting ? will : undefined,
      cancel: () => cancels.forEach((cancel) => cancel()),
    })
    if (expirySeconds === 0) return this.end(session)
    if (expirySeconds !== NEVER_EXPIRES) cancels.push(after(expirySeconds, () => this.end(session)))
    if (isWillWaiting && delaySeconds < expirySeconds) {
      cancels.push(
        after(delaySeconds, () => {
          const absence = this.#absences.get(session)
          if (absence !== undefined) this.#absences.set(session, { ...absence, will: undefined })
          this.#publish(session, will)
        }),
      )
    }
  }

  /** Ends a session whose client is not connected. */
  end(session: Session): void {
    const will = this.#absences.get(session)?.will
    this.resume(session)
    this.#sessions.delete(session.clientId)
    this.#router.remove(session)
    if (will !== undefined) this.#publish(session, will)
  }

  /**
   * Among the sessions without messages, ends the one that has been disconnected longest. Returns false if there is
   * none.
   */
  endOldest(): boolean {
    // The map is in the order in which the clients disconnected.
    for (const session of this.#absences.keys()) {
      if (!session.isEmpty) continue
      this.#log(
        `MQTT: the limit of ${this.size} sessions is reached. Ended the session of client ${quoted(session.clientId, session.clientId.length)}, which had been disconnected longest and had no messages.`,
      )
      this.end(session)
      return true
    }
    return false
  }

  /** Stops all timers. */
  close(): void {
    for (const { cancel } of this.#absences.values()) cancel()
    this.#absences.clear()
  }

  #publish({ clientId }: Session, will: Will): void {
    this.#router.publish(messageOfWill(will, clientId))
  }
}

// Calls `callback` after a delay. The returned function cancels it.
function after(seconds: number, callback: () => void): () => void {
  const untilMs = Date.now() + seconds * 1_000
  let timer: NodeJS.Timeout
  const wait = (): void => {
    const leftMs = untilMs - Date.now()
    timer = setTimeout(leftMs > TIMER_MAX_MS ? wait : callback, Math.min(leftMs, TIMER_MAX_MS))
    timer.unref()
  }
  wait()
  return () => clearTimeout(timer)
}
