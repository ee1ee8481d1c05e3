// Rejects configurations that are valid in general but cannot work in the connector's pod.
import { posix } from 'node:path'
import { OptionError } from '../option-error.ts'
import type { Connector } from '../options.ts'
import { PATTERNS } from '../patterns.ts'
import { PATHS, valueAt, type ConfigValues } from './config-file.ts'

/**
 * Checks the complete configuration.
 * @throws OptionError if the connector could not start, or if the kubelet would kill it
 */
export function checkConfig(connector: Connector, config: ConfigValues): void {
  if (valueAt(config, 'admin', 'enabled') === false || valueAt(config, 'admin', 'port') === 0) {
    throw mistake('disables the admin server or has admin.port 0; the kubelet probes /livez and /readyz')
  }
  const host = valueAt(config, 'admin', 'host')
  if (typeof host === 'string' && PATTERNS.loopback.test(host)) {
    throw mistake(`has admin.host "${host}", which the kubelet cannot reach; remove it`)
  }
  checkMounts(connector)
  const folders = mountedFolders(connector)
  for (const [path, file] of filesIn(config, [])) {
    if (posix.normalize(file) === file && folders.some((folder) => isInside(file, folder))) continue
    throw mistake(
      `has ${path} "${file}", but no volume is mounted there. Mounted: ${folders.join(', ')}`,
      remedyFor(path, connector),
    )
  }
}

function remedyFor(path: string, { brokerSecret }: Connector): string {
  if (path !== 'broker.passwordFile' || brokerSecret === '') {
    return 'Mount a Secret with this file: --mount-secret NAME=FOLDER'
  }
  return `Remove the option: the Secret ${brokerSecret} provides the password (key \`password\`).`
}

function mistake(message: string, remedy?: string): OptionError {
  return new OptionError('connector.config', message, remedy)
}

// A container cannot start if one mount is inside another, because the mounts are read-only.
function checkMounts({ secretMounts }: Connector): void {
  const taken: string[] = Object.values(PATHS)
  for (const { mountPath } of secretMounts) {
    const other = taken.find(
      (path) => isInside(path, mountPath) || isInside(mountPath, path) || path === mountPath,
    )
    if (other !== undefined) {
      const where = other === mountPath ? 'is already in use' : `overlaps with the mount ${other}`
      throw new OptionError('connector.secretMounts', `has "${mountPath}", which ${where}`)
    }
    taken.push(mountPath)
  }
}

function mountedFolders({ brokerSecret, modelToken, secretMounts }: Connector): string[] {
  return [
    PATHS.config,
    ...(brokerSecret === '' ? [] : [PATHS.broker]),
    ...(modelToken === undefined ? [] : [PATHS.token]),
    ...secretMounts.map(({ mountPath }) => mountPath),
  ]
}

function isInside(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`)
}

function filesIn(value: unknown, path: readonly string[]): [string, string][] {
  if (typeof value !== 'object' || value === null || isExample(path)) return []
  return Object.entries(value).flatMap(([key, member]): [string, string][] =>
    typeof member === 'string' && PATTERNS.fileOption.test(key)
      ? [[[...path, key].join('.'), member]]
      : filesIn(member, [...path, key]),
  )
}

// Returns whether the path leads into an example request, where keys are not option names.
function isExample([section, , key]: readonly string[]): boolean {
  return section === 'models' && key === 'example'
}
