// Reads kubeconfig files as kubectl does: several files are merged, and the first one that defines a name wins.
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { offsetOfTooDeep } from '../../config/index.ts'
import { configError } from './kube-error.ts'
import { readText } from './secret-text.ts'

/** Which kubeconfig to use. */
export interface KubeconfigOptions {
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Path of the only file to use. @default KUBECONFIG, or else `~/.kube/config` */
  readonly kubeconfig?: string | undefined
  /** Name of the context. @default `current-context` */
  readonly context?: string | undefined
}

/** An entry of a kubeconfig, and the file that contains it. */
export interface KubeconfigEntry {
  readonly file: string
  readonly value: unknown
}

/** The cluster and the user that a context names. Their contents are unchecked. */
export interface KubeconfigContext {
  readonly name: string
  /** The file with the context. */
  readonly file: string
  readonly namespace: string | undefined
  readonly cluster: KubeconfigEntry
  /** Undefined if the context names no user. */
  readonly user: KubeconfigEntry | undefined
}

// Nothing in a kubeconfig is nested deeper, except extensions of other programs.
const DEPTH_MAX = 64
const ALIASES_MAX = 50
const NAMES_SHOWN_MAX = 10

const named = (member: string) =>
  z
    .array(z.object({ name: z.string(), [member]: z.unknown().optional() }))
    .nullish()
    .transform(
      (list) => new Map((list ?? []).toReversed().map((each) => [each.name as string, each[member]])),
    )

const FILE = z.object({
  'current-context': z.string().nullish(),
  clusters: named('cluster'),
  contexts: named('context'),
  users: named('user'),
})
const CONTEXT = z.object({ cluster: z.string(), user: z.string().nullish(), namespace: z.string().nullish() })

type Section = 'clusters' | 'contexts' | 'users'
type LoadedFile = z.infer<typeof FILE> & { readonly file: string }

/** Finds the context. @throws KubeError `InvalidConfig` */
export function readKubeconfig({
  env = process.env,
  kubeconfig,
  context,
}: KubeconfigOptions): KubeconfigContext {
  const files = filesOf(env, kubeconfig).map(load)
  const name = context ?? files.map((each) => each['current-context']).find(hasText)
  const contexts = namesOf(files, 'contexts')
  if (!hasText(name)) {
    throw configError(
      `The kubeconfig (${shownFiles(files)}) has no current-context`,
      `Choose one: kubectl config use-context NAME. There are: ${contexts}.`,
    )
  }
  const found = find(files, 'contexts', name)
  if (found === undefined) {
    throw configError(
      `The kubeconfig (${shownFiles(files)}) has no context "${name}"`,
      `There are: ${contexts}.`,
    )
  }
  const what = `context "${name}" in "${found.file}"`
  const { cluster, user, namespace } = parseEntry(CONTEXT, found.value, what)
  const entry = (section: Section, entryName: string): KubeconfigEntry => {
    const each = find(files, section, entryName)
    if (each !== undefined) return each
    throw configError(
      `The ${what} names "${entryName}", which is not in the kubeconfig's ${section}`,
      `There are: ${namesOf(files, section)}.`,
    )
  }
  return {
    name,
    file: found.file,
    namespace: namespace ?? undefined,
    cluster: entry('clusters', cluster),
    user: hasText(user) ? entry('users', user) : undefined,
  }
}

/** Parses an entry. @throws KubeError `InvalidConfig`, which names the entry but no values */
export function parseEntry<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0]!
  throw configError(
    `The kubeconfig's ${what} is not valid: ${path.length === 0 ? '' : `${path.join('.')}: `}${message}`,
    'Correct the file; kubectl config view shows it without secrets.',
  )
}

/** Resolves a path in a kubeconfig entry, which is relative to the entry's file. */
export function pathIn(entry: KubeconfigEntry, path: string): string {
  return resolve(dirname(entry.file), path)
}

// As with kubectl, KUBECONFIG may name files that do not exist.
function filesOf(
  env: Readonly<Record<string, string | undefined>>,
  kubeconfig: string | undefined,
): string[] {
  if (kubeconfig !== undefined) return [resolve(kubeconfig)]
  const list = (env['KUBECONFIG'] ?? '').split(delimiter).filter(hasText)
  const candidates = list.length > 0 ? list : [join(env['HOME'] ?? homedir(), '.kube', 'config')]
  const files = candidates.map((file) => resolve(file)).filter((file) => existsSync(file))
  if (files.length > 0) return files
  throw configError(
    `There is no kubeconfig: "${candidates.join('", "')}" does not exist`,
    'Set KUBECONFIG to the path of a kubeconfig, or run in a pod with a ServiceAccount.',
  )
}

function load(file: string): LoadedFile {
  const text = readText(file, 'The kubeconfig')
  const remedy = 'Check that the file is a kubeconfig; kubectl config view shows it without secrets.'
  if (offsetOfTooDeep(text, DEPTH_MAX) !== undefined) {
    throw configError(`The kubeconfig "${file}" is nested deeper than ${DEPTH_MAX} levels`, remedy)
  }
  let value: unknown
  try {
    // Messages of the parser would quote the file, and comparing all keys takes quadratic time.
    const document = parseDocument(text, {
      prettyErrors: false,
      uniqueKeys: false,
      merge: false,
      logLevel: 'error',
    })
    if (document.errors.length > 0) throw document.errors[0]!
    value = document.toJS({ maxAliasCount: ALIASES_MAX })
  } catch (error) {
    throw configError(`The kubeconfig "${file}" is not valid YAML`, remedy, withoutText(error))
  }
  // kubectl accepts an empty file.
  return { ...parseEntry(FILE, value ?? {}, `file "${file}"`), file }
}

// The parser's error holds the text of the file.
function withoutText(error: unknown): Error {
  return new Error((error as { readonly code?: string }).code ?? 'invalid YAML')
}

function find(files: readonly LoadedFile[], section: Section, name: string): KubeconfigEntry | undefined {
  const loaded = files.find((each) => each[section].has(name))
  return loaded && { file: loaded.file, value: loaded[section].get(name) }
}

function namesOf(files: readonly LoadedFile[], section: Section): string {
  const names = [...new Set(files.flatMap((each) => [...each[section].keys()]))]
  if (names.length === 0) return 'none'
  const shown = names.slice(0, NAMES_SHOWN_MAX).map((name) => `"${name}"`)
  return names.length > shown.length ? `${shown.join(', ')}, …` : shown.join(', ')
}

function shownFiles(files: readonly LoadedFile[]): string {
  return files.map(({ file }) => file).join(', ')
}

function hasText(value: string | null | undefined): value is string {
  return value !== undefined && value !== null && value !== ''
}
