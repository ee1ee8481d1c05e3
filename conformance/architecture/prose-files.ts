// Lists the repository's files that contain prose: sources, pages, and texts that are shipped.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SourceFile } from './check-sources.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', 'corpus', 'planted'])
/**
 * Not checked: files generated from checked sources, and the checker itself, because it lists the forbidden phrases.
 */
const SKIPPED = [/^resources\//, /^charts\/inferwire\/templates\//, /\/plain-words[^/]*$/]
const READ = /\.(?:md|[cm]?[jt]s|c|py|yaml|yml)$|(?:^|\/)Dockerfile$/

/**
 * Returns the files below the given paths, which are relative to the repository's root. Returns all files by default.
 */
export function proseFiles(paths: readonly string[] = ['']): SourceFile[] {
  return paths
    .flatMap((path) => pathsBelow(path.replace(/^\.\/?|\/$/g, '')))
    .filter((path) => READ.test(path) && !SKIPPED.some((pattern) => pattern.test(path)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

function pathsBelow(path: string): string[] {
  if (!statSync(join(ROOT, path)).isDirectory()) return [path]
  return readdirSync(join(ROOT, path), { withFileTypes: true }).flatMap((entry) => {
    if (entry.isSymbolicLink() || SKIPPED_FOLDERS.has(entry.name) || entry.name.startsWith('.')) return []
    return pathsBelow(posix.join(path, entry.name))
  })
}
