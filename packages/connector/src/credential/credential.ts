// The interface of a credential, with which the connector authenticates to a model server.

/** Creates the headers of each call. All methods are synchronous, because they run for every request. */
export interface Credential {
  /**
   * Returns the headers for a call to this origin, as a flat name/value list.
   * @throws Problem `unauthorized_upstream` if the secret cannot be read.
   * @throws Error for any origin except the configured one: a secret must not be sent anywhere else.
   */
  headers(origin: string): readonly string[]
  /** Reads the secret again at once; returns true if it has changed, in which case another attempt may succeed. */
  refresh?(): boolean
}
