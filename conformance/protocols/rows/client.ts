// Cases with mistakes of the client, which the connector answers without calling a server. Each is tried in every way
// that has a body.
import { binaryInput, floats, inputs, instances, tensor } from '../bodies.ts'
import type { ProtocolCase, TestedModel } from '../case.ts'
import { WAYS, type WayName } from '../ways.ts'

const healthy: TestedModel = {
  server: 'gateway',
  name: 'healthy',
  options: { limits: { requestBytesMax: 1_000 } },
}
const octets = 'application/octet-stream'
const lengthOf = (length: string) => ({ 'inference-header-content-length': length })

const otherProtocol = (way: WayName): TestedModel => {
  const protocolVersion = WAYS[way].dialect === 'V1' ? 'v2' : 'v1'
  return { ...healthy, label: protocolVersion, options: { protocolVersion } }
}

const casesOf = (way: WayName, body: string | Buffer): readonly ProtocolCase[] => {
  const to = { model: healthy, way }
  return [
    { ...to, situation: 'badBody', what: 'an empty body' },
    { ...to, situation: 'badBody', what: 'a body that is a list', body: '[1]' },
    { ...to, situation: 'badBody', what: 'a compressed body', body: Buffer.from([0x1f, 0x8b, 8, 0]) },
    {
      ...to,
      situation: 'badType',
      what: 'an image type',
      body,
      properties: { contentType: 'image/jpeg' },
    },
    {
      ...to,
      situation: 'badType',
      what: 'the type text/plain',
      body,
      properties: { contentType: 'text/plain' },
    },
    {
      ...to,
      situation: 'requestTooLarge',
      what: 'a body of 2 kB with a limit of 1 kB',
      body: `{${' '.repeat(2_000)}}`,
    },
    {
      ...to,
      model: { server: 'gateway', name: 'unknown' },
      situation: 'noModel',
      what: 'an unknown model',
      body,
    },
    {
      ...to,
      model: otherProtocol(way),
      situation: 'noOperation',
      what: 'an operation of another protocol',
      body,
    },
  ]
}

const BINARY = binaryInput('x', [1, 4], floats(1, 2, 3, 4))
const withLength = (what: string, length: string): ProtocolCase => ({
  model: healthy,
  way: 'inferBinary',
  situation: 'badBody',
  what,
  body: BINARY.body,
  properties: { contentType: octets, userProperties: lengthOf(length) },
})

/** All cases with mistakes of the client. */
export const CLIENT_CASES: readonly ProtocolCase[] = [
  ...casesOf('predict', instances(1)),
  ...casesOf('explain', instances(1)),
  ...casesOf('infer', inputs(tensor('x', 'FP32', [1]))),
  { model: healthy, way: 'predict', situation: 'badType', what: 'binary tensors', ...BINARY },
  withLength('a length that is not a number', 'abc'),
  withLength('a length beyond the body', '99999'),
  withLength('a negative length', '-1'),
  {
    model: healthy,
    way: 'inferBinary',
    situation: 'badBody',
    what: 'no length',
    body: BINARY.body,
    properties: { contentType: octets },
  },
]
