// Finds circular imports between source files, including imports of types.
import { posix } from 'node:path'
import type { SourceFile } from './check-sources.ts'
import { findImports } from './find-imports.ts'

/** Returns a string such as `a.ts -> b.ts -> a.ts` for each import that completes a cycle. */
export function findCircles(files: readonly SourceFile[]): string[] {
  const imports = new Map(files.map(({ path, text }) => [path, targetsOf(path, text)]))
  const circles: string[] = []
  const done = new Set<string>()
  // The files on the current path of the search.
  const way: string[] = []
  const visit = (path: string): void => {
    const index = way.indexOf(path)
    if (index !== -1) return void circles.push([...way.slice(index), path].join(' -> '))
    if (done.has(path)) return
    done.add(path)
    way.push(path)
    for (const target of imports.get(path) ?? []) visit(target)
    way.pop()
  }
  for (const { path } of files) visit(path)
  return circles
}

function targetsOf(path: string, text: string): string[] {
  return findImports(path, text).flatMap(({ specifier }) =>
    specifier?.startsWith('.') === true ? [posix.join(posix.dirname(path), specifier)] : [],
  )
}
