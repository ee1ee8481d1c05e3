// Checks source files against the import table, and against rules that a table cannot express.
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { findImports, type FoundImport } from './find-imports.ts'
import type { ImportTable } from './import-table.ts'

/** A source file: its text, and its path relative to the repository's root, with `/` as the separator. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/** Result of a check: how much was checked, and one sentence for each violation. */
export interface Checked {
  readonly files: number
  readonly imports: number
  readonly violations: readonly string[]
}

/** Maximum number of lines of a source file; a longer file probably has two purposes. */
export const FILE_LINES_MAX = 400

/** A package's second entry file, which exports internals of its rooms for `conformance/` only. */
const SECOND_DOOR = 'internal.ts'

// These packages run in browsers too.
const WITHOUT_NODE = new Set(['protocol', 'client'])
// These files load an engine or the development stack only if it is installed. A computed module name hides the import
// from bundlers and package checks.
const MAY_COMPUTE_IMPORTS = new Set([
  'packages/cli/src/dev/fetch-stack.ts',
  'packages/model-server/src/engine.ts',
  'packages/model-server/src/language/llama.ts',
])
const DEV = '@inferwire/dev'
const MAY_LOAD_DEV = 'packages/cli/src/commands/dev.ts'

/** Checks the files of `conformance/`, and those of `packages/{package}/src` except tests. */
export function checkSources(files: readonly SourceFile[], table: ImportTable): Checked {
  const violations: string[] = []
  let imports = 0
  for (const file of files) {
    const found = findImports(file.path, file.text)
    imports += found.length
    violations.push(...fileViolations(file), ...found.flatMap((each) => importViolations(file, each, table)))
  }
  const units = new Set(files.flatMap(({ path }) => unitsThatNeedRows(path)))
  for (const unit of [...units].sort()) {
    if (!table.has(unit)) violations.push(`\`${unit}\` has no row in the import table`)
  }
  return { files: files.length, imports, violations }
}

/**
 * Returns the unit of a file in the import table: `packages/connector/src/session/dial.ts` -> `connector/session`.
 * Other packages have no rooms, but may have an `internal` unit. `conformance/chaos/tap.ts` ->
 * `conformance/chaos`. Test files directly in `conformance/` have the unit `conformance/*.test`.
 */
export function unitOf(path: string): string {
  const [top, name, , ...rest] = path.split('/')
  if (top === 'conformance') return conformanceUnitOf(path)
  if (rest.length === 1 && rest[0] === SECOND_DOOR) return `${name}/internal`
  if (name !== 'connector') return name!
  return `connector/${rest.length > 1 ? rest[0] : posix.basename(rest[0]!, '.ts')}`
}

function conformanceUnitOf(path: string): string {
  const [, name, ...rest] = path.split('/')
  if (rest.length > 0) return `conformance/${name}`
  return isTest(path) ? 'conformance/*.test' : `conformance/${name!.replace(/\.m?ts$/, '')}`
}

function isTest(path: string): boolean {
  return path.endsWith('.test.ts')
}

function fileViolations({ path, text }: SourceFile): string[] {
  const lines = text.split('\n').length - 1
  return lines > FILE_LINES_MAX && !isTest(path)
    ? [`${path} has ${lines} lines, more than ${FILE_LINES_MAX}`]
    : []
}

