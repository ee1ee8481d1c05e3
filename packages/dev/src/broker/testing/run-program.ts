// Runs one of Mosquitto's command-line clients, which serve as an independent MQTT implementation.
import { execFile } from 'node:child_process'

/** Runs a program, and resolves with its standard output. */
export function runProgram(program: string, args: readonly string[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { encoding: 'buffer', timeout: 8_000 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const isMissing = error.code === 'ENOENT'
      reject(
        new Error(
          isMissing
            ? `${program} is not installed: sudo apt-get install mosquitto-clients`
            : `${program}: ${error.message} ${stderr.toString()}`,
        ),
      )
    })
  })
}
