// A container's memory limit, by a control group of this machine; where there is none to be had, nothing limits.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The control group of one container. */
export interface MemoryLimit {
  /** A process becomes a member by writing its id here. */
  readonly membersFile: string
  /** Whether the kernel has ended a member for want of memory. */
  wasExceeded(): boolean
  /** After the last member has gone. */
  remove(): void
}

// Names of the files of version 2 and 1.
const VERSIONS = [
  { place: /^0::(.*)$/m, root: '/sys/fs/cgroup', limit: 'memory.max', kills: 'memory.events' },
  {
    place: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    root: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    kills: 'memory.oom_control',
  },
]

/** A new group for a limit in bytes; undefined where this machine lets us make none. */
export function limitMemory(name: string, bytes: number): MemoryLimit | undefined {
  const own = readFileSync('/proc/self/cgroup', 'utf8')
  for (const { place, root, limit, kills } of VERSIONS) {
    const path = place.exec(own)?.[1]
    if (path === undefined) continue
    const folder = join(root, path, name)
    try {
      mkdirSync(folder)
    } catch {
      continue
    }
    // A group of version 2 has the file only where its parent hands the controller on.
    if (existsSync(join(folder, limit))) {
      writeFileSync(join(folder, limit), String(bytes))
      return {
        membersFile: join(folder, 'cgroup.procs'),
        wasExceeded: () => /^oom_kill [1-9]/m.test(readFileSync(join(folder, kills), 'utf8')),
        remove: () => removeFolder(folder),
      }
    }
    removeFolder(folder)
  }
  return undefined
}

// Children of the container may need a moment to be gone; what stays is an empty group.
function removeFolder(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Still in use.
  }
}
