// Checks the contents of one process's multi-part answers: each part has the number that the model gave it, and
// all parts of an answer come from one call.
import type { PublishedReply } from './answers.ts'
import type { PlannedRequest } from './scenario.ts'

/** The call number and the part number in a reply's body; both are undefined for an error. */
interface PublishedContent extends Pick<PublishedReply, 'mark'> {
  readonly bodyCall: number | undefined
  readonly bodyPart: number | undefined
}

/** The contents of one process's answers. */
export class PartContents {
  readonly #broken: (rule: string, what: string) => void
  // For each key, the number of the call that produced the first part of the latest answer.
  readonly #calls = new Map<string, number | undefined>()

  constructor(broken: (rule: string, what: string) => void) {
    this.#broken = broken
  }

  /** Records a reply. */
  published({ key, behaviour }: PlannedRequest, { mark, bodyCall, bodyPart }: PublishedContent): void {
    if (mark === undefined || mark.isError) return
    const { seq, isFinal } = mark
    if (isFinal && (behaviour.kind !== 'stream' || behaviour.parts !== seq))
      this.#broken('part-content', `the answer to ${key} ends without an error after ${seq} parts`)
    if (!isFinal && bodyPart !== seq)
      this.#broken(
        'part-content',
        `part ${seq} of the answer to ${key} contains the model's part ${bodyPart}`,
      )
    if (seq === 0 || !this.#calls.has(key)) this.#calls.set(key, bodyCall)
    const first = this.#calls.get(key)
    if (bodyCall === first) return
    this.#broken(
      'part-content',
      `part ${seq} of the answer to ${key} is from call ${bodyCall}, but the first part is from call ${first}`,
    )
  }
}
