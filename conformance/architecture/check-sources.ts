// Holds source files to the import table and to the rules that no table can say.
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { findImports, type FoundImport } from './find-imports.ts'
import type { ImportTable } from './import-table.ts'

/** A source file: its path from the repository's root, with `/`, and its text. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/** What was seen, and what is wrong, one sentence each. */
export interface Checked {
  readonly files: number
  readonly imports: number
  readonly violations: readonly string[]
}

/** No file is longer; one that grows beyond has two purposes. */
export const FILE_LINES_MAX = 400

/** A package's second door: what its own rooms hide from one another, open to `conformance/` only. */
const SECOND_DOOR = 'internal.ts'

// These run in browsers too.
const WITHOUT_NODE = new Set(['protocol', 'client'])
// Loads an engine only where it is installed; the name is hidden from bundlers and package checks.
const MAY_COMPUTE_IMPORTS = new Set(['packages/model-server/src/engine.ts'])
const DEV = '@inferwire/dev'
const MAY_LOAD_DEV = 'packages/cli/src/commands/dev.ts'

/** The files are those of `packages/{package}/src`, without tests, and those of `conformance/`. */
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
 * `packages/connector/src/session/dial.ts` -> `connector/session`; other packages have no rooms, but may have a second
 * door. `conformance/chaos/tap.ts` -> `conformance/chaos`; the tests next to the folders are `conformance/*.test`.
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
    return MAY_COMPUTE_IMPORTS.has(path) ? [] : [`${path} computes what it imports`]
  }
  const says = (what: string): string[] => [`${path} imports "${specifier}": ${what}`]
  if (isBuiltin(specifier)) {
    return WITHOUT_NODE.has(packageOf(path)) ? says('this package also runs where there is no Node.js') : []
  }
  if (specifier.startsWith('.')) {
    return isConformance(path)
      ? conformanceViolations(path, specifier, table, says)
      : relativeViolations(path, specifier, table, says)
  }
  if (specifier.startsWith('/') || specifier.includes('://')) return says('it is an absolute place')
  if (
    specifier === DEV &&
    packageOf(path) !== 'dev' &&
    !isConformance(path) &&
    !(found.isDynamic && path === MAY_LOAD_DEV)
  ) {
    return says('only the dev command loads it, when it runs')
  }
  if (packageOf(path) === 'protocol') return says('protocol has no dependencies')
  const ours = /^@inferwire\/([^/]+)(\/.*)?$/.exec(specifier)
  if (ours === null) return []
  if (ours[2] !== undefined) return says('packages are imported by their front only')
  return mayImport(path, ours[1]!, table) ? [] : says('the import table does not allow it')
}

function relativeViolations(
  path: string,
  specifier: string,
  table: ImportTable,
  says: (what: string) => string[],
): string[] {
  const target = posix.join(posix.dirname(path), specifier)
  if (!target.startsWith(`packages/${packageOf(path)}/src/`)) return says('it is outside of the sources')
  const isForTests = target.includes('/testing/') && !path.includes('/testing/')
  if (target.endsWith('.test.ts') || isForTests) return says('it is a test file')
  if (unitOf(target) === unitOf(path)) return []
  if (!mayImport(path, unitOf(target), table)) return says('the import table does not allow it')
  if (isSecondDoor(target)) return says('the second door is for `conformance/`')
  const isRoom = target.split('/').length > 4
  if (!isRoom || isIndex(target) || isSecondDoor(path)) return []
  return says("not the room's front file, index.ts")
}

// Of a package only its open files: its front, its second door, the front of a room, a file of the hallway.
function conformanceViolations(
  path: string,
  specifier: string,
  table: ImportTable,
  says: (what: string) => string[],
): string[] {
  const target = posix.join(posix.dirname(path), specifier)
  if (isConformance(target)) {
    if (unitOf(target) === unitOf(path) || mayImport(path, unitOf(target), table)) return []
    return says('the import table does not allow it')
  }
  const [top, name, folder, ...rest] = target.split('/')
  if (top !== 'packages' || folder !== 'src') return says('it is outside of the sources')
  const isFront = isSecondDoor(target) || isIndex(target)
  const isHallway = name === 'connector' && rest.length === 1
  if (!isFront && !isHallway) return says('not a front file, index.ts or internal.ts')
  return mayImport(path, unitOf(target), table) ? [] : says('the import table does not allow it')
}

function isConformance(path: string): boolean {
  return path.startsWith('conformance/')
}

// Of a package or of one of its rooms: a folder inside a room has no front.
function isIndex(path: string): boolean {
  return path.split('/').length <= 5 && posix.basename(path) === 'index.ts'
}

function isSecondDoor(path: string): boolean {
  return path.split('/').length === 4 && posix.basename(path) === SECOND_DOOR
}

// Other packages that a package may import, its rooms may; rooms and hallway files each by their own row.
function mayImport(path: string, target: string, table: ImportTable): boolean {
  const own = table.get(unitOf(path))
  if (own?.has(target) === true || own?.has(anyOf(target)) === true) return true
  return !target.includes('/') && !isConformance(path) && table.get(packageOf(path))?.has(target) === true
}

// `connector/*` in the table stands for every room and hallway file.
function anyOf(target: string): string {
  return target.includes('/') ? `${target.split('/')[0]}/*` : target
}

function packageOf(path: string): string {
  return path.split('/')[1]!
}

// Every package, every folder of the connector, every part of `conformance/`.
function unitsThatNeedRows(path: string): string[] {
  if (isConformance(path)) return [unitOf(path)]
  const isRoom = packageOf(path) === 'connector' && path.split('/').length > 4
  return isRoom ? [packageOf(path), unitOf(path)] : [packageOf(path)]
}
