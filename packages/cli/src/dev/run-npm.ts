// Runs `npm install` in a folder, for `inferwire dev`.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Interrupted } from '../interrupt.ts'

const INSTALL_TIMEOUT_MS = 600_000

/**
 * Installs the dependencies in the folder's package.json. npm's own output goes to standard error.
 * @throws Error if npm is missing, fails, or takes more than 10 minutes; Interrupted after Ctrl-C or SIGTERM
 */
export async function runNpm(cwd: string, npm = 'npm'): Promise<void> {
  const stop = new AbortController()
  const interrupt = (): void => stop.abort()
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  try {
    // Scripts of packages are not executed. The location prevents a global installation, in case the environment
    // contains the settings of a surrounding `npm install --global`.
    const args = [
      'install',
      '--ignore-scripts',
      '--location=project',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ]
    const child = spawn(npm, args, {
      cwd,
      stdio: ['ignore', 2, 2],
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(INSTALL_TIMEOUT_MS)]),
      // On Windows, npm is a script, which only a shell can run.
      shell: process.platform === 'win32',
    })
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`npm install ended with exit code ${code}`)
  } catch (error) {
    if (stop.signal.aborted) throw new Interrupted('interrupted', { cause: error })
    const { code, name } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new Error('npm was not found in PATH', { cause: error })
    if (name === 'AbortError') {
      throw new Error(`npm install took more than ${INSTALL_TIMEOUT_MS / 60_000} minutes`, { cause: error })
    }
    throw error
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}
