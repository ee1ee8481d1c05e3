// Says which port is taken, and which option chooses another.

/** A port that somebody else listens on. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError'
  readonly port: number
  readonly option: string

  constructor(port: number, option: string) {
    super(
      `Port ${port} is taken by another program. Choose another with ${option} PORT, or let the system choose: ${option} 0.`,
    )
    this.port = port
    this.option = option
  }
}

/** Runs `start`; when it fails because the port is taken, the error says what to do. */
export async function explainPort<Result>(
  port: number,
  option: string,
  start: () => Promise<Result>,
): Promise<Result> {
  try {
    return await start()
  } catch (error) {
    if (hasCode(error, 'EADDRINUSE')) throw new PortTakenError(port, option)
    throw error
  }
}

// Some servers wrap the system's error.
function hasCode(error: unknown, code: string): boolean {
  if (!(error instanceof Error)) return false
  return (error as NodeJS.ErrnoException).code === code || hasCode(error.cause, code)
}
