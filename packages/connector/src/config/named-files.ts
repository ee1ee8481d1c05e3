// Checks, before the first connection, that the files named in a configuration can be read, and that their content is
// what the options require.
import { accessSync, constants, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ConfigMistake } from './config-error.ts'
import { valueAt, type SourceOf } from './issue-mistakes.ts'
import { isPemOption, keyMismatch, pemMistake } from './pem-files.ts'
import { leavesOf } from './schema-walk.ts'
import { configSchema } from './schema.ts'
import { shownPath, shownValue } from './shown.ts'

const MODEL_FILES = [
  ['tls', 'caFile'],
  ['tls', 'certFile'],
  ['tls', 'keyFile'],
  ['credential', 'tokenFile'],
  ['credential', 'valueFile'],
]

/**
 * Returns the mistakes in all files that the configuration names. `values` may violate the schema, so that
 * mistakes in files and violations of the schema can be reported together.
 */
export function unusableFiles(values: Record<string, unknown>, sourceOf: SourceOf): ConfigMistake[] {
  const options = leavesOf(configSchema).filter(({ text }) => text.isFile === true)
  const models = valueAt(values, ['models'])
  const names = typeof models === 'object' && models !== null ? Object.keys(models) : []
  const paths = [
    ...options.map(({ path }) => path),
    ...names.flatMap((name) => MODEL_FILES.map((path) => ['models', name, ...path])),
  ]
  return paths.flatMap((path) => {
    const file = fileAt(values, path)
    const why = file === undefined ? undefined : (whyUnreadable(file) ?? whyUnusable(values, path, file))
    if (file === undefined || why === undefined) return []
    return [{ path: shownPath(path), source: sourceOf(path), message: `${shownValue(path, file)} ${why}` }]
  })
}

// The schema reports values that are not file names.
function fileAt(values: Record<string, unknown>, path: readonly string[]): string | undefined {
  const file = valueAt(values, path)
  return typeof file !== 'string' || file === '' || file.includes('\0') ? undefined : file
}

function whyUnusable(
  values: Record<string, unknown>,
  path: readonly string[],
  file: string,
): string | undefined {
  const name = path.at(-1)
  if (path.at(-2) !== 'tls' || !isPemOption(name)) return undefined
  const mistake = pemMistake(name, file)
  if (mistake !== undefined || name !== 'keyFile') return mistake
  const certFile = fileAt(values, [...path.slice(0, -1), 'certFile'])
  return certFile === undefined || whyUnreadable(certFile) !== undefined
    ? undefined
    : keyMismatch(certFile, file)
}

function whyUnreadable(file: string): string | undefined {
  try {
    accessSync(file, constants.R_OK)
    return statSync(file).isDirectory() ? 'is a folder; expected a file' : undefined
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException
    const where = resolve(file) === file ? '' : `, relative to the working folder "${resolve('.')}"`
    if (code === 'ENOENT') return `does not exist (ENOENT)${where}; check the path and the mounted volume`
    return `cannot be read (${code})${where}; grant this user read access`
  }
}
