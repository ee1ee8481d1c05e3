// Loads the development stack, the package `@inferwire/dev`, from a cache folder, and installs it there on first use.
// The package is no dependency of `inferwire`, because its ONNX runtime is 140 MB, and only `inferwire dev` needs it.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { runNpm } from './run-npm.ts'

const STACK = '@inferwire/dev'

/** Where and how the stack is installed. */
export interface FetchOptions {
  /** The exact version to install: that of `inferwire`. */
  readonly version: string
  /** @default `inferwire` in the user's cache folder */
  readonly cache?: string
  /** The program `npm`. @default `npm` in PATH */
  readonly npm?: string
  /** Reports that the installation starts. @default writes to standard error */
  readonly report?: (text: string) => void
}

/** Whether `error` is the error of an import of the stack if it is not installed. */
export function isStackMissing(error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${STACK}'`)
}

/**
 * Imports the stack from the cache folder, after installing it if necessary.
 * @throws CliError with the remedy if npm is missing or fails
 */
export async function fetchStack(options: FetchOptions): Promise<unknown> {
  const { version, cache = cacheFolder(process.env) } = options
  const folder = join(cache, `dev-${version}`)
  if (versionIn(folder) !== version) await install(folder, { ...options, cache })
  try {
    return await import(pathToFileURL(createRequire(join(folder, 'package.json')).resolve(STACK)).href)
  } catch (error) {
    throw unavailable(
      `${STACK} in ${folder} cannot be loaded`,
      'Delete this folder, and run the command again.',
      error,
    )
  }
}

/** Returns the folder for files that Inferwire can fetch again. */
export function cacheFolder(env: NodeJS.ProcessEnv, platform = process.platform): string {
  const local = platform === 'win32' ? env['LOCALAPPDATA'] : undefined
  return join(env['XDG_CACHE_HOME'] || local || join(homedir(), '.cache'), 'inferwire')
}

/** Throws a CliError if a stack that is installed next to `inferwire` has another version. */
export function checkStackVersion(found: string, version: string): void {
  if (found === version) return
  throw unavailable(
    `${STACK} ${found} is installed, but this is inferwire ${version}`,
    `Install the same version with: npm install ${STACK}@${version}`,
  )
}

// Installs into a temporary folder, so that the folder is either complete or absent.
async function install(folder: string, options: FetchOptions & { readonly cache: string }): Promise<void> {
  const { version, cache, npm, report = (text) => process.stderr.write(`${text}\n`) } = options
  const temporary = `${folder}.${process.pid}.tmp`
  try {
    mkdirSync(cache, { recursive: true, mode: 0o700 })
    removeRemains(cache)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(temporary)
    writeFileSync(
      join(temporary, 'package.json'),
      JSON.stringify({ private: true, dependencies: { [STACK]: version } }),
    )
    report(`Installing ${STACK} ${version} in ${folder} (once; about 170 MB) …`)
    await runNpm(temporary, npm)
    if (versionIn(temporary) !== version) throw new Error(`npm did not install ${STACK} ${version}`)
    renameSync(temporary, folder)
  } catch (error) {
    // Another process may have installed the same version in the meantime.
    if (versionIn(folder) === version) return
    if (error instanceof Error && error.name === 'Interrupted') throw error
    throw unavailable(
      `${STACK} ${version} cannot be installed in ${folder}: ${error instanceof Error ? error.message : String(error)}`,
      `Or install it in your project, from the registry of your project: npm install inferwire@${version} ${STACK}@${version}`,
      error,
    )
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

// Removes what processes that were killed during an installation have left.
function removeRemains(cache: string): void {
  for (const name of readdirSync(cache)) {
    const [, pid] = /^dev-.*\.(\d+)\.tmp$/.exec(name) ?? []
    if (pid !== undefined && !isRunning(Number(pid))) rmSync(join(cache, name), { recursive: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Returns the version of the stack that is installed in `folder`. */
function versionIn(folder: string): string | undefined {
  try {
    const manifest = readFileSync(join(folder, 'node_modules', STACK, 'package.json'), 'utf8')
    return (JSON.parse(manifest) as { version: string }).version
  } catch {
    return undefined
  }
}

function unavailable(message: string, remedy: string, cause?: unknown): CliError {
  return new CliError(EXIT.unavailable, message, remedy, { cause })
}
