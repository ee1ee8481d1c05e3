// Creates volumes as the kubelet does: files are links through `..data`, are replaced atomically, and have the
// specified modes and groups.
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { KubeApiError, type KubeApi, type KubeObject } from '../kube-api.ts'
import { podField } from './pod-field.ts'

/** An object that a pod needs does not exist yet. */
export class NotThereYet extends Error {}

interface VolumeFile {
  readonly path: string
  readonly content: Buffer
  readonly mode: number
}

/** The volumes of a pod, all in one folder. */
export class PodVolumes {
  readonly #api: KubeApi
  readonly #folder: string
  // Each token is requested only once, whereas a real kubelet renews a token after 80 % of its lifetime.
  readonly #tokens = new Map<string, string>()

  constructor(api: KubeApi, folder: string) {
    this.#api = api
    this.#folder = folder
  }

  /** Returns the folder of a volume. */
  path(name: string): string {
    return join(this.#folder, name)
  }

  /** Creates all volumes, or updates the volumes whose source has changed. @throws NotThereYet */
  async refresh(pod: KubeObject): Promise<void> {
    for (const volume of pod.spec.volumes ?? []) await this.#refreshVolume(pod, volume)
  }

  /** Whether a volume of the pod contains this ConfigMap or Secret. */
  static uses(pod: KubeObject, kind: 'configMap' | 'secret', name: string): boolean {
    return (pod.spec.volumes ?? []).some(
      (volume: KubeObject) =>
        (volume.configMap?.name === name && kind === 'configMap') ||
        (volume.secret?.secretName === name && kind === 'secret') ||
        (volume.projected?.sources ?? []).some((source: KubeObject) => source[kind]?.name === name),
    )
  }

  async #refreshVolume(pod: KubeObject, volume: KubeObject): Promise<void> {
    const folder = this.path(volume.name)
    const group = pod.spec.securityContext?.fsGroup as number | undefined
    if (volume.emptyDir !== undefined) return makeDirectory(folder, group)
    if (volume.persistentVolumeClaim !== undefined) {
      return await this.#linkClaim(pod, volume, folder, group)
    }
    const sources = volume.projected?.sources ?? [sourceOf(volume)]
    const mode = (volume.projected ?? volume.configMap ?? volume.secret ?? volume.downwardAPI)
      ?.defaultMode as number | undefined
    const files: VolumeFile[] = []
    for (const source of sources) files.push(...(await this.#filesOf(pod, source, mode ?? 0o644)))
    writeAtomically(folder, files, group)
  }

  async #filesOf(pod: KubeObject, source: KubeObject, mode: number): Promise<VolumeFile[]> {
    const { namespace } = pod.metadata
    if (source.configMap !== undefined) {
      const path = `/api/v1/namespaces/${namespace}/configmaps/${source.configMap.name}`
      const object = await this.#find(path, source.configMap.optional)
      const data = new Map<string, Buffer>()
      for (const [key, text] of Object.entries(object?.data ?? {})) data.set(key, Buffer.from(text as string))
      for (const [key, text] of Object.entries(object?.binaryData ?? {}))
        data.set(key, Buffer.from(text as string, 'base64'))
      return pick(data, source.configMap, mode)
    }
    if (source.secret !== undefined) {
      const name = source.secret.secretName ?? source.secret.name
      const object = await this.#find(
        `/api/v1/namespaces/${namespace}/secrets/${name}`,
        source.secret.optional,
      )
      const data = new Map<string, Buffer>()
      for (const [key, text] of Object.entries(object?.data ?? {}))
        data.set(key, Buffer.from(text as string, 'base64'))
      return pick(data, source.secret, mode)
    }
    if (source.downwardAPI !== undefined) {
      return source.downwardAPI.items.map((item: KubeObject) => ({
        path: item.path,
        content: Buffer.from(podField(pod, item.fieldRef.fieldPath)),
        mode: item.mode ?? mode,
      }))
    }
    if (source.serviceAccountToken !== undefined) {
      // If the pod specifies a user or a group, only the pod's user can read the token.
      const isOwned = ownerOf(pod) !== undefined || pod.spec.securityContext?.fsGroup !== undefined
      const content = Buffer.from(await this.#token(pod, source.serviceAccountToken))
      return [{ path: source.serviceAccountToken.path, content, mode: isOwned ? 0o600 : mode }]
    }
    throw new Error(`This volume source is not implemented: ${JSON.stringify(source)}`)
  }

  async #find(path: string, isOptional = false): Promise<KubeObject> {
    try {
      return await this.#api.get(path)
    } catch (error) {
      if (!(error instanceof KubeApiError) || error.status !== 404) throw error
      if (isOptional) return undefined
      throw new NotThereYet(`MountVolume.SetUp failed: "${path}" not found`)
    }
  }

