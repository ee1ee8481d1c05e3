// Runs the image's program as in a pod: as its user, without capabilities, on a read-only file system. If
// this machine does not permit these restrictions, they are omitted; `isIsolated` is false.
import { spawnSync, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { spawnTied } from '../fixtures/processes.ts'

/** The contents of the container. */
export interface ContainerOptions {
  /** The folder that becomes `/opt/inferwire`. */
  readonly image: string
  /** Path of Node.js. */
  readonly node: string
  /** The folder that becomes /opt/mounted, read-only, like a ConfigMap or Secret. */
  readonly mounted: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** Whether this process can change its user and create private mounts. */
export const isIsolated =
  process.getuid?.() === 0 &&
  spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/opt']).status === 0

// As in the image, everything is in /opt, where this machine has no files of its own.
const ISOLATED = `
set -e
image=$1; node=$2; mounted=$3; shift 3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/inferwire /mnt/mounted /mnt/state
touch /mnt/node
mount --bind "$image" /mnt/inferwire
mount --bind "$mounted" /mnt/mounted
mount --bind "$node" /mnt/node
mount --move /mnt /opt
mount -t tmpfs -o mode=700,uid=65532,gid=65532 tmpfs /opt/state
for place in /opt/inferwire /opt/mounted /opt/node /opt /; do mount -o remount,bind,ro "$place"; done
for place in /tmp /dev/shm /run /root /home /var/tmp; do mount -t tmpfs -o ro,mode=755 tmpfs "$place" 2>/dev/null || true; done
cd /opt/inferwire
exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
  --pdeathsig KILL /opt/node "$@"
`

const ENTRY = 'node_modules/inferwire/bin/inferwire.js'

/** Starts the program. Its arguments may name the mounted folder `/opt/mounted` and the writable `/opt/state`. */
export function startContainer(options: ContainerOptions, stateFolder: string): ChildProcess {
  const { image, node, mounted, args, env } = options
  const stdio = ['ignore', 'pipe', 'pipe'] as const
  if (isIsolated) {
    const words = [
      '--mount',
      'sh',
      '-c',
      ISOLATED,
      'sh',
      image,
      node,
      mounted,
      `/opt/inferwire/${ENTRY}`,
      ...args,
    ]
    return spawnTied('unshare', words, {
      stdio: [...stdio],
      env: { ...env, XDG_STATE_HOME: '/opt/state', PATH: process.env['PATH'] },
    })
  }
  const here = args.map((arg) => arg.replace('/opt/mounted', mounted))
  return spawnTied(node, [`${image}/${ENTRY}`, ...here], {
    stdio: [...stdio],
    env: { ...env, XDG_STATE_HOME: stateFolder },
  })
}

/** Returns the fields of `/proc/<pid>/status`. */
export function processFacts(pid: number): Readonly<Record<string, string>> {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Object.fromEntries(
    [...status.matchAll(/^(\w+):\s*(.*)$/gm)].map(([, name, value]) => [name!, value!]),
  )
}

/** Returns the mounts that the process can write to, except the kernel's own file systems. */
export function writableMounts(pid: number): string[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(
      ([, , , , place = '', options = '']) => /^\/(?!proc|sys|dev)/.test(place) && options.startsWith('rw'),
    )
    .map(([, , , , place]) => place!)
}
