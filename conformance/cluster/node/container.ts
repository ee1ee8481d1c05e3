// Runs a container as a process with its own file system in the pod's network, with probes and restarts.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { makeMemoryCage, type MemoryCage } from '../../fixtures/memory-cage.ts'
import { spawnTied } from '../../fixtures/processes.ts'
import type { KubeApi, KubeObject } from '../kube-api.ts'
import { makeRootScript, type Mount } from './container-root.ts'
import { containerEnvironment, expand, quantity } from './environment.ts'
import { findImage } from './images.ts'
import type { PodNetwork } from './network.ts'
import { Probe } from './probe.ts'
import type { PodVolumes } from './volumes.ts'

/** What a container needs from its pod and its node. */
export interface ContainerContext {
  readonly api: KubeApi
  readonly pod: KubeObject
  readonly network: PodNetwork
  readonly volumes: PodVolumes
  /** Folder on the node for the container's log and root. */
  readonly folder: string
  readonly traefik: string
  readonly resolvConf: string
  /** Called after a status change. */
  onChange(): void
}

type State =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: KubeObject }

// A real kubelet waits 10 s, and doubles the wait up to 5 minutes. Shorter waits make tests of crash loops faster.
const BACK_OFF_MS = 500
const BACK_OFF_MAX_MS = 10_000
// own-network-pool.ts sets this variable.
const IS_MAPPED = process.env['INFERWIRE_MAPPED_ROOT'] === '1'
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** A container that is restarted until it is stopped. */
export class Container {
  readonly #context: ContainerContext
  readonly #spec: KubeObject
  readonly #mayRestart: boolean
  readonly #ended: Promise<number>
  #process: ChildProcess | undefined
  #state: State = { waiting: { reason: 'ContainerCreating' } }
  #lastState: State | undefined
  #restarts = 0
  #isStarted = false
  #isReady = false
  #isStopping = false
  #probes: Probe[] = []
  #cage: MemoryCage | undefined
  #wake: () => void = () => {}
  #end!: (code: number) => void

  constructor(context: ContainerContext, spec: KubeObject, mayRestart: boolean) {
    this.#context = context
    this.#spec = spec
    this.#mayRestart = mayRestart
    this.#ended = new Promise((resolve) => (this.#end = resolve))
  }

