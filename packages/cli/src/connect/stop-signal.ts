// Waits for a signal that stops a long-running command.
import { EXIT } from '../exit-code.ts'

/** Exit codes of a process that a signal ended: 128 + the signal's number, as in shells. */
export const SIGNAL_EXIT = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const

/** A signal that stops a command. */
export type StopSignal = keyof typeof SIGNAL_EXIT

/** Resolves at the first SIGINT or SIGTERM; a second signal ends the process at once. */
export function stopSignal(): Promise<StopSignal> {
  return new Promise((resolve) => {
    let isStopping = false
    const stop = (signal: StopSignal): void => {
      if (isStopping) process.exit(SIGNAL_EXIT[signal])
      isStopping = true
      resolve(signal)
    }
    process.on('SIGINT', () => stop('SIGINT'))
    process.on('SIGTERM', () => stop('SIGTERM'))
  })
}
