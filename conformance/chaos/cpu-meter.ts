// How much of a core each process takes, also of one that dies and comes back. Linux only: elsewhere it says nothing.
import { readFileSync } from 'node:fs'

const INTERVAL_MS = 500
// USER_HZ, the unit of /proc, is 100 on every architecture that Node.js runs on.
const TICK_MS = 10

/** Looks twice a second. */
export class CpuMeter {
  readonly #pids: Readonly<Record<string, () => number | undefined>>
  readonly #last = new Map<number, number>()
  readonly #spentMs: Record<string, number> = {}
  #timer: NodeJS.Timeout | undefined
  #startedAtMs = 0

  constructor(pids: Readonly<Record<string, () => number | undefined>>) {
    this.#pids = pids
  }

  start(): void {
    this.#startedAtMs = performance.now()
    for (const pid of Object.values(this.#pids)) {
      const now = pid()
      if (now !== undefined) this.#last.set(now, cpuMs(now) ?? 0)
    }
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS)
  }

  /** Share of one core by name, rounded to hundredths. */
  stop(): Readonly<Record<string, number>> {
    if (this.#timer === undefined) return {}
    this.#look()
    clearInterval(this.#timer)
    this.#timer = undefined
    const wallMs = performance.now() - this.#startedAtMs
    return Object.fromEntries(
      Object.entries(this.#spentMs).map(([name, spentMs]) => [
        name,
        Math.round((spentMs / wallMs) * 100) / 100,
      ]),
    )
  }

  #look(): void {
    for (const [name, pidOf] of Object.entries(this.#pids)) {
      const pid = pidOf()
      const spent = pid === undefined ? undefined : cpuMs(pid)
      if (pid === undefined || spent === undefined) continue
      this.#spentMs[name] = (this.#spentMs[name] ?? 0) + spent - (this.#last.get(pid) ?? 0)
      this.#last.set(pid, spent)
    }
  }
}

function cpuMs(pid: number): number | undefined {
  try {
    // The name, in parentheses, may hold blanks: fields are counted behind it (proc(5): utime 14, stime 15).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return undefined
  }
}
