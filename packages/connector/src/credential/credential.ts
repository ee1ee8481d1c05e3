// The interfaces of a credential, with which the connector authenticates to a model server.
import type { Deadline } from '../step.ts'

/** Creates the headers of calls. `headers` runs for every request. */
export interface CredentialSource {
  /**
   * Returns the headers as a flat name/value list: the same array until the secret changes. Returns a promise only if
   * there is no valid token yet; the promise settles before the deadline passes.
   * @throws Problem `unauthorized_upstream` if there is no secret; the deadline's problem if the request was cancelled
   */
  headers(deadline: Deadline): readonly string[] | Promise<readonly string[]>
  /**
   * Obtains the secret again because a server has rejected `used`, the headers of the rejected call. Returns true if
   * the headers differ now, in which case another attempt may succeed.
   */
  refresh?(used: readonly string[], deadline: Deadline): boolean | Promise<boolean>
}

/** A source that is bound to the origin of one model server. */
export interface Credential {
  /**
   * Returns the headers for a call to this origin.
   * @throws like `CredentialSource`; AssertionError for any origin except the configured one: a secret must not be sent
   * anywhere else
   */
  headers(origin: string, deadline: Deadline): readonly string[] | Promise<readonly string[]>
  refresh?(used: readonly string[], deadline: Deadline): boolean | Promise<boolean>
}

/** What a source needs in addition to its options. */
export interface SourceParts {
  /** The credential in messages and log lines: `credentials.gateway`, or `models.iris.credential`. */
  readonly place: string
  /** Reports that the secret cannot be renewed, or that it can be renewed again. */
  readonly news: CredentialNews
  /** Monotonic clock in milliseconds. @default performance.now */
  readonly now?: () => number
}

/** Receives what an operator has to know about a credential. */
export interface CredentialNews {
  /** The secret cannot be read or renewed. Called when the reason changes; `detail` never contains a secret. */
  failed(detail: string, hasValidSecret: boolean): void
  /** The secret was read or renewed after `failed`. */
  recovered(): void
}
