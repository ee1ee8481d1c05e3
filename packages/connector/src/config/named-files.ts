// Checks, before the first connection, that the files named in a configuration can be read, and that their content is
// what the options require.
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ConfigMistake } from './config-error.ts'
import { headerValueMistake } from './credential-schema.ts'
import { valueAt, type SourceOf } from './issue-mistakes.ts'
import { isPemOption, keyMismatch, pemMistake } from './pem-files.ts'
import { leavesOf } from './schema-walk.ts'
import { configSchema } from './schema.ts'
import { shownPath, shownValue } from './shown.ts'

// Enough for the name of an authentication scheme.
const START_BYTES = 64
const PEM_FILES = ['caFile', 'certFile', 'keyFile']
const CREDENTIAL_FILES = ['tokenFile', 'valueFile', 'clientSecretFile', 'subjectTokenFile', ...PEM_FILES]
const MODEL_FILES = [
  ...PEM_FILES.map((key) => ['tls', key]),
  ...CREDENTIAL_FILES.map((key) => ['credential', key]),
]

/**
 * Returns the mistakes in all files that the configuration names. `values` may violate the schema, so that
 * mistakes in files and violations of the schema can be reported together.
 */
export function unusableFiles(values: Record<string, unknown>, sourceOf: SourceOf): ConfigMistake[] {
  const options = leavesOf(configSchema).filter(({ text }) => text.isFile === true)
  const paths = [
    ...options.map(({ path }) => path),
    ...namesIn(values, 'models').flatMap((name) => MODEL_FILES.map((path) => ['models', name, ...path])),
    ...namesIn(values, 'credentials').flatMap((name) =>
      CREDENTIAL_FILES.map((key) => ['credentials', name, key]),
    ),
  ]
  return paths.flatMap((path) => {
    const file = fileAt(values, path)
    const why = file === undefined ? undefined : (whyUnreadable(file) ?? whyUnusable(values, path, file))
    if (file === undefined || why === undefined) return []
    return [{ path: shownPath(path), source: sourceOf(path), message: `${shownValue(path, file)} ${why}` }]
  })
}

function namesIn(values: Record<string, unknown>, section: string): string[] {
  const entries = valueAt(values, [section])
  return typeof entries === 'object' && entries !== null ? Object.keys(entries) : []
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
  if (name === 'valueFile') return headerValueMistake(readStart(file))
  if (!isPemOption(name)) return undefined
  const mistake = pemMistake(name, file)
  if (mistake !== undefined || name !== 'keyFile') return mistake
  const certFile = fileAt(values, [...path.slice(0, -1), 'certFile'])
  return certFile === undefined || whyUnreadable(certFile) !== undefined
    ? undefined
    : keyMismatch(certFile, file)
}

// The value may be larger than a header value can be; the connector reports that when it reads the file.
function readStart(file: string): string {
  const descriptor = openSync(file, 'r')
  try {
    const start = Buffer.alloc(START_BYTES)
    return start.toString('latin1', 0, readSync(descriptor, start, 0, START_BYTES, null))
  } finally {
    closeSync(descriptor)
  }
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
