// Connects a request's deadline with functions that take an AbortSignal.
import type { Deadline } from '../../step.ts'

/**
 * Calls `run` with a signal that is aborted when the deadline stops. @throws the deadline's problem, if the deadline
 * stopped
 */
export async function withSignal<Result>(
  deadline: Deadline,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  if (deadline.problem !== undefined) throw deadline.problem
  const controller = new AbortController()
  deadline.waiting = (problem) => controller.abort(problem)
  try {
    return await run(controller.signal)
  } catch (error) {
    throw deadline.problem ?? error
  } finally {
    deadline.waiting = undefined
  }
}
