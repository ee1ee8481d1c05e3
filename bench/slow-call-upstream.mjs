// The model server of `npm run bench:slow`: answers each request at once with the request's body, except for one
// request, which stays open.
import { createUpstream, listen, readBody, sendJson } from './upstream-http.mjs'
import { answerCalls } from './worker.mjs'

const calls = new Map()
let repeated = 0
let open = 0

const server = createUpstream((request, response) => {
  const send = (status, text) => sendJson(response, status, text)
  if (request.method === 'GET') {
    if (request.url === '/v1/models/echo') return send(200, '{"name":"echo","ready":true}')
    return send(404, '{"error":"not found"}')
  }
  readBody(request, (bytes) => {
    const body = bytes.toString('utf8')
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
  listen(options) {
    openMs = options.openMs
    return listen(server)
  },
  /** `repeated`: number of calls that repeat an earlier call. `open`: calls for the request that stays open. */
  seen: () => ({ repeated, open }),
})