function importViolations(file: SourceFile, found: FoundImport, table: ImportTable): string[] {
  const { path } = file
  const { specifier } = found
  if (specifier === undefined) {
    return MAY_COMPUTE_IMPORTS.has(path) ? [] : [`${path} computes the name of an imported module`]
  }
  const fault = (what: string): string[] => [`${path} imports "${specifier}": ${what}`]
  if (isBuiltin(specifier)) {
    return WITHOUT_NODE.has(packageOf(path)) ? fault('this package also runs without Node.js') : []
  }
  if (specifier.startsWith('.')) {
    return isConformance(path)
      ? conformanceViolations(path, specifier, table, fault)
      : relativeViolations(path, specifier, table, fault)
  }
  if (specifier.startsWith('/') || specifier.includes('://')) return fault('it is an absolute path')
  if (
    specifier === DEV &&
    packageOf(path) !== 'dev' &&
    !isConformance(path) &&
    !(found.isDynamic && path === MAY_LOAD_DEV)
  ) {
    return fault('only the dev command may load it, at run time')
  }
  if (packageOf(path) === 'protocol') return fault('protocol has no dependencies')
  const ours = /^@inferwire\/([^/]+)(\/.*)?$/.exec(specifier)
  if (ours === null) return []
  if (ours[2] !== undefined) return fault("only a package's entry point may be imported")
  return mayImport(path, ours[1]!, table) ? [] : fault('the import table does not allow it')
}

function relativeViolations(
  path: string,
  specifier: string,
  table: ImportTable,
  fault: (what: string) => string[],
): string[] {
  const target = posix.join(posix.dirname(path), specifier)
  if (!target.startsWith(`packages/${packageOf(path)}/src/`)) return fault('it is outside the sources')
  const isForTests = target.includes('/testing/') && !path.includes('/testing/')
  if (target.endsWith('.test.ts') || isForTests) return fault('it is a test file')
  if (unitOf(target) === unitOf(path)) return []
  if (!mayImport(path, unitOf(target), table)) return fault('the import table does not allow it')
  if (isSecondDoor(target)) return fault('internal.ts is for `conformance/` only')
  const isRoom = target.split('/').length > 4
  if (!isRoom || isIndex(target) || isSecondDoor(path)) return []
  return fault("only the room's index.ts may be imported")
}

// From a package, `conformance/` may import index.ts, internal.ts, a room's index.ts, and the files directly in the
// connector's src folder.
function conformanceViolations(
  path: string,
  specifier: string,
  table: ImportTable,
  fault: (what: string) => string[],
): string[] {
  const target = posix.join(posix.dirname(path), specifier)
  if (isConformance(target)) {
    if (unitOf(target) === unitOf(path) || mayImport(path, unitOf(target), table)) return []
    return fault('the import table does not allow it')
  }
  const [top, name, folder, ...rest] = target.split('/')
  if (top !== 'packages' || folder !== 'src') return fault('it is outside the sources')
  const isFront = isSecondDoor(target) || isIndex(target)
  const isHallway = name === 'connector' && rest.length === 1
  if (!isFront && !isHallway) return fault('only index.ts or internal.ts may be imported')
  return mayImport(path, unitOf(target), table) ? [] : fault('the import table does not allow it')
}

function isConformance(path: string): boolean {
  return path.startsWith('conformance/')
}

// Whether a file is the index.ts of a package or of a room. A folder inside a room has no index.ts.
function isIndex(path: string): boolean {
  return path.split('/').length <= 5 && posix.basename(path) === 'index.ts'
}

function isSecondDoor(path: string): boolean {
  return path.split('/').length === 4 && posix.basename(path) === SECOND_DOOR
}

// A package's row also lists the other packages that its rooms may import. Rooms and hallway files have rows of their
// own, too.
function mayImport(path: string, target: string, table: ImportTable): boolean {
  const own = table.get(unitOf(path))
  if (own?.has(target) === true || own?.has(anyOf(target)) === true) return true
  return !target.includes('/') && !isConformance(path) && table.get(packageOf(path))?.has(target) === true
}

// `connector/*` in the table means every room and hallway file.
function anyOf(target: string): string {
  return target.includes('/') ? `${target.split('/')[0]}/*` : target
}

function packageOf(path: string): string {
  return path.split('/')[1]!
}

// Returns the units that need a row: every package, every folder of the connector, every part of `conformance/`.
function unitsThatNeedRows(path: string): string[] {
  if (isConformance(path)) return [unitOf(path)]
  const isRoom = packageOf(path) === 'connector' && path.split('/').length > 4
  return isRoom ? [packageOf(path), unitOf(path)] : [packageOf(path)]
}