  async #token(pod: KubeObject, source: KubeObject): Promise<string> {
    const known = this.#tokens.get(source.path)
    if (known !== undefined) return known
    const { namespace, name, uid } = pod.metadata
    const account = pod.spec.serviceAccountName ?? 'default'
    const request = await this.#api.create(
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          ...(source.audience === undefined ? {} : { audiences: [source.audience] }),
          expirationSeconds: source.expirationSeconds ?? 3600,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
        },
      },
    )
    this.#tokens.set(source.path, request.status.token)
    return request.status.token
  }

  async #linkClaim(
    pod: KubeObject,
    volume: KubeObject,
    folder: string,
    group: number | undefined,
  ): Promise<void> {
    const { namespace } = pod.metadata
    const name = volume.persistentVolumeClaim.claimName
    const claim = await this.#find(`/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`)
    if (claim.status.phase !== 'Bound') throw new NotThereYet(`PersistentVolumeClaim "${name}" is not bound`)
    const bound = await this.#api.get(`/api/v1/persistentvolumes/${claim.spec.volumeName}`)
    makeDirectory(bound.spec.hostPath.path, group)
    if (!existsSync(folder)) symlinkSync(bound.spec.hostPath.path, folder)
  }
}

/** Returns the user of all containers, which owns the token files; undefined if the containers' users differ. */
function ownerOf(pod: KubeObject): number | undefined {
  const users = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(
    (container: KubeObject) => container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser,
  )
  return users.every((user) => user !== undefined && user === users[0]) ? users[0] : undefined
}

function sourceOf(volume: KubeObject): KubeObject {
  const { configMap, secret, downwardAPI } = volume
  if (configMap !== undefined) return { configMap }
  if (secret !== undefined) return { secret }
  return { downwardAPI }
}

function pick(data: ReadonlyMap<string, Buffer>, source: KubeObject, mode: number): VolumeFile[] {
  if (source.items === undefined) {
    return [...data].map(([path, content]) => ({ path, content, mode }))
  }
  return source.items.map((item: KubeObject) => {
    const content = data.get(item.key)
    if (content === undefined) throw new NotThereYet(`references non-existent key: ${item.key}`)
    return { path: item.path, content, mode: item.mode ?? mode }
  })
}

// Lets the group write to the folder, and lets new files inherit the group.
function makeDirectory(folder: string, group: number | undefined): void {
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, group === undefined ? 0o777 : 0o2777)
  if (group !== undefined) changeOwner(folder, undefined, group)
}

/**
 * Works like the kubelet's AtomicWriter: writes a new folder, redirects the link `..data` to it in one rename, and
 * links the files of the volume through `..data`.
 */
function writeAtomically(folder: string, files: readonly VolumeFile[], group: number | undefined): void {
  mkdirSync(folder, { recursive: true })
  const data = join(folder, '..data')
  if (existsSync(data) && isSame(data, files)) return
  const moment = `..${new Date().toISOString().replaceAll(/\W/g, '_')}`
  mkdirSync(join(folder, moment))
  for (const { path, content, mode } of files) {
    const file = join(folder, moment, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    // Gives the pod's group read access to read-only volumes.
    chmodSync(file, group === undefined ? mode : mode | 0o440)
    if (group !== undefined) changeOwner(file, undefined, group)
  }
  const before = existsSync(data) ? readdirSync(folder).filter((name) => /^\.\.\d/.test(name)) : []
  symlinkSync(moment, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), data)
  const names = new Set(files.map(({ path }) => path.split('/')[0]!))
  for (const name of names) {
    if (!existsSync(join(folder, name))) symlinkSync(`..data/${name}`, join(folder, name))
  }
  for (const name of readdirSync(folder)) {
    if (!name.startsWith('..') && !names.has(name)) rmSync(join(folder, name))
  }
  for (const old of before) if (old !== moment) rmSync(join(folder, old), { recursive: true })
}

function isSame(data: string, files: readonly VolumeFile[]): boolean {
  const known = readdirSync(data, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return (
    known.length === files.length &&
    files.every(({ path, content }) => {
      const file = join(data, path)
      return existsSync(file) && readFileSync(file).equals(content)
    })
  )
}

/** Changes the owner. This is neither possible nor necessary in a user namespace with a single user. */
function changeOwner(path: string, user: number | undefined, group: number): void {
  try {
    chownSync(path, user ?? process.getuid!(), group)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
  }
}
