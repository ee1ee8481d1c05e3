// Queries a server for the names of all its models, to find out why it does not have the configured one.
import { DIALECTS, operationRoute, type Dialect, type DialectKind, type Route } from '@inferwire/protocol'
import { askForAnswer } from './ask.ts'
import { hasModelList } from './ask-model-list.ts'
import type { HttpTarget } from './http-endpoint.ts'

const NAMES_MAX = 100
const NAME_LENGTH_MAX = 255

/** Returns the names in the first list that the server has; empty if it has none. */
export async function askNames(
  target: HttpTarget,
  dialects: readonly Dialect[],
  signal: AbortSignal,
): Promise<string[]> {
  for (const route of dialects.flatMap(listsOf)) {
    const names = await askForAnswer(target, route, signal).then(
      ({ status, body }) => (status === 200 ? namesIn(body) : []),
      () => [],
    )
    if (names.length > 0) return names
  }
  return []
}

function listsOf(dialect: Dialect): Route[] {
  const { modelLists = [], prefixes = [''] }: DialectKind = DIALECTS[dialect]
  if (modelLists.length > 0) return modelLists.map(({ method, path }) => ({ method, path }))
  if (!hasModelList(dialect)) return []
  const { method, path } = operationRoute('metadata', dialect, '')!
  return prefixes.map((prefix) => ({ method, path: prefix + path }))
}

function namesIn(body: Uint8Array): string[] {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(body))
  } catch {
    return []
  }
  const { models, data } = Object(value) as { readonly models?: unknown; readonly data?: unknown }
  const list = [value, models, data].find((each) => Array.isArray(each)) as unknown[] | undefined
  return (list ?? [])
    .slice(0, NAMES_MAX)
    .flatMap((entry) => {
      const { name, id } = Object(entry) as { readonly name?: unknown; readonly id?: unknown }
      return [entry, name, id].find((each) => typeof each === 'string') ?? []
    })
    .filter((name) => name.length <= NAME_LENGTH_MAX)
}
