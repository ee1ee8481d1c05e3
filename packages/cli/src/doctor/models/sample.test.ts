// Tests with real HTTP that a slow model ends at the time limit, without losing the results of the others.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { loadConfig } from '@inferwire/connector'
import { expect, test } from 'vitest'
import type { Outcome } from '../check.ts'
import type { DoctorContext } from '../context.ts'
import { modelsMetadata } from './metadata.ts'
import { modelsSample } from './sample.ts'

const TENSOR = { name: 'x', datatype: 'FP32', shape: [1] }
const DESCRIPTION = { versions: ['1'], platform: 'test', inputs: [TENSOR], outputs: [TENSOR] }

test('a model that does not answer in time is a fault; the results of other models are kept', async () => {
  const limit = new AbortController()
  // The probe closes its connection when the result of its model is known.
  let pending = 2
  const arrived = (): void => {
    if (--pending === 0) limit.abort()
  }
  const server = createServer((request, response) => {
    const isSlow = request.url?.includes('slow') === true
    if (request.method === 'POST') {
      if (isSlow) return arrived()
      request.socket.once('close', arrived)
    }
    const name = isSlow ? 'slow' : 'iris'
    const tensor = request.method === 'POST' ? { outputs: [{ ...TENSOR, data: [1] }] } : DESCRIPTION
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify(
        request.url === '/v2' ? { name: 's', extensions: [] } : { name, model_name: name, ...tensor },
      ),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const model = { url, protocolVersion: 'v2' as const }
    const flags = { broker: { url: 'mqtt://127.0.0.1' }, models: { slow: model, iris: model } }
    const config = { value: loadConfig({ env: {}, flags }) }
    const context = { config, runsSamples: true } as unknown as DoctorContext
    expect(statesOf(await modelsMetadata.run(context, new AbortController().signal))).toEqual(['ok', 'ok'])
    const outcome = await modelsSample.run(context, limit.signal)
    expect(statesOf(outcome)).toEqual(['fault', 'ok'])
    expect([outcome].flat()[0]).toMatchObject({
      message: expect.stringMatching(/"slow" does not answer.*before the time limit/) as string,
      remedy: expect.stringContaining('-t SECONDS') as string,
    })
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

function statesOf(outcome: Outcome): string[] {
  return [outcome].flat().map(({ state }) => state)
}
