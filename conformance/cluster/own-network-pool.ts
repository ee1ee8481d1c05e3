// Runs vitest workers in separate network and mount namespaces, so that a cluster's addresses, ports and mounts do not
// affect the machine.
import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import type { PoolOptions, PoolRunnerInitializer, PoolWorker } from 'vitest/node'

/** A pool for `test.pool`: vitest's forks, started by `unshare`. */
export const ownNetworkPool: PoolRunnerInitializer = {
  name: 'own-network',
  createPoolWorker: (options) => new OwnNetworkWorker(options),
}

// A user other than root becomes root in a user namespace, if the system permits it.
const UNSHARE = [...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']), '--net', '--mount']

class OwnNetworkWorker implements PoolWorker {
  readonly name = ownNetworkPool.name
  readonly cacheFs = true
  readonly #options: PoolOptions
  #child: ChildProcess | undefined

  constructor(options: PoolOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) return
    const probe = spawnSync('unshare', [...UNSHARE, 'true'], { encoding: 'utf8' })
    if (probe.status !== 0) {
      throw new Error(
        `The Kubernetes tests need Linux namespaces, but "unshare ${UNSHARE.join(' ')}" failed: ` +
          `${probe.error?.message ?? probe.stderr.trim()}. Run them as root, or allow user namespaces ` +
          '(sysctl kernel.unprivileged_userns_clone=1). In a container, use --privileged.',
      )
    }
    const { distPath, env, execArgv, project } = this.#options
    const child = fork(resolve(distPath, 'workers/forks.js'), [], {
      execPath: 'unshare',
      execArgv: [...UNSHARE, process.execPath, ...execArgv],
      env: process.getuid?.() === 0 ? env : { ...env, INFERWIRE_MAPPED_ROOT: '1' },
      stdio: 'pipe',
      serialization: 'advanced',
    })
    this.#child = child
    child.stdout?.pipe(project.vitest.logger.outputStream, { end: false })
    child.stderr?.pipe(project.vitest.logger.errorStream, { end: false })
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    child.kill()
    await once(child, 'exit')
    clearTimeout(timer)
  }

  on(event: string, callback: (arg: unknown) => void): void {
    this.#child!.on(event, callback)
  }

  off(event: string, callback: (arg: unknown) => void): void {
    this.#child?.off(event, callback)
  }

  send(message: Parameters<PoolWorker['send']>[0]): void {
    this.#child!.send(message)
  }

  deserialize(data: unknown): unknown {
    return data
  }
}
