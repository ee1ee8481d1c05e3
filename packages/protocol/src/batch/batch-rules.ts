// What a dialect defines so that several requests can share one call to the model server.
import type { CarriedBody } from '../body/carried-body.ts'
import type { TensorMetadata } from '../card.ts'
import type { OperationName } from '../operation.ts'

/** A request that may share a call with others. */
export interface BatchMember {
  /** Only members with equal keys may share a call. Equal keys mean that everything except the rows is equal. */
  readonly key: string
  /** Number of instances or rows, at least 1. */
  readonly rows: number
}

/**
 * How requests of one operation are merged. Numbers are never parsed: their bytes are copied.
 * @template Member the type that `read` returns for a request
 */
export interface BatchRules<Member extends BatchMember = BatchMember> {
  readonly operation: OperationName
  /**
   * Whether the model's metadata allows requests to be merged; `unknown` if the metadata does not show this.
   */
  permits(
    inputs: readonly TensorMetadata[] | undefined,
    outputs: readonly TensorMetadata[] | undefined,
  ): Permit
  /** Reads a request; undefined if it must have a call of its own. Never throws. */
  read(request: CarriedBody): Member | undefined
  /** Merges at least two members with equal keys. */
  merge(members: readonly Member[]): CarriedBody
  /** Returns each member's part of the answer; undefined if the answer cannot be divided. Never throws. */
  split(members: readonly Member[], answer: CarriedBody): CarriedBody[] | undefined
}

/** Whether a model's requests can be merged. */
export type Permit = 'yes' | 'no' | 'unknown'

/**
 * Longest `key` of a member. A request with a longer key is not merged, because comparing keys would cost more than
 * merging saves.
 */
export const KEY_LENGTH_MAX = 4096
