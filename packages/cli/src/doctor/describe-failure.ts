// Turns an error that a check did not expect into a finding.
import { describeError } from '../describe-error.ts'
import { fault, type Finding } from './check.ts'

/** Describes anything that a check threw; known errors keep their own remedy. */
export function describeFailure(error: unknown): Finding {
  if (error instanceof Error && error.name === 'CheckTimeout') {
    return fault(error.message, 'Give the checks more time with -t SECONDS, or find out what is slow.')
  }
  // A lost connection, or a broker that does not acknowledge: see ProbeLink.
  if (error instanceof Error && error.message.startsWith('The broker ')) {
    return fault(error.message, 'Check the log of the broker for the reason.')
  }
  const [first = '', ...rest] = describeError(error)
    .text.replace(/^error: /, '')
    .trimEnd()
    .split('\n')
  return fault(first, rest.map((line) => line.trim()).join('\n') || 'See the message.')
}
