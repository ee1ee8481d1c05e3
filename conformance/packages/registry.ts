// A minimal npm registry that serves packed packages from a folder. npm fetches all other packages from the registry
// that this machine uses.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { run } from '../fixtures/processes.ts'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** What a package's manifest contains. */
export type Manifest = Readonly<Record<string, unknown>> & { readonly name: string; readonly version: string }

/** A running registry. */
export interface Registry {
  readonly url: string
  /** The environment in which npm fetches the packages of the scope `@inferwire` from this registry. */
  readonly env: Readonly<Record<string, string>>
  /** The names of the packages and files that were requested, in order. */
  readonly fetched: readonly string[]
  close(): Promise<void>
}

/** The faults of a registry. */
export interface Faults {
  /** The registry offers this version instead of the packed one. */
  readonly version?: string
  /** No request is ever answered. */
  readonly hangs?: boolean
}

/** Starts a registry on loopback. */
export async function startRegistry(folder: string, faults: Faults = {}): Promise<Registry> {
  const packages = await packedIn(folder)
  const fetched: string[] = []
  const server = createServer((request, response) => {
    // npm's cache would keep the answers, but the next test run has a different port.
    response.setHeader('cache-control', 'no-store')
    const path = decodeURIComponent(request.url!.slice(1))
    fetched.push(path)
    if (faults.hangs === true) return
    const found = packages.get(path)
    if (found !== undefined) return sendJson(response, packument(found, url, faults.version))
    if (!readdirSync(folder).includes(path)) return void response.writeHead(404).end()
    response.end(readFileSync(join(folder, path)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const close = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  return { url, env: { npm_config_userconfig: await userConfig(url) }, fetched, close }
}

// A shell between npm and the command does not pass on environment variables with `@` in their names, such as
// `npm_config_@inferwire:registry`. Therefore, the registry is in a copy of this machine's user configuration.
async function userConfig(url: string): Promise<string> {
  const { stdout } = await run('npm', ['config', 'get', 'userconfig'])
  const existing = stdout.trim()
  const lines = [existsSync(existing) ? readFileSync(existing, 'utf8') : '', `@inferwire:registry=${url}`]
  const file = join(tempFolder('npmrc'), '.npmrc')
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })
  return file
}

/** Returns the manifest in a packed package. */
export async function manifestIn(tarball: string): Promise<Manifest> {
  const { stdout } = await run('tar', ['xzOf', tarball, 'package/package.json'])
  return JSON.parse(stdout) as Manifest
}

interface Packed {
  readonly file: string
  readonly manifest: Manifest
  readonly integrity: string
}

async function packedIn(folder: string): Promise<ReadonlyMap<string, Packed>> {
  const packages = new Map<string, Packed>()
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.tgz'))) {
    const manifest = await manifestIn(join(folder, file))
    const digest = createHash('sha512')
      .update(readFileSync(join(folder, file)))
      .digest('base64')
    packages.set(manifest.name, { file, manifest, integrity: `sha512-${digest}` })
  }
  return packages
}

// https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md
function packument(
  { file, manifest, integrity }: Packed,
  url: string,
  version = manifest.version,
): Record<string, unknown> {
  return {
    name: manifest.name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, version, dist: { tarball: `${url}${file}`, integrity } } },
  }
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
}