  /** Starts and restarts the container. Resolves with the exit code after the last run. */
  run(): Promise<number> {
    void this.#loop().then((code) => {
      this.#cage?.remove()
      this.#end(code)
    })
    return this.#ended
  }

  /** Sends SIGTERM, and SIGKILL after the grace period. Resolves after the process has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true
    for (const probe of this.#probes) probe.stop()
    this.#wake()
    const child = this.#process
    if (child === undefined) return this.#end(0)
    const preStop = this.#spec.lifecycle?.preStop
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
    if (preStop?.exec !== undefined) await this.exec(preStop.exec.command, graceMs)
    if (preStop?.sleep !== undefined)
      await new Promise((done) => setTimeout(done, preStop.sleep.seconds * 1000))
    child.kill('SIGTERM')
    await this.#ended
    clearTimeout(timer)
  }

  /** Runs a command in the container; resolves with its exit code. */
  exec(command: readonly string[], timeoutMs: number): Promise<number> {
    const pid = this.#process?.pid
    if (pid === undefined) return Promise.resolve(1)
    const inside = [
      '--target',
      String(pid),
      '--mount',
      '--net',
      '--root',
      '--wd',
      '--setuid',
      String(this.#user),
    ]
    const child = spawn('nsenter', [...inside, '--', ...command], {
      stdio: 'ignore',
      env: { PATH },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    return new Promise((resolve) => {
      child.once('error', () => resolve(127))
      child.once('exit', (code) => resolve(code ?? 128))
    })
  }

  /** Process id of the running program. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Memory limit of the current or last run; undefined without a limit, or if this machine permits no limits. */
  get memory(): MemoryCage | undefined {
    return this.#cage
  }

  get logFile(): string {
    return join(this.#context.folder, `${this.#spec.name}.log`)
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** Returns the entry for `status.containerStatuses`. */
  get status(): KubeObject {
    return {
      name: this.#spec.name,
      image: this.#spec.image,
      imageID: `stand-in://${this.#spec.image}`,
      ...(this.#process === undefined ? {} : { containerID: `stand-in://${this.#process.pid}` }),
      ready: this.#isReady,
      started: this.#isStarted,
      restartCount: this.#restarts,
      state: this.#state,
      lastState: this.#lastState ?? {},
    }
  }

  async #loop(): Promise<number> {
    for (let backOff = BACK_OFF_MS; ; backOff = Math.min(backOff * 2, BACK_OFF_MAX_MS)) {
      const startedAt = Date.now()
      const code = await this.#runOnce()
      if (this.#isStopping || !this.#mayRestart) return code
      if (Date.now() - startedAt > 60_000) backOff = BACK_OFF_MS
      this.#lastState = this.#state
      this.#restarts += 1
      this.#set({
        waiting: { reason: 'CrashLoopBackOff', message: `back-off ${backOff}ms restarting failed container` },
      })
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, backOff)
      })
      if (this.#isStopping) return code
    }
  }

  async #runOnce(): Promise<number> {
    const startedAt = new Date().toISOString()
    let code = 128
    let reason = 'StartError'
    let message = ''
    try {
      const child = await this.#spawn()
      this.#process = child
      this.#set({ running: { startedAt } })
      if (this.#isStopping) child.kill('SIGKILL')
      else this.#startProbes()
      code = await exitCode(child)
      reason = code === 0 ? 'Completed' : (this.#cage?.oomKills() ?? 0) > 0 ? 'OOMKilled' : 'Error'
    } catch (error) {
      message = (error as Error).message
    }
    for (const probe of this.#probes) probe.stop()
    this.#probes = []
    this.#process = undefined
    this.#isReady = false
    this.#isStarted = false
    const finishedAt = new Date().toISOString()
    this.#set({ terminated: { exitCode: code, reason, message, startedAt, finishedAt } })
    return code
  }

  async #spawn(): Promise<ChildProcess> {
    const { api, pod, network, volumes, folder } = this.#context
    const image = findImage(this.#spec.image, this.#context.traefik)
    const environment = await containerEnvironment(api, pod, this.#spec)
    const words = [
      ...(this.#spec.command ?? image.entrypoint),
      ...(this.#spec.args ?? (this.#spec.command === undefined ? image.arguments : [])),
    ].map((word: string) => expand(word, environment))
    const own = join(folder, this.#spec.name)
    mkdirSync(own, { recursive: true })
    this.#cage = this.#makeCage()
    const script = makeRootScript({
      image,
      mounts: [...mountsOf(this.#spec, volumes, environment), ...mountOf(this.#cage)],
      isReadOnly: this.#spec.securityContext?.readOnlyRootFilesystem === true,
      hostname: pod.metadata.name,
      resolvConf: this.#context.resolvConf,
      folder: own,
      user: this.#user,
    })
    const log = openSync(this.logFile, 'a')
    const [program, ...args] = [
      ...(this.#cage?.prefix ?? []),
      'nsenter',
      `--net=${network.namespace}`,
      'unshare',
      '--mount',
      // The program sees its control group as the root, as in a real container.
      ...(this.#cage === undefined ? [] : ['--cgroup']),
      '/bin/sh',
      '-c',
      `${script}\nexec "$@"`,
      'sh',
      ...this.#asUser(),
      ...words,
    ]
    const child = spawnTied(program!, args, {
      stdio: ['ignore', log, log],
      env: { PATH: `/opt/inferwire/bin:${PATH}`, ...environment },
    })
    closeSync(log)
    return child
  }

  // The control group of a run is kept until the next run, so that tests can read its memory usage.
  #makeCage(): MemoryCage | undefined {
    this.#cage?.remove()
    const limit = this.#spec.resources?.limits?.memory
    if (limit === undefined) return undefined
    const name = `inferwire-${process.pid}-${this.#context.pod.metadata.uid}-${this.#spec.name}-${this.#restarts}`
    return makeMemoryCage(quantity(limit), name)
  }

  // A change of user clears the parent-death signal, so setpriv sets it again.
  #asUser(): string[] {
    const context = { ...this.#context.pod.spec.securityContext, ...this.#spec.securityContext }
    if (context.runAsNonRoot === true && this.#user === 0) {
      throw new Error('container has runAsNonRoot and image will run as root')
    }
    const group = context.runAsGroup ?? (context.runAsUser === undefined ? this.#user : 0)
    const groups = [context.fsGroup, ...(context.supplementalGroups ?? [])].filter((id) => id !== undefined)
    // Without root privileges, a user namespace has a single user, which can be given any user ID.
    const become = IS_MAPPED
      ? ['/usr/bin/unshare', '--user', `--map-user=${this.#user}`, `--map-group=${group}`]
      : []
    return [
      ...become,
      '/usr/bin/setpriv',
      ...(IS_MAPPED ? [] : [`--reuid=${this.#user}`, `--regid=${group}`]),
      ...(IS_MAPPED ? [] : groups.length > 0 ? [`--groups=${groups.join(',')}`] : ['--clear-groups']),
      ...(context.allowPrivilegeEscalation === false ? ['--no-new-privs'] : []),
      ...(context.capabilities?.drop?.includes('ALL') ? ['--inh-caps=-all', '--bounding-set=-all'] : []),
      '--pdeathsig=KILL',
    ]
  }

  get #user(): number {
    const image = findImage(this.#spec.image, this.#context.traefik)
    return (
      this.#spec.securityContext?.runAsUser ?? this.#context.pod.spec.securityContext?.runAsUser ?? image.user
    )
  }

  #startProbes(): void {
    const { startupProbe } = this.#spec
    if (startupProbe === undefined) return this.#started()
    this.#probe(startupProbe, (isGood, probe) => {
      probe.stop()
      if (isGood) this.#started()
      else this.#fail()
    })
  }

  #started(): void {
    this.#isStarted = true
    const { livenessProbe, readinessProbe } = this.#spec
    if (livenessProbe !== undefined) {
      this.#probe(livenessProbe, (isGood, probe) => {
        if (isGood) return
        probe.stop()
        this.#fail()
      })
    }
    if (readinessProbe === undefined) this.#setReady(true)
    else this.#probe(readinessProbe, (isGood) => this.#setReady(isGood))
    this.#context.onChange()
  }

  #probe(spec: KubeObject, onResult: (isGood: boolean, probe: Probe) => void): void {
    const target = {
      address: this.#context.network.address,
      container: this.#spec,
      exec: (command: readonly string[], timeoutMs: number) => this.exec(command, timeoutMs),
    }
    const probe: Probe = new Probe(spec, target, (isGood) => onResult(isGood, probe))
    this.#probes.push(probe)
  }

  // The program receives SIGTERM and has the grace period to exit, as when a pod is deleted.
  #fail(): void {
    const child = this.#process
    const graceMs = (this.#context.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000
    child?.kill('SIGTERM')
    const timer = setTimeout(() => child?.kill('SIGKILL'), graceMs)
    child?.once('exit', () => clearTimeout(timer))
  }

  #setReady(isReady: boolean): void {
    if (this.#isReady === isReady) return
    this.#isReady = isReady
    this.#context.onChange()
  }

  #set(state: State): void {
    this.#state = state
    this.#context.onChange()
  }
}

function mountsOf(
  spec: KubeObject,
  volumes: PodVolumes,
  environment: Readonly<Record<string, string>>,
): Mount[] {
  const mounts = (spec.volumeMounts ?? []).map((mount: KubeObject) => {
    const below = mount.subPathExpr === undefined ? mount.subPath : expand(mount.subPathExpr, environment)
    const folder = volumes.path(mount.name)
    return {
      from: below === undefined ? folder : join(folder, below),
      to: mount.mountPath.replace(/\/$/, ''),
      isReadOnly: mount.readOnly === true,
    }
  })
  // Outer folders are mounted first.
  return mounts.sort((one: Mount, other: Mount) => one.to.length - other.to.length)
}

// Mounts the control group at the path where programs read their limit.
function mountOf(cage: MemoryCage | undefined): Mount[] {
  return cage === undefined ? [] : [{ from: cage.folder, to: cage.mountPoint, isReadOnly: true }]
}

function exitCode(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 143)))
  })
}
