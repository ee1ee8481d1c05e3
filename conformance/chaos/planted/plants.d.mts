// Types of plants.mjs, which the connector's process loads as it is.

/** A change to one built file; `find` must be there exactly once. */
export interface Mutation {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** The planted bugs by name. */
export declare const PLANTS: Readonly<Record<string, readonly Mutation[]>>
