// Stand-ins for what a credential needs from a request and from the log.
import type { Problem } from '@inferwire/protocol'
import type { Deadline } from '../../step.ts'
import type { CredentialNews } from '../credential.ts'

/** A deadline that a test lets pass. */
export class TestDeadline implements Deadline {
  readonly atMs = Number.POSITIVE_INFINITY
  problem: Problem | undefined
  waiting: ((problem: Problem) => void) | undefined

  /** Ends the wait, as the deadline or a cancel message does. */
  pass(problem: Problem): void {
    const { waiting } = this
    this.problem = problem
    this.waiting = undefined
    waiting?.(problem)
  }
}

/** A deadline that does not pass. */
export const NO_DEADLINE: Deadline = new TestDeadline()

/** Records what a credential reports. */
export class RecordedNews implements CredentialNews {
  readonly all: string[] = []

  failed(detail: string, hasValidSecret: boolean): void {
    this.all.push(`failed, ${hasValidSecret ? 'valid' : 'no secret'}: ${detail}`)
  }

  recovered(): void {
    this.all.push('recovered')
  }
}
