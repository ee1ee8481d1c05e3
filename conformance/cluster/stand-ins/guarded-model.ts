// A model server on the node that requires TLS and a bearer token, like a model behind a gateway.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { NODE_ADDRESS } from '../node/network.ts'

/** A running server. */
export interface GuardedModel {
  readonly url: string
  /** The accepted token; requests without this token are answered with 401. */
  token: string
  stop(): void
}

/** Serves every model with KServe's V1 protocol. Each prediction is 1. */
export async function startGuardedModel(certFile: string, keyFile: string): Promise<GuardedModel> {
  const model = { url: '', token: '', stop: () => void server.close() }
  const certificate = { cert: readFileSync(certFile), key: readFileSync(keyFile) }
  const server = createServer(certificate, (request, response) => {
    request.resume()
    const isAllowed = request.headers.authorization === `Bearer ${model.token}`
    response.writeHead(isAllowed ? 200 : 401, { 'content-type': 'application/json' })
    const body = request.method === 'POST' ? { predictions: [1] } : { name: 'guarded', ready: true }
    response.end(JSON.stringify(isAllowed ? body : {}))
  })
  server.listen(0, NODE_ADDRESS)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  model.url = `https://${NODE_ADDRESS}:${address.port}`
  return model
}
