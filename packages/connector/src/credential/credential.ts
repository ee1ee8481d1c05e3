// How an endpoint call proves who we are.

/** Makes the headers of one call. Asked for every call, so the common way is synchronous. */
export interface Credential {
  /**
   * Flat name/value list for a call to this origin.
   * @throws Problem `unauthorized_upstream` when the secret cannot be read.
   * @throws Error when asked for another origin than its own: a secret never travels elsewhere.
   */
  headers(origin: string): readonly string[]
  /** Reads the secret again now; true when it changed, so that one more try makes sense. */
  refresh?(): boolean
}
