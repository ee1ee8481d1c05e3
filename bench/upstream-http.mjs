// The parts that the HTTP model servers of the benchmarks have in common.
import { createServer } from 'node:http'

/** Creates an HTTP server that never closes an idle connection during a run. */
export function createUpstream(handle) {
  return createServer({ noDelay: true, keepAliveTimeout: 600_000 }, handle)
}

/** Listens on a free loopback port. @returns {Promise<number>} the port */
export function listen(server) {
  return new Promise((resolve, reject) => {
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server.address().port))
  })
}

/** Reads the body of a request. @param {(body: Buffer) => void} onBody called with the whole body */
export function readBody(request, onBody) {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => onBody(Buffer.concat(chunks)))
}

/** Answers with a JSON text. */
export function sendJson(response, status, text) {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}
