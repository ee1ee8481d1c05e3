// Which local program an image stands for.
import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pythonOf } from '../../fixtures/cache-folder.ts'
import { INFERWIRE } from '../../fixtures/inferwire.ts'

/** What an image brings. */
export interface Image {
  /** Runs before the arguments of the pod, unless the pod has a `command`. */
  readonly entrypoint: readonly string[]
  /** Arguments where the pod has none. */
  readonly arguments: readonly string[]
  readonly user: number
  /** Folders of this machine that its programs need, read-only; `/usr` is always there. */
  readonly folders: readonly string[]
  /** Small files that the image has: path and text. */
  readonly files?: Readonly<Record<string, string>>
  /** Folders that belong to its user. */
  readonly ownFolders?: readonly string[]
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const KSERVE_SERVER = fileURLToPath(new URL('../../fixtures/kserve-server/server.py', import.meta.url))
const KSERVE_CONSTRAINTS = new URL('../../fixtures/kserve-server/constraints.txt', import.meta.url)

/** Finds it by the repository part of the name. @throws when there is no program for it */
export function findImage(reference: string, traefik: string): Image {
  const name = reference.replace(/[:@].*$/, '').replace(/^(?:docker\.io|ghcr\.io)\//, '')
  const last = name.split('/').at(-1)!
  if (last === 'eclipse-mosquitto') return MOSQUITTO
  if (last === 'inferwire') return inferwire()
  if (last === 'traefik') {
    const ENTRYPOINT = { entrypoint: [traefik], arguments: [], user: 65_532 }
    return { ...ENTRYPOINT, folders: [dirname(traefik)] }
  }
  if (last === 'sklearnserver') return sklearnServer()
  if (last === 'busybox') return { entrypoint: [], arguments: ['sh'], user: 0, folders: [] }
  throw new Error(`No local program stands for the image "${reference}".`)
}

// The entry point of the real image changes owners when it runs as root, and then is the command.
const MOSQUITTO: Image = {
  entrypoint: [],
  arguments: ['/usr/sbin/mosquitto', '-c', '/mosquitto/config/mosquitto.conf'],
  user: 0,
  folders: [],
  ownFolders: ['/mosquitto/config', '/mosquitto/data', '/mosquitto/log'],
}

function inferwire(): Image {
  return {
    entrypoint: ['/opt/inferwire/bin/inferwire'],
    arguments: ['connect'],
    user: 65_532,
    folders: [ROOT, ...nodeFolders()],
    files: { '/opt/inferwire/bin/inferwire': `#!/bin/sh\nexec '${process.execPath}' '${INFERWIRE}' "$@"\n` },
  }
}

function nodeFolders(): string[] {
  return process.execPath.startsWith('/usr/') ? [] : [dirname(dirname(process.execPath))]
}

// KServe's own Python server with scikit-learn's iris.
function sklearnServer(): Image {
  const python = pythonOf('kserve', KSERVE_CONSTRAINTS)
  const base = execFileSync(python, ['-c', 'import sys; print(sys.base_prefix)'], { encoding: 'utf8' }).trim()
  return {
    entrypoint: [python, KSERVE_SERVER],
    arguments: [],
    user: 1000,
    folders: [dirname(dirname(python)), dirname(KSERVE_SERVER), ...(base.startsWith('/usr') ? [] : [base])],
  }
}
