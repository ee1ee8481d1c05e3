// Turns EADDRINUSE into an error that names the port and the option to change it.
import type { AddressInfo, Server } from 'node:net'

/** Thrown when another program already uses a port. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError'
  readonly port: number
  /** The option of `inferwire dev` that sets the port, such as `--mqtt-port`. */
  readonly option: string

  constructor(port: number, option: string) {
    super(
      `Port ${port} is already in use. Choose another port with ${option} PORT, or any free port with ${option} 0.`,
    )
    this.port = port
    this.option = option
  }
}

/** Runs `start`, and converts an EADDRINUSE error. @throws PortTakenError */
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

/** Listens, and resolves with the port. For port 0, the system chooses a free port. @throws PortTakenError */
export function listenOrExplain(server: Server, port: number, host: string, option: string): Promise<number> {
  return explainPort(
    port,
    option,
    () =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.off('error', reject)
          resolve((server.address() as AddressInfo).port)
        })
      }),
  )
}

// Some servers wrap the system's error.
function hasCode(error: unknown, code: string): boolean {
  if (!(error instanceof Error)) return false
  return (error as NodeJS.ErrnoException).code === code || hasCode(error.cause, code)
}
