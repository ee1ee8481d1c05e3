// The interface of a credential, with which the connector authenticates to a model server.

/** Creates the headers of each call. Synchronous, because it is called for every request. */
export interface Credential {
  /**
   * Returns a flat name/value list for a call to this origin.
   * @throws Problem `unauthorized_upstream` when the secret cannot be read.
   * @throws Error for any origin but its own: a secret must not be sent elsewhere.
   */
  headers(origin: string): readonly string[]
  /** Reads the secret again at once; true if it has changed, so that another attempt makes sense. */
  refresh?(): boolean
}
