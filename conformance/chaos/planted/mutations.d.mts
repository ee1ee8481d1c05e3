// Types of mutations.mjs, which the connector's process loads without a compiler.

/** A change to one built file; `find` must occur in it exactly once. */
export interface Mutation {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** The mutations of each planted bug, by the bug's name. */
export declare const MUTATIONS: Readonly<Record<string, readonly Mutation[]>>
