// Startup, liveness and readiness probes, with the kubelet's thresholds.
import { request } from 'node:http'
import { connect } from 'node:net'
import type { KubeObject } from '../kube-api.ts'

/** The container that a probe checks. */
export interface ProbeTarget {
  readonly address: string
  readonly container: KubeObject
  /** Runs a command in the container; resolves with its exit code. */
  exec(command: readonly string[], timeoutMs: number): Promise<number>
}

/** Runs a probe periodically until it is stopped. */
export class Probe {
  readonly #spec: KubeObject
  readonly #target: ProbeTarget
  readonly #onResult: (isGood: boolean) => void
  #streak = 0
  #last: boolean | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  /** `onResult` is called when a threshold is reached, and after every further result of the same kind. */
  constructor(spec: KubeObject, target: ProbeTarget, onResult: (isGood: boolean) => void) {
    this.#spec = spec
    this.#target = target
    this.#onResult = onResult
    this.#timer = setTimeout(() => void this.#ask(), (spec.initialDelaySeconds ?? 0) * 1000)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  async #ask(): Promise<void> {
    const isGood = await ask(this.#spec, this.#target).catch(() => false)
    if (this.#isStopped) return
    this.#streak = isGood === this.#last ? this.#streak + 1 : 1
    this.#last = isGood
    const threshold = isGood ? (this.#spec.successThreshold ?? 1) : (this.#spec.failureThreshold ?? 3)
    if (this.#streak >= threshold) this.#onResult(isGood)
    if (this.#isStopped) return
    this.#timer = setTimeout(() => void this.#ask(), (this.#spec.periodSeconds ?? 10) * 1000)
  }
}

async function ask(spec: KubeObject, target: ProbeTarget): Promise<boolean> {
  const timeoutMs = (spec.timeoutSeconds ?? 1) * 1000
  if (spec.exec !== undefined) return (await target.exec(spec.exec.command, timeoutMs)) === 0
  if (spec.tcpSocket !== undefined) {
    const host = spec.tcpSocket.host ?? target.address
    return await opens(host, portOf(spec.tcpSocket.port, target.container), timeoutMs)
  }
  if (spec.httpGet !== undefined) return await answers(spec.httpGet, target, timeoutMs)
  throw new Error(`This probe is not implemented: ${JSON.stringify(spec)}`)
}

function opens(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs })
    const end = (isGood: boolean): void => {
      socket.destroy()
      resolve(isGood)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })
}

function answers(spec: KubeObject, target: ProbeTarget, timeoutMs: number): Promise<boolean> {
  const host = spec.host ?? target.address
  const port = portOf(spec.port, target.container)
  const headers = Object.fromEntries(
    (spec.httpHeaders ?? []).map((header: KubeObject) => [header.name, header.value]),
  )
  return new Promise((resolve) => {
    const asked = request(
      { host, port, path: spec.path ?? '/', headers, agent: false, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        response.resume()
        resolve(response.statusCode! >= 200 && response.statusCode! < 400)
      },
    )
    asked.once('error', () => resolve(false))
    asked.end()
  })
}

/** Returns the number of a port that is given by number, or by its name in the container. */
function portOf(port: number | string, container: KubeObject): number {
  if (typeof port === 'number') return port
  const found = (container.ports ?? []).find(({ name }: KubeObject) => name === port)
  if (found === undefined) throw new Error(`The container has no port "${port}".`)
  return found.containerPort
}
