import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Telemetry } from '../telemetry/index.ts'
import { startAdminServer, type AdminServer } from './admin-server.ts'
import { Exposition, type LiveState } from './exposition.ts'
import { describeMetrics } from './metrics.ts'

let missing: string[]
let metrics: () => Promise<{ contentType: string; text: string }>
let admin: AdminServer

const STATE: LiveState = {
  version: '1.2.3',
  inFlight: 1,
  unacknowledged: 4,
  unpublished: 5,
  replyCacheBytes: 0,
  bytesInFlight: 600,
  gates: [{ model: 'iris', running: 7, waiting: 8 }],
}

beforeEach(async () => {
  missing = []
  const telemetry = new Telemetry()
  const figures = telemetry.figures('iris', 'infer')
  figures.count('ok')
  figures.count('ok')
  figures.count('overloaded')
  figures.duration.observe(0.003)
  telemetry.countUnanswered('unaddressable')
  Object.assign(telemetry.upstream('iris'), {
    retries: 9,
    deniedRetries: 10,
    circuitOpens: 11,
    circuit: { state: 2 },
  })
  // This model is no longer exposed.
  telemetry.upstream('gone').retries = 1
  telemetry.isConnected = true
  const exposition = new Exposition(telemetry, () => STATE)
  metrics = async () => ({ contentType: exposition.contentType, text: await exposition.text() })
  admin = await startAdminServer('127.0.0.1', 0, { missing: () => missing, metrics: () => metrics() })
})

afterEach(() => admin.close())

const get = async (path: string, init?: RequestInit): Promise<[number, string]> => {
  const response = await fetch(admin.url + path, init)
  return [response.status, await response.text()]
}

test('/livez returns 200 even if the connector is not ready', async () => {
  missing = ['not connected to the broker']
  expect(await get('/livez')).toEqual([200, 'ok\n'])
})

test('/readyz returns 503 with the reasons if the connector is not ready', async () => {
  expect(await get('/readyz')).toEqual([200, 'ok\n'])
  missing = ['not connected to the broker', 'draining']
  expect(await get('/readyz')).toEqual([503, 'not connected to the broker\ndraining\n'])
})

test('/metrics returns all metrics in the Prometheus text format', async () => {
  const response = await fetch(`${admin.url}/metrics`)
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  const lines = (await response.text()).split('\n')
  for (const line of [
    '# TYPE inferwire_requests_total counter',
    'inferwire_requests_total{model="iris",operation="infer",code="ok"} 2',
    'inferwire_requests_total{model="iris",operation="infer",code="overloaded"} 1',
    '# TYPE inferwire_request_duration_seconds histogram',
    'inferwire_request_duration_seconds_bucket{le="0.0025",model="iris",operation="infer"} 0',
    'inferwire_request_duration_seconds_bucket{le="0.005",model="iris",operation="infer"} 1',
    'inferwire_request_duration_seconds_bucket{le="+Inf",model="iris",operation="infer"} 1',
    'inferwire_request_duration_seconds_count{model="iris",operation="infer"} 1',
    'inferwire_unanswered_requests_total{reason="unaddressable"} 1',
    'inferwire_upstream_retries_total{model="iris"} 9',
    'inferwire_upstream_denied_retries_total{model="iris"} 10',
    'inferwire_upstream_circuit_opens_total{model="iris"} 11',
    'inferwire_upstream_circuit_state{model="iris"} 2',
    'inferwire_upstream_retries_total{model="gone"} 1',
    'inferwire_mqtt_connected 1',
    'inferwire_unacknowledged_requests 4',
    'inferwire_unacknowledged_replies 5',
    'inferwire_inflight_bytes 600',
    'inferwire_upstream_inflight_requests{model="iris"} 7',
    'inferwire_queue_depth{model="iris"} 8',
    `inferwire_build_info{version="1.2.3",node_version="${process.version}"} 1`,
  ]) {
    expect(lines).toContain(line)
  }
  expect(lines.filter((line) => line.startsWith('inferwire_upstream_circuit_state{'))).toHaveLength(1)
  expect(lines.some((line) => line.startsWith('process_resident_memory_bytes '))).toBe(true)
})

