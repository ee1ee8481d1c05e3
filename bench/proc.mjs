// CPU time and memory of a process and of the machine, from /proc. All CPU times are in milliseconds.
import { readFileSync } from 'node:fs'

// /proc counts CPU time in ticks. USER_HZ is 100 ticks per second on every architecture that Node.js runs on.
const TICK_MS = 10

/** Returns the user and system CPU time of a process with all its threads, but without its children. */
export function cpuMs(pid) {
  // The name in parentheses may contain spaces, so fields are counted from the closing parenthesis (proc(5): utime is
  // field 14, stime is field 15).
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

/** Returns the CPU time of the whole machine, including time stolen by a hypervisor. */
export function machineCpuMs() {
  const [, user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]
    .split(/\s+/)
    .map(Number)
  return (user + nice + system + irq + softirq + steal) * TICK_MS
}

/** Returns the peak memory of a process so far. */
export function peakRssMb(pid) {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

/** Returns the current memory of a process. */
export function rssMb(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

/** Measures the CPU time of the benchmark's processes, and of all other programs. */
export class CpuMeter {
  #pids
  #before

  /** Starts to measure. @param {Record<string, number>} pids the benchmark's other processes, by name */
  constructor(pids) {
    this.#pids = { ...pids, harness: process.pid }
    this.#before = this.#take()
  }

  /**
   * Returns the figures since the meter was created: the CPU time of each process, and the number of cores that other
   * programs used, because a busy machine invalidates the measurements.
   */
  read() {
    const { at, machine, spent } = this.#take()
    const names = Object.keys(this.#pids)
    const spentMs = Object.fromEntries(names.map((name) => [name, spent[name] - this.#before.spent[name]]))
    const ours = Object.values(spentMs).reduce((sum, ms) => sum + ms, 0)
    const other = machine - this.#before.machine - ours
    return { spentMs, otherCores: Math.max(0, other / (at - this.#before.at)) }
  }

  #take() {
    const spent = Object.fromEntries(Object.entries(this.#pids).map(([name, pid]) => [name, cpuMs(pid)]))
    return { at: performance.now(), machine: machineCpuMs(), spent }
  }
}
