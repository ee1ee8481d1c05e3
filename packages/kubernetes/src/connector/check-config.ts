// What a configuration that is good elsewhere must not say in this pod.
import { posix } from 'node:path'
import { OptionError, type Connector } from '../options.ts'
import { PATTERNS } from '../patterns.ts'
import { PATHS, valueAt, type ConfigValues } from './config-file.ts'

/** `config` is the whole of it. @throws OptionError where the connector could not start, or would be killed */
export function checkConfig(connector: Connector, config: ConfigValues): void {
  if (valueAt(config, 'admin', 'enabled') === false || valueAt(config, 'admin', 'port') === 0) {
    throw mistake('switches admin off, or to any port; the kubelet asks /livez and /readyz')
  }
  const host = valueAt(config, 'admin', 'host')
  if (typeof host === 'string' && PATTERNS.loopback.test(host)) {
    throw mistake(`has admin.host "${host}", where the kubelet does not reach it; leave it out`)
  }
  const folders = mountedFolders(connector)
  for (const [path, file] of filesIn(config, [])) {
    if (posix.normalize(file) === file && folders.some((folder) => file.startsWith(`${folder}/`))) continue
    throw mistake(`has ${path} "${file}", which is not in the pod; it mounts ${folders.join(', ')}`)
  }
}

function mistake(message: string): OptionError {
  return new OptionError('connector.config', message)
}

function mountedFolders({ brokerSecret, modelToken }: Connector): string[] {
  return [
    PATHS.config,
    ...(brokerSecret === '' ? [] : [PATHS.broker]),
    ...(modelToken === undefined ? [] : [PATHS.token]),
  ]
}

function filesIn(value: unknown, path: readonly string[]): [string, string][] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]): [string, string][] =>
    typeof member === 'string' && PATTERNS.fileOption.test(key)
      ? [[[...path, key].join('.'), member]]
      : filesIn(member, [...path, key]),
  )
}