test('the description of every metric lists the labels of its samples', async () => {
  const samples = (await metrics()).text.split('\n').filter((line) => line.startsWith('inferwire_'))
  const descriptions = await describeMetrics()
  for (const line of samples) {
    const [, name, labelText = ''] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? []
    const labels = [...labelText.matchAll(/(\w+)="/g)]
      .map(([, label]) => label)
      .filter((label) => label !== 'le')
    const base = name?.replace(/_(?:bucket|sum|count)$/, '')
    const description = descriptions.find((metric) => metric.name === name || metric.name === base)
    expect([line, description?.labels]).toEqual([line, labels])
  }
})

test('exports the counters of unanswered requests as 0 from the start, so that the first unanswered request triggers an alert', async () => {
  const text = await new Exposition(new Telemetry(), () => STATE).text()
  expect(text).toContain('inferwire_unanswered_requests_total{reason="unaddressable"} 0')
  expect(text).toContain('inferwire_unanswered_requests_total{reason="reply_refused"} 0')
  expect(text).toContain('inferwire_peer_requests_total 0')
})

test('returns 500 if the metrics cannot be collected', async () => {
  metrics = () => Promise.reject(new Error('boom'))
  expect(await get('/metrics')).toEqual([500, 'The metrics could not be collected: Error: boom\n'])
  expect(await get('/livez')).toEqual([200, 'ok\n'])
})

test('returns 404 for other paths, and 405 for methods other than GET and HEAD', async () => {
  expect((await get('/'))[0]).toBe(404)
  expect((await get('/../etc/passwd'))[0]).toBe(404)
  expect((await get('/livez', { method: 'POST', body: 'x' }))[0]).toBe(405)
  expect((await get('/livez', { method: 'DELETE' }))[0]).toBe(405)
  expect(await get('/livez', { method: 'HEAD' })).toEqual([200, ''])
})

// `fetch` does not allow setting Host.
const statusFor = (url: string, host: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request(`${url}/metrics`, { headers: { host }, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })

test.each(['localhost', 'LOCALHOST:8383', '127.0.0.1', '127.0.0.1:1', '[::1]', '[::1]:8383'])(
  'on loopback, accepts the Host "%s"',
  async (host) => {
    expect(await statusFor(admin.url, host)).toBe(200)
  },
)

test.each(['rebound.example', '127.0.0.1.evil.example', 'localhost.evil.example:80', '10.0.0.7', '[::2]'])(
  'on loopback, rejects the Host "%s"',
  async (host) => {
    expect(await statusFor(admin.url, host)).toBe(403)
  },
)

// Returns everything that the server sends in response to these bytes.
function exchange(bytes: string): Promise<string> {
  const socket = connect(Number(new URL(admin.url).port), '127.0.0.1')
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('close', () => resolve(text))
    socket.write(bytes)
  })
}

test.each([
  ['two Hosts', ['Host: 127.0.0.1', 'Host: rebound.example']],
  ['the same Host twice', ['Host: 127.0.0.1', 'host: 127.0.0.1']],
  ['three Hosts, two of them empty', ['Host:', 'HOST:', 'Host: 127.0.0.1']],
  [
    '1,100 fields between two Hosts',
    ['Host: 127.0.0.1', ...Array.from({ length: 1_100 }, () => 'a:'), 'Host: rebound.example'],
  ],
  ['no Host', []],
])('answers 400 to a request with %s', async (_, hosts) => {
  const answer = await exchange(['GET /metrics HTTP/1.1', ...hosts, 'Connection: close', '', ''].join('\r\n'))
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer).not.toContain('inferwire_')
})

test("on addresses other than loopback, accepts any Host, because kubelet and Prometheus use the pod's address", async () => {
  const open = await startAdminServer('0.0.0.0', 0, { missing: () => missing, metrics: () => metrics() })
  try {
    const { port } = new URL(open.url)
    expect(await statusFor(`http://127.0.0.1:${port}`, `10.0.0.7:${port}`)).toBe(200)
  } finally {
    await open.close()
  }
})

test('an invalid request closes only its own connection', async () => {
  expect(await exchange('\u0000\u0001 nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  expect((await get('/livez'))[0]).toBe(200)
})

test('fails at once if the port is in use', async () => {
  const port = Number(new URL(admin.url).port)
  await expect(startAdminServer('127.0.0.1', port, { missing: () => [], metrics })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  })
})

test('close() ends persistent connections', async () => {
  await get('/livez')
  await admin.close()
  await expect(get('/livez')).rejects.toThrow()
  admin = await startAdminServer('127.0.0.1', 0, { missing: () => [], metrics })
})
