import { expect, test } from 'vitest'
import { MESSAGES } from './inference-proto.ts'

test('encodes repeated numbers packed, as proto3 requires', () => {
  const tensor = {
    name: 'x',
    datatype: 'FP32',
    shape: [3],
    parameters: {},
    contents: { fp32_contents: [1, 2, 3] },
  }
  const bytes = MESSAGES.request.encode({ inputs: [tensor] } as never).toString('hex')
  // Field 6 with wire type 2 (packed) and a length of 12 bytes, then 1, 2 and 3 as little-endian floats.
  expect(bytes).toContain('320c0000803f0000004000004040')
  // Field 3 with wire type 2, one byte: 3.
  expect(bytes).toContain('1a0103')
})
