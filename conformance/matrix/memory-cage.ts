// A memory limit of the kernel for one process: cgroup version 1 or 2, where this user may make one.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A control group with a memory limit. */
export interface MemoryCage {
  /** `cgroup v1` or `cgroup v2`. */
  readonly kind: string
  /** Words in front of a command that run it inside. */
  readonly prefix: readonly string[]
  /** The most that was in use, page cache included, in bytes; 0 where the kernel does not tell. */
  peakBytes(): number
  /** Processes that the kernel killed for want of memory. */
  oomKills(): number
  remove(): void
}

const V1 = '/sys/fs/cgroup/memory'
const V2 = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']

/** undefined = this machine or user has none. */
export function makeMemoryCage(limitBytes: number): MemoryCage | undefined {
  const name = `inferwire-matrix-${process.pid}-${Date.now()}`
  try {
    if (existsSync(join(V1, 'memory.limit_in_bytes'))) {
      const folder = join(V1, name)
      mkdirSync(folder)
      writeFileSync(join(folder, 'memory.limit_in_bytes'), String(limitBytes))
      return cage('cgroup v1', folder, 'memory.max_usage_in_bytes', 'memory.oom_control')
    }
    const root = V2.find((path) => readIf(join(path, 'cgroup.controllers')).includes('memory'))
    if (root === undefined) return undefined
    const folder = join(root, name)
    mkdirSync(folder)
    writeFileSync(join(folder, 'memory.max'), String(limitBytes))
    return cage('cgroup v2', folder, 'memory.peak', 'memory.events')
  } catch {
    // Not root, or the file system is read-only.
    return undefined
  }
}

function cage(kind: string, folder: string, peakFile: string, eventsFile: string): MemoryCage {
  return {
    kind,
    prefix: ['sh', '-c', `echo $$ > ${folder}/cgroup.procs && exec "$@"`, 'sh'],
    peakBytes: () => Number(readIf(join(folder, peakFile))),
    oomKills: () => Number(/^oom_kill (\d+)/m.exec(readIf(join(folder, eventsFile)))?.[1] ?? 0),
    remove: () => rmdirSync(folder),
  }
}

function readIf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
