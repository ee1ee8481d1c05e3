// Tests the client when its library cannot be loaded.
import { expect, test, vi } from 'vitest'
import { jsonRequest, openTestUpstream } from './testing/open-upstream.ts'

vi.mock('./grpc-upstream.ts', () => {
  throw new Error('The library is broken.')
})

test('each call fails if the library cannot be loaded, and the client can be closed', async () => {
  const upstream = openTestUpstream('http://127.0.0.1:1')
  await expect(upstream.endpoint('ready', 'v2')!.call(jsonRequest(''))).rejects.toThrow()
  await expect(upstream.facts(new AbortController().signal)).rejects.toThrow()
  await upstream.close()
  await upstream.destroy()
})
