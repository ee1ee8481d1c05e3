// Measures CPU time and memory of processes, even across restarts. On systems other than Linux, the figures are empty.
import { readFileSync } from 'node:fs'

const INTERVAL_MS = 500
// USER_HZ, the unit of /proc, is 100 on every architecture that Node.js runs on.
const TICK_MS = 10

/** The figures of each process, by name. */
export interface ProcessFigures {
  /** CPU time as a share of one core, rounded to hundredths. */
  readonly cpu: Readonly<Record<string, number>>
  /** Peak resident memory of any process with that name, in MB (10^6 bytes). */
  readonly peakRssMb: Readonly<Record<string, number>>
}

/** Measures the processes twice a second. */
export class ProcessMeter {
  readonly #pids: Readonly<Record<string, () => number | undefined>>
  readonly #last = new Map<number, number>()
  readonly #spentMs: Record<string, number> = {}
  readonly #peakRssMb: Record<string, number> = {}
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
    this.#timer = setInterval(() => this.#sample(), INTERVAL_MS)
  }

  /** Stops, and returns the figures since `start`; they are empty if the meter was already stopped. */
  stop(): ProcessFigures {
    if (this.#timer === undefined) return { cpu: {}, peakRssMb: {} }
    this.#sample()
    clearInterval(this.#timer)
    this.#timer = undefined
    const wallMs = performance.now() - this.#startedAtMs
    const cpu = Object.fromEntries(
      Object.entries(this.#spentMs).map(([name, spentMs]) => [
        name,
        Math.round((spentMs / wallMs) * 100) / 100,
      ]),
    )
    return { cpu, peakRssMb: { ...this.#peakRssMb } }
  }

  #sample(): void {
    for (const [name, pidOf] of Object.entries(this.#pids)) {
      const pid = pidOf()
      const spent = pid === undefined ? undefined : cpuMs(pid)
      if (pid === undefined || spent === undefined) continue
      this.#spentMs[name] = (this.#spentMs[name] ?? 0) + spent - (this.#last.get(pid) ?? 0)
      this.#last.set(pid, spent)
      this.#peakRssMb[name] = Math.max(this.#peakRssMb[name] ?? 0, peakRssMb(pid))
    }
  }
}

function cpuMs(pid: number): number | undefined {
  try {
    // Fields are counted after the name in parentheses, which may contain spaces (proc(5): utime 14, stime 15).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return undefined
  }
}

// Returns the peak since the process started (proc(5): VmHWM).
function peakRssMb(pid: number): number {
  try {
    const kib = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
    return Math.round((kib * 1024) / 1e6)
  } catch {
    return 0
  }
}
