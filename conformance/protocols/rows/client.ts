// Cases with mistakes of the client, which the connector answers without calling a server. Each is tried in every way
// that has a body.
import { binaryInput, floats, inputs, instances, tensor } from '../bodies.ts'
import { modelsOn, type ModelOptions, type ProtocolCase, type TestedModel } from '../case.ts'
import { WAYS, type WayName } from '../ways.ts'

const LIMITS: ModelOptions = { limits: { requestBytesMax: 1_000 } }
const healthy = modelsOn('gateway')('healthy', undefined, LIMITS)
const healthyGrpc = modelsOn('gateway', 'grpc')('healthy', undefined, LIMITS)
// Has no generate, because no server has both operations.
const healthyInferStream = modelsOn('inferStreamGateway')('healthy', undefined, LIMITS)
const octets = 'application/octet-stream'
const lengthOf = (length: string) => ({ 'inference-header-content-length': length })

const otherProtocol = (way: WayName, model: TestedModel): TestedModel => {
  const protocolVersion = WAYS[way].dialect === 'V1' ? 'v2' : 'v1'
  return { ...model, label: protocolVersion, options: { protocolVersion } }
}

const casesOf = (
  way: WayName,
  body: string | Buffer,
  model: TestedModel = healthy,
): readonly ProtocolCase[] => {
  const to = { model, way }
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
      model: { ...model, name: 'unknown' },
      situation: 'noModel',
      what: 'an unknown model',
      body,
    },
    // Over gRPC, there is only one protocol.
    ...(WAYS[way].transport === 'gRPC'
      ? []
      : [
          {
            ...to,
            model: otherProtocol(way, model),
            situation: 'noOperation' as const,
            what: 'an operation of another protocol',
            body,
          },
        ]),
  ]
}

// A body of the OpenAI API may name the model.
const openaiCasesOf = (way: WayName, body: object): readonly ProtocolCase[] => [
  ...casesOf(way, JSON.stringify(body)),
  {
    model: healthy,
    way,
    situation: 'otherModel',
    what: 'the name of another model',
    body: JSON.stringify({ ...body, model: 'another' }),
  },
  {
    model: healthy,
    way,
    situation: 'badBody',
    what: 'a name that is not a string',
    body: JSON.stringify({ ...body, model: 1 }),
  },
]

const BINARY = binaryInput('x', [1, 4], floats(1, 2, 3, 4))
const lengthCasesOf = (way: WayName, model: TestedModel): readonly ProtocolCase[] => [
  ...[
    ['a length that is not a number', 'abc'] as const,
    ['a length beyond the body', '99999'] as const,
    ['a negative length', '-1'] as const,
  ].map(([what, length]): ProtocolCase => ({
    model,
    way,
    situation: 'badBody',
    what,
    body: BINARY.body,
    properties: { contentType: octets, userProperties: lengthOf(length) },
  })),
  {
    model,
    way,
    situation: 'badBody',
    what: 'no length',
    body: BINARY.body,
    properties: { contentType: octets },
  },
]

const INPUTS = inputs(tensor('x', 'FP32', [1]))
const MESSAGES = { messages: [{ role: 'user', content: 'x' }] }
const STREAM = { stream: true }

/** All cases with mistakes of the client. */
export const CLIENT_CASES: readonly ProtocolCase[] = [
  ...casesOf('predict', instances(1)),
  ...casesOf('explain', instances(1)),
  ...casesOf('infer', INPUTS),
  ...casesOf('inferStream', INPUTS, healthyInferStream),
  ...casesOf('generate', JSON.stringify({ text_input: 'x' })),
  ...casesOf('generateStream', JSON.stringify({ text_input: 'x', ...STREAM })),
  ...openaiCasesOf('chat', MESSAGES),
  ...openaiCasesOf('chatStream', { ...MESSAGES, ...STREAM }),
  ...openaiCasesOf('completions', { prompt: 'x' }),
  ...openaiCasesOf('completionsStream', { prompt: 'x', ...STREAM }),
  ...openaiCasesOf('embeddings', { input: 'x' }),
  ...casesOf('inferGrpc', INPUTS, healthyGrpc),
  ...casesOf('inferStreamGrpc', INPUTS, healthyGrpc),
  { model: healthy, way: 'predict', situation: 'badType', what: 'binary tensors', ...BINARY },
  { model: healthy, way: 'chat', situation: 'badType', what: 'binary tensors', ...BINARY },
  ...lengthCasesOf('inferBinary', healthy),
  ...lengthCasesOf('inferBinaryGrpc', healthyGrpc),
]
