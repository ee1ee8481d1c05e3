// A minimal npm registry to which packages are published.
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { tempFolder } from '../fixtures/temp-folder.ts'

/** A running registry. */
export interface UploadRegistry {
  /** The environment in which npm uses this registry, with a token. */
  readonly env: Readonly<Record<string, string>>
  /** The names of the published packages, in order. */
  readonly published: readonly string[]
  close(): Promise<void>
}

/** Starts a registry on loopback that contains no packages. */
export async function startUploadRegistry(): Promise<UploadRegistry> {
  const documents = new Map<string, Buffer>()
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const name = decodeURIComponent(request.url!.slice(1).split('?')[0]!)
    if (request.method !== 'PUT') {
      const document = documents.get(name)
      response.writeHead(document === undefined ? 404 : 200).end(document ?? '{}')
      return
    }
    const hasToken = request.headers.authorization === 'Bearer token'
    const isNew = !documents.has(name)
    if (hasToken && isNew) documents.set(name, await buffer(request))
    response.writeHead(!hasToken ? 401 : isNew ? 201 : 403).end('{}')
  }
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const userconfig = join(tempFolder('npmrc'), '.npmrc')
  writeFileSync(userconfig, `registry=http://${host}/\n//${host}/:_authToken=token\n`)
  return {
    // npm otherwise uses the registry in the variables that it sets for `npm test`.
    env: { npm_config_userconfig: userconfig, npm_config_registry: `http://${host}/` },
    get published() {
      return [...documents.keys()]
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
