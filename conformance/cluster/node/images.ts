// Maps image names to local programs.
import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pythonOf } from '../../fixtures/cache-folder.ts'
import { INFERWIRE } from '../../fixtures/inferwire.ts'

/** The contents of an image. */
export interface Image {
  /** The entry point; a pod's `command` replaces it. */
  readonly entrypoint: readonly string[]
  /** Default arguments; a pod's `args` or `command` replaces them. */
  readonly arguments: readonly string[]
  readonly user: number
  /** Read-only folders of this machine that the image's programs need, in addition to `/usr`. */
  readonly folders: readonly string[]
  /** Maps paths of generated files to their contents. */
  readonly files?: Readonly<Record<string, string>>
  /** Folders that the image's user owns. */
  readonly ownFolders?: readonly string[]
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const KSERVE_SERVER = fileURLToPath(new URL('../../fixtures/kserve-server/server.py', import.meta.url))
const KSERVE_CONSTRAINTS = new URL('../../fixtures/kserve-server/constraints.txt', import.meta.url)

/** Finds an image by the repository part of its name. @throws for an unknown image */
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
  // KServe's server has its models built in, so there is nothing to download.
  if (last === 'storage-initializer') {
    return { entrypoint: ['/usr/bin/true'], arguments: [], user: 1000, folders: [] }
  }
  if (last === 'busybox') return { entrypoint: [], arguments: ['sh'], user: 0, folders: [] }
  throw new Error(`There is no local program for the image "${reference}".`)
}

// The real image's entry point changes the owner of files if it runs as root, and then executes the command.
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

// KServe's Python server with the scikit-learn model iris.
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
