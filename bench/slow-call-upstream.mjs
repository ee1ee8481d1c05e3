// The model server of `npm run bench:slow`: answers each request at once with the request's body, except for one
// request, which stays open.
import { createServer } from 'node:http'
import { answerCalls } from './worker.mjs'

const calls = new Map()
let repeated = 0
let open = 0

const server = createServer({ noDelay: true, keepAliveTimeout: 600_000 }, (request, response) => {
  const send = (status, body) => {
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  }
  if (request.method === 'GET') {
    if (request.url === '/v1/models/echo') return send(200, '{"name":"echo","ready":true}')
    return send(404, '{"error":"not found"}')
  }
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString('utf8')
    if (body.includes('"open"')) {
      open += 1
      const timer = setTimeout(() => send(200, body), openMs)
      return response.on('close', () => clearTimeout(timer))
    }
    const before = calls.get(body) ?? 0
    calls.set(body, before + 1)
    if (before > 0) repeated += 1
    send(200, body)
  })
})
let openMs = 0

answerCalls({
  listen: (options) => {
    openMs = options.openMs
    return new Promise((resolve, reject) => {
      server.on('error', reject)
      server.listen(0, '127.0.0.1', () => resolve(server.address().port))
    })
  },
  /** `repeated`: number of calls that repeat an earlier call. `open`: calls for the request that stays open. */
  seen: () => ({ repeated, open }),
})
